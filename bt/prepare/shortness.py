"""Whose history was short for a feature when the run began, and since when it is all there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
import polars as pl

from bt.features import Feature
from bt.indicators import first_session
from bt.prepare.columns import Grouped
from bt.prepare.plan import Plan
from bt.prepare.quantities import Past
from bt.prepare.window import Minutes

IntArray = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class _Reach:
    """What a field reads back to: a feature over bars or past sessions, of every symbol or (`code`) of one."""

    feature: Feature
    code: int | None

    def lacks(self, past: Past, have: Mapping[int, IntArray], at: int) -> Mask:
        """Of which symbols less is known than it may read at the open of session number `at`; `have` are bars by interval."""
        feature, begins = self.feature, past.begins(at)
        if feature.kind == "trailing":
            return self._late(past, first_session(past.schedule.names, at, feature.period), begins)
        short = have[feature.minutes] < feature.bars
        return short | self._late(past, at - feature.sessions, begins) if feature.sessions else short

    @staticmethod
    def _late(past: Past, first: int, begins: IntArray) -> Mask:
        """Whose data begins after session number `first`, which may be before all."""
        return np.ones(len(begins), dtype=bool) if first < 0 else begins >= int(past.schedule.close[first])


@dataclass
class _Told:
    """Of one reach: whose history was short at the first open, who is waited for still, and the session of the others."""

    reach: _Reach
    short: Mask
    waits: Mask
    since: dict[int, date]

    def in_session(self, members: Mask | None) -> Mask:
        """Of whom it may be judged: members of the session's universe (None: all), or the one symbol it reads."""
        return self.waits if members is None or self.reach.code is not None else self.waits & members


class Shortness:
    """Per field and symbol, whether all that its feature may read was known at the first open, and otherwise since which session.

    With a universe only members of a session are judged in it, for of others not all is read.
    """

    def __init__(self, plan: Plan, past: Past, codes: Mapping[str, int]) -> None:
        self._past = past
        self._fields = {
            name: [r for f in features for r in _reaches(f, codes)] for name, features in plan.fields.items()
        }
        self._told: dict[object, _Told] = {}
        self._have: dict[int, IntArray] = {}

    def start(self, at: int, tails: Mapping[int, pl.DataFrame], members: IntArray | None) -> None:
        """Judge the open of session number `at`, whose universe are `members` (None: all), by the warm-up bars before it."""
        n = len(self._past.scale)
        self._have = {i: np.bincount(tail["code"].to_numpy(), minlength=n) for i, tail in tails.items()}
        for reach in (r for some in self._fields.values() for r in some):
            judged = np.ones(n, dtype=bool) if reach.code is None and members is None else np.zeros(n, dtype=bool)
            judged[reach.code if reach.code is not None else [] if members is None else members] = True
            short = judged & reach.lacks(self._past, self._have, at)
            self._told[_key(reach)] = _Told(reach, short, short.copy(), {})

    def attend(self, new: IntArray, tails: Mapping[int, pl.DataFrame]) -> None:
        """Symbols that the window before lacked: their bars before the next window are in `tails`."""
        if self._is_waiting:
            for interval, tail in tails.items():
                self._have[interval][new] = np.bincount(tail["code"].to_numpy(), minlength=len(self._past.scale))[new]

    def window(self, minutes: Minutes, bars: Mapping[int, Grouped], members: Mask | None) -> None:
        """Judge each session of a window by the bars until its end; `members` are those of its universe (sessions, symbols)."""
        if not self._is_waiting:
            return
        for number, session in enumerate(minutes.sessions):
            for interval in self._have:
                rows = bars[interval].grouping.at(number)
                more = np.bincount(bars[interval].code[rows], minlength=minutes.symbols)
                self._have[interval] = self._have[interval] + more
            for told in self._told.values():
                here = told.in_session(None if members is None else members[number])
                if here.any():
                    whole = here & ~told.reach.lacks(self._past, self._have, minutes.first + number)
                    told.since.update(dict.fromkeys(np.flatnonzero(whole).tolist(), session.name))
                    told.waits &= ~whole

    @property
    def settled(self) -> date:
        """The session from whose end on nothing more becomes known; never while somebody is waited for."""
        if self._is_waiting:
            return date.max
        return max((day for told in self._told.values() for day in tuple(told.since.values())), default=date.min)

    @property
    def _is_waiting(self) -> bool:
        return any(told.waits.any() for told in self._told.values())

    def fields(self) -> dict[str, dict[int, date | None]]:
        """By field and code of who was short: the session in which all was known, None if in none of those prepared."""
        found: dict[str, dict[int, date | None]] = {}
        for name, reaches in sorted(self._fields.items()):
            told = [self._told[_key(reach)] for reach in reaches if _key(reach) in self._told]
            for code in np.flatnonzero(np.logical_or.reduce([t.short for t in told])).tolist() if told else ():
                since = [t.since.get(code) for t in told if t.short[code]]
                days = [day for day in since if day is not None]
                found.setdefault(name, {})[code] = max(days) if len(days) == len(since) else None
        return found


def _key(reach: _Reach) -> object:
    return reach.feature.key, reach.code


def _reaches(feature: Feature, codes: Mapping[str, int], code: int | None = None) -> Iterator[_Reach]:
    """What a feature, or those it is made from, read back to; the session so far is nothing."""
    if feature.kind == "trailing" or feature.bars or feature.sessions:
        yield _Reach(feature, code)
    for inner in feature.needs:
        yield from _reaches(inner, codes, codes[feature.symbol] if feature.kind == "of" else code)


def told(
    short: Mapping[str, Mapping[int, date | None]], symbols: Sequence[str], until: date | None
) -> dict[str, dict[str, str | None]]:
    """For the summary: by name and symbol the session, None if it is after `until`, the last that was played."""
    return {
        name: {
            symbols[code]: day.isoformat() if day is not None and until is not None and day <= until else None
            for code, day in of.items()
        }
        for name, of in short.items()
    }
