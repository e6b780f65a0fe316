"""What a run earned and risked: arrays of integer money in, session by session, a `Metrics` out.

Money is the engine's: int64 units of 1e-8 of the currency. `MetricsAccumulator` takes one session at a time (`SessionFigures`) and keeps a few numbers of each.
The ratios are undefined, None, where their divisor is zero or their data too short: never NaN, never infinite.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from bt.exact import total
from bt.model import UNIT
from bt.ratios import alpha, beta, cagr, calmar, information_ratio, mean, sharpe, sortino, volatility

Int64Array = npt.NDArray[np.int64]

CAPACITY_SHARE = 0.025
"""A fill larger than this share of its bar's volume is one that the market may not have given."""


@dataclass(frozen=True, slots=True)
class Metrics:
    """The figures of one account over one run. None where undefined.

    Attributes
    ----------
    sessions : int
        Sessions replayed.
    total_return : float
        Last equity / starting cash - 1, a fraction.
    cagr : float or None
        Compound annual growth rate, a fraction a year.
    volatility : float or None
        Standard deviation of session returns, annualized, a fraction.
    sharpe : float or None
        Mean over standard deviation of session returns, risk-free 0, annualized.
    sortino : float or None
        Mean over downside deviation of session returns, required return 0, annualized.
    calmar : float or None
        `cagr` / |`max_drawdown`|.
    max_drawdown : float
        Deepest fall below the running peak of minute equity, a fraction of the peak, negative or 0.
    max_drawdown_minutes : int
        Session minutes from the last minute at that peak until equity was back at it, or until the run's end; 0 if none.
    hit_rate : float or None
        Share of closed trades with net P&L above 0, a fraction.
    profit_factor : float or None
        Sum of winning / |sum of losing| net P&L of closed trades.
    avg_trade : float or None
        Mean net P&L of a closed trade, currency.
    turnover : float or None
        Value bought and sold / equity before the session, mean over sessions, a fraction a session.
    exposure_gross, exposure_net : float or None
        Mean over minutes of gross / equity and net / equity, fractions.
    cost_bps : float or None
        Slippage and commission, basis points of the value traded.
    capacity : float or None
        Share of fills larger than 2.5 % of their bar's volume, a fraction.
    alpha : float or None
        Jensen's alpha against the benchmark, risk-free 0, compounded to a year, a fraction; like the next two None without a benchmark.
    beta : float or None
        Covariance of session returns with the benchmark's over their variance.
    information_ratio : float or None
        Mean over standard deviation of session returns above the benchmark's, annualized.
    """

    sessions: int
    total_return: float
    cagr: float | None
    volatility: float | None
    sharpe: float | None
    sortino: float | None
    calmar: float | None
    max_drawdown: float
    max_drawdown_minutes: int
    hit_rate: float | None
    profit_factor: float | None
    avg_trade: float | None
    turnover: float | None
    exposure_gross: float | None
    exposure_net: float | None
    cost_bps: float | None
    capacity: float | None
    alpha: float | None = None
    beta: float | None = None
    information_ratio: float | None = None

    def to_dict(self) -> dict[str, float | int | None]:
        """The figures by name, JSON-able, in the order above."""
        return asdict(self)


# ------------------------------------------------------------------------------------------------------ accumulation


@dataclass(frozen=True, slots=True)
class SessionFigures:
    """One session of one account. Money in units.

    Attributes
    ----------
    equity, gross, net : Int64Array
        One value a minute.
    value, costs : int
        Value traded, and its slippage and commission.
    fills, large : int
        Fills, and those of more than `CAPACITY_SHARE` of their bar.
    trades : Int64Array
        Net P&L of each trade that closed.
    """

    equity: Int64Array
    gross: Int64Array
    net: Int64Array
    value: int
    costs: int
    fills: int
    large: int
    trades: Int64Array


def _deepest(equity: Int64Array, peaks: Int64Array) -> tuple[int, float]:
    """The first minute of the deepest fall below `peaks`, and the fall, rounded once: large amounts are no doubles."""
    near = (equity - peaks) / peaks
    close = np.flatnonzero(near <= near.min() * (1 - 1e-12)).tolist()
    falls = [(int(equity[i]) - int(peaks[i])) / int(peaks[i]) for i in close]
    depth = min(falls)
    return close[falls.index(depth)], depth


class _Drawdown:
    """The deepest drawdown of an equity that arrives in pieces, and its length in minutes."""

    def __init__(self, start: int) -> None:
        self._peak = start
        self._peak_at = 0  # minutes since the run's start when equity was last at its peak
        self._minutes = 0
        self.depth = 0.0
        self._from = 0  # the deepest one: since when, below which peak, and until when (None: not over)
        self._below = start
        self._until: int | None = 0

    def add(self, equity: Int64Array) -> None:
        """The next minutes' equity, units."""
        peaks = np.maximum.accumulate(np.maximum(equity, self._peak))
        worst, depth = _deepest(equity, peaks)
        if depth < self.depth:
            before = np.flatnonzero(equity[: worst + 1] == peaks[: worst + 1])
            self._from = self._minutes + int(before[-1]) + 1 if before.size else self._peak_at
            self.depth, self._below, self._until = depth, int(peaks[worst]), None
            self._recover(equity, worst + 1)
        else:
            self._recover(equity, 0)
        at_peak = np.flatnonzero(equity == peaks)
        if at_peak.size:
            self._peak_at = self._minutes + int(at_peak[-1]) + 1
        self._peak = int(peaks[-1])
        self._minutes += len(equity)

    def _recover(self, equity: Int64Array, first: int) -> None:
        if self._until is None:
            back = np.flatnonzero(equity[first:] >= self._below)
            if back.size:
                self._until = self._minutes + first + int(back[0]) + 1

    @property
    def length(self) -> int:
        """Minutes from the peak to the recovery or the end."""
        return (self._minutes if self._until is None else self._until) - self._from


class MetricsAccumulator:
    """Metrics of one account, fed session by session in order; it keeps three floats per session and a few totals.

    Parameters
    ----------
    start_cash : int
        Equity before the first session, units; above 0. For a combined account the sum of its strategies'.
    sessions_a_year : float
        The calendar's sessions in a year, for annualized figures.
    """

    def __init__(self, start_cash: int, sessions_a_year: float) -> None:
        if start_cash <= 0:
            raise ValueError(f"metrics: start_cash must be > 0 units, was {start_cash}")
        self._start = self._last = start_cash
        self._first, self._grown, self._scale = start_cash, 1.0, 1.0
        self._a_year = sessions_a_year
        self._sessions = 0
        self._solvent = True  # returns and shares of equity mean nothing once equity has been 0 or less
        self._returns: list[float] = []
        self._turnover: list[float] = []
        self._gross: list[float] = []
        self._net: list[float] = []
        self._minutes = 0
        self._drawdown = _Drawdown(start_cash)
        self._trades = self._wins = self._gain = self._loss = 0
        self._fills = self._large = self._value = self._costs = 0

    def restart(self, start_cash: int) -> None:
        """Go on with another account, flat and with `start_cash` units, as if all were invested again: returns are chained."""
        self._grown *= self._last / self._start
        self._scale = self._grown * self._first / start_cash
        self._start = self._last = start_cash

    def add(self, session: SessionFigures) -> None:
        """One session."""
        before = self._last
        self._add_equity(session)
        self._value += session.value
        self._costs += session.costs
        self._fills += session.fills
        self._large += session.large
        self._add_trades(session.trades)
        self._sessions += 1
        if before > 0:
            self._returns.append((self._last - before) / before)  # exact integers: one correctly rounded division
            self._turnover.append(session.value / before)

    def _add_equity(self, session: SessionFigures) -> None:
        worth = session.equity
        if not len(worth):
            return
        self._drawdown.add(worth if self._scale == 1.0 else np.rint(worth * self._scale).astype(np.int64))
        self._last = int(worth[-1])
        self._minutes += len(worth)
        self._solvent = self._solvent and bool((worth > 0).all())
        if self._solvent:
            self._gross.append(math.fsum(session.gross / worth))
            long = np.array_equal(session.gross, session.net)
            self._net.append(self._gross[-1] if long else math.fsum(session.net / worth))

    def _add_trades(self, net: Int64Array) -> None:
        self._wins += int((net > 0).sum())
        self._gain += total(np.maximum(net, 0))
        self._loss -= total(np.minimum(net, 0))
        self._trades += len(net)

    @property
    def returns(self) -> list[float]:
        """Return of each session, a fraction; none once equity has been 0 or less."""
        return list(self._returns) if self._solvent else []

    def result(self, benchmark: Sequence[float | None] = ()) -> Metrics:
        """The metrics of the sessions so far. `benchmark` are another's returns in the same sessions, None where there is none."""
        returns = self._returns if self._solvent else []
        pairs = [(r, b) for r, b in zip(returns, benchmark, strict=False) if b is not None]
        own, other = [r for r, _ in pairs], [b for _, b in pairs]
        grown = self._grown * (self._last / self._start)
        growth = cagr(grown, self._sessions, self._a_year)
        per_minute = self._minutes if self._solvent else 0
        return Metrics(
            sessions=self._sessions,
            total_return=(self._last - self._start) / self._start if self._grown == 1.0 else grown - 1,
            cagr=growth,
            volatility=volatility(returns, self._a_year),
            sharpe=sharpe(returns, self._a_year),
            sortino=sortino(returns, self._a_year),
            calmar=calmar(growth, self._drawdown.depth),
            max_drawdown=self._drawdown.depth,
            max_drawdown_minutes=self._drawdown.length,
            hit_rate=self._wins / self._trades if self._trades else None,
            profit_factor=self._gain / self._loss if self._loss else None,
            avg_trade=(self._gain - self._loss) / (self._trades * UNIT) if self._trades else None,
            turnover=mean(self._turnover) if self._turnover and self._solvent else None,
            exposure_gross=math.fsum(self._gross) / per_minute if per_minute else None,
            exposure_net=math.fsum(self._net) / per_minute if per_minute else None,
            cost_bps=self._costs * 10_000 / self._value if self._value else None,
            capacity=self._large / self._fills if self._fills else None,
            alpha=alpha(own, other, self._a_year),
            beta=beta(own, other),
            information_ratio=information_ratio(own, other, self._a_year),
        )
