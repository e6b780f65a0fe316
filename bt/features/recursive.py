"""Recursive features: ema atr rsi.

Each depends on all bars before, less and less: its lookback is so long that what lies before it weighs less than can be told
apart, so that where a window or a run began does not matter.
"""

from __future__ import annotations

import math
from dataclasses import replace

from bt.errors import StrategyError
from bt.features.declared import Feature, Within, check_interval, check_within, checked
from bt.features.declared import whole as whole_number
from bt.schema import PRICES

_PRICES_WEIGH = 1e-20
"""What the bars before the lookback weigh together: prices differ by far less than 1e9 times, and 1e-9 of a value is nothing."""

_VOLUMES_WEIGH = 1e-26
"""The same of volumes, which differ by more."""


def ema(column: str, n: int, *, interval: str = "1m", within: Within = None) -> Feature:
    """The exponential moving average of `column` with weight 2 / (n + 1) for the newest bar; null until there are `n` bars.

    It starts as the mean of the symbol's first `n` bars (of the session's with ``within="session"``): e += 2 / (n + 1) (x - e).

    Source: exponential moving average, https://chartschool.stockcharts.com/table-of-contents/technical-indicators-and-overlays/technical-overlays/moving-averages-simple-and-exponential

    Raises
    ------
    StrategyError
        An argument cannot be used; it says which, and what it must be.
    """
    whole_number(n, "ema", "n", 1)
    bars = _lookback(2 / (n + 1), _PRICES_WEIGH if column in PRICES else _VOLUMES_WEIGH) + n
    return _recursive(Feature("recursive", interval, within, column=column, n=n, bars=bars, aggregate="ema"))


def atr(n: int = 14, *, interval: str = "1m", within: Within = None) -> Feature:
    """Wilder's average true range in price units; null until there are `n` bars.

    The true range of a bar is the largest of high - low, |high - last close| and |low - last close| (of the symbol's first bar
    high - low). The average starts as the mean of the first `n` and then moves 1 / n of the way to each; below 1e-8 of the close it is 0.

    Source: J. W. Wilder, New Concepts in Technical Trading Systems (1978);
    https://chartschool.stockcharts.com/table-of-contents/technical-indicators-and-overlays/technical-indicators/average-true-range-atr-and-average-true-range-percent-atrp

    Raises
    ------
    StrategyError
        An argument cannot be used; it says which, and what it must be.
    """
    whole_number(n, "atr", "n", 1)
    bars = _lookback(1 / n, _PRICES_WEIGH) + n + 1
    return _recursive(Feature("recursive", interval, within, n=n, bars=bars, aggregate="atr"))


def rsi(column: str = "close", n: int = 14, *, interval: str = "1m", within: Within = None) -> Feature:
    """Wilder's relative strength index of a price, 0 to 100; null until there are `n` changes, and where there was no change.

    100 up / (up + down), where up and down are the averages of rises and of falls from bar to bar: they start as the means of the
    first `n`, then move 1 / n of the way to each; one below 1e-8 of the price is 0.

    Source: J. W. Wilder, New Concepts in Technical Trading Systems (1978);
    https://chartschool.stockcharts.com/table-of-contents/technical-indicators-and-overlays/technical-indicators/relative-strength-index-rsi

    Raises
    ------
    StrategyError
        An argument cannot be used; it says which, and what it must be.
    """
    whole_number(n, "rsi", "n", 1)
    if column not in PRICES:
        raise StrategyError(f"rsi: column must be one of {', '.join(PRICES)}, was {column!r}")
    bars = _lookback(1 / n, _PRICES_WEIGH) + n + 1
    return _recursive(Feature("recursive", interval, within, column=column, n=n, bars=bars, aggregate="rsi"))


def _lookback(weight: float, rest: float) -> int:
    """After how many bars all before them weigh less than `rest` together."""
    return 0 if weight >= 1 else math.ceil(math.log(rest) / math.log1p(-weight))


def _recursive(made: Feature) -> Feature:
    """The feature, without warm-up where the session is all it sees."""
    check_interval(made.interval, made.aggregate)
    check_within(made.within, made.aggregate)
    shorter = replace(made, bars=0) if made.within == "session" else made
    return checked(shorter, made.aggregate) if made.column else shorter
