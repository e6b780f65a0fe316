"""Orders meet prices: whose do at a moment, and what came of it is told."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from bt.engine.players import Player
from bt.engine.stage import Stage, Step
from bt.engine.telling import Teller
from bt.schema import MINUTE

ALL: npt.NDArray[np.bool_] = np.zeros(0, dtype=bool)
"""Marks no symbol: the moment is everybody's."""


class Meeting:
    """Matches the orders of players, by those that share their money; what is filled is told by `teller`."""

    def __init__(self, players: Sequence[Player], teller: Teller) -> None:
        self._groups = _by_desk(players)
        self._number = {id(player): number for number, player in enumerate(players)}
        self._teller = teller

    def opens(self, stage: Stage, end: int) -> None:
        """`next_open`: orders meet the opens of the minute that will be over when `end` minutes are."""
        opened = int(stage.market.times[end - 1])
        for group in self._seeing(stage, end):
            self._match(group, opened, opened, end - 1, at_close=False, decided=opened + MINUTE)

    def closes(self, stage: Stage, step: Step) -> None:
        """`next_close`: orders given before the minute that ends now meet its closes."""
        due = int(stage.market.times[step.end - 1])
        for group in self._seeing(stage, step.end):
            self._match(group, step.time, due, step.end - 1, at_close=True, decided=step.time)

    def last_closes(self, stage: Stage, step: Step) -> None:
        """`same_close`: orders meet the last closes shown. An independent strategy's have their moments where their own symbol has a bar."""
        slot = step.end - 1 if step.minute else step.end
        for group in self._groups:
            if not any(stage.is_own(self._number[id(p)], step) for p in group):
                continue
            only = stage.having_bars(step, group[0].declaration.rows) if group[0].declaration.independent else ALL
            self._match(group, step.time, step.time, slot, at_close=step.minute, decided=step.time, only=only)

    def _seeing(self, stage: Stage, end: int) -> list[list[Player]]:
        """Those who share their money, of whom one sees a bar that ends now: what others hold is no moment of theirs."""
        return [g for g in self._groups if any(stage.sees(self._number[id(p)], end) for p in g)]

    def _match(
        self, group: Sequence[Player], time: int, due: int, slot: int, *, at_close: bool, decided: int,
        only: npt.NDArray[np.bool_] = ALL,
    ) -> None:  # fmt: skip
        """Fill what finds a price, of those who share their money, and tell it; orders given meanwhile count as decided at `decided`."""
        if group[0].over is None and any(p.account.waiting for p in group):
            before = group[0].account.desk.match(time, due, slot, at_close=at_close, only=only)
            for player in group:
                player.account.decide_at(decided)
            for player in group:
                self._teller.fills(player, before)


def _by_desk(players: Sequence[Player]) -> list[list[Player]]:
    """Players in their order, those that share their money together."""
    groups: dict[int, list[Player]] = {}
    for player in players:
        groups.setdefault(id(player.account.desk), []).append(player)
    return list(groups.values())
