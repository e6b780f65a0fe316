"""The sessions before a run's start that strategies are shown to warm up, as far as the data goes back."""

from __future__ import annotations

from collections.abc import Sequence

from bt.engine import Player
from bt.model import Schedule
from bt.store import Store


def warm_sessions(schedule: Schedule, first: int, store: Store, asked: int) -> int:
    """How many of the `asked` sessions before number `first` there are: not those that ended before the data's first bar."""
    begins = min(store.first.values())
    before = int((schedule.close[:first] > begins).sum())
    return min(asked, before)


def set_starts(players: Sequence[Player], schedule: Schedule, first: int, store: Store) -> None:
    """Say from which session on each strategy is shown anything, and from which on its orders are taken."""
    for player in players:
        player.trades = first
        player.begins = first - warm_sessions(schedule, first, store, player.declaration.warm_up)


def told(players: Sequence[Player]) -> dict[str, dict[str, int]]:
    """By strategy that asks for a warm-up, how many sessions were `asked` for and how many were `shown`."""
    return {
        p.declaration.name: {"asked": p.declaration.warm_up, "shown": p.trades - p.begins}
        for p in players
        if p.declaration.warm_up
    }
