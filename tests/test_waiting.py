"""Where orders waited, against the bars they waited through: none before an order's end reached it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import polars as pl
import pytest
from cli_runs import ROOT

import bt
from bt.figures import levels
from bt.run.bars import opened_bars

SYMBOLS = ["DUNE", "GAPS", "JUNO"]
MINUTE = 60_000_000


class Minute(bt.Row):
    symbol: str
    minute: int
    close: float


class Trailing:
    """Buys or shorts with a trailing leg at three moments of a session; a bid far below is cancelled some minutes later."""

    row = Minute

    def __init__(self) -> None:
        self.asked: dict[str, int] = {}
        self.cancelled: dict[tuple[str, int], Any] = {}

    def on_bar(self, row: Minute, book: bt.Book) -> None:
        if row.minute % 97 == 20 and not book.position(row.symbol):
            shares = 100 if row.minute < 200 else -100
            book.order(row.symbol, shares, trailing_loss=row.close * 0.004, tag="leg")
        if row.minute % 50 == 5:
            self.asked[row.symbol] = book.order(row.symbol, 5, limit=row.close * 0.99, tag="cancelled")
        if row.minute % 50 == 11 and row.symbol in self.asked:
            self.cancelled[row.symbol, self.asked[row.symbol]] = book.now
            book.cancel(self.asked.pop(row.symbol))


@pytest.fixture(scope="module")
def strategy() -> Trailing:
    return Trailing()


@pytest.fixture(scope="module")
def run(strategy: Trailing, tmp_path_factory: pytest.TempPathFactory) -> bt.Run:
    return bt.replay(
        bars=ROOT / "data" / "sample", strategy=strategy, calendar="XNYS", start="2024-11-26", end="2024-12-02", symbols=SYMBOLS,
        out=tmp_path_factory.mktemp("waiting") / "run",
    )  # fmt: skip


def drawn(run: bt.Run, symbol: str, day: Any) -> tuple[list[dict[str, Any]], pl.DataFrame, Any]:
    """The levels of a chart, the session's bars, and the session."""
    waits = levels(run.orders, run.fills)
    days = run.by_session["session"].to_list()
    with opened_bars(run.manifest, run.data) as source:
        session = source.session(day)
        parts = [source.bars({d: [symbol]})[d][symbol] for d in days if d <= day]
    return waits.at(symbol, session, pl.concat(parts)).to_dicts(), parts[-1], session


def test_no_bar_before_its_end_reaches_a_level(run):
    kinds = dict.fromkeys(("trail", "limit"), 0)
    sides = {r["id"]: r for r in run.orders.iter_rows(named=True)}
    for symbol in SYMBOLS:
        for day in run.by_session["session"].to_list():
            found, bars, _ = drawn(run, symbol, day)
            for level in found:
                order = sides[level["order"]]
                assert order["symbol"] == symbol
                kinds[level["kind"]] += 1
                lived = bars.filter(pl.col("open_time") >= level["start"], pl.col("open_time") < level["end"])
                rises = (level["kind"] == "limit") == (order["side"] == "sell")
                ends = lived["high"].max() if rises else lived["low"].min()
                assert ends is None or (ends < level["price"] if rises else ends > level["price"]), (order, level)
    assert min(kinds.values()) > 20


def test_a_trailing_stop_fills_no_worse_than_where_it_stood_as_its_bar_opened(run):
    fills = run.fills.join(run.orders.select("id", "trail", "side", "decided_at"), left_on="order_id", right_on="id")
    told = 0
    for fill in fills.filter(pl.col("trail").is_not_null()).iter_rows(named=True):
        found, bars, _ = drawn(run, fill["symbol"], fill["session"])
        last = [x for x in found if x["order"] == fill["order_id"]]
        opened = bars.filter(pl.col("open_time") == int(fill["time"].timestamp()) * 1_000_000)["open"][0]
        if not last:
            continue  # it ended in its first bar
        sign = 1 if fill["side"] == "sell" else -1
        stood = sign * last[-1]["price"]
        told += 1
        assert sign * fill["reference_price"] >= min(stood, sign * opened) - 1e-9
    assert told > 5


def test_an_order_ends_when_what_ended_it_happened(run, strategy):
    joined = run.orders.join(
        run.fills.group_by("order_id", "symbol").agg(pl.col("time").max().alias("last")), left_on=["id", "symbol"], right_on=["order_id", "symbol"], how="left"
    )  # fmt: skip
    closes = dict(run.by_session.select("session", "close").iter_rows())
    seen = set()
    for order in joined.iter_rows(named=True):
        seen.add((order["status"], order["reason"]))
        if order["status"] == "filled":
            assert order["ended_at"] == order["last"]
        elif order["status"] == "expired":
            assert order["ended_at"] == closes[order["session"]]
        elif order["status"] == "rejected":
            assert order["ended_at"] == order["decided_at"]
        elif order["status"] == "open":
            assert order["ended_at"] is None
        elif order["reason"] == "cancelled":
            assert order["ended_at"] == strategy.cancelled[order["symbol"], order["id"]]
    assert {("filled", ""), ("cancelled", "cancelled")} <= seen


class OneMinute:
    """Buys a share at every bar, in the next minute or not at all."""

    row = Minute
    independent = True

    def on_bar(self, row: Minute, book: bt.Book) -> None:
        book.order(row.symbol, 1, tif="ioc")


@pytest.mark.parametrize("symbols", [["GAPS"], SYMBOLS], ids=["alone", "beside others"])
def test_an_ioc_order_without_a_bar_ends_a_minute_after_it_was_given(symbols):
    bars = ROOT / "data" / "sample"
    run = bt.replay(
        bars=bars, strategy=OneMinute(), calendar="XNYS", start="2024-11-26", end="2024-12-02", symbols=symbols
    )
    closes = run.by_session.select("session", "close")
    orders = run.orders.filter(pl.col("symbol") == "GAPS", pl.col("reason") == "ioc").join(closes, on="session")
    late = orders.filter(pl.col("decided_at") < pl.col("close"))
    assert late.height > 5
    assert (late["ended_at"] - late["decided_at"]).unique().to_list() == [timedelta(minutes=1)]
