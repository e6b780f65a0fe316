"""Whether values depend on bars that come later: they are made again where those are cut off, and where those are others.

1. `spread` chooses rows at which something is said, and others, of several minutes of the session and several symbols;
2. `Cuts` lays out the bars up to each of them as those of a symbol of its own: without the bars after it, then with these bars' numbers made larger,
   and made smaller, so that a comparison with what comes later turns out otherwise in one of the three;
3. `check` compares every value up to the row with what it was. A session in which nothing could be cut shows nothing, so that features (`check_feature`) and
   signals (`SignalCheck`) are looked at in one session after another until something could.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from bt.errors import BtError, FeatureError
from bt.features import Feature, Ordered, borders, edges, ranges
from bt.model import Column
from bt.prepare.columns import evaluate
from bt.strategy import CODE

IntArray = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Slots = npt.NDArray[np.integer[Any]]

CUTS = 32
"""The most rows at which something is said after which the bars are cut off, of a feature or a signal, and the most at which nothing is."""


class Laid(NamedTuple):
    """Stretches of bars, one behind another: from each `start` to its `stop`, together `rows`, each of the stretch `piece`.

    `judged` marks the rows whose value must be what it was. `larger` says of each row whether its numbers are made larger (1), smaller (-1) or stay (0); None means that
    all stay.
    """

    start: IntArray
    stop: IntArray
    rows: IntArray
    piece: IntArray
    judged: Mask
    larger: npt.NDArray[np.int8] | None


class Cuts(NamedTuple):
    """Rows `at` after which the bars are cut off: each symbol's warm-up begins at `start`, its session at `first` and ends before `stop`."""

    start: IntArray
    first: IntArray
    at: IntArray
    stop: IntArray

    def short(self) -> Laid:
        """The bars up to each row."""
        start, stop = self.start, self.at + 1
        rows, length = ranges(start, stop), stop - start
        judged = rows >= np.repeat(self.first, length)
        return Laid(start, stop, rows, np.repeat(np.arange(len(start)), length), judged, None)

    def changed(self) -> Laid:
        """All bars of the session, twice: those after each row are larger, then smaller."""
        start, first, at, stop = (np.tile(x, 2) for x in self)
        rows, length = ranges(start, stop), stop - start
        later = rows > np.repeat(at, length)
        larger = np.where(later, np.repeat(np.repeat([1, -1], len(self.at)), length), 0).astype(np.int8)
        judged = ~later & (rows >= np.repeat(first, length))
        return Laid(start, stop, rows, np.repeat(np.arange(len(start)), length), judged, larger)


def spread(at: IntArray, end: Slots) -> IntArray:
    """At most `CUTS` of the rows `at`, sorted: of as many minutes as may be (a bar's `end`), and at each of several symbols; symbols take turns."""
    by_minute = at[np.argsort(end[at].astype(np.uint16), kind="stable")]
    start = borders(end[by_minute].astype(np.int64))
    count = np.diff(np.append(start, len(by_minute)))
    some = np.unique(np.linspace(0, len(start) - 1, min(len(start), CUTS)).astype(np.int64))
    start, count, each = start[some, None], count[some, None], CUTS // len(some)
    turn = np.arange(len(some))[:, None] + np.arange(each) * count // each
    return np.unique(by_minute[start + turn % count])


def check(
    source: str, whole: Mapping[str, Column], evaluated: Callable[[Laid], Mapping[str, Column]], cuts: Cuts
) -> None:
    """Compare the values of some columns, by what an error calls them, with those over what is laid out.

    Raises
    ------
    FeatureError
        A value changes, or cannot be made.
    """
    for laid in (cuts.short(), cuts.changed()):
        try:
            made = evaluated(laid)
        except BtError:
            raise
        except Exception as error:
            if laid.larger is not None:  # it may refuse numbers that no market has
                return
            raise FeatureError(f"{source} must do without later bars, but raised {error}") from error
        for name, values in whole.items():
            at = first_difference(values.pick(laid.rows[laid.judged]), made[name].pick(laid.judged), 1e-9)
            if at is not None:
                raise FeatureError(
                    f"{source}: {name} must not depend on later bars, but it peeks; with those {'cut off' if laid.larger is None else 'changed'} it "
                    f"changed from {at[0]} to {at[1]}: shift it back or drop what looks ahead"
                )


def check_feature(bars: Ordered, feature: Feature, values: Column, since: int) -> bool:
    """Check the `values` of an expression or a recursion in the first session, from number `since` on, that has one of a symbol with several bars.

    Returns
    -------
    bool
        Whether there is such a session.

    Raises
    ------
    FeatureError
        It peeks.
    """
    several = bars.runs.stop(len(bars)) - bars.runs.start > 1
    said = _known(values) & (bars.session >= since) & bars.spread(several)
    if not said.any():
        return False
    session = bars.session[said].min()
    bars = replace(bars, chosen=bars.runs.session == session)
    at = _cuts(said, bars.session == session, bars.runs.start, bars.end)
    start, first, stop = edges(bars, feature, 1)
    run = np.searchsorted(first, at, side="right") - 1

    def evaluated(laid: Laid) -> dict[str, Column]:
        apart = bars.apart(laid.start, laid.stop)
        if laid.larger is not None:
            apart = apart.made_of(_changed(apart.own, laid.larger))
        return {"a value": evaluate(apart, feature)}

    source = f"feature {feature.aggregate if feature.expr is None else feature.expr}"
    check(source, {"a value": values}, evaluated, Cuts(start[run], first[run], at, stop[run]))
    return True


class SignalCheck:
    """Checks the signals of one strategy, session after session, until each has said something of a symbol with several bars.

    Parameters
    ----------
    source : str
        What an error begins with.
    evaluated : callable
        The signals over a frame of `CODE` and the columns that they read, sorted by `CODE`, time.
    names : iterable of str
        Theirs.
    """

    def __init__(
        self, source: str, evaluated: Callable[[pl.DataFrame], Mapping[str, Column]], names: Iterable[str]
    ) -> None:
        self._source = source
        self._evaluated = evaluated
        self._waiting = set(names)

    @property
    def waits(self) -> bool:
        """Whether a signal has not decided anything yet."""
        return bool(self._waiting)

    def session(self, frame: pl.DataFrame, said: Mapping[str, Column], end: Slots) -> None:
        """Check what was `said` over a session's `frame`, whose bars end at those slot counts.

        Raises
        ------
        FeatureError
            A signal peeks.
        """
        speaks = {name: _decides(said[name]) for name in self._waiting}
        decided = {name: at for name, at in speaks.items() if at.any()}
        if not decided:
            return
        start = borders(frame[CODE].to_numpy())
        stop = np.append(start[1:], frame.height)
        several = np.repeat(stop - start > 1, stop - start)
        chosen = {name: at & several for name, at in decided.items() if (at & several).any()}
        if not chosen:
            return
        at = np.unique(np.concatenate([_cuts(speaking, several, start, end) for speaking in chosen.values()]))
        run = np.searchsorted(start, at, side="right") - 1

        def evaluated(laid: Laid) -> dict[str, Column]:
            apart = frame[laid.rows].with_columns(pl.Series(CODE, laid.piece))
            if laid.larger is not None:
                apart = _changed(apart, laid.larger)
            return {repr(name): values for name, values in self._evaluated(apart).items()}

        named = {repr(name): values for name, values in said.items()}
        check(self._source, named, evaluated, Cuts(start[run], start[run], at, stop[run]))
        self._waiting.difference_update(chosen)


def _cuts(said: Mask, among: Mask, start: IntArray, end: Slots) -> IntArray:
    """Rows of a session (`among`) after which the bars are cut off, each with a bar of its symbol after it: some at which something is `said`, and some of the same symbols at
    which nothing is, where what knows which bar is a symbol's last would say it of the last one that is left. `start` is where each symbol's begin.
    """
    stop = np.append(start[1:], len(said))
    followed = among & np.repeat(np.logical_or.reduceat(said & among, start), stop - start)
    followed[stop - 1] = False
    rows = (np.flatnonzero(followed & some) for some in (said, ~said))
    return np.unique(np.concatenate([spread(some, end) if len(some) else some for some in rows]))


def _decides(signal: Column) -> Mask:
    """Where a signal says something: what is true, or a level."""
    return signal.values if signal.values.dtype == bool else _known(signal)


def _known(values: Column) -> Mask:
    """Where values are neither null nor NaN."""
    known = ~np.isnan(values.values) if values.values.dtype.kind == "f" else np.ones(len(values.values), dtype=bool)
    return known if values.null is None else known & ~values.null


def _changed(frame: pl.DataFrame, larger: npt.NDArray[np.int8]) -> pl.DataFrame:
    """A frame with its numbers made larger or smaller, as said of each row: far beyond its column's, so that they pass every other and most thresholds.

    Those made smaller fall where they rose. They are below 0 where the column has numbers below 0.
    """
    made = []
    for name, dtype in frame.schema.items():
        if dtype.is_numeric() and name != CODE:
            column, number = pl.col(name), pl.col(name).cast(pl.Float64)
            top = pl.max_horizontal(number.abs().max(), 1e-3)
            smaller = pl.when(number.min() < 0).then((number + 2 * top) * -1e3).otherwise((2 * top - number) * 1e-6)
            other = pl.when(pl.Series(larger > 0)).then((number + top) * 1e3).otherwise(smaller)
            stays = pl.Series(larger == 0)
            made.append(pl.when(stays).then(column).otherwise(other.cast(dtype, strict=False)).alias(name))
    return frame.with_columns(made)


def first_difference(one: Column, other: Column, tolerance: float) -> tuple[object, object] | None:
    """The first pair of values that differ by more than `tolerance`, relatively; None if there is none."""
    left, right = one.values, other.values
    null = np.zeros(len(left), dtype=bool)
    left_null, right_null = (null if c.null is None else c.null for c in (one, other))
    if left.dtype.kind == "f":
        with np.errstate(invalid="ignore"):
            near = np.abs(left - right) <= tolerance * np.maximum(np.abs(left), np.abs(right))
        same = near | (left == right) | (np.isnan(left) & np.isnan(right))
    else:
        same = left == right
    same = (same & ~left_null & ~right_null) | (left_null & right_null)
    if same.all():
        return None
    i = int(np.flatnonzero(~same)[0])
    return (None if left_null[i] else left[i].item()), (None if right_null[i] else right[i].item())
