"""Splits, a rename and a dividend of real companies, held over the night: no jump, the right shares, the right cash (decision 0031)."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import bt
from bt.ingest import lean_actions


class Seen(bt.Row):
    symbol: str
    session: date
    minute: int
    close: float
    before: float | None
    mean: float | None


class Holds:
    """Buys 100 shares in the first minute it is shown, and writes down what it knows at each open."""

    row = Seen

    def __init__(self) -> None:
        self.opens: dict[date, Any] = {}
        self.rows: list[Seen] = []

    def features(self) -> dict[str, bt.Feature]:
        return {"before": bt.prior("close"), "mean": bt.sma("close", 30)}

    def on_session_start(self, session: date, book: bt.Book) -> None:
        held = book.holdings
        self.opens[session] = ({s: h.shares for s, h in held.items()}, book.equity, book.cash)

    def on_bar(self, row: Seen, book: bt.Book) -> None:
        self.rows.append(row)
        if len(self.rows) == 1:
            book.order(row.symbol, 100)


@pytest.fixture(scope="module")
def lean(shared_data: Path) -> pl.DataFrame:
    """What LEAN knows of some companies."""
    folder = shared_data / "us-equity-lean-corp-actions"
    return lean_actions([folder / "factors.csv"], [folder / "ticker_map.csv"])


def held(where: Path, symbols: list[str], start: str, end: str, actions: Any) -> tuple[bt.Run, Holds]:
    holds = Holds()
    run = bt.replay(
        bars=where, calendar="XNYS", symbols=symbols, start=start, end=end, strategy=holds, actions=actions, save=False,
        columns={"open_time": "ts"},
    )  # fmt: skip
    return run, holds


def jump(run: bt.Run, session: str) -> float:
    """Equity at the end of a session's first minute less at the end of the session before."""
    day = date.fromisoformat(session)
    before = run.equity.filter(pl.col("session") < day)["equity"][-1]
    return float(run.equity.filter(session=day)["equity"][0] - before)


def test_aapl_seven_for_one(shared_data: Path, lean: pl.DataFrame) -> None:
    """100 shares at 645.57 are 700 at 92.22; the open of Monday, 9 June 2014 is the market's."""
    where = shared_data / "us-equity-lean-minute" / "2014-06-0*.parquet"
    run, holds = held(where, ["AAPL"], "2014-06-05", "2014-06-09", lean)
    monday = date(2014, 6, 9)
    friday = [row.close for row in holds.rows if row.session == date(2014, 6, 6)]
    first = next(row for row in holds.rows if row.session == monday)
    assert holds.opens[monday][0] == {"AAPL": 700}
    assert run.cash.is_empty()
    assert run.summary["actions"]["split"] == 1
    assert jump(run, "2014-06-09") == pytest.approx(700 * first.close - 100 * friday[-1], abs=0.01)
    assert abs(jump(run, "2014-06-09")) < 0.02 * 100 * friday[-1]
    assert holds.opens[monday][1] == pytest.approx(
        run.equity.filter(pl.col("session") < monday)["equity"][-1], abs=1e-4
    )
    assert first.before == round(friday[-1] * 100) / 700  # the exact quotient, rounded once
    assert first.mean == pytest.approx((sum(friday[-29:]) / 7 + first.close) / 30, rel=1e-12)
    raw, _ = held(where, ["AAPL"], "2014-06-05", "2014-06-09", "none")
    assert jump(raw, "2014-06-09") < -0.8 * 100 * friday[-1]


def test_nwsa_becomes_foxa(shared_data: Path, lean: pl.DataFrame) -> None:
    """The old News Corporation is Twenty-First Century Fox from 1 July 2013 on, and has given away the new News Corporation, worth 3.82 a share."""
    where = shared_data / "us-equity-lean-minute" / "2013-0[67]-*.parquet"
    run, holds = held(where, ["NWSA", "FOXA"], "2013-06-27", "2013-07-02", lean)
    monday = date(2013, 7, 1)
    assert holds.opens[monday][0] == {"FOXA": 100}
    assert run.cash.select("session", "symbol", "kind", "amount").rows() == [(monday, "FOXA", "dividend", 382.0)]
    assert abs(jump(run, "2013-07-01")) < 0.05 * 3260
    assert run.positions.filter(session=date(2013, 7, 2)).select("symbol", "shares").rows() == [("FOXA", 100)]
    old = [row.close for row in holds.rows if row.session == date(2013, 6, 28)]
    first = next(row for row in holds.rows if row.session == monday)
    assert (first.symbol, first.before) == ("FOXA", old[-1])  # splits alone are adjusted for
    everything, _ = held(where, ["NWSA", "FOXA"], "2013-06-27", "2013-07-02", lean)
    assert everything.summary["net_pnl"] == run.summary["net_pnl"]


def test_the_dividend_of_spy(shared_data: Path) -> None:
    """Cash to the cent; equity falls by what the market did, not by the dividend."""
    folder = shared_data / "us-etf-universe-2019-12"
    seen = pl.read_csv(folder / "dividends_seen.csv").filter(symbol="SPY")
    (amount,), (ts,) = seen["amount"], seen["ts"]
    day = datetime.fromisoformat(ts).date()
    actions = pl.DataFrame({"symbol": ["SPY"], "session": [day], "kind": ["dividend"], "amount": [amount]})
    run, holds = held(folder / "*.parquet", ["SPY"], "2019-12-18", "2019-12-26", actions)
    assert run.cash["amount"].to_list() == [pytest.approx(100 * amount, abs=0.005)]
    last = [row.close for row in holds.rows if row.session < day][-1]
    first = next(row for row in holds.rows if row.session == day)
    assert jump(run, day.isoformat()) == pytest.approx(100 * (first.close + amount - last), abs=0.01)
    assert holds.opens[day][2] - holds.opens[max(d for d in holds.opens if d < day)][2] == pytest.approx(100 * amount)
