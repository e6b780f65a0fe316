"""Metrics of a run in plain floats from exact equity (docs/results.md)."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from oracle.account import UNIT


@dataclass(frozen=True)
class Metrics:
    """`net_pnl_units` is exact and includes unrealized P&L; ratios are fractions; None where there is nothing to divide."""

    net_pnl_units: int
    total_return: float
    max_drawdown: float
    sharpe: float | None
    trades: int
    hit_rate: float | None
    profit_factor: float | None
    avg_trade: float | None
    commission_units: int
    slippage_units: int

    @property
    def net_pnl(self) -> float:
        return self.net_pnl_units / UNIT


def combined(equity: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Equity of all strategies together: one row a minute, in time order."""
    total: dict[Any, dict[str, Any]] = {}
    for row in equity:
        at = total.setdefault(row["time"], {"time": row["time"], "session": row["session"], "equity_units": 0})
        at["equity_units"] += row["equity_units"]
    return [total[t] for t in sorted(total)]


def max_drawdown(cash: int, equity: Sequence[int]) -> float:
    """The deepest fall from the running peak (which begins at `cash`), a fraction of that peak, 0 or negative."""
    peak, worst = cash, 0.0
    for e in equity:
        peak = max(peak, e)
        worst = min(worst, (e - peak) / peak)
    return worst


def session_returns(cash: int, equity: Sequence[Mapping[str, Any]]) -> list[float]:
    """Return of each session: its last equity over the last one before (at first `cash`), less 1."""
    last: dict[Any, int] = {}
    for row in equity:
        last[row["session"]] = row["equity_units"]
    ends = [cash, *(last[name] for name in sorted(last))]
    return [(b - a) / a for a, b in itertools.pairwise(ends)]


def sharpe(returns: Sequence[float], sessions_a_year: float) -> float | None:
    """Mean over sample deviation of session returns, times the root of sessions a year (Sharpe 1994, risk-free 0)."""
    if len(returns) < 2 or (deviation := statistics.stdev(returns)) == 0:
        return None
    return statistics.fmean(returns) / deviation * math.sqrt(sessions_a_year)


def metrics(result: Any, sessions_a_year: float, strategy: str | None = None) -> Metrics:
    """Metrics of one strategy of a `Result`, or of all together."""
    mine = [strategy] if strategy else list(result.cash_units)
    equity = combined([r for r in result.equity if r["strategy"] in mine])
    cash = sum(result.cash_units[name] for name in mine)
    end = equity[-1]["equity_units"] if equity else cash
    fills = [f for f in result.fills if f["strategy"] in mine]
    nets = [t["net_pnl_units"] for t in result.trades if t["strategy"] in mine]
    lost = -sum(n for n in nets if n < 0)
    return Metrics(
        net_pnl_units=end - cash,
        total_return=(end - cash) / cash,
        max_drawdown=max_drawdown(cash, [r["equity_units"] for r in equity]),
        sharpe=sharpe(session_returns(cash, equity), sessions_a_year),
        trades=len(nets),
        hit_rate=sum(n > 0 for n in nets) / len(nets) if nets else None,
        profit_factor=sum(n for n in nets if n > 0) / lost if lost else None,
        avg_trade=sum(nets) / len(nets) / UNIT if nets else None,
        commission_units=sum(f["commission_units"] for f in fills),
        slippage_units=sum(f["slippage_units"] for f in fills),
    )


def against(returns: Sequence[float], benchmark: Sequence[float], sessions_a_year: float) -> tuple[float, float, float]:
    """(alpha, beta, information ratio) of session returns against another's."""
    beta = statistics.covariance(returns, benchmark) / statistics.variance(benchmark)
    alpha = (1 + statistics.fmean(returns) - beta * statistics.fmean(benchmark)) ** sessions_a_year - 1
    excess = [r - b for r, b in zip(returns, benchmark, strict=True)]
    return alpha, beta, statistics.fmean(excess) / statistics.stdev(excess) * math.sqrt(sessions_a_year)


def exposures(result: Any) -> tuple[float, float]:
    """Mean over minutes of gross and of net value over equity, of all strategies together."""
    minutes: dict[Any, list[int]] = {}
    for row in result.equity:
        total = minutes.setdefault(row["time"], [0, 0, 0])
        for i, name in enumerate(("equity", "gross", "net")):
            total[i] += row[f"{name}_units"]
    return tuple(statistics.fmean(total[i] / total[0] for total in minutes.values()) for i in (1, 2))  # type: ignore[return-value]


def turnover(result: Any) -> float:
    """Mean over sessions of the value traded over equity at the end of the session before."""
    cash = sum(result.cash_units.values())
    last: dict[Any, int] = {}
    for row in combined(result.equity):
        last[row["session"]] = row["equity_units"]
    traded = dict.fromkeys(last, 0)
    for fill in result.fills:
        traded[fill["session"]] += abs(fill["shares"]) * fill["price_units"]
    before = [cash, *(last[name] for name in sorted(last))]
    return statistics.fmean(traded[name] / b for name, b in zip(sorted(last), before, strict=False))


def costs_and_capacity(result: Any) -> tuple[float | None, float | None]:
    """Costs in basis points of the value traded; the share of fills that took more than 2.5 % of their bar's volume."""
    value = sum(abs(f["shares"]) * f["price_units"] for f in result.fills)
    costs = sum(f["slippage_units"] + f["commission_units"] for f in result.fills)
    large = sum(f["bar_share"] is not None and f["bar_share"] > 0.025 for f in result.fills)
    return (10_000 * costs / value if value else None, large / len(result.fills) if result.fills else None)


def drawdown_minutes(cash: int, equity: Sequence[int]) -> int:
    """How long the deepest fall lasted: from the last minute at its peak until equity was there again, or to the end."""
    line = [cash, *equity]
    depth, length, peak, top = 0.0, 0, 0, 0
    for low, value in enumerate(line):
        if value >= peak:
            peak, top = value, low
        elif (value - peak) / peak < depth:
            depth = (value - peak) / peak
            length = next((i for i in range(low, len(line)) if line[i] >= peak), len(line) - 1) - top
    return length


def downside(returns: Sequence[float], sessions_a_year: float) -> float | None:
    """Mean return over the root of the mean square of returns below 0, annualized."""
    if len(returns) < 2 or not any(r < 0 for r in returns):
        return None
    root = math.sqrt(statistics.fmean(min(r, 0.0) ** 2 for r in returns))
    return statistics.fmean(returns) / root * math.sqrt(sessions_a_year)
