"""What is known of earlier sessions at an open, and what a book remembers of bars (docs/strategies.md)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from oracle.market import Day, History, instant


def past(
    history: History, day: Day, seen: Collection[str], interval: str, sessions: int, columns: Sequence[str]
) -> list[tuple[Any, ...]]:
    """The bars of symbols that are `seen`, of the `sessions` days before `day`, by symbol and time: symbol, session, open
    and close time, columns."""
    before = [d for d in history.days if d.name < day.name][-sessions:]
    symbols = sorted({s for d in before for s in history.bars[d.name] if s in seen})
    return [
        (symbol, d.name, instant(bar.time_us), instant(bar.end_us), *(getattr(bar, c) for c in columns))
        for symbol in symbols
        for d in before
        for bar in history.session(d, symbol, interval)
    ]


def remembered(history: History, symbol: str, interval: str, now_us: int, *, since: Day | None = None) -> list[Any]:
    """A symbol's bars of an interval that have ended at `now_us`, by time; from the day `since` on."""
    series = history.series(symbol, interval)
    return [bar for name, bar in series if bar.end_us <= now_us and (since is None or name >= since.name)]
