"""In whose terms past bars are told: those of the session that looks back at them (docs/decisions/0031).

A bar of an earlier session has its prices divided by the splits since, and its volume multiplied; with dividends adjusted too, its prices are first reduced by
those since. What was before a symbol got its name is the past of the symbol that had it. An action after the session that looks changes nothing.

`Terms.history` reads past sessions so. Terms change at opens alone: whoever carries past bars from session to session drops those of the
`affected` symbols there, and reads them back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import lcm
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from bt.errors import DataError
from bt.exact import quotient, scaled
from bt.execution import portions
from bt.model import Action, Schedule
from bt.prepare.actions import Actions
from bt.prepare.grouping import Grouping
from bt.prepare.window import Loader, Minutes
from bt.schema import PRICES
from bt.store import Store

IntArray = npt.NDArray[np.int64]

EVER = -(1 << 40)
"""Before every session."""
NEVER = 1 << 62
"""After every time, UTC microseconds."""

DIVIDENDS_ROUND = 10**8
"""The part of a price that dividends have left is a whole number of such parts."""
FINER = 100
"""Prices that dividends have reduced are on a grid so much finer than the symbol's: two more decimals."""
_EXACT = 1 << 50
"""Whole prices below it are recovered from their doubles."""
_FITS = 1 << 62
REACH = 60
"""So many sessions before a dividend are looked through for a close."""


class Segment(NamedTuple):
    """Bars of the symbol `source` in the sessions begin <= s < end, as they belong to a symbol: its prices times den / num, after the dividends
    (code, session) in `paid` are taken out."""

    source: int
    begin: int
    end: int
    num: int = 1
    den: int = 1
    paid: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class _View:
    """The segments of symbols that have any but their own bars as they are, sorted by source and begin; -1 in `owner` is nobody's."""

    special: npt.NDArray[np.bool_]
    key: IntArray
    end: IntArray
    owner: IntArray
    num: IntArray
    den: IntArray
    changed: npt.NDArray[np.bool_]
    segments: Sequence[Segment]


class Terms:
    """The terms of every session of a run.

    Parameters
    ----------
    actions : Actions
        Those that are adjusted for: dividends are among them where they are.
    """

    def __init__(self, actions: Actions, store: Store, schedule: Schedule, loader: Loader) -> None:
        self._store, self._schedule, self._loader = store, schedule, loader
        self._of: dict[int, list[Action]] = {}
        self._came: dict[int, list[tuple[int, int]]] = {}  # by new name: session, old name
        for action in sorted(actions.every, key=lambda a: a.session):
            self._of.setdefault(action.code, []).append(action)
            if action.kind == "rename":
                self._came.setdefault(action.to, []).append((action.session, action.code))
        self._affected: dict[int, set[int]] = {}
        for action in actions.every:
            some = self._affected.setdefault(action.session, set())
            some.update({action.code} if action.to < 0 else {action.code, action.to})
        self.cuts = sorted(self._affected)
        """The sessions at whose opens terms change."""
        self._first = np.array([store.first[s] for s in store.symbols], dtype=np.int64)
        self._begins = -1, self._first
        self._chains: dict[tuple[int, int], list[Segment]] = {}
        self._views: dict[int, _View | None] = {}
        self._left: dict[tuple[int, int], Fraction] = {}
        self._decimals = [store.decimals[s] for s in store.symbols]
        self._scale = np.array([0 if k is None else 10**k for k in self._decimals], dtype=np.int64)
        self.grain = self._grains()
        """What whole prices of each symbol have to be multiplied by to stay whole; 0 where they cannot."""

    def affected(self, after: int, until: int) -> IntArray:
        """The symbols whose past is told in other terms at session number `until` than at session number `after`."""
        low, high = np.searchsorted(self.cuts, [after, until], side="right")
        found = set().union(*(self._affected[cut] for cut in self.cuts[low:high]))
        return np.array(sorted(found), dtype=np.int64)

    def epoch(self, session: int) -> int:
        """Equal for sessions that have the same terms."""
        return int(np.searchsorted(self.cuts, session, side="right"))

    # ------------------------------------------------------------------------------------------------------------- chains

    def chain(self, code: int, at: int) -> list[Segment]:
        """What is the past of a symbol at the open of session number `at`, the latest first."""
        key = code, self.epoch(at)
        if key not in self._chains:
            self._chains[key] = list(self._walk(code, at))
        return self._chains[key]

    def _walk(self, code: int, at: int) -> list[Segment]:
        made: list[Segment] = []
        end, ratio = -EVER, Fraction(1)
        paid: tuple[tuple[int, int], ...] = ()
        stop = at + 1  # actions before it concern the shares that are followed
        while True:
            here = [a for a in self._of.get(code, ()) if a.session < stop]
            came = [(session, old) for session, old in self._came.get(code, ()) if session < stop]
            latest = max([*(a.session for a in here), *(session for session, _ in came)], default=EVER)
            made.append(Segment(code, latest, end, ratio.numerator, ratio.denominator, paid))
            if latest == EVER:
                return made
            now = [a for a in here if a.session == latest]
            for action in now:
                if action.kind == "split":
                    ratio *= action.ratio
                elif action.kind == "dividend" and (code, latest) not in paid:
                    paid = (*paid, (code, latest))
            before = [old for session, old in came if session == latest]
            if any(a.kind == "delisting" for a in now) or (not before and any(a.kind == "rename" for a in now)):
                return made
            end = stop = latest
            if before:
                code = before[0]

    def begins(self, at: int) -> IntArray:
        """When what belongs to each symbol at session number `at` begins, UTC microseconds."""
        epoch, first = self.epoch(at), self._first
        if self._begins[0] == epoch:
            return self._begins[1]
        made = first.copy()
        for code in self._special(at):
            made[code] = min(map(self._first_of, self.chain(code, at)))
        self._begins = epoch, made
        return made

    def _first_of(self, segment: Segment) -> int:
        """When the bars of a segment begin at the earliest; NEVER where its source has none before it ends."""
        opens, first = self._schedule.open, int(self._first[segment.source])
        if segment.end < len(opens) and first >= int(opens[segment.end]):
            return NEVER
        return first if segment.begin == EVER else max(first, int(opens[segment.begin]))

    def names_at(self, session: int, at: int) -> IntArray:
        """The symbol that each was in a session, of those at session number `at`; -1 of those that were none then."""
        made = np.arange(len(self._store.symbols))
        for code in self._special(at):
            here = [s.source for s in self.chain(code, at) if s.begin <= session < s.end]
            made[code] = here[0] if here else -1
        return made

    def _special(self, at: int) -> list[int]:
        """The symbols that any action up to session number `at` concerns."""
        return sorted(set().union(*(self._affected[cut] for cut in self.cuts[: self.epoch(at)])))

    def _grains(self) -> IntArray:
        """The least common multiple of all splits' numerators, and `FINER` where there are dividends."""
        made = np.ones(len(self._store.symbols), dtype=np.int64)
        tops = dict(self._store.spans.group_by("code").agg(pl.col("top").max()).iter_rows())
        for cut in self.cuts:
            for code in self._affected[cut]:
                made[code] = self._grain_of(code, self.chain(code, cut), int(made[code]), tops)
        return made

    def _grain_of(self, code: int, segments: Sequence[Segment], known: int, tops: Mapping[int, float]) -> int:
        """The grain that a symbol needs where this is its past, and what was `known` before; 0 where there is none."""
        own, others = self._decimals[code], [self._decimals[s.source] for s in segments]
        finest = max((d for d in others if d is not None), default=0)
        if known == 0 or own is None or any(d is None for d in others):
            return 0
        grain = lcm(*(s.num for s in segments)) * 10 ** max(finest - own, 0)
        grain = lcm(known, grain * FINER if any(s.paid for s in segments) else grain)
        most = max(float(tops.get(s.source) or 0.0) * s.den / s.num for s in segments)
        return grain if most * 10**own * grain < _EXACT else 0

    # ------------------------------------------------------------------------------------------------------------ reading

    def history(
        self, at: int, first: int, last: int, columns: Sequence[str], symbols: Sequence[str] | None = None
    ) -> Minutes:
        """The good bars of sessions `first` to `last`, which lie before session number `at`, in its terms; of `symbols` alone, None all."""
        view = self._view(at)
        if view is None:
            return self._loader.history(first, last, columns, symbols)
        names = self._store.symbols
        if symbols is None:
            return self._told(self._loader.history(first, last, columns), view)
        index = {s: k for k, s in enumerate(names)}
        asked = np.array([index[s] for s in symbols], dtype=np.int64)
        if not view.special[asked].any():
            return self._loader.history(first, last, columns, symbols)
        chained = [segment for code in asked[view.special[asked]].tolist() for segment in self.chain(code, at)]
        sources = {s.source for s in chained if s.begin <= last and s.end > first} | set(asked.tolist())
        minutes = self._loader.history(first, last, columns, [names[k] for k in sorted(sources)])
        return self._told(minutes, view, asked)

    def _view(self, at: int) -> _View | None:
        """All segments at a session; None where everything is as it is."""
        epoch = self.epoch(at)
        if epoch not in self._views:
            self._views = {
                e: v for e, v in self._views.items() if e >= epoch - KEPT
            }  # they are asked for in order, by two threads
            self._views[epoch] = self._made_view(at) if epoch else None
        return self._views[epoch]

    def _made_view(self, at: int) -> _View:
        codes = self._special(at)
        special = np.zeros(len(self._store.symbols), dtype=bool)
        special[codes] = True
        found = sorted((segment, code) for code in codes for segment in self.chain(code, at))
        segments = [segment for segment, _ in found]
        begin = np.array([max(s.begin, 0) for s in segments], dtype=np.int64)
        source = np.array([s.source for s in segments], dtype=np.int64)
        return _View(
            special, source * STRIDE + begin, np.array([s.end for s in segments], dtype=np.int64),
            np.array([code for _, code in found], dtype=np.int64),
            np.array([s.num for s in segments], dtype=np.int64), np.array([s.den for s in segments], dtype=np.int64),
            np.array([s.num != 1 or s.den != 1 or bool(s.paid) for s in segments], dtype=bool), segments,
        )  # fmt: skip

    def _told(self, minutes: Minutes, view: _View, asked: IntArray | None = None) -> Minutes:
        """Minutes as they are, told in a view's terms."""
        owner = minutes.code.copy()
        rows = np.flatnonzero(view.special[minutes.code])
        place = (
            np.searchsorted(view.key, minutes.code[rows] * STRIDE + minutes.session[rows] + minutes.first, side="right")
            - 1
        )
        found = (place >= 0) & (view.key[place] // STRIDE == minutes.code[rows])
        found &= view.end[place] > minutes.session[rows] + minutes.first
        owner[rows] = np.where(found, view.owner[place], -1)
        frame = self._converted(minutes, rows[found], place[found], view)
        keep = owner >= 0
        if asked is not None:
            wanted = np.zeros(minutes.symbols + 1, dtype=bool)
            wanted[asked] = True
            keep = wanted[owner]
        group = minutes.session * minutes.symbols + owner
        order = np.flatnonzero(keep)
        order = order[np.argsort(group[order], kind="stable")]
        told = Grouping.of_rows(minutes.symbols, group[order])
        return Minutes.of(minutes.sessions, minutes.first, frame[order], minutes.slot[order], told)

    def _converted(self, minutes: Minutes, rows: IntArray, place: IntArray, view: _View) -> pl.DataFrame:
        """The columns with the prices and volumes of some rows in the terms of their segments."""
        changed = view.changed[place]
        rows, place = rows[changed], place[changed]
        if not len(rows):
            return minutes.frame
        used, inverse = np.unique(place, return_inverse=True)
        left = np.array([self._part_left(view.segments[k].paid) for k in used.tolist()], dtype=np.int64)[inverse]
        num, den = view.num[place], view.den[place]
        scale = np.where(self.grain[view.owner[place]] == 0, 0, self._scale[minutes.code[rows]])
        made = []
        for column in minutes.frame.get_columns():
            if column.name in PRICES or column.name == "vwap":
                values = (
                    column.to_numpy().copy() if not column.null_count() else column.fill_null(np.nan).to_numpy().copy()
                )
                grid = scale if column.name in PRICES else np.zeros_like(scale)
                values[rows] = _prices(values[rows], grid, left, num, den)
                made.append(pl.Series(column.name, values, nan_to_null=bool(column.null_count())))
            elif column.name == "volume":
                values = column.to_numpy().copy()
                whole = values.dtype.kind in "iu"
                values[rows] = portions(values[rows] * num, den) if whole else values[rows] * num / den
                made.append(pl.Series(column.name, values))
            else:
                made.append(column)
        return pl.DataFrame(made)

    def _part_left(self, paid: Sequence[tuple[int, int]]) -> int:
        """Of `DIVIDENDS_ROUND` parts of a price those that are left after some dividends (code, session)."""
        part = Fraction(1)
        for code, session in paid:
            part *= self._left_after(code, session)
        return round(part * DIVIDENDS_ROUND)

    def _left_after(self, code: int, session: int) -> Fraction:
        """What a session's dividends leave of the last close before it."""
        key = code, session
        if key not in self._left:
            amount = sum(
                (a.amount for a in self._of[code] if a.session == session and a.kind == "dividend"), Fraction(0)
            )
            close = self._close_before(code, session)
            if close is not None and amount >= close:
                raise DataError(
                    f"data.actions: a dividend must be less than the last close before it, was {float(amount):g} of {float(close):g} for "
                    f"{self._store.symbols[code]} in the session {self._schedule.names[session]}; mend the amount, or set data.adjust"
                )
            self._left[key] = Fraction(1) if close is None else 1 - amount / close
        return self._left[key]

    def _close_before(self, code: int, session: int) -> Fraction | None:
        """The last close before a session, in the terms after its splits; None where there is none near."""
        names = self._store.symbols
        for back, segment in ((back, s) for back in (5, REACH) for s in self.chain(code, session)):
            low, high = max(session - back, segment.begin, 0), min(segment.end, session) - 1
            if low > high:
                continue
            minutes = self._loader.history(low, high, ("close",), [names[segment.source]])
            if minutes.frame.height:
                last = minutes.frame["close"][-1]
                return Fraction(repr(last)) * segment.den / segment.num
        return None


STRIDE = 1 << 20
"""More than a schedule has sessions."""
KEPT = 8
"""So many views before the last one are kept."""


def _reduced(parts: IntArray, left: IntArray) -> IntArray:
    """Whole prices times `left` / `DIVIDENDS_ROUND`, rounded half to even."""
    if len(parts) and float(parts.max()) * float(left.max()) < _FITS:
        return portions(parts * left, np.full(len(parts), DIVIDENDS_ROUND, dtype=np.int64))
    return np.array(
        [round(Fraction(p * part, DIVIDENDS_ROUND)) for p, part in zip(parts.tolist(), left.tolist(), strict=True)],
        dtype=np.int64,
    )


def _prices(
    values: npt.NDArray[np.float64], scale: IntArray, left: IntArray, num: IntArray, den: IntArray
) -> npt.NDArray[np.float64]:
    """Prices without the dividends since (of `DIVIDENDS_ROUND` parts `left` are), times den / num: on a tick grid (`scale`, 0 for none) rounded once."""
    made = np.where(left == DIVIDENDS_ROUND, values, values * (left / DIVIDENDS_ROUND)) * den / num
    at = np.flatnonzero(scale)
    if len(at):
        finer = np.where(left[at] == DIVIDENDS_ROUND, 1, FINER)
        parts = scaled(values[at], scale[at]) * finer
        reduced = np.flatnonzero(finer > 1)
        parts[reduced] = _reduced(parts[reduced], left[at][reduced])
        made[at] = quotient(parts * den[at], scale[at] * finer * num[at])
    return made


def adjusting(actions: Actions, adjust: str) -> Actions:
    """The actions that what looks back is adjusted for."""
    if adjust == "none":
        return Actions()
    return Actions(tuple(a for a in actions.every if adjust == "all" or a.kind != "dividend"))
