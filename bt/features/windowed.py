"""Features over the symbol's last n bars: sma sum std zscore lag ret highest lowest.

All count the symbol's real bars and run across sessions unless ``within="session"``; all are null until there are enough.
"""

from __future__ import annotations

from bt.features.declared import Feature, Within, checked
from bt.features.declared import whole as whole_number


def _window(statistic: str, column: str, n: int, least: int, *, interval: str, within: Within) -> Feature:
    """A kernel over a window of `n` bars, at least `least`; of lag and ret, over one `n` bars back."""
    whole_number(n, statistic, "n", least)
    bars = 0 if within == "session" else n if statistic in ("lag", "ret") else n - 1
    made = Feature("window", interval, within, column=column, n=n, bars=bars, aggregate=statistic)
    return checked(made, statistic)


def sma(column: str, n: int, *, interval: str = "1m", within: Within = None) -> Feature:
    """The mean of `column` over the symbol's last `n` bars; null until there are `n`.

    Exact: sums of prices on their tick grid (and of whole volumes) are integer sums, made a float by one correctly
    rounded division, so equal means are equal.

    Parameters
    ----------
    column : str
        open, high, low, close or volume.
    n : int
        Bars of `interval`, at least 1; they run across sessions unless ``within="session"``.

    Raises
    ------
    StrategyError
        An argument cannot be used; it says which, and what it must be.

    Notes
    -----
    Source: arithmetic mean, https://en.wikipedia.org/wiki/Moving_average#Simple_moving_average
    """
    return _window("sma", column, n, 1, interval=interval, within=within)


def sum(column: str, n: int, *, interval: str = "1m", within: Within = None) -> Feature:
    """The sum of `column` over the symbol's last `n` bars; null until there are `n`. Exact, rounded once.

    Source: sum of the last n terms of a sequence, https://en.wikipedia.org/wiki/Summation

    Raises
    ------
    StrategyError
        An argument cannot be used; it says which, and what it must be.
    """
    return _window("sum", column, n, 1, interval=interval, within=within)


def std(column: str, n: int, *, interval: str = "1m", within: Within = None) -> Feature:
    """The sample standard deviation of `column` over the symbol's last `n` bars, `n` >= 2; null until there are `n`.

    sqrt((n sum(x^2) - sum(x)^2) / (n (n - 1))): the numerator is a whole number on the tick grid, so a window of equal
    prices has exactly 0.

    Source: corrected sample standard deviation, https://en.wikipedia.org/wiki/Standard_deviation#Corrected_sample_standard_deviation

    Raises
    ------
    StrategyError
        An argument cannot be used; it says which, and what it must be.
    """
    return _window("std", column, n, 2, interval=interval, within=within)


def zscore(column: str, n: int, *, interval: str = "1m", within: Within = None) -> Feature:
    """How many sample standard deviations `column` is from its mean over the last `n` bars, itself included; `n` >= 2.

    Null until there are `n`, and while they are all equal.

    Source: standard score, https://en.wikipedia.org/wiki/Standard_score

    Raises
    ------
    StrategyError
        An argument cannot be used; it says which, and what it must be.
    """
    return _window("zscore", column, n, 2, interval=interval, within=within)


def lag(column: str, n: int = 1, *, interval: str = "1m", within: Within = None) -> Feature:
    """`column` `n` bars ago (0: this bar's); null until there is one.

    Source: lag operator, https://en.wikipedia.org/wiki/Lag_operator

    Raises
    ------
    StrategyError
        An argument cannot be used; it says which, and what it must be.
    """
    return _window("lag", column, n, 0, interval=interval, within=within)


def ret(column: str = "close", n: int = 1, *, interval: str = "1m", within: Within = None) -> Feature:
    """The simple return of `column` over `n` bars, x / x[n bars ago] - 1; null until there is one, and from 0.

    (x - x[n]) / x[n] of whole numbers on the tick grid, rounded once.

    Source: rate of return, https://en.wikipedia.org/wiki/Rate_of_return

    Raises
    ------
    StrategyError
        An argument cannot be used; it says which, and what it must be.
    """
    return _window("ret", column, n, 1, interval=interval, within=within)


def highest(column: str, n: int, *, interval: str = "1m", within: Within = None) -> Feature:
    """The maximum of `column` over the symbol's last `n` bars; null until there are `n`.

    Source: upper Donchian channel, https://en.wikipedia.org/wiki/Donchian_channel

    Raises
    ------
    StrategyError
        An argument cannot be used; it says which, and what it must be.
    """
    return _window("highest", column, n, 1, interval=interval, within=within)


def lowest(column: str, n: int, *, interval: str = "1m", within: Within = None) -> Feature:
    """The minimum of `column` over the symbol's last `n` bars; null until there are `n`.

    Source: lower Donchian channel, https://en.wikipedia.org/wiki/Donchian_channel

    Raises
    ------
    StrategyError
        An argument cannot be used; it says which, and what it must be.
    """
    return _window("lowest", column, n, 1, interval=interval, within=within)
