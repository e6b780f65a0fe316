"""Features: columns over one symbol's bars, declared with how many bars they need.

`feature`, `sma` and `trailing` make the values a strategy declares. They are computed on frames in *feature order*:
sorted by symbol, then time, with each symbol's warm-up bars of earlier sessions first. `Exact` runs over whole
columns of scaled integers. Any other expression is evaluated apart for each symbol and session on its warm-up bars plus
the session (`pieces`), so that no float state crosses a session.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from bt.errors import FeatureError, StrategyError
from bt.exact import quotient, scaled
from bt.model import Column
from bt.schema import BAR_COLUMNS, PRICES, interval_minutes

IntArray = npt.NDArray[np.int64]

AGGREGATES = ("avg", "max", "min", "sum", "std", "first", "last")


@dataclass(frozen=True, eq=False)
class Feature:
    """A column over one symbol's bars of `interval`; made by `feature`, `sma` or `trailing`.

    `bars` and `sessions` are the warm-up it needs: bars of the symbol before the first bar shown, or whole sessions.
    """

    kind: Literal["expression", "sma", "trailing"]
    interval: str = "1m"
    within: Literal["session"] | None = None
    expr: pl.Expr | None = None
    column: str = ""
    n: int = 0
    bars: int = 0
    sessions: int = 0
    aggregate: str = ""
    period: str = ""
    at: Literal["session", "minute"] = "session"
    min_sessions: int = 1

    @property
    def key(self) -> tuple[Any, ...]:
        """Equal for two features that are the same column."""
        source: Any = None
        if self.expr is not None:
            try:
                source = self.expr.meta.serialize()
            except pl.exceptions.PolarsError:  # an expression that calls Python has no serial form
                source = id(self.expr)
        return (
            self.kind, self.interval, self.within, source, self.column, self.n, self.bars, self.sessions,
            self.aggregate, self.period, self.at, self.min_sessions,
        )  # fmt: skip

    @property
    def minutes(self) -> int:
        """Length of the interval in minutes; schema.DAY for 1d."""
        return interval_minutes(self.interval)

    def inputs(self) -> tuple[str, ...]:
        """Bar columns it reads, in bar order."""
        names = [self.column] if self.expr is None else self.expr.meta.root_names()
        return tuple(c for c in (*BAR_COLUMNS, "vwap", "n_trades") if c in names)


def _checked(feature: Feature, name: str) -> Feature:
    try:
        feature.minutes  # noqa: B018 - parsing is the check
    except ValueError:
        raise StrategyError(f'{name}: interval must be like "5m", "1h" or "1d", was {feature.interval!r}') from None
    if feature.within not in (None, "session"):
        raise StrategyError(f'{name}: within must be None or "session", was {feature.within!r}')
    names = [feature.column] if feature.expr is None else feature.expr.meta.root_names()
    for column in names:
        if column not in (*BAR_COLUMNS, "vwap", "n_trades"):
            raise StrategyError(f"{name}: a column must be one of {', '.join(BAR_COLUMNS)}, was {column!r}")
    return feature


def feature(
    expr: pl.Expr,
    lookback: int | str,
    *,
    interval: str = "1m",
    within: Literal["session"] | None = None,
) -> Feature:
    """A Polars expression over one symbol's bars (columns open, high, low, close, volume), oldest first.

    Parameters
    ----------
    expr : polars.Expr
        One value a bar; it sees `lookback` earlier bars of the symbol and the session's bars, nothing else.
    lookback : int or str
        Bars of warm-up before the session's first bar, or ``"5d"``: the bars of the 5 sessions before.
    interval : str
        Bars it works on: "1m", "5m", ... "1d". A coarser value is joined as-of: visible from its bin's end.
    within : {"session"}, optional
        "session": it sees only bars of the current session.

    Raises
    ------
    StrategyError
        The expression, lookback or interval is not one.
    """
    given: object = expr
    if not isinstance(given, pl.Expr):
        raise StrategyError(f"feature: expr must be a Polars expression, was {type(expr).__name__}; write pl.col(...)")
    bars = sessions = 0
    if isinstance(lookback, str):
        if not lookback[:-1].isdecimal() or lookback[-1:] != "d" or int(lookback[:-1]) < 1:
            raise StrategyError(f'feature: lookback must be a number of bars or like "5d", was {lookback!r}')
        sessions = int(lookback[:-1])
    else:
        if isinstance(lookback, bool) or lookback < 0:
            raise StrategyError(f"feature: lookback must be >= 0 bars, was {lookback!r}")
        bars = int(lookback)
    if within == "session":
        bars = sessions = 0
    made = Feature("expression", interval, within, expr, bars=bars, sessions=sessions)
    return _checked(made, "feature")


def sma(column: str, n: int, *, interval: str = "1m", within: Literal["session"] | None = None) -> Feature:
    """The mean of `column` over the symbol's last `n` bars; null until there are `n`.

    Exact: sums of prices on their tick grid (and of whole volumes) are integer sums, made a float by one correctly
    rounded division, so equal means are equal.

    Parameters
    ----------
    column : str
        open, high, low, close or volume.
    n : int
        Bars of `interval`, at least 1; they run across sessions unless ``within="session"``.

    Source: arithmetic mean, https://en.wikipedia.org/wiki/Moving_average#Simple_moving_average
    """
    whole: object = n
    if isinstance(whole, bool) or not isinstance(whole, int) or n < 1:
        raise StrategyError(f"sma: n must be a whole number >= 1, was {n!r}")
    bars = 0 if within == "session" else n - 1
    return _checked(Feature("sma", interval, within, column=column, n=n, bars=bars), "sma")


def trailing(
    aggregate: str,
    of: str | pl.Expr,
    period: str,
    *,
    at: Literal["session", "minute"] = "session",
    min_sessions: int = 1,
) -> Feature:
    """An aggregate over past sessions, the current one excluded; fixed at the open.

    Parameters
    ----------
    aggregate : str
        avg, max, min, sum, std (sample), first or last.
    of : str or polars.Expr
        A bar column or an expression of bar columns ("close*volume" or ``pl.col("close") * pl.col("volume")``).
    period : str
        "10d" sessions, "52w" "3m" "1y" calendar weeks, months, years.
    at : {"session", "minute"}
        "session": over daily bars (an expression is summed over each session). "minute": over the values of the same
        minute of session.
    min_sessions : int
        Fewer sessions with data give null.
    """
    if aggregate not in AGGREGATES:
        raise StrategyError(f"trailing: aggregate must be one of {', '.join(AGGREGATES)}, was {aggregate!r}")
    if at not in ("session", "minute"):
        raise StrategyError(f'trailing: at must be "session" or "minute", was {at!r}')
    if not period[:-1].isdecimal() or int(period[:-1]) < 1 or period[-1:] not in "dwmy":
        raise StrategyError(f'trailing: period must be like "10d", "52w", "3m" or "1y", was {period!r}')
    if min_sessions < 1:
        raise StrategyError(f"trailing: min_sessions must be >= 1, was {min_sessions}")
    expr = None if isinstance(of, str) and of in BAR_COLUMNS else (of if isinstance(of, pl.Expr) else _parse(of))
    column = of if expr is None and isinstance(of, str) else ""
    made = Feature(
        "trailing", expr=expr, column=column, aggregate=aggregate, period=period, at=at, min_sessions=min_sessions
    )
    return _checked(made, "trailing")


def _parse(text: str) -> pl.Expr:
    """An arithmetic expression of bar columns as Polars: ``close*volume``, ``(high-low)/close``, numbers allowed."""
    operators: dict[type, Any] = {
        ast.Add: pl.Expr.__add__, ast.Sub: pl.Expr.__sub__, ast.Mult: pl.Expr.__mul__, ast.Div: pl.Expr.__truediv__,
    }  # fmt: skip

    def build(node: ast.AST) -> pl.Expr:
        if isinstance(node, ast.BinOp) and type(node.op) in operators:
            made: pl.Expr = operators[type(node.op)](build(node.left), build(node.right))
            return made
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            return -build(node.operand)
        if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
            return pl.lit(float(node.value))
        if isinstance(node, ast.Name) and node.id in BAR_COLUMNS:
            return pl.col(node.id)
        raise StrategyError(
            f"indicator: an expression must use {', '.join(BAR_COLUMNS)}, numbers and + - * / only, was {text!r}"
        )

    try:
        return build(ast.parse(text, mode="eval").body)
    except SyntaxError:
        raise StrategyError(f"indicator: of must be a bar column or an expression of them, was {text!r}") from None


# --------------------------------------------------------------------------------------------------------- evaluation


@dataclass(frozen=True)
class Ordered:
    """Bars of one interval in feature order.

    `frame` has the bar columns; rows are sorted by (`code`, `session`, time). `wanted` marks the rows whose values are
    asked for, whole sessions of a symbol; the others are warm-up. `scale` holds each symbol's 10^k, 0 where it has none.
    """

    frame: pl.DataFrame
    code: IntArray
    session: IntArray
    wanted: npt.NDArray[np.bool_]
    scale: IntArray

    def only(self, keep: npt.NDArray[np.bool_]) -> Ordered:
        """The rows marked in `keep`."""
        return Ordered(
            self.frame.filter(pl.Series(keep)), self.code[keep], self.session[keep], self.wanted[keep], self.scale
        )


def _starts(group: IntArray) -> IntArray:
    """Row of the first member of each row's run of equal values."""
    n = len(group)
    new = np.empty(n, dtype=bool)
    if n:
        new[0] = True
        np.not_equal(group[1:], group[:-1], out=new[1:])
    return np.maximum.accumulate(np.where(new, np.arange(n), 0))


def _group(bars: Ordered, within: str | None) -> IntArray:
    if within is None:
        return bars.code
    return bars.code * (int(bars.session.max(initial=0)) + 1) + bars.session


class Exact:
    """Exact windowed means over whole columns of one interval's bars; sums are shared by every window length."""

    def __init__(self, bars: Ordered) -> None:
        self._bars = bars
        self._totals: dict[str, npt.NDArray[Any]] = {}
        self._position: dict[str | None, IntArray] = {}
        self._rough = bool((bars.scale[bars.code] == 0).any()) if len(bars.code) else False
        scale = np.maximum(bars.scale, 1)
        same = len(scale) > 0 and bool((scale == scale[0]).all())
        self._scale: Any = int(scale[0]) if same else scale[bars.code]

    def mean(self, feature: Feature) -> Column:
        """An `sma`, aligned to the bars; not known where the symbol (or session) has too few."""
        n, bars = feature.n, self._bars
        if feature.within not in self._position:
            group = _group(bars, feature.within)
            self._position[feature.within] = np.arange(len(group)) - _starts(group)
        null = self._position[feature.within] < n - 1
        price = feature.column in PRICES
        values = bars.frame[feature.column].to_numpy()
        if price or values.dtype.kind in "iu":
            mean = quotient(self._window_sum(feature.column, n), n * self._scale if price else n)
        else:
            mean = float_sum(values, n) / n
        if price and self._rough:
            rough = bars.scale[bars.code] == 0
            mean[rough] = (float_sum(values, n) / n)[rough]
        if null.any():
            mean[null] = np.nan
            return Column(mean, null)
        return Column(mean)

    def _window_sum(self, column: str, n: int) -> IntArray:
        """Sum of the last `n` whole numbers of each row, whatever symbol they are of."""
        if column not in self._totals:
            values = self._bars.frame[column].to_numpy()
            whole = scaled(values, self._scale) if column in PRICES else values
            self._totals[column] = np.concatenate([[0], np.cumsum(whole)])
        total = self._totals[column]
        out: IntArray = total[1:].copy()
        out[n:] -= total[1:-n]
        return out


def float_sum(values: npt.NDArray[Any], n: int) -> npt.NDArray[np.float64]:
    """Sum of the last `n` values of each row, added afresh for each, oldest first, so that a cut does not matter."""
    out = np.zeros(len(values))
    for back in range(n - 1, 0, -1):
        out[back:] += values[:-back]
    return np.asarray(out + values)


@dataclass(frozen=True)
class Pieces:
    """Expressions over one interval's bars, all with the same warm-up, as a lazy frame with one column each.

    Its rows are pieces: a symbol's session behind its warm-up. `rows` names the bar behind each and `keep` marks those of
    the session; `total` is the number of bars.
    """

    lazy: pl.LazyFrame
    rows: IntArray
    keep: npt.NDArray[np.bool_]
    total: int

    def place(self, values: pl.Series) -> Column:
        """A collected column, aligned to the bars; not known on rows that were only warm-up."""
        if len(values) != len(self.rows):
            raise FeatureError(
                f"feature: an expression must give one value a bar, gave {len(values)} for {len(self.rows)} bars"
            )
        made = column(values)
        out = np.zeros(self.total, dtype=made.values.dtype)
        null = np.ones(self.total, dtype=bool)
        at = self.rows[self.keep]
        out[at] = made.values[self.keep]
        null[at] = False if made.null is None else made.null[self.keep]
        return Column(out, null)


def column(values: pl.Series) -> Column:
    """A Polars column as NumPy values and a null mask."""
    values = values.rechunk()
    if values.null_count() == 0:
        return Column(values.to_numpy())
    null = values.is_null().to_numpy()
    known = values.fill_null(False if values.dtype == pl.Boolean else 0).to_numpy()
    return Column(np.where(null, np.nan, known) if known.dtype.kind == "f" else known, null)


def warm_up_of(feature: Feature) -> tuple[int, int, str | None]:
    """What two expressions must have in common to be evaluated on the same pieces."""
    return feature.bars, feature.sessions, feature.within


def pieces(bars: Ordered, features: Sequence[Feature], *, factor: int = 1) -> Pieces:
    """The plan of some expressions with the same warm-up. `factor` widens it: the start-up check uses 1 and 2."""
    start, first, stop = _edges(bars, features[0], factor)
    length = stop - start
    total = int(length.sum())
    offset = np.cumsum(length) - length
    piece = np.repeat(np.arange(len(start)), length)
    rows = np.arange(total) - np.repeat(offset - start, length)
    keep = rows >= np.repeat(first, length)
    columns = tuple(dict.fromkeys(c for f in features for c in f.inputs()))
    frame = bars.frame.select(columns)[rows].with_columns(pl.Series("__piece", piece))
    made = [f.expr.over("__piece").alias(str(k)) for k, f in enumerate(features) if f.expr is not None]
    return Pieces(frame.lazy().select(made), rows, keep, len(bars.code))


def _edges(bars: Ordered, feature: Feature, factor: int) -> tuple[IntArray, IntArray, IntArray]:
    """Rows of every piece: its warm-up is [start, first), its session [first, stop)."""
    n = len(bars.code)
    both = _group(bars, "session")
    stop = np.append(np.flatnonzero(np.diff(both)) + 1, n) if n else np.zeros(0, np.int64)
    first = np.concatenate([[0], stop[:-1]]).astype(np.int64) if n else stop
    asked = bars.wanted[first]
    first, stop = first[asked], stop[asked]
    lower = _starts(bars.code)[first]
    if feature.sessions:
        span = int(bars.session.max(initial=0)) + 1
        earliest = np.maximum(bars.session[first] - feature.sessions * factor, 0)
        start = np.searchsorted(bars.code * span + bars.session, bars.code[first] * span + earliest)
    elif feature.within == "session":
        start = first
    else:
        start = np.maximum(first - feature.bars * factor, lower)
    return start.astype(np.int64), first, stop
