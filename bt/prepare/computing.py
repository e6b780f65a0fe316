"""Coarser bars and features of one window after another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import polars as pl

from bt.errors import ExpressionRaised
from bt.features import Feature, Pieces
from bt.model import Column
from bt.prepare.checks import check_lookback, to_judge
from bt.prepare.columns import (
    Bars,
    Grouped,
    Resampling,
    bar_columns,
    collect,
    evaluate,
    grouped_minutes,
    shown_bars,
    without,
)
from bt.prepare.peeking import check_feature
from bt.prepare.plan import Plan
from bt.prepare.window import Minutes

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Computed:
    """A window's bars by interval; those that are shown, with the features of each by column id; and the groups dropped,
    with why."""

    bars: Mapping[int, Grouped]
    shown: Mapping[int, Grouped]
    columns: Mapping[int, Mapping[str, Column]]
    failed: Mapping[int, str]

    def kept(self, along: npt.NDArray[np.bool_] | None = None) -> Computed:
        """Without the groups that were dropped, and the symbols that are marked in `along` (None: none are)."""
        some = self.bars[1]
        if not self.failed and (along is None or not along[some.code].any()):
            return self
        drop = np.zeros(max([int(some.group.max(initial=0)), *self.failed]) + 1, dtype=bool)
        drop[list(self.failed)] = True
        if along is not None:
            drop[some.group[along[some.code]]] = True
        keep = {i: ~drop[b.group] for i, b in self.shown.items()}
        columns = {i: {k: _kept(c, keep[i]) for k, c in made.items()} for i, made in self.columns.items()}
        bars, shown = ({i: without(b, drop) for i, b in some.items()} for some in (self.bars, self.shown))
        return Computed(bars, shown, columns, self.failed)


def _kept(values: Column, keep: npt.NDArray[np.bool_]) -> Column:
    return Column(values.values[keep], None if values.null is None else values.null[keep])


@dataclass
class _Values:
    """Feature columns by id, in feature order, and the groups in which one could not be computed."""

    columns: dict[str, Column] = field(default_factory=dict)
    failed: dict[int, str] = field(default_factory=dict)


@dataclass
class _Expressions:
    """Expressions over one interval that share their warm-up."""

    over: Bars
    features: Sequence[Feature]
    pieces: Pieces


def _apart(over: Bars, feature: Feature, minutes: Minutes) -> tuple[Column, dict[int, str]]:
    """An expression symbol by symbol and session by session, so that only the culprits' groups are dropped."""
    values, culprits = over.piecewise(feature)
    first, symbols = minutes.first, minutes.symbols
    return values, {(session - first) * symbols + code: why for code, session, why in culprits if session >= first}


class Computer:
    """Computes windows in order; each symbol's last bars are carried from one to the next.

    Parameters
    ----------
    codes : mapping of str to int
        Each symbol's.
    tails : mapping
        Warm-up bars before the first window, by interval (see `bt.prepare.history.warm_up`).
    isolate : bool
        A feature that raises drops the symbols and sessions it raises for; otherwise DataError.
    """

    def __init__(
        self,
        plan: Plan,
        scale: IntArray,
        tails: Mapping[int, pl.DataFrame],
        *,
        codes: Mapping[str, int],
        isolate: bool,
    ) -> None:
        self._plan = plan
        self._codes = codes
        self._scale = scale
        self._tails = dict(tails)
        self._isolate = isolate
        self._unjudged = {w.feature.minutes for w in plan.features}
        self._uncut = [w for w in plan.features if w.feature.kind in ("expression", "recursive")]

    def attend(self, codes: IntArray, new: IntArray, tails: Mapping[int, pl.DataFrame]) -> None:
        """Symbols come and go: of the next window's `codes`, those that are `new` have their warm-up in `tails`."""
        for interval, tail in tails.items():
            kept = self._tails.get(interval, tail.clear())
            stays = np.isin(kept["code"].to_numpy(), np.setdiff1d(codes, new))
            frames = [f for f in (kept.filter(pl.Series(stays)), tail) if f.height]
            if len(frames) == 2:
                self._tails[interval] = pl.concat([frames[0], frames[1].select(frames[0].columns)])
            else:
                self._tails[interval] = frames[0] if frames else tail

    def window(self, minutes: Minutes) -> Computed:
        """Bars of every interval and every feature, as a column of each interval that shows it."""
        bars = {1: grouped_minutes(minutes)}
        over = {1: self._over(bars[1], minutes)} if self._plan.on(1) else {}
        resampling = Resampling.of(minutes, self._plan.intervals)
        coarse, values = self._collect(over, resampling, minutes)
        bars |= coarse
        more = {i: self._over(bars[i], minutes) for i in self._plan.intervals if self._plan.on(i)}
        if more:
            _, second = self._collect(more, None, minutes)
            values = _Values(values.columns | second.columns, values.failed | second.failed)
        over |= more
        self._check_cut(over, values, minutes.first)
        self._tails = {i: o.tail() for i, o in over.items()}
        shown = {
            i: shown_bars(bars[i], [self._plan.ends(i, s) for s in minutes.sessions], bar_columns(i, columns))
            for i, columns in self._plan.shown.items()
        }
        return Computed(bars, shown, self._columns(shown, over, values, minutes), values.failed)

    def _over(self, bars: Grouped, minutes: Minutes) -> Bars:
        """One interval's bars in feature order, behind their warm-up; lookbacks are checked the first time that bars tell."""
        interval = bars.interval
        tail = self._tails.get(interval, pl.DataFrame(schema={"code": pl.Int64, "session": pl.Int64}))
        need, columns = self._plan.need(interval, self._codes), self._plan.inputs(interval)
        unjudged = interval in self._unjudged
        if unjudged:
            need = need.twice()  # the check wants more, and may have to wait for a session that tells
        over = Bars(bars, tail, minutes.first, scale=self._scale, need=need, columns=columns)
        session = to_judge(over.ordered, minutes.first) if unjudged else None
        if session is not None:
            self._unjudged.discard(interval)
            for wanted in self._plan.on(interval):
                check_lookback(over.ordered, wanted.feature, session)
        return over

    def _check_cut(self, over: Mapping[int, Bars], values: _Values, first: int) -> None:
        """Look for features that peek, among those of which no session could be cut in the windows before."""
        self._uncut = [
            w
            for w in self._uncut
            if not check_feature(over[w.feature.minutes].ordered, w.feature, values.columns[w.id], first)
        ]

    def _columns(
        self, shown: Mapping[int, Grouped], over: Mapping[int, Bars], values: _Values, minutes: Minutes
    ) -> dict[int, dict[str, Column]]:
        """Each feature on the rows that show it: its own bars, or joined as-of onto others."""
        most = max(s.minutes for s in minutes.sessions)
        made: dict[int, dict[str, Column]] = {i: {} for i in shown}
        for wanted in self._plan.features:
            mine, found = over[wanted.feature.minutes], values.columns.get(wanted.id)
            within = wanted.feature.within == "session"
            for rows in wanted.on:
                placed = mine.placed(shown[rows], minutes.groups, most, within=within)
                made[rows][wanted.id] = mine.shown(wanted.feature, found, placed)
        for wanted in self._plan.derived:
            if wanted.feature.kind == "of" and wanted.feature.needs[0].kind != "trailing":
                inner, code = wanted.feature.needs[0], self._codes[wanted.feature.symbol]
                mine, found = over[inner.minutes], values.columns.get(self._plan.ids[inner.key])
                within = "session" in (inner.within, wanted.feature.within)
                for rows in wanted.on:
                    placed = mine.placed_of(code, shown[rows], (len(minutes.sessions), most), within=within)
                    made[rows][wanted.id] = mine.shown(inner, found, placed)
        return made

    def _collect(
        self, over: Mapping[int, Bars], resampling: Resampling | None, minutes: Minutes
    ) -> tuple[dict[int, Grouped], _Values]:
        """One collection: coarser bars, and the features over `over`."""
        wanted = {w.id: w.feature for i in over for w in self._plan.on(i)}
        ids = {id(feature): id_ for id_, feature in wanted.items()}
        some = [_Expressions(o, *p) for i, o in over.items() for p in o.plan([w.feature for w in self._plan.on(i)])]
        coarse = [] if resampling is None else list(resampling.plans)
        values = _Values()
        try:
            frames = collect([*coarse, *(e.pieces.lazy for e in some)])
        except Exception as error:
            if not self._isolate:
                raise ExpressionRaised(
                    f"feature: it must not raise, but did: {type(error).__name__}: {error}"
                ) from error
            frames = collect(coarse)
            for expressions in some:
                for feature in expressions.features:
                    values.columns[ids[id(feature)]], failed = _apart(expressions.over, feature, minutes)
                    values.failed = failed | values.failed
        else:
            for expressions, frame in zip(some, frames[len(coarse) :], strict=True):
                for k, feature in enumerate(expressions.features):
                    values.columns[ids[id(feature)]] = expressions.pieces.place(frame[str(k)])
        values.columns |= {
            w.id: evaluate(o.ordered, w.feature)
            for i, o in over.items()
            for w in self._plan.on(i)
            if w.feature.kind == "recursive"
        }
        return ({} if resampling is None else resampling.finish(frames[: len(coarse)])), values
