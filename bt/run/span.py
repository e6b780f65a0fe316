"""The sessions of a run: those asked for that the data reaches."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from bt.errors import DataError
from bt.model import Schedule, instant
from bt.sessions import TimeManager
from bt.store import Store


@dataclass(frozen=True)
class Range:
    """The sessions of a run as numbers in a schedule that reaches back to the data's beginning and what is before it."""

    schedule: Schedule
    first: int
    last: int
    complete: bool


def session_range(
    time: TimeManager, store: Store, start: date, end: date, rebalance: str = "1d", *, wider: Store | None = None
) -> Range:
    """The sessions from `start` to `end` that the data reaches: up to the one that its last row belongs to.

    The schedule before them begins with a whole calendar week or month where a universe is decided there (`rebalance`).
    It reaches back to the first bar of `wider`, whose symbols are read along.

    Raises
    ------
    DataError
        The store has no bar in the range.
    """
    begins, ends = min(store.first.values()), max(store.last.values())
    known = begins if wider is None else min(begins, *wider.first.values())
    earliest = min(start, max(instant(known).date(), time.earliest)) - timedelta(days=1)
    if rebalance != "1d":
        earliest = earliest - timedelta(days=earliest.weekday()) if rebalance == "1w" else earliest.replace(day=1)
    schedule = time.schedule(max(earliest, time.earliest), end)
    inside = [i for i, name in enumerate(schedule.names) if name >= start]
    first, asked = inside[0], inside[-1]
    borders = time.borders(schedule, first, asked)
    reached = [i for i, border in zip(inside, borders[:-1].tolist(), strict=True) if border < ends]
    if not reached or int(schedule.close[asked]) <= begins:
        has = "the store has" if store.data.symbols is None else "of data.symbols the store has"
        raise DataError(
            f"{store.data.bars}: the range must hold bars, was {start} to {end}; {has} {instant(begins):%Y-%m-%d} to "
            f"{instant(ends):%Y-%m-%d}: set session.start and session.end"
        )
    return Range(schedule, first, reached[-1], reached[-1] == asked)
