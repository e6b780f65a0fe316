"""Recursive features: ema atr rsi.

Each depends on all bars before, less and less: its lookback is so long that what lies before it weighs less than can be told
apart, so that where a window or a run began does not matter.
"""

from __future__ import annotations

import math

import polars as pl

from bt.errors import StrategyError
from bt.features.declared import Feature, Within, checked
from bt.features.declared import whole as whole_number
from bt.schema import PRICES

_PRICES_WEIGH = 1e-20
"""What the bars before the lookback weigh together: prices differ by far less than 1e9 times, and 1e-9 of a value is nothing."""

_VOLUMES_WEIGH = 1e-26
"""The same of volumes, which differ by more."""

_NOTHING = 1e-8
"""Of the price, or of one share: what has faded below it is 0, so that nothing of what lies before the lookback is left."""


def ema(column: str, n: int, *, interval: str = "1m", within: Within = None) -> Feature:
    """The exponential moving average of `column` with weight 2 / (n + 1) for the newest bar; null until there are `n` bars.

    It starts as the mean of the symbol's first `n` bars (of the session's with ``within="session"``): e += 2 / (n + 1) (x - e).

    Source: exponential moving average, https://chartschool.stockcharts.com/table-of-contents/technical-indicators-and-overlays/technical-overlays/moving-averages-simple-and-exponential
    """
    whole_number(n, "ema", "n", 1)
    weight = 2 / (n + 1)
    smooth = _smoothed(pl.col(column).cast(pl.Float64), weight, n, 0)
    if column == "volume":
        smooth = pl.when(smooth < _NOTHING).then(0.0).otherwise(smooth)
    bars = _lookback(weight, _PRICES_WEIGH if column in PRICES else _VOLUMES_WEIGH) + n
    return _recursive("ema", smooth, bars, interval, within)


def atr(n: int = 14, *, interval: str = "1m", within: Within = None) -> Feature:
    """Wilder's average true range in price units; null until there are `n` bars.

    The true range of a bar is the largest of high - low, |high - last close| and |low - last close| (of the symbol's first bar
    high - low). The average starts as the mean of the first `n` and then moves 1 / n of the way to each; below 1e-8 of the close it is 0.

    Source: J. W. Wilder, New Concepts in Technical Trading Systems (1978);
    https://chartschool.stockcharts.com/table-of-contents/technical-indicators-and-overlays/technical-indicators/average-true-range-atr-and-average-true-range-percent-atrp
    """
    whole_number(n, "atr", "n", 1)
    last = pl.col("close").shift(1)
    reach = pl.max_horizontal(
        pl.col("high") - pl.col("low"), (pl.col("high") - last).abs(), (pl.col("low") - last).abs()
    )
    smooth = _faded(_smoothed(reach, 1 / n, n, 0), "close")
    return _recursive("atr", smooth, _lookback(1 / n, _PRICES_WEIGH) + n + 1, interval, within)


def rsi(column: str = "close", n: int = 14, *, interval: str = "1m", within: Within = None) -> Feature:
    """Wilder's relative strength index of a price, 0 to 100; null until there are `n` changes, and where there was no change.

    100 up / (up + down), where up and down are the averages of rises and of falls from bar to bar: they start as the means of the
    first `n`, then move 1 / n of the way to each; one below 1e-8 of the price is 0.

    Source: J. W. Wilder, New Concepts in Technical Trading Systems (1978);
    https://chartschool.stockcharts.com/table-of-contents/technical-indicators-and-overlays/technical-indicators/relative-strength-index-rsi
    """
    whole_number(n, "rsi", "n", 1)
    if column not in PRICES:
        raise StrategyError(f"rsi: column must be one of {', '.join(PRICES)}, was {column!r}")
    change = pl.col(column).diff()
    up = _faded(_smoothed(change.clip(lower_bound=0.0), 1 / n, n, 1), column)
    down = _faded(_smoothed((-change).clip(lower_bound=0.0), 1 / n, n, 1), column)
    both = up + down
    index = pl.when(both > 0).then(100 * up / both)
    return _recursive("rsi", index, _lookback(1 / n, _PRICES_WEIGH) + n + 1, interval, within)


def _smoothed(x: pl.Expr, weight: float, n: int, skip: int) -> pl.Expr:
    """The average of the first `n` values behind `skip` that are null, and from there on e += weight (x - e)."""
    row = pl.int_range(pl.len())
    start = skip + n - 1
    begun = pl.when(row > start).then(x).when(row == start).then(x.slice(skip, n).mean())
    return begun.ewm_mean(alpha=weight, adjust=False)


def _faded(smooth: pl.Expr, price: str) -> pl.Expr:
    """0 below what is left of what lies before the lookback."""
    return pl.when(smooth < _NOTHING * pl.col(price)).then(0.0).otherwise(smooth)


def _lookback(weight: float, rest: float) -> int:
    """After how many bars all before them weigh less than `rest` together."""
    return 0 if weight >= 1 else math.ceil(math.log(rest) / math.log1p(-weight))


def _recursive(name: str, expr: pl.Expr, bars: int, interval: str, within: Within) -> Feature:
    return checked(Feature("expression", interval, within, expr, bars=0 if within == "session" else bars), name)
