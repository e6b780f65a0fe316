"""Metrics: the ratios agree with empyrical-reloaded, the rest with figures worked out by hand."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import date, timedelta

import empyrical
import numpy as np
import oracle as o
import polars as pl
import pytest
from oracle.metrics import drawdown_minutes, max_drawdown

from bt import metrics as m
from bt.engine import together
from bt.errors import MoneyError
from bt.metrics import CAPACITY_SHARE, Counts, Metrics, MetricsAccumulator, SessionFigures

UNIT = 10**8
FILLS = pl.Schema(
    {"session": pl.Date, "shares": pl.Int64, "price": pl.Int64, "slippage": pl.Int64, "commission": pl.Int64,
     "bar_share": pl.Float64}
)  # fmt: skip
NO_FILLS = FILLS.to_frame()
NO_TRADES = pl.DataFrame(schema={"net_pnl": pl.Int64})
FIRST = date(2024, 1, 2)


def equity_of(per_session: list[list[int]], gross: int = 0, net: int = 0) -> pl.DataFrame:
    """One row per minute; the numbers are equity in units."""
    rows = [
        (i * 1_000_000 + minute, FIRST + timedelta(days=i), value, gross, net)
        for i, session in enumerate(per_session)
        for minute, value in enumerate(session)
    ]
    return pl.DataFrame(
        rows,
        schema={"time": pl.Int64, "session": pl.Date, "equity": pl.Int64, "gross": pl.Int64, "net": pl.Int64},
        orient="row",
    )


def figures(equity: pl.DataFrame, fills: pl.DataFrame = NO_FILLS, trades: pl.DataFrame = NO_TRADES) -> SessionFigures:
    """A session's, of frames."""
    exact = fills.with_columns(pl.col(pl.Int64).cast(pl.Int128))
    net = trades["net_pnl"].cast(pl.Int128)
    counts = Counts(
        fills=fills.height, large=int((fills["bar_share"] > CAPACITY_SHARE).sum()), trades=len(net), wins=int((net > 0).sum()),
        value=int((exact["shares"].abs() * exact["price"]).sum()), gain=int(net.filter(net > 0).sum()), loss=-int(net.filter(net < 0).sum()),
        **{name: int(exact[name].sum()) for name in ("slippage", "commission")},
    )  # fmt: skip
    return SessionFigures(*(equity[name].to_numpy(writable=True) for name in ("equity", "gross", "net")), counts)


def metrics_of(
    equity: pl.DataFrame, fills: pl.DataFrame, trades: pl.DataFrame, *, start_cash: int, sessions_a_year: float
) -> Metrics:
    """Of whole frames, with the session of each row of `equity` and `fills`; all trades are of the first."""
    account = MetricsAccumulator(start_cash, sessions_a_year)
    for name in equity["session"].unique().sort():
        own = pl.col("session") == name
        account.add(figures(equity.filter(own), fills.filter(own), trades))
        trades = trades.clear()
    return account.result()


def run(per_session: list[list[int]], start: int = 100 * UNIT, fills: pl.DataFrame = NO_FILLS,
        trades: pl.DataFrame = NO_TRADES, gross: int = 0, net: int = 0) -> Metrics:  # fmt: skip
    equity = equity_of(per_session, gross, net)
    return metrics_of(equity, fills, trades, start_cash=start, sessions_a_year=252)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("a_year", [252, 365, 246])
def test_ratios_agree_with_empyrical(seed: int, a_year: int) -> None:
    rng = np.random.default_rng(seed)
    start = 10**6 * UNIT
    worth = [start]
    for r in rng.normal(0.0005, 0.01, 250):
        worth.append(round(worth[-1] * (1 + r)))
    returns = np.diff(worth) / np.array(worth[:-1])
    found = metrics_of(
        equity_of([[w] for w in worth[1:]]), NO_FILLS, NO_TRADES, start_cash=start, sessions_a_year=a_year
    )
    expected = {
        "cagr": empyrical.cagr(returns, annualization=a_year),
        "volatility": empyrical.annual_volatility(returns, annualization=a_year),
        "sharpe": empyrical.sharpe_ratio(returns, annualization=a_year),
        "sortino": empyrical.sortino_ratio(returns, annualization=a_year),
        "calmar": empyrical.calmar_ratio(returns, annualization=a_year),
        "max_drawdown": empyrical.max_drawdown(returns),
        "total_return": empyrical.cum_returns_final(returns),
    }
    for name, value in expected.items():
        assert getattr(found, name) == pytest.approx(value, rel=1e-9), name


@pytest.mark.parametrize("seed", range(6))
def test_figures_against_a_benchmark_agree_with_empyrical(seed: int) -> None:
    rng = np.random.default_rng(seed)
    other = rng.normal(0.0004, 0.01, 200)
    start = 10**6 * UNIT
    worth = [start]
    for b in other:
        worth.append(round(worth[-1] * (1 + 0.6 * b + rng.normal(0.0002, 0.004))))
    own = np.diff(worth) / np.array(worth[:-1])
    account = MetricsAccumulator(start, 252)
    for day in range(200):
        account.add(figures(equity_of([[worth[day + 1]]])))
    found = account.result([None if day % 50 == 3 else float(other[day]) for day in range(200)])
    keep = np.arange(200) % 50 != 3
    mine, theirs = own[keep], other[keep]
    assert found.beta == pytest.approx(empyrical.beta(mine, theirs), rel=1e-9)
    assert found.alpha == pytest.approx(empyrical.alpha(mine, theirs, annualization=252), rel=1e-9)
    excess = empyrical.excess_sharpe(mine, theirs) * math.sqrt(252)
    assert found.information_ratio == pytest.approx(excess, rel=1e-9)
    judge = o.against(list(mine), list(theirs), 252)
    assert (found.alpha, found.beta, found.information_ratio) == pytest.approx(judge, rel=1e-9)


def test_without_a_benchmark_or_its_variance_nothing_is_said() -> None:
    account = MetricsAccumulator(100 * UNIT, 252)
    for worth in (101, 103, 102):
        account.add(figures(equity_of([[worth * UNIT]])))
    for returns in ((), (None, None, 0.5), (0.25, 0.25, 0.25)):
        found = account.result(returns)
        assert (found.alpha, found.beta) == (None, None)
    assert account.result((0.25, 0.25, 0.25)).information_ratio is not None
    assert account.result().information_ratio is None


def test_undefined_is_none_and_everything_is_json() -> None:
    flat = run([[100 * UNIT], [100 * UNIT]])
    assert flat.sharpe is flat.sortino is flat.calmar is None
    assert flat.volatility == 0.0
    assert flat.hit_rate is flat.profit_factor is flat.avg_trade is flat.cost_bps is flat.capacity is None
    assert (flat.max_drawdown, flat.max_drawdown_minutes, flat.turnover, flat.exposure_gross) == (0.0, 0, 0.0, 0.0)
    nothing = MetricsAccumulator(UNIT, 252).result()
    assert (nothing.sessions, nothing.total_return, nothing.cagr, nothing.turnover) == (0, 0.0, None, None)
    # Equal returns whose mean differs from them in the last bit have no variance.
    constant = run([[110 * UNIT], [121 * UNIT], [13310 * UNIT // 100]])
    assert constant.sharpe is None
    doubled = run([[9 * 10**18]], start=1)
    assert doubled.cagr is None  # 9e18 ** 252 is no number
    for found in (flat, nothing, constant, doubled):
        json.dumps(found.to_dict(), allow_nan=False)


def test_a_ruined_account_has_no_ratios() -> None:
    found = run([[50 * UNIT, -10 * UNIT], [20 * UNIT]])
    assert found.total_return == -0.8
    assert found.max_drawdown == -1.1
    assert found.sharpe is found.volatility is found.turnover is found.exposure_net is None
    lost = run([[100 * UNIT], [-1 * UNIT]])
    assert lost.cagr is None
    json.dumps(lost.to_dict(), allow_nan=False)


@pytest.mark.parametrize(
    ("sessions", "depth", "minutes"),
    [
        # The start is a peak at minute 0; row i ends minute i + 1.
        ([[90, 100, 100]], -0.1, 2),
        ([[90, 95], [97, 99]], -0.1, 4),  # never back: until the end
        ([[110, 99], [105, 110, 120]], -0.1, 3),  # from minute 1 to minute 4, over the night
        ([[110, 99, 110], [121, 60.5], [121, 100]], -0.5, 2),  # a deeper one replaces
        ([[110, 99, 110, 55, 54, 110]], -56 / 110, 3),  # two in one session
        ([[80], [100, 90, 100]], -0.2, 2),
        ([[80], [70], [100]], -0.3, 3),  # deeper on the next day, the same peak
        ([[100, 100, 90, 100]], -0.1, 2),  # counted from the last minute at the peak
        ([[100, 90], [100, 90], [100]], -0.1, 2),  # equals the first: the first is told
    ],
)
def test_drawdown_over_minutes_and_nights(sessions: list[list[float]], depth: float, minutes: int) -> None:
    found = run([[round(v * UNIT) for v in s] for s in sessions])
    assert found.max_drawdown == pytest.approx(depth, rel=1e-15)
    assert found.max_drawdown_minutes == minutes


def test_drawdown_against_a_slow_count() -> None:
    rng = np.random.default_rng(5)
    for _ in range(300):
        steps = rng.integers(-3, 4, rng.integers(1, 40))
        worth = np.maximum(100 + np.cumsum(steps), 1) * UNIT
        cuts = sorted(set(rng.integers(0, len(worth), 3)) - {0})
        found = run([list(map(int, part)) for part in np.split(worth, cuts)])
        line = [100 * UNIT, *map(int, worth)]
        depth, length = 0.0, 0
        for low in range(len(line)):
            peak = max(line[: low + 1])
            if (line[low] - peak) / peak < depth:
                depth = (line[low] - peak) / peak
                top = max(i for i in range(low) if line[i] == peak)
                back = next((i for i in range(low, len(line)) if line[i] >= peak), len(line) - 1)
                length = back - top
        assert (found.max_drawdown, found.max_drawdown_minutes) == (depth, length)


def test_trades_fills_and_exposure_by_hand() -> None:
    trades = pl.DataFrame({"net_pnl": [30 * UNIT, -10 * UNIT, 0, -5 * UNIT]})
    fills = pl.DataFrame(
        [
            (FIRST, 10, 5 * UNIT, UNIT // 10, UNIT // 5, 0.01),
            (FIRST, -10, 6 * UNIT, UNIT // 10, UNIT // 5, 0.03),
            (FIRST + timedelta(days=1), -15, 6 * UNIT, 0, 0, None),
            (FIRST + timedelta(days=1), 2, 5 * UNIT, 0, 0, 0.025),
        ],
        schema=FILLS,
        orient="row",
    )
    found = run([[100 * UNIT, 110 * UNIT], [120 * UNIT]], fills=fills, trades=trades, gross=60 * UNIT, net=-30 * UNIT)
    assert found.sessions == 2
    assert found.hit_rate == 0.25
    assert found.profit_factor == 2.0
    assert found.avg_trade == 3.75
    assert found.turnover == pytest.approx((110 / 100 + 100 / 110) / 2)
    assert found.cost_bps == pytest.approx(0.6 / 210 * 10_000)
    assert found.capacity == 0.25
    mean = (1 / 100 + 1 / 110 + 1 / 120) / 3
    assert found.exposure_gross == pytest.approx(60 * mean)
    assert found.exposure_net == pytest.approx(-30 * mean)


def test_the_combined_account_is_the_integer_sum() -> None:
    one, two, both = (
        [figures(equity_of([[value * UNIT for value in session]], gross=gross)) for session in sessions]
        for gross, sessions in (
            (UNIT, ((100, 101), (99,))),
            (UNIT, ((50, 49), (52,))),
            (2 * UNIT, ((150, 150), (151,))),
        )
    )
    accounts = MetricsAccumulator(150 * UNIT, 252), MetricsAccumulator(150 * UNIT, 252)
    for mine, theirs, sums in zip(one, two, both, strict=True):
        accounts[0].add(together([theirs, mine]))
        accounts[1].add(sums)
    assert accounts[0].result() == accounts[1].result()


def test_amounts_beyond_64_bits() -> None:
    fills = pl.DataFrame([(FIRST, 10**6, 9 * 10**12, 0, 10**18, None)] * 20, schema=FILLS, orient="row")
    found = run([[9 * 10**18]], start=9 * 10**18, fills=fills)
    assert found.turnover == 20.0
    assert found.cost_bps == pytest.approx(10_000 / 9)
    big = figures(equity_of([[9 * 10**18]]))
    with pytest.raises(MoneyError, match="must fit int64 units"):
        together([big, big])


def test_the_start_must_be_positive_and_values_frozen() -> None:
    with pytest.raises(ValueError, match="start_cash must be > 0 units, was 0"):
        MetricsAccumulator(0, 252)
    found = run([[100 * UNIT]])
    assert replace(found, sessions=9).sessions == 9
    with pytest.raises(AttributeError):
        found.sessions = 3  # type: ignore[misc]


def test_every_formula_names_its_source_and_every_field_its_unit() -> None:
    for function in (m.cagr, m.volatility, m.sharpe, m.sortino, m.calmar, m.alpha, m.beta, m.information_ratio):
        assert "Source:" in (function.__doc__ or "")
    for name in Metrics.__dataclass_fields__:
        assert name in (Metrics.__doc__ or "")
    assert math.isclose(m.sharpe([0.01, 0.03], 4) or 0, 0.02 / math.sqrt(0.0002) * 2)


def test_drawdown_of_amounts_that_are_no_doubles() -> None:
    """1e9 of currency is 1e17 units, beyond 2^53: the fraction is rounded once all the same."""
    draws = np.random.default_rng(5)
    for cash in (10**11, 10**17, 3 * 10**17 + 7):
        for _ in range(200):
            steps = draws.integers(-50, 50, 40) * draws.choice([1, 10**3, 10**8], 40)
            equity = np.maximum(cash + np.cumsum(steps), 1)
            found = m._Drawdown(cash)
            for part in np.split(equity, [7, 8, 25]):
                found.add(part)
            line = equity.tolist()
            assert found.depth == max_drawdown(cash, line)
            assert found.length == drawdown_minutes(cash, line)
