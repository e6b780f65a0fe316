"""What a run earned and risked: arrays of integer money in, session by session, a `Metrics` out.

Money is the engine's: int64 units of 1e-8 of the currency. `MetricsAccumulator` takes one session at a time (`SessionFigures`) and keeps a few numbers of each.
The ratios are undefined, None, where their divisor is zero or their data too short: never NaN, never infinite.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bt.execution import counting
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


class Counts(NamedTuple):
    """What fills, trades and orders add up to. Money in units.

    Attributes
    ----------
    fills, large, stale_exits : int
        Fills, those of more than `CAPACITY_SHARE` of their bar, and those at a price that was old.
    trades, wins, ambiguous_trades : int
        Trades that closed, those that won net of commission, and those of which a bar may have had another path.
    expired, rejected, cancelled : int
        Orders that ended so.
    value, commission, slippage : int
        Of fills; `value` is what was bought and sold.
    gain, loss : int
        Net P&L of trades that won, and of those that lost, both 0 or more.
    """

    fills: int = 0
    large: int = 0
    stale_exits: int = 0
    trades: int = 0
    wins: int = 0
    ambiguous_trades: int = 0
    expired: int = 0
    rejected: int = 0
    cancelled: int = 0
    value: int = 0
    commission: int = 0
    slippage: int = 0
    gain: int = 0
    loss: int = 0

    @staticmethod
    def of(made: Int64Array) -> Counts:
        """As `bt.execution.counting.count` has made them."""
        values = made.tolist()
        counts, halves = values[: len(counting.COUNTS)], values[len(counting.COUNTS) :]
        return Counts(*counts, *[(high << 32) + low for high, low in zip(halves[::2], halves[1::2], strict=True)])

    @staticmethod
    def total(some: Iterable[Counts]) -> Counts:
        """The sum of some."""
        return Counts(*map(sum, zip(*some, strict=True)))


class SessionFigures(NamedTuple):
    """One session of one account: one value a minute of `equity`, `gross` and `net`, units, and its `counts`."""

    equity: Int64Array
    gross: Int64Array
    net: Int64Array
    counts: Counts


def _deepest(equity: Int64Array, peak: int) -> int:
    """The first minute of the deepest fall below the running peak, rounded once: large amounts are no doubles."""
    peaks = np.maximum.accumulate(np.maximum(equity, peak))
    near = (equity - peaks) / peaks
    close = np.flatnonzero(near <= near.min() * (1 - counting.NEAR)).tolist()
    falls = [(int(equity[i]) - int(peaks[i])) / int(peaks[i]) for i in close]
    return int(close[falls.index(min(falls))])


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
        self._found = np.zeros(counting.FALL_COLUMNS, dtype=np.int64)

    def add(self, equity: Int64Array) -> None:
        """The next minutes' equity, units; at least one."""
        found = self._found
        if not counting.fall(equity, self._peak, self._below, -1, found):
            counting.fall(equity, self._peak, self._below, _deepest(equity, self._peak), found)
        worst, peak, before, back, recovered, last_peak, top = found.tolist()
        depth = (int(equity[worst]) - peak) / peak if worst >= 0 else 0.0
        if depth < self.depth:
            self._from = self._minutes + before + 1 if before >= 0 else self._peak_at
            self.depth, self._below, self._until = depth, peak, None
            recovered = back
        if self._until is None and recovered >= 0:
            self._until = self._minutes + recovered + 1
        if last_peak >= 0:
            self._peak_at = self._minutes + last_peak + 1
        self._peak = top
        self._minutes += len(equity)

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

    Attributes
    ----------
    counts : Counts
        Of the sessions so far.
    """

    def __init__(self, start_cash: int, sessions_a_year: float) -> None:
        if start_cash <= 0:
            raise ValueError(f"metrics: start_cash must be > 0 units, was {start_cash}")
        self._start = self._last = start_cash
        self._first, self._grown, self._scale = start_cash, 1.0, 1.0
        self._a_year = sessions_a_year
        self._sessions = 0
        self._ruined = False
        self._solvent = True  # returns and shares of equity mean nothing once equity has been 0 or less
        self._returns: list[float] = []
        self._turnover: list[float] = []
        self._gross: list[float] = []
        self._net: list[float] = []
        self._minutes = 0
        self._drawdown = _Drawdown(start_cash)
        self.counts = Counts()

    def restart(self, start_cash: int) -> None:
        """Go on with another account, flat and with `start_cash` units, as if all were invested again: returns are chained. Where nothing is left there is nothing
        to invest: growth and drawdown stay as they are."""
        self._ruined = self._ruined or self._last <= 0
        if self._ruined:
            return
        self._grown *= self._last / self._start
        self._scale = self._grown * self._first / start_cash
        self._start = self._last = start_cash

    def add(self, session: SessionFigures) -> None:
        """One session."""
        before = self._last
        self._add_equity(session)
        self.counts = Counts.total((self.counts, session.counts))
        self._sessions += 1
        if before > 0:
            self._returns.append((self._last - before) / before)  # exact integers: one correctly rounded division
            self._turnover.append(session.counts.value / before)

    def _add_equity(self, session: SessionFigures) -> None:
        worth = session.equity
        if not len(worth) or self._ruined:
            return
        self._drawdown.add(worth if self._scale == 1.0 else np.rint(worth * self._scale).astype(np.int64))
        self._last = int(worth[-1])
        self._minutes += len(worth)
        sums = np.zeros(4)
        self._solvent = self._solvent and counting.exposed(worth, session.gross, session.net, sums)
        if self._solvent:
            gross, gross_off, net, net_off = sums.tolist()
            self._gross.append(gross + gross_off)
            self._net.append(net + net_off)

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
        per_minute, counts = self._minutes if self._solvent else 0, self.counts
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
            hit_rate=counts.wins / counts.trades if counts.trades else None,
            profit_factor=counts.gain / counts.loss if counts.loss else None,
            avg_trade=(counts.gain - counts.loss) / (counts.trades * UNIT) if counts.trades else None,
            turnover=mean(self._turnover) if self._turnover and self._solvent else None,
            exposure_gross=math.fsum(self._gross) / per_minute if per_minute else None,
            exposure_net=math.fsum(self._net) / per_minute if per_minute else None,
            cost_bps=(counts.slippage + counts.commission) * 10_000 / counts.value if counts.value else None,
            capacity=counts.large / counts.fills if counts.fills else None,
            alpha=alpha(own, other, self._a_year),
            beta=beta(own, other),
            information_ratio=information_ratio(own, other, self._a_year),
        )
