"""What the signals of strategies in columns style say at every minute bar of a session.

No state crosses a session, so it does not matter how a run is cut: history lives in features. What is made row by row is evaluated over all
rows at once; any other expression (shift, rolling, cum_sum, max ...) over each symbol's bars of each session. Sessions of few bars are evaluated together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Any, TypeAlias, cast

import numpy as np
import numpy.typing as npt
import polars as pl

from bt.arrays import absent, arrow, plain
from bt.errors import BtError, ExpressionRaised, StrategyError
from bt.features import lazily
from bt.model import Column, PreparedBars, PreparedSession, Session, slot_times
from bt.prepare.columns import collect
from bt.prepare.peeking import SignalCheck
from bt.prepare.plan import Deciding, Plan
from bt.prepare.rowwise import by_symbol, is_foreign
from bt.schema import MINUTE
from bt.strategy import BOOLEANS, CODE, RowField

TYPES: Mapping[str, pl.DataType | type[pl.DataType]] = {
    "str": pl.String, "date": pl.Date, "time": pl.Time, "datetime": pl.Datetime("us", "UTC"),
}  # fmt: skip
"""Of columns that NumPy holds as Python objects."""

TOGETHER = 50_000
"""Bars of several sessions that are evaluated at once: an evaluation takes a tenth of a millisecond, however few they are."""

NARROW = frozenset((pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32))
"""Whole numbers that are as they are."""


_RAISED = (Exception, pl.exceptions.PanicException)
"""What an expression may raise: Polars' panics are no exceptions of Python's."""


Said: TypeAlias = dict[int, dict[str, Column]]
"""By strategy and signal, the values at a session's minute bars."""


class Decider:
    """Evaluates the signals of one window of sessions after another; each is checked (`SignalCheck`) on the first in which it decides something.

    Parameters
    ----------
    symbols : sequence of str
        By code.
    isolate : bool
        A signal that raises drops the symbols it raises for from the session; otherwise DataError.
    """

    def __init__(self, plan: Plan, symbols: tuple[str, ...], *, isolate: bool) -> None:
        self._plan = plan
        self._symbols = pl.Series(symbols, dtype=pl.String)
        self._isolate = isolate
        self._expressions = {i: expressions(asked) for i, asked in plan.signals.items()}
        self._checks = {
            i: SignalCheck(_source(asked), partial(self._evaluated, i), asked.signals.columns)
            for i, asked in plan.signals.items()
        }
        self._untyped = set(plan.signals)
        self._together = all(not is_foreign(e) for a in plan.signals.values() for e in a.signals.columns.values())

    def decide(self, sessions: Sequence[PreparedSession]) -> tuple[list[PreparedSession], dict[tuple[int, int], str]]:
        """The sessions with what their signals say, without the columns that only they read; and the symbols that are
        dropped, by the place of the session and their code, with why.

        Raises
        ------
        StrategyError
            A signal cannot be evaluated over the columns it reads, or gives something else than it must.
        FeatureError
            A signal peeks.
        DataError
            It raises.
        """
        decided: list[PreparedSession] = []
        failed: dict[tuple[int, int], str] = {}
        for some in _gathered(sessions) if self._together else ([one] for one in sessions):
            try:
                said = self._said(some)
            except BtError:
                raise
            except _RAISED:  # which session and symbol it is, each alone will tell
                for one in some:
                    kept, dropped = self._apart(one)
                    failed |= {(len(decided), code): why for code, why in dropped.items()}
                    decided.append(kept)
            else:
                decided += [self._kept(*one) for one in zip(some, said, strict=True)]
        return decided, failed

    def _apart(self, prepared: PreparedSession) -> tuple[PreparedSession, dict[int, str]]:
        """One session, without the symbols for which a signal raises."""
        try:
            return self._kept(prepared, self._said([prepared])[0]), {}
        except BtError:
            raise
        except _RAISED as error:
            culprits = self._culprits(prepared)
            if len(culprits) == len(np.unique(prepared.shown[1].code)):
                self._refuse_of_any(prepared)
            if not (self._isolate and culprits):
                where = f"session {prepared.session.name}"
                source, first = "signals()", cast("BaseException", error)
                if culprits:
                    code = min(culprits)
                    where, (source, first) = f"{where}, {self._symbols[code]}", culprits[code]
                raise ExpressionRaised(
                    f"{where}: {source}: they must not raise, but did: {type(first).__name__}: {first}"
                ) from error
        seen = np.ones(len(self._symbols), dtype=bool)
        seen[list(culprits)] = False
        prepared = prepared.only(seen)
        failed = {
            code: f"{source}: {type(why).__name__}: {why}".splitlines()[0] for code, (source, why) in culprits.items()
        }
        return self._kept(prepared, self._said([prepared])[0]), failed

    def _refuse_of_any(self, prepared: PreparedSession) -> None:
        """Refuse signals that raise whatever the numbers are, as they do where there are none.

        Raises
        ------
        StrategyError
            They do.
        """
        nobody = prepared.only(np.zeros(len(self._symbols), dtype=bool))
        for i, frame in self._frames([nobody]).items():
            try:
                self._evaluated(i, frame)
            except BtError:
                raise
            except _RAISED as error:
                raise self._no_expressions(i, error) from error

    def _kept(self, prepared: PreparedSession, said: Said) -> PreparedSession:
        shown = {i: bars for i, bars in prepared.shown.items() if i in self._plan.rows_on}
        if 1 in shown:
            bars = shown[1]
            columns = {name: c for name, c in bars.columns.items() if name in self._plan.by_rows}
            shown[1] = PreparedBars(bars.code, bars.begin, bars.end, columns)
        return replace(prepared, shown=shown, decided=said)

    def _said(self, sessions: Sequence[PreparedSession]) -> list[Said]:
        """What is said in each session, evaluated together."""
        frames = self._frames(sessions)
        made = collect([self._plan_of(i, frame) for i, frame in frames.items()])
        whole = {i: self._columns(i, frame) for i, frame in zip(frames, made, strict=True)}
        edges = np.cumsum([0, *(len(one.shown[1].code) for one in sessions)]).tolist()
        said: list[Said] = []
        for prepared, (a, b) in zip(sessions, pairwise(edges), strict=True):
            said.append({i: {name: _rows(c, a, b) for name, c in own.items()} for i, own in whole.items()})
            for i, frame in frames.items():
                if self._checks[i].waits:
                    self._checks[i].session(frame[a:b], said[-1][i], prepared.shown[1].end)
        return said

    def _culprits(self, prepared: PreparedSession) -> dict[int, tuple[str, BaseException]]:
        """The codes of the symbols whose signals raise when they are evaluated apart, with whose they are and what they raise."""
        culprits: dict[int, tuple[str, BaseException]] = {}
        for i, frame in self._frames([prepared]).items():
            for (code,), own in frame.group_by(CODE, maintain_order=True):
                try:
                    self._evaluated(i, own)
                except BtError:
                    raise
                except _RAISED as error:
                    culprits.setdefault(int(str(code)), (_source(self._plan.signals[i]), error))
        return culprits

    def _evaluated(self, number: int, frame: pl.DataFrame) -> dict[str, Column]:
        """The signals of one strategy over a frame of the columns that they read."""
        return self._columns(number, collect([self._plan_of(number, frame)])[0].head(frame.height))

    def _plan_of(self, number: int, frame: pl.DataFrame) -> pl.LazyFrame:
        """The expressions of one strategy over a frame; their types are checked on the first."""
        made = lazily(frame, CODE, [pl.col(CODE), *self._expressions[number]])
        if number in self._untyped:
            self._untyped.discard(number)
            try:
                made.collect_schema()
            except pl.exceptions.PolarsError as error:
                raise self._no_expressions(number, error) from error
        return made

    def _no_expressions(self, number: int, error: BaseException) -> StrategyError:
        return StrategyError(
            f"{_source(self._plan.signals[number])} must be expressions of the columns they read, was refused by Polars: "
            f"{str(error).partition(chr(10))[0]}"
        )

    def _columns(self, number: int, frame: pl.DataFrame) -> dict[str, Column]:
        """The columns of an evaluated frame."""
        source = _source(self._plan.signals[number])
        made = (series for series in frame.get_columns() if series.name != CODE)
        return {series.name: _column(series, f"{source}: {series.name!r}") for series in made}

    def _frames(self, sessions: Sequence[PreparedSession]) -> dict[int, pl.DataFrame]:
        """By strategy, the columns that its signals read, one session behind the other; one behind several strategies is made once. `CODE` is another one in each
        session, the symbol's own in the first.
        """
        known: dict[tuple[str, str], pl.Series] = {}
        own = [one.shown[1].code for one in sessions]
        symbols = len(self._symbols)
        codes = own[0] if len(own) == 1 else np.concatenate([c + np.int64(n * symbols) for n, c in enumerate(own)])
        code, frames = _taken_over(codes).alias(CODE), {}
        for i, asked in self._plan.signals.items():
            columns = []
            for item in asked.signals.reads.fields:
                id_ = asked.ids.get(item.name, item.name)
                if (id_, item.source) not in known:
                    known[id_, item.source] = self._series(item, id_, sessions)
                columns.append(known[id_, item.source].alias(item.name))
            frames[i] = pl.DataFrame([code, *columns])
        return frames

    def _series(self, item: RowField, id_: str, sessions: Sequence[PreparedSession]) -> pl.Series:
        bars = [one.shown[1] for one in sessions]
        if item.source == "symbol":
            return self._symbols.gather(np.concatenate([own.code for own in bars]))
        if item.source == "constant":
            return pl.concat(
                [self._constant(item.name, one.session, own) for one, own in zip(sessions, bars, strict=True)]
            )
        # to Polars NaN is more than any number
        values, null = _joined([own.columns[id_] for own in bars]).nan_as_null()
        if values.dtype.kind != "O":
            return _taken_over(values, null)
        made = pl.Series(values.tolist(), dtype=TYPES[item.type])
        return made if null is None else made.to_frame("x").select(pl.when(pl.Series(~null)).then("x")).to_series()

    def _constant(self, name: str, session: Session, bars: PreparedBars) -> pl.Series:
        """What is the same for every bar of a minute, as rows show it."""
        n = len(bars.code)
        if name == "session":
            return pl.Series([session.name], dtype=pl.Date).new_from_index(0, n)
        if name == "interval":
            return pl.Series(["1m"]).new_from_index(0, n)
        if name in ("minute", "minutes_left"):
            end = bars.end.astype(np.int64)
            return pl.Series(end - 1 if name == "minute" else session.minutes - end)
        times = slot_times(session)[bars.begin]
        moments = pl.Series(times if name == "open_time" else times + MINUTE).cast(TYPES["datetime"])
        return moments if name != "local_time" else moments.dt.convert_time_zone(self._plan.zone).dt.time()


def _gathered(sessions: Sequence[PreparedSession]) -> Iterator[Sequence[PreparedSession]]:
    """The sessions that are evaluated together, in their order; those whose columns are of other kinds than the first one's are not."""
    some: list[PreparedSession] = []
    rows = 0
    for one in sessions:
        bars = one.shown[1]
        if some and (rows + len(bars.code) > TOGETHER or _kinds(bars) != _kinds(some[0].shown[1])):
            yield some
            some, rows = [], 0
        some.append(one)
        rows += len(bars.code)
    if some:
        yield some


def _kinds(bars: PreparedBars) -> dict[str, np.dtype[Any]]:
    return {name: column.values.dtype for name, column in bars.columns.items()}


def _joined(parts: Sequence[Column]) -> Column:
    """One behind the other."""
    if len(parts) == 1:
        return parts[0]
    values = np.concatenate([part.values for part in parts])
    if all(part.null is None for part in parts):
        return Column(values)
    known = (np.zeros(len(part.values), dtype=bool) if part.null is None else part.null for part in parts)
    return Column(values, np.concatenate(list(known)))


def _rows(column: Column, first: int, stop: int) -> Column:
    """Some rows that lie together; not copied."""
    values, null = column.values[first:stop], column.null
    if null is not None:
        null = null[first:stop]
    return Column(values, null if null is not None and null.any() else None)


def _taken_over(values: npt.NDArray[Any], null: npt.NDArray[np.bool_] | None = None) -> pl.Series:
    """An array as a column; numbers are not copied."""
    return cast("pl.Series", pl.from_arrow(arrow(values, absent=null)))


def expressions(asked: Deciding) -> list[pl.Expr]:
    """The signals as columns by their names."""
    return [by_symbol(expr).alias(name) for name, expr in asked.signals.columns.items()]


def _source(asked: Deciding) -> str:
    return f"strategy {asked.strategy}: signals()"


def _column(series: pl.Series, at: str) -> Column:
    """A signal's values: booleans, False where null; whole numbers of at most 64 bits, others as float64, null where null or NaN.

    Raises
    ------
    StrategyError
        They are of another type.
    """
    dtype = series.dtype
    if series.name in BOOLEANS:
        if dtype not in (pl.Boolean, pl.Null):
            raise StrategyError(f"{at} must be boolean, was {dtype}; write a comparison")
        return Column(series.cast(pl.Boolean).fill_null(value=False).to_numpy())
    if not dtype.is_numeric() and dtype != pl.Null:
        raise StrategyError(f"{at} must be a number, was {dtype}; write pl.when(...).then(100).otherwise(0)")
    if dtype in NARROW:
        numbers = series
    else:
        numbers = series.cast(pl.Int64, strict=False) if dtype.is_integer() else series.cast(pl.Float64).fill_nan(None)
        if dtype.is_integer() and numbers.null_count() > series.null_count():
            numbers = series.cast(pl.Float64)  # more than 64 bits: told where it is decided
    if not numbers.null_count():
        return Column(numbers.to_numpy())
    column = numbers.to_arrow(compat_level=pl.CompatLevel.oldest())
    null, values = absent(column), plain(column).copy()
    values[null] = 0
    return Column(values, null)
