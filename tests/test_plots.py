"""`run.plot`, runs side by side, and the bridges to pandas."""

from __future__ import annotations

import sys
from datetime import date
from typing import Any

import empyrical
import numpy as np
import polars as pl
import pytest
from cli_runs import ROOT
from report_pages import Brackets, Page

import bt
from bt.errors import DataError, UsageError
from bt.report.compared import curves
from bt.sessions import TimeManager

pytest.importorskip("altair", reason='altair is not installed: pip install "minute-bt[report]"')


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> bt.Run:
    return bt.replay(
        bars=ROOT / "data" / "sample", strategy=Brackets(), calendar="XNYS", start="2024-11-26", end="2024-12-02", symbols=["DUNE", "GAPS", "JUNO"],
        execution={"slippage_bps": 1}, out=tmp_path_factory.mktemp("plots") / "run",
    )  # fmt: skip


def rows(chart: Any) -> list[dict[str, Any]]:
    """The data of a chart, of all its layers."""
    return [row for rows in chart.to_dict()["datasets"].values() for row in rows]


def test_curves_have_the_runs_extremes(run):
    worth = [row["equity"] for row in rows(run.plot.equity())]
    assert (min(worth), max(worth)) == (run.equity["equity"].min(), run.equity["equity"].max())
    assert min(row["drawdown"] for row in rows(run.plot.drawdown())) == pytest.approx(run.metrics.max_drawdown)


def test_a_day_of_trades_has_bars_fills_and_levels(run):
    told = rows(run.plot.trades("GAPS", "2024-12-02"))
    bars = bt.load_bars(ROOT / "data" / "sample", "XNYS", "2024-12-02", "2024-12-02", symbols=["GAPS"])["1m"]
    assert [row["close"] for row in told if "close" in row] == bars["close"].to_list()
    fills = run.fills.filter(symbol="GAPS", session=date(2024, 12, 2))
    drawn = [row for row in told if "side" in row]
    assert [row["price"] for row in drawn] == fills["price"].to_list()
    by_time = {row["time"]: row for row in told if "close" in row}
    assert [by_time[row["time"]]["open"] for row in drawn if row["type"] == "market"] == fills.filter(
        pl.col("side") == "buy"
    )["reference_price"].to_list()
    assert {row["kind"] for row in told if "kind" in row} == {"stop", "limit"}
    with pytest.raises(DataError, match="NONE: it must have bars in the session"):
        run.plot.trades("NONE", date(2024, 12, 2))
    with pytest.raises(DataError, match="session must be one of the run's"):
        run.plot.trades("GAPS", "2024-11-28")
    with pytest.raises(UsageError, match="session: it must be a date"):
        run.plot.trades("GAPS", "monday")


def test_runs_of_other_sessions_are_told_apart(run):
    later = bt.replay(
        bars=ROOT / "data" / "sample", strategy=Brackets(), calendar="XNYS", start="2024-11-29", end="2024-12-03", symbols=["DUNE"], save=False, name="later",
    )  # fmt: skip
    both = bt.compare([run, later])
    assert "do not have the same sessions" in both._repr_html_()
    told = curves(both._told)
    assert told["sessions"] == ["2024-11-26", "2024-11-27", "2024-11-29", "2024-12-02", "2024-12-03"]
    assert [one["x"] for one in told["runs"]] == [[0, 1, 2, 3], [2, 3, 4]]
    many = bt.compare({f"run {i}": run for i in range(10)})
    looks = [(one["color"], one["dash"]) for one in curves(many._told)["runs"]]
    assert len(set(looks)) == 10


def test_heat_maps(run):
    quality = {(row["symbol"], row["session"]): row["quality"] for row in rows(run.plot.quality())}
    table = run.quality.filter(interval="1m")
    assert quality == {(s, f"{d}"): q for s, d, q in table.select("symbol", "session", "quality").iter_rows()}
    assert [row["return"] for row in rows(run.plot.heatmap())] == run.returns("month")["return"].to_list()
    by_weekday = rows(run.plot.heatmap("weekday"))
    assert {row["weekday"] for row in by_weekday} == {"1 Mon", "2 Tue", "3 Wed", "5 Fri"}
    with pytest.raises(UsageError, match='by must be "month" or "weekday"'):
        run.plot.heatmap("year")


def test_without_altair_the_message_says_what_to_install(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "altair", None)
    monkeypatch.delitem(sys.modules, "bt.plots", raising=False)
    monkeypatch.delattr(bt, "plots", raising=False)
    with pytest.raises(UsageError, match=r'pip install "minute-bt\[report\]"'):
        run.plot.equity()


def test_a_sweeps_surface_and_equity():
    sweep = bt.sweep(
        bars=ROOT / "data" / "sample", strategy=f"{ROOT}/data/strategies/sma_cross.py:SmaCross", calendar="XNYS", start="2024-12-05", end="2024-12-06", symbols=["JUNO"],
        grid={"fast": [5, 10], "slow": [20, 30], "shares": [100]}, save=False,
    )  # fmt: skip
    told = {(row["fast"], row["slow"]): row["net_pnl"] for row in rows(sweep.plot.surface("net_pnl"))}
    assert told == {(row["fast"], row["slow"]): row["net_pnl"] for row in sweep.frame.iter_rows(named=True)}
    with pytest.raises(UsageError, match="path must be given of a sweep in memory"):
        sweep.report()
    drawn = rows(sweep.plot.equity())
    start = sweep.spec.account.cash
    assert [row["run"] for row in drawn[::2]] == [
        f"{s['number']}: fast={s['fast']}, slow={s['slow']}, shares=100" for s in sweep.frame.iter_rows(named=True)
    ]
    assert [row["growth"] for row in drawn] == [
        worth / start - 1 for n in sweep.frame["number"] for worth in sweep.equity(n)["equity"]
    ]
    assert {row["run"][0] for row in rows(sweep.plot.equity(3, 1))} == {"3", "1"}
    with pytest.raises(UsageError, match="set must be a number from 0 to 3, was 9"):
        sweep.plot.equity(9)


# ----------------------------------------------------------------------------------------------------------- comparing


def test_runs_side_by_side(run, tmp_path):
    other = bt.replay(
        bars=ROOT / "data" / "sample", strategy=Brackets(), calendar="XNYS", start="2024-11-26", end="2024-12-02", symbols=["DUNE", "GAPS", "JUNO"],
        execution={"slippage_bps": 3}, save=False, name="dear",
    )  # fmt: skip
    both = bt.compare([run.path, other])
    assert both.frame["run"].to_list() == ["run", "dear"]
    assert both.frame["execution.slippage_bps"].to_list() == [1.0, 3.0]
    assert "execution.fill" not in both.frame.columns  # the same in both
    for name in ("sharpe", "max_drawdown", "turnover"):
        assert both.frame[name].to_list() == [getattr(run.metrics, name), getattr(other.metrics, name)]
    assert both.frame["net_pnl"].to_list() == [run.summary["net_pnl"], other.summary["net_pnl"]]
    last = both.equity.group_by("run", maintain_order=True).last()
    assert last["equity"].to_list() == [run.summary["equity_end"], other.summary["equity_end"]]
    assert last["growth"].to_list() == pytest.approx([run.metrics.total_return, other.metrics.total_return])
    assert {row["run"] for row in rows(both.plot())} == {"run", "dear"}
    assert "dear</th>" in both._repr_html_()
    assert both._repr_html_().count("<title>") == 2  # a curve each
    with_page = Page(both.report(tmp_path / "both.html").read_text())
    told = with_page.table("Side by side")
    figures = {row[0]: row[1:] for row in told}
    assert figures["execution.slippage_bps"] == ["1", "3"]
    assert figures["Net P&L"] == [f"{one.summary['net_pnl']:+,.2f}" for one in (run, other)]
    assert figures["Sharpe"] == [f"{one.metrics.sharpe:,.2f}" for one in (run, other)]
    assert figures["Max drawdown (by minute)"] == [f"{one.metrics.max_drawdown:.2%}" for one in (run, other)]
    assert "Alpha a year" not in figures  # neither has a benchmark
    months = with_page.table("Growth since the start")
    assert [row[0] for row in months] == ["2024-11", "2024-12"]
    assert months[-1][1:] == [f"{one.metrics.total_return:+.2%}" for one in (run, other)]
    for drawn, one in zip(with_page.data["compared"]["runs"], (run, other), strict=True):
        worth = one.equity.group_by("session", maintain_order=True).last()["equity"].to_numpy()
        assert drawn["growth"] == pytest.approx((worth / one.summary["equity_start"] - 1) * 100, abs=1e-4)
        peak = np.maximum.accumulate(np.maximum(worth, one.summary["equity_start"]))
        assert drawn["drawdown"] == pytest.approx((worth / peak - 1) * 100, abs=1e-4)
    named = bt.compare({"<b>": run, "also": run})
    assert list(named.runs) == ["<b>", "also"]
    assert "<b>" not in named._repr_html_()
    assert list(bt.compare([run, run]).runs) == ["run", "run (2)"]
    with pytest.raises(UsageError, match="there must be a run at least"):
        bt.compare([])


# -------------------------------------------------------------------------------------------------------------- pandas


def test_returns_are_what_empyrical_wants(run):
    returns = run.to_pandas().returns
    assert returns.index.tz is None
    assert returns.index.date.tolist() == run.by_session["session"].to_list()
    assert empyrical.cum_returns_final(returns) == pytest.approx(run.metrics.total_return)
    assert run.returns()["return"].to_list() == returns.to_list()
    assert run.returns("month")["return"].to_list() == pytest.approx(
        empyrical.aggregate_returns(returns, "monthly").to_list()
    )
    with pytest.raises(UsageError, match='by must be "session" or "month"'):
        run.returns("year")


def test_positions_and_transactions_explain_the_account(run):
    _, positions, transactions = run.to_pandas()
    closes = run.equity.group_by("session", maintain_order=True).last()
    assert positions.sum(axis=1).to_list() == pytest.approx(closes["equity"].to_list())
    assert list(positions.columns) == [*run.positions["symbol"].unique().sort(), "cash"]
    assert transactions["amount"].to_list() == run.fills["shares"].to_list()
    spent = transactions["txn_dollars"].groupby(transactions.index.normalize()).sum()
    cash = positions["cash"].diff().fillna(positions["cash"].iloc[0] - run.summary["equity_start"])
    assert np.allclose(spent.reindex(positions.index, fill_value=0.0), cash)


def test_quantstats_and_pyfolio_take_them(run):
    tables = run.to_pandas()
    stats = pytest.importorskip("quantstats.stats", reason="quantstats is not installed")
    returns, metrics = tables.returns, run.metrics
    periods = TimeManager("XNYS").sessions_a_year()
    theirs = {
        "total_return": (stats.comp(returns), empyrical.cum_returns_final(returns)),
        "cagr": (stats.cagr(returns, periods=periods), empyrical.cagr(returns, annualization=periods)),
        "volatility": (stats.volatility(returns, periods=periods), empyrical.annual_volatility(returns, annualization=periods)),
        "sharpe": (stats.sharpe(returns, periods=periods), empyrical.sharpe_ratio(returns, annualization=periods)),
        "sortino": (stats.sortino(returns, periods=periods), empyrical.sortino_ratio(returns, annualization=periods)),
    }  # fmt: skip
    for name, (quantstats, reloaded) in theirs.items():
        assert getattr(metrics, name) == pytest.approx(quantstats, rel=1e-9), name
        assert getattr(metrics, name) == pytest.approx(reloaded, rel=1e-9), name
    # docs/report.md says where definitions differ: by the minute a drawdown is at least as deep as by closes
    closes = [one["equity"] for one in run.equity.group_by("session", maintain_order=True).last().to_dicts()]
    worth = np.array([run.summary["equity_start"], *closes])
    deepest = float((worth / np.maximum.accumulate(worth) - 1).min())
    assert stats.max_drawdown(returns) == pytest.approx(deepest, abs=1e-9)
    assert empyrical.max_drawdown(returns) == pytest.approx(deepest, abs=1e-9)
    assert metrics.max_drawdown <= deepest
    txn = pytest.importorskip("pyfolio.txn", reason="pyfolio is not installed")
    turnover = txn.get_turnover(tables.positions, tables.transactions)
    assert turnover.index.tolist() == tables.positions.index.tolist()
    assert (turnover > 0).all()
