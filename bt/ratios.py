"""Figures from session returns, each with its source; undefined, None, where a divisor is zero or data too short."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist


def defined(value: float) -> float | None:
    """The number, None where it is none."""
    return value if math.isfinite(value) else None


def mean(values: Sequence[float]) -> float:
    """The mean; fsum is exact, so it does not depend on how a sum was cut."""
    return math.fsum(values) / len(values)


def cagr(growth: float, sessions: int, sessions_a_year: float) -> float | None:
    """Compound annual growth rate, a fraction, of `growth` = last / first equity over `sessions`.

    Source: CFA Institute, *Global Investment Performance Standards*, annualized geometric return;
    growth ** (sessions a year / sessions) - 1. None after a total loss beyond zero.
    """
    if sessions < 1 or growth < 0:
        return None
    try:
        return defined(growth ** (sessions_a_year / sessions) - 1)
    except OverflowError:
        return None


def volatility(returns: Sequence[float], sessions_a_year: float) -> float | None:
    """Annualized sample standard deviation (n - 1) of session returns, a fraction. None under two returns.

    Source: J. Hull, *Options, Futures, and Other Derivatives*, ch. "The Black-Scholes-Merton Model", estimating
    volatility from historical data: s x sqrt(periods a year).
    """
    if len(returns) < 2:
        return None
    centre = mean(returns)
    variance = math.fsum((r - centre) ** 2 for r in returns) / (len(returns) - 1)
    return math.sqrt(variance) * math.sqrt(sessions_a_year)


def sharpe(returns: Sequence[float], sessions_a_year: float) -> float | None:
    """Annualized Sharpe ratio of session returns, risk-free 0. None under two returns or without variance.

    Source: W. F. Sharpe, "The Sharpe Ratio", Journal of Portfolio Management 21 (1994), eqs. 3-6; annualized by
    sqrt(periods a year), A. W. Lo, "The Statistics of Sharpe Ratios", Financial Analysts Journal 58 (2002), eq. 18.
    """
    if len(returns) < 2 or max(returns) == min(returns):
        return None
    spread = volatility(returns, sessions_a_year)
    return defined(mean(returns) * sessions_a_year / spread) if spread else None


def sortino(returns: Sequence[float], sessions_a_year: float) -> float | None:
    """Annualized Sortino ratio of session returns, required return 0. None under two returns or without a loss.

    Source: T. N. Rollinger and S. T. Hoffman, "Sortino: A 'Sharper' Ratio", Red Rock Capital (2013): mean over the root of
    the mean square of returns below 0, all returns counted in that mean.
    """
    if len(returns) < 2:
        return None
    downside = math.sqrt(math.fsum(min(r, 0.0) ** 2 for r in returns) / len(returns)) * math.sqrt(sessions_a_year)
    return defined(mean(returns) * sessions_a_year / downside) if downside else None


def calmar(growth_rate: float | None, max_drawdown: float) -> float | None:
    """Annual growth rate over the size of the deepest drawdown. None without a drawdown.

    Source: T. W. Young, "Calmar Ratio: A Smoother Tool", Futures 20 (October 1991).
    """
    if growth_rate is None or max_drawdown == 0:
        return None
    return defined(growth_rate / abs(max_drawdown))


def beta(returns: Sequence[float], benchmark: Sequence[float]) -> float | None:
    """Covariance with the benchmark's returns over their variance. None under two pairs or without variance.

    Source: W. F. Sharpe, "Capital Asset Prices", Journal of Finance 19 (1964); ordinary least squares slope.
    """
    if len(returns) < 2 or max(benchmark) == min(benchmark):
        return None
    own, other = mean(returns), mean(benchmark)
    covariance = math.fsum((r - own) * (b - other) for r, b in zip(returns, benchmark, strict=True))
    spread = math.fsum((b - other) ** 2 for b in benchmark)
    return defined(covariance / spread) if spread else None


def alpha(returns: Sequence[float], benchmark: Sequence[float], sessions_a_year: float) -> float | None:
    """Jensen's alpha a year, risk-free 0, compounded: (1 + mean(r) - beta x mean(b)) ** (sessions a year) - 1, a fraction.

    Source: M. C. Jensen, "The Performance of Mutual Funds in the Period 1945-1964", Journal of Finance 23 (1968).
    """
    slope = beta(returns, benchmark)
    if slope is None or (base := 1 + mean(returns) - slope * mean(benchmark)) < 0:
        return None
    try:
        return defined(base**sessions_a_year - 1)
    except OverflowError:
        return None


def information_ratio(returns: Sequence[float], benchmark: Sequence[float], sessions_a_year: float) -> float | None:
    """Mean over standard deviation of the returns above the benchmark's, annualized. None as `sharpe`.

    Source: T. H. Goodwin, "The Information Ratio", Financial Analysts Journal 54 (1998).
    """
    return sharpe([r - b for r, b in zip(returns, benchmark, strict=True)], sessions_a_year)


# ------------------------------------------------------------------------------------------------- many trials


EULER = 0.5772156649015329
"""The Euler-Mascheroni constant."""


def session_sharpe(returns: Sequence[float]) -> float | None:
    """Sharpe ratio of session returns, risk-free 0, not annualized. None as `sharpe`."""
    return sharpe(returns, 1.0)


def expected_maximum_sharpe(trials: int, variance: float) -> float:
    """The highest Sharpe ratio to be expected of `trials` strategies without skill, whose Sharpe ratios have this variance.

    Source: D. H. Bailey and M. Lopez de Prado, "The Deflated Sharpe Ratio: Correcting for Selection Bias, Backtest
    Overfitting, and Non-Normality", Journal of Portfolio Management 40 (2014), eq. 1 and the appendix: sqrt(V) x ((1 - g) Z^-1[1 - 1/N] + g Z^-1[1 - 1/(N e)]),
    g the Euler-Mascheroni constant. 0 of a single trial, which was not chosen from any others.
    """
    if trials < 2:
        return 0.0
    normal = NormalDist()
    first, second = normal.inv_cdf(1 - 1 / trials), normal.inv_cdf(1 - 1 / (trials * math.e))
    return math.sqrt(variance) * ((1 - EULER) * first + EULER * second)


def probabilistic_sharpe(returns: Sequence[float], benchmark: float) -> float | None:
    """The probability that the true Sharpe ratio of session returns is above `benchmark` (not annualized). None as `sharpe`.

    Source: D. H. Bailey and M. Lopez de Prado, "The Sharpe Ratio Efficient Frontier", Journal of Risk 15 (2012), eq. 11; as used for the deflated one (2014),
    eq. 2: Z[(SR - SR*) sqrt(T - 1) / sqrt(1 - skew SR + (kurtosis - 1) / 4 SR^2)], kurtosis 3 of a normal distribution; moments are
    those of the sample. None where the root is not positive.
    """
    ratio = session_sharpe(returns)
    if ratio is None:
        return None
    centre = mean(returns)
    second, third, fourth = (math.fsum((r - centre) ** k for r in returns) / len(returns) for k in (2, 3, 4))
    if second == 0:
        return None
    spread = 1 - third / second**1.5 * ratio + (fourth / second**2 - 1) / 4 * ratio**2
    if not math.isfinite(spread) or spread <= 0:
        return None
    return NormalDist().cdf((ratio - benchmark) * math.sqrt(len(returns) - 1) / math.sqrt(spread))
