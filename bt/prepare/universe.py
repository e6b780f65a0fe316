"""Who is a member in which session, for the whole run before its first; and whose bars a window must read.

Membership is decided as of an open, from the daily values of earlier sessions of all candidates, never from what was read for a
window or from what a strategy did. So it does not depend on where a run starts or how it is cut.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt

from bt.indicators import Trailed
from bt.prepare.daily import Daily
from bt.prepare.listed import Listed
from bt.prepare.quantities import Past
from bt.universe import Expression, Known, Rules

IntArray = npt.NDArray[np.int64]
Masks = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Membership:
    """The members of the sessions `first`, `first` + 1, ... of a schedule: codes by rank, the highest first."""

    first: int
    ranked: Sequence[IntArray]

    def ranking(self, session: int) -> IntArray:
        """A session's members by rank."""
        return self.ranked[session - self.first]

    @property
    def most(self) -> int:
        """How many members the session with the most has."""
        return max(len(codes) for codes in self.ranked)

    def among(self, first: int, last: int) -> IntArray:
        """Sorted codes of the members of any of the sessions `first` to `last`."""
        return np.unique(np.concatenate([self.ranking(i) for i in range(first, last + 1)]))

    def mask(self, first: int, last: int, symbols: int) -> Masks:
        """Who is a member in each of the sessions `first` to `last`: (sessions, symbols)."""
        made = np.zeros((last - first + 1, symbols), dtype=bool)
        for row, session in zip(made, range(first, last + 1), strict=True):
            row[self.ranking(session)] = True
        return made


def membership(rules: Rules, past: Past, first: int, last: int) -> Membership:
    """The members of sessions `first` to `last`.

    Raises
    ------
    DataError
        The membership table cannot be used.
    """
    names = past.schedule.names
    store = past.store
    table = Listed.read(rules.spec.table, store.symbols[: store.candidates]) if rules.spec.table else None
    daily = Daily(rules.terms, past)
    decided = [_decided(names, i, rules.spec.rebalance) for i in range(first, last + 1)]
    daily.start(decided[0], last)
    made: dict[int, IntArray] = {}
    for at in decided:
        if at not in made:
            daily.ahead(at, last)
            listed = None if table is None else table.at(names[at])
            made[at] = _members(rules, daily.at(at), listed, store.candidates)
    return Membership(first, [made[at] for at in decided])


def _decided(names: Sequence[date], session: int, rebalance: str) -> int:
    """The session at whose open the members of `session` are decided: the first of its calendar week or month."""
    if rebalance == "1d":
        return session
    while session > 0 and _period(names[session - 1], rebalance) == _period(names[session], rebalance):
        session -= 1
    return session


def _period(day: date, rebalance: str) -> tuple[int, int]:
    return day.isocalendar()[:2] if rebalance == "1w" else (day.year, day.month)


def _members(rules: Rules, trailed: dict[str, Trailed], listed: Masks | None, symbols: int) -> IntArray:
    """Codes by rank from the trailing values at one open, among the first `symbols`."""
    found = {f.key: Known(trailed[id_].values[:symbols], trailed[id_].null[:symbols]) for id_, f in rules.terms.items()}
    chosen = np.ones(symbols, dtype=bool) if listed is None else listed.copy()
    if rules.where is not None:
        met, unknown = rules.where.value(found)
        chosen &= met & ~unknown
    if rules.by is None:
        return np.flatnonzero(chosen)
    values, chosen = _ranked_by(rules.by, found, chosen)
    code = np.flatnonzero(chosen)
    return code[_highest(values[code], rules.spec.top)]


def _highest(values: npt.NDArray[np.float64], most: int | None) -> IntArray:
    """Where the `most` highest values are, the highest first; ties stay in order."""
    falling = -values
    among = np.arange(len(values))
    if most is not None and most < len(values):  # sorting them all takes far longer than finding the last of them
        among = np.flatnonzero(~(falling > np.partition(falling, most - 1)[most - 1]))
    return among[np.argsort(falling[among], kind="stable")][:most]


def _ranked_by(
    by: Expression, found: dict[tuple[object, ...], Known], chosen: Masks
) -> tuple[npt.NDArray[np.float64], Masks]:
    values, unknown = by.value(found)
    return np.broadcast_to(np.asarray(values, dtype=np.float64), chosen.shape), chosen & ~unknown


# ------------------------------------------------------------------------------------------------------ what is read


@dataclass(frozen=True)
class Attendance:
    """Whose bars a window reads: sorted `codes` (None: all), and those among them that the window before lacked."""

    codes: IntArray | None
    new: IntArray


_NOBODY = np.zeros(0, dtype=np.int64)


class Roster:
    """Who is read, window by window: its members, those of the window before (they may be held when it begins), what is held when
    its preparation begins and what may be renamed to before it is over, and `always`.

    Without a membership everybody is. Of the others than `always` only the codes `part` are read (sorted, None: all).
    """

    def __init__(self, members: Membership | None, always: Iterable[int] = (), part: IntArray | None = None) -> None:
        self._members = members
        self._always = np.array(sorted(always), dtype=np.int64)
        self._part = part
        self._before = self._read = _NOBODY

    def window(self, first: int, last: int, held: Iterable[int]) -> Attendance:
        """Of the next window, sessions `first` to `last`; `held` are codes that any strategy holds now, or may hold then."""
        if self._members is None and self._part is None:
            return Attendance(None, _NOBODY)
        members = self._part if self._members is None else self._members.among(first, last)
        assert members is not None
        if self._part is not None:
            members = np.intersect1d(members, self._part)
        now = np.array(sorted(held), dtype=np.int64)
        codes = np.unique(np.concatenate([members, self._before, now, self._always]))
        new = np.setdiff1d(codes, self._read)
        self._before, self._read = members, codes
        return Attendance(codes, new)
