"""Instruments by hand: what a future and a coin cost and bring, until when they are traded, and which tables are refused (decision 0035)."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from small import THURSDAY, TUESDAY, WEDNESDAY, Bar, Script, at, bars, play, store

import bt
from bt.errors import ConfigError, DataError, MoneyError

SAMPLE = Path(__file__).resolve().parents[1] / "data" / "sample"


def table(**columns: Any) -> pl.DataFrame:
    """A table of one instrument, or of as many as the columns are long."""
    return pl.DataFrame({name: value if isinstance(value, list) else [value] for name, value in columns.items()})


ES = {"symbol": "ES", "kind": "future", "multiplier": 50, "tick": 0.25, "commission": 2.25, "margin": 13_200.0}
BTC = {"symbol": "BTC", "kind": "crypto", "multiplier": 0.0001, "tick": 0.01, "lot": 10}


def futures(folder: Path, *, days: tuple[str, ...] = (TUESDAY,)) -> Path:
    prices = [4700.0, (4700.25, 4702.0), (4690.5, 4691.0), 4691.0]
    return store(folder, *(bars("ES", prices, day=day) for day in days))


def coins(folder: Path, volume: float = 0.5) -> Path:
    return store(folder, bars("BTC", [40_000.0, (40_010.0, 40_020.0), (40_100.0, 40_100.0), 40_100.0], volume=volume))


# ---------------------------------------------------------------------------------------------------------- a future


def test_the_money_of_a_future(tmp_path: Path) -> None:
    """Two contracts at 4700.25: 2 x 4700.25 x 50 = 470,025.00, and 2 x 2.25 of commission, leave 100,000 - 470,029.50 of cash. At 4702.00 they are worth 470,200.00, so equity is 100,170.50, of
    which 2 x 13,200 are tied up. Sold at 4690.50 they bring 469,050.00 less 4.50: 2 x (4690.50 - 4700.25) x 50 = -975 and 9 of costs."""
    known: list[tuple[Any, ...]] = []

    def look(book: bt.Book) -> None:
        held = book.holding("ES")
        assert held is not None
        known.append((book.cash, book.equity, book.gross, book.net, book.buying_power, book.price("ES")))
        known.append((held.shares, held.avg_price, held.price, held.value, held.unrealized_pnl))
        book.target("ES", 0)

    script = Script({("ES", 0): lambda b: b.order("ES", 2), ("ES", 1): look})
    run = play(futures(tmp_path), script, instruments=table(**ES), account={"cash": 100_000.0})
    assert known == [
        (-370_029.5, 100_170.5, 470_200.0, 470_200.0, 73_770.5, 4702.0),
        (2, 4700.25, 4702.0, 470_200.0, 175.0),
    ]
    assert run.fills.select("price", "reference_price", "slippage", "commission").rows() == [(4700.25, 4700.25, 0.0, 4.5), (4690.5, 4690.5, 0.0, 4.5)]  # fmt: skip
    trade = run.trades.row(0, named=True)
    assert (trade["entry_price"], trade["exit_price"], trade["gross_pnl"], trade["costs"], trade["net_pnl"]) == (
        4700.25,
        4690.5,
        -975.0,
        9.0,
        -984.0,
    )
    assert (trade["return"], trade["mae"], trade["mfe"]) == (-984.0 / 470_025.0, 0.0, 175.0)
    assert run.summary["net_pnl"] == -984.0
    own = run.by_symbol.row(0, named=True)
    assert (own["gross_pnl"], own["commission"], own["net_pnl"], own["value_traded"]) == (
        -975.0,
        9.0,
        -984.0,
        939_075.0,
    )
    assert ("fill", "ES", 2, 4700.25) in script.happened
    assert run.summary["instruments"] == {"table": "data.instruments", "symbols": 1, "multipliers": {"ES": "50"}}
    assert "a share is worth its price times: ES x 50" in str(run)
    assert run.to_pandas().transactions["txn_dollars"].to_list() == [-470_025.0, 469_050.0]
    assert run.metrics.turnover == 939_075.0 / 100_000.0


def test_margin_takes_the_place_of_the_value(tmp_path: Path) -> None:
    """20,000 are enough for one contract, not for two; a leverage of 2 makes the margin of one half as much; without a margin none is to be had."""
    for leverage, margin, statuses in ((1.0, 13_200.0, ["rejected", "filled"]), (2.0, 13_200.0, ["rejected", "filled"]), (1.0, None, ["rejected", "rejected"]),
                                       (1.0, 10_000.0, ["filled", "filled"]), (0.0, None, ["filled", "filled"])):  # fmt: skip
        script = Script({("ES", 0): lambda b: [b.order("ES", n) for n in (2, 1)][:0]})
        run = play(
            futures(tmp_path), script, instruments=table(**{**ES, "margin": margin}), account={"cash": 20_000.0, "leverage": leverage}
        )  # fmt: skip
        assert run.orders["status"].to_list()[0] == statuses[0], (leverage, margin)
        if statuses[0] == "rejected":
            assert run.orders.row(0, named=True)["reason"] == "buying_power"
            assert run.orders["status"].to_list() == statuses, (leverage, margin)


@pytest.mark.parametrize(("asked", "last"), [(40, ("B", "filled", "")), (60, ("B", "rejected", "buying_power"))])
def test_signals_know_what_is_held_where_margins_are_more_than_values(
    tmp_path: Path, asked: int, last: tuple[str, ...]
) -> None:
    """15 shares of A tie up 750 of 1,000. As A rises from 10 to 30 equity is 1,300 and 550 are free: enough for 40 of B at 10, though nothing new was said of A, and
    not for 60, though there are 850 in cash."""

    class Columns:
        def signals(self) -> dict[str, Any]:
            late = pl.when(pl.col("minute") >= 3).then(asked).otherwise(0)
            return {"target": pl.when(pl.col("symbol") == "A").then(15).otherwise(late)}

    where = store(tmp_path, bars("A", [10.0, 10.0, 30.0, 30.0, 30.0, 30.0]), bars("B", [10.0] * 6))
    listed = table(symbol="A", margin=50.0)
    run = play(where, Columns(), instruments=listed, account={"cash": 1000.0})
    assert run.orders.select("symbol", "status", "reason").unique(maintain_order=True).rows() == [
        ("A", "filled", ""),
        last,
    ]


def test_under_reg_t_the_margin_is_what_is_required(tmp_path: Path) -> None:
    """Buying power is 2 x 27,000 less 2 x 13,200 for each contract: two fit. After the fall to 4600 they have lost 2 x 100.25 x 50 = 10,025 and 4.50: 16,970.50 is less than the 26,400 required by 9,429.50,
    which one contract sold the next morning brings back."""
    where = store(tmp_path, bars("ES", [4700.0, (4700.25, 4600.0)]), bars("ES", [4600.0, 4600.0], day=WEDNESDAY))
    script = Script({("ES", 0): lambda b: b.order("ES", 3) and b.order("ES", 2) if not b.position("ES") else None})
    run = play(
        where, script, TUESDAY, WEDNESDAY, instruments=table(**ES), account={"cash": 27_000.0, "margin": "reg_t", "margin_call": "liquidate"}
    )  # fmt: skip
    assert run.orders.select("shares", "status", "reason", "tag").rows()[:3] == [
        (3, "rejected", "buying_power", ""), (2, "filled", "", ""), (-1, "filled", "", "margin_call"),
    ]  # fmt: skip
    said = run.log.filter(message="margin call")["fields"].item(0)
    assert re.sub(r"\s", "", said) == '{"equity":16970.5,"missing":9429.5,"required":26400.0}'


def test_a_commission_of_its_own_counts_for_no_tier(tmp_path: Path) -> None:
    """10 shares at 1.00 and the next at 0.10: the five contracts between two orders of six shares are at 2.25 and move nothing. 6 + 4 x 1 + 2 x 0.1 = 10.20."""
    where = store(tmp_path, bars("A", [10.0] * 6), bars("ES", [100.0] * 6))
    script = Script(
        {
            ("A", 0): lambda b: b.order("A", 6),
            ("ES", 1): lambda b: b.order("ES", 5),
            ("A", 2): lambda b: b.order("A", 6),
        }
    )
    run = play(
        where, script, instruments=table(symbol="ES", commission=2.25), execution={"commission_tiers": [[0, 1.0], [10, 0.1]]}
    )  # fmt: skip
    assert run.fills["commission"].to_list() == [6.0, 11.25, 4.2]


def test_nothing_is_paid_for_futures_but_gains_and_losses(tmp_path: Path) -> None:
    """Interest is of cash and what they are worth, 1 basis point a night: of -370,029.50 + 469,100.00 it is 9.90705. Shorts of futures borrow nothing, unless the table says so."""
    where = futures(tmp_path, days=(TUESDAY, WEDNESDAY))
    rates = {"cash": 100_000.0, "interest_bps": 360.0, "debit_bps": 3600.0, "borrow_bps": 720.0}
    buy = {("ES", 0): lambda b: b.order("ES", 2 - b.position("ES"))}
    run = play(where, Script(buy), TUESDAY, WEDNESDAY, instruments=table(**ES), account=rates)
    assert run.cash.select("kind", "amount").rows() == [("interest", 9.90705)]
    sell = {("ES", 0): lambda b: b.order("ES", -2 - b.position("ES"))}
    for own, borrow in ((None, []), (360.0, [("borrow", -46.91)])):  # 469,100 x 0.0001
        run = play(where, Script(sell), TUESDAY, WEDNESDAY, instruments=table(**ES, borrow_bps=own), account=rates)
        assert run.cash.filter(kind="borrow").select("kind", "amount").rows() == borrow


def test_every_short_has_its_own_rate(tmp_path: Path) -> None:
    """1,000 of each are short over a night: at 720, at 360 as [account] says, and for nothing."""
    days = (TUESDAY, WEDNESDAY)
    where = store(tmp_path, *(bars(symbol, [10.0] * 3, day=day) for symbol in "ABC" for day in days))
    short = {(s, 0): lambda b, s=s: b.target(s, -100) for s in "ABC"}
    run = play(
        where, Script(short), *days, instruments=table(symbol=["A", "C"], borrow_bps=[720.0, 0.0]), account={"borrow_bps": 360.0}
    )  # fmt: skip
    assert run.cash.select("symbol", "amount").rows() == [("A", -0.2), ("B", -0.1)]
    alone = play(where, Script(short), *days, instruments=table(symbol="A", borrow_bps=720.0))
    assert alone.cash.select("symbol", "amount").rows() == [("A", -0.2)]


# ------------------------------------------------------------------------------------------------------------ a coin


def test_the_money_of_a_part_of_a_coin(tmp_path: Path) -> None:
    """A share is 0.0001 coins: 4.00 at 40,000. Half of 1,000 is worth 125 of them, in lots of ten 120. They are bought at 4.001 and 10 basis points: 4.005001, which is 40,050.01 a coin, 480.60012 in all."""
    script = Script({("BTC", 0): lambda b: b.target_percent("BTC", 0.5)})
    run = play(
        coins(tmp_path), script, instruments=table(**BTC), account={"cash": 1000.0}, execution={"slippage_bps": 10.0}
    )
    fill = run.fills.row(0, named=True)
    assert (fill["shares"], fill["price"], fill["reference_price"]) == (120, 40_050.01, 40_010.0)
    assert (fill["slippage"], fill["bar_share"]) == (0.48012, 120 / 5000)  # half a coin is 5,000 shares
    assert run.equity["cash"].to_list()[-1] == 519.39988
    assert run.positions.select("shares", "price", "value").rows() == [(120, 40_100.0, 481.2)]


def test_fractions_in_every_style_are_lots(tmp_path: Path) -> None:
    class Columns:
        percent = 0.5  # 125 shares: a double could be off by a bit, so Python looks

        def signals(self) -> dict[str, Any]:
            return {"target_percent": pl.lit(self.percent)}

    class Between(Columns):
        percent = 0.51  # 127.5: the rules cut it themselves

    class Across:
        row = Bar

        def on_minute(self, rows: Any, book: bt.Book) -> None:
            book.targets(rows, percent=0.5)

    class Money(Across):
        def on_minute(self, rows: Any, book: bt.Book) -> None:
            for symbol in rows.symbol:
                book.target_value(str(symbol), 500.0)

    class Risk(Across):
        def on_minute(self, rows: Any, book: bt.Book) -> None:
            if rows.minute == 0:  # 10 % of 1,000 over 8,000 x 0.0001 a share
                book.target_risk("BTC", 0.1, 32_000.0)

    for style in (Columns, Between, Across, Money, Risk):
        run = play(coins(tmp_path), style(), instruments=table(**BTC), account={"cash": 1000.0})
        assert run.fills["shares"].to_list() == [120], style.__name__


def test_caps_are_of_the_volume_in_shares_and_in_lots(tmp_path: Path) -> None:
    """1.9 % of 0.5 coins are 95 shares of 0.0001: nine lots."""
    script = Script({("BTC", 0): lambda b: b.order("BTC", 200)})
    run = play(coins(tmp_path), script, instruments=table(**BTC), execution={"participation": 0.019})
    assert run.fills["shares"].to_list() == [90, 90, 20]


def test_orders_of_parts_of_lots_and_prices_off_the_grid_are_refused(tmp_path: Path) -> None:
    def give(book: bt.Book) -> None:
        book.order("BTC", 15)
        book.order("BTC", 20, limit=40_000.005)
        book.order("BTC", 20, stop=40_000.01, stop_loss=39_000.001)
        book.order("BTC", 20, trail=0.015)
        book.target("BTC", 15)
        book.target("BTC", 20, take_profit=50_000.001)
        book.order("BTC", 20, limit=39_000.01, stop_loss=38_000.0)
        book.replace(9, limit=39_000.001)
        book.replace(9, shares=25)

    script = Script({("BTC", 0): give})
    run = play(coins(tmp_path), script, instruments=table(**BTC))
    rows = run.orders.filter(pl.col("reason") != "parent").select("id", "status", "reason").rows()
    assert rows == [
        (1, "rejected", "lot"), (2, "rejected", "tick"), (3, "rejected", "tick"), (5, "rejected", "tick"), (6, "rejected", "lot"), (7, "rejected", "tick"),
        (9, "expired", "unfilled"), (11, "rejected", "tick"), (12, "rejected", "lot"),
    ]  # fmt: skip
    assert run.orders.filter(reason="parent").select("id", "type", "status").rows() == [
        (4, "stop_loss", "cancelled"), (8, "take_profit", "cancelled"), (10, "stop_loss", "cancelled"),
    ]  # fmt: skip
    assert run.orders.filter(id=6)["level"].item() == 15
    assert run.orders.filter(id=2)["limit"].item() == 40_000.005


def test_the_rest_of_a_split_may_be_sold(tmp_path: Path) -> None:
    """15 shares that a split has made of 10 are no whole lot: what closes them all is taken, part of them is not."""
    days = ((TUESDAY, 10.0), (WEDNESDAY, 6.0))
    where = store(tmp_path, *(bars("A", [price] * 4, day=day) for day, price in days))
    split = pl.DataFrame(
        {"symbol": ["A"], "session": [date.fromisoformat(WEDNESDAY)], "kind": ["split"], "ratio": [1.5]}
    )

    def sell(book: bt.Book) -> None:
        if book.position("A"):
            book.order("A", -5)
            book.order("A", -15)
        else:
            book.target("A", 10)

    run = play(
        where, Script({("A", 0): sell}), TUESDAY, WEDNESDAY, instruments=table(symbol="A", lot=10), actions=split
    )
    assert run.orders.select("shares", "status", "reason").rows() == [(10, "filled", ""), (-5, "rejected", "lot"), (-15, "filled", "")]  # fmt: skip


# ------------------------------------------------------------------------------------------------------------ its days


def test_a_position_ends_at_the_close_of_the_last_day(tmp_path: Path) -> None:
    """At the last close, without slippage and commission; what waits expires, and nothing is taken before the first day or after the last."""
    where = futures(tmp_path, days=(TUESDAY, WEDNESDAY, THURSDAY))
    script = Script({("ES", 0): lambda b: [b.order("ES", 1), b.order("ES", 1, limit=4000.0, tif="gtc")]})
    wednesday = date.fromisoformat(WEDNESDAY)
    listed = table(**ES, first_trade=wednesday, last_trade=wednesday)
    run = play(where, script, TUESDAY, THURSDAY, instruments=listed, execution={"slippage_bps": 5.0, "at_end": "close"})
    assert run.orders.select("type", "status", "reason").rows() == [
        ("market", "rejected", "not_listed"), ("limit", "rejected", "not_listed"),
        ("market", "filled", ""), ("limit", "expired", "not_listed"), ("expiry", "filled", ""),
        ("market", "rejected", "not_listed"), ("limit", "rejected", "not_listed"),
    ]  # fmt: skip
    fill = run.fills.filter(side="sell").row(0, named=True)
    assert (fill["time"], fill["price"], fill["commission"], fill["slippage"]) == (at(390, WEDNESDAY), 4691.0, 0.0, 0.0)
    assert run.trades["exit_reason"].to_list() == ["expiry"]
    assert run.summary["open_positions"] == 0
    ends = [i for i, what in enumerate(script.happened) if what[0] == "end"]
    assert script.happened.index(("fill", "ES", -1, 4691.0)) < ends[1]  # it is told before the session's end


def test_a_last_day_without_a_session_or_a_bar(tmp_path: Path) -> None:
    """New Year's Day is none: a symbol whose last it is was traded on Friday the 29th. One without a bar that day ends at its last close."""
    friday = "2023-12-29"
    where = store(
        tmp_path, bars("A", [10.0] * 3, day="2023-12-28"), bars("B", [10.0] * 3, day=friday), bars("B", [10.0] * 3)
    )
    script = Script({("A", 0): lambda b: b.order("A", 1)})
    run = play(where, script, "2023-12-28", TUESDAY, instruments=table(symbol="A", last_trade=date(2024, 1, 1)))
    assert run.fills.select("session", "price", "side").rows() == [
        (date(2023, 12, 28), 10.0, "buy"), (date(2023, 12, 29), 10.0, "sell"),
    ]  # fmt: skip
    assert run.fills["stale_minutes"].to_list()[1] == 390 + (17 * 60 + 30) + 387


def test_what_asks_for_nothing_is_not_refused(tmp_path: Path) -> None:
    """Once an order has been, a level of 0 of what may not be traded is looked at, and is no order."""
    script = Script({("A", 0): lambda b: b.order("A", 1), ("A", 1): lambda b: b.target("A", 0)})
    where = store(tmp_path, bars("A", [10.0] * 3))
    run = play(where, script, instruments=table(symbol="A", kind="index"))
    assert run.orders.select("status", "reason").rows() == [("rejected", "not_tradable")]


def test_an_index_is_looked_at_only(tmp_path: Path) -> None:
    where = store(tmp_path, bars("SPX", [4700.0] * 3))
    script = Script({("SPX", 0): lambda b: [b.target("SPX", 0), b.order("SPX", 1), b.target_percent("SPX", 0.5)]})
    run = play(where, script, instruments=table(symbol="SPX", kind="index"))
    assert run.orders.select("status", "reason").rows() == [("rejected", "not_tradable")] * 2


# ------------------------------------------------------------------------------------------- dividends and delistings


def test_a_dividend_and_a_delisting_are_of_the_price(tmp_path: Path) -> None:
    """Of a share of multiplier 10 a dividend of 0.5 is 5; at a delisting at 9 it gets 90."""
    days = (TUESDAY, WEDNESDAY, THURSDAY)
    where = store(tmp_path, *(bars(s, [10.0] * 3, day=day) for day in days for s in "AB"))
    actions = pl.DataFrame(
        {"symbol": ["A", "A"], "session": [date.fromisoformat(day) for day in days[1:]], "kind": ["dividend", "delisting"], "amount": [0.5, None], "price": [None, 9.0]}
    )  # fmt: skip
    script = Script({("A", 0): lambda b: b.target("A", 2)})
    run = play(where, script, *days[::2], instruments=table(symbol="A", multiplier=10), actions=actions)
    assert run.cash["amount"].to_list() == [10.0]
    assert run.fills.select("shares", "price").rows() == [(2, 10.0), (-2, 9.0), (2, 10.0)]
    assert run.trades["gross_pnl"].to_list() == [-20.0]


# ---------------------------------------------------------------------------------------------- where it comes from


def test_the_stores_own_table_is_found_and_is_no_bars(tmp_path: Path) -> None:
    where = futures(tmp_path)
    script = {("ES", 0): lambda b: b.order("ES", 1)}
    table(**ES).write_parquet(where / "instruments.parquet")
    run = play(where, Script(script), account={"leverage": 0.0})
    assert (run.summary["instruments"]["table"], run.fills["commission"].to_list()) == ("instruments.parquet", [2.25])
    for off in ("none", ""):
        plain = play(where, Script(script), account={"leverage": 0.0}, instruments=off)
        assert "instruments" not in plain.summary
        assert plain.summary["net_pnl"] == -9.25  # 4691 - 4700.25, once


def test_a_table_is_part_of_what_a_run_is(tmp_path: Path) -> None:
    where, hashes = futures(tmp_path), []
    for number, multiplier in enumerate((50, 50, 5, None)):
        listed = {} if multiplier is None else {"instruments": table(**{**ES, "multiplier": multiplier})}
        run = bt.replay(bars=where, strategy=Script, start=TUESDAY, end=TUESDAY, out=tmp_path / f"{number}", **listed)
        hashes.append(run.manifest["spec_hash"])
    assert hashes[0] == hashes[1]
    assert len(set(hashes)) == 3
    assert "data.instruments" in bt.open_run(tmp_path / "0").manifest["tables"]


def test_a_run_read_back_is_the_run(tmp_path: Path) -> None:
    script = Script({("ES", 0): lambda b: b.order("ES", 2, limit=4701.25), ("ES", 1): lambda b: b.target("ES", 0)})
    run = bt.replay(
        bars=futures(tmp_path), strategy=script, start=TUESDAY, end=TUESDAY, out=tmp_path / "run", instruments=table(**ES)
    )  # fmt: skip
    again = bt.open_run(tmp_path / "run")
    for name in ("fills", "orders", "trades", "positions", "equity", "by_symbol", "by_tag"):
        assert getattr(again, name).equals(getattr(run, name)), name
    assert again.fills["price"].to_list() == [4700.25, 4690.5]
    assert again.orders["limit"].to_list() == [4701.25, None]
    page = again.report().read_text(encoding="utf-8")
    assert "4,700.25" in page
    assert page.count("984.00") > 2  # of the run, of the symbol, of the trade


def test_orders_that_end_sessions_later_keep_their_prices(tmp_path: Path) -> None:
    where = futures(tmp_path, days=(TUESDAY, WEDNESDAY))
    made = {}
    for name, more in (("disk", {"out": tmp_path / "run"}), ("memory", {"save": False})):
        first = [0]

        def give(book: bt.Book, first: list[int] = first) -> None:
            if not first[0]:
                first[0] = book.order("ES", 1, limit=4500.25, tif="gtc")
                book.order("ES", 1, stop=4800.5, tif="gtc", trailing_loss=10.25)
            else:
                book.cancel(first[0])

        made[name] = bt.replay(
            bars=where, strategy=Script({("ES", 0): give}), start=TUESDAY, end=WEDNESDAY, instruments=table(**ES), **more
        )  # fmt: skip
    assert made["disk"].orders.equals(made["memory"].orders)
    assert made["disk"].orders.select("limit", "stop", "trail").rows() == [
        (4500.25, None, None), (None, 4800.5, None), (None, None, 10.25),
    ]  # fmt: skip


def test_csv_and_relative_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BT_PROPS_SHRINK", raising=False)  # how laws are tried out is no key
    futures(tmp_path)
    text = "symbol,kind,multiplier,tick,commission,margin,last_trade\nES,future,50,0.25,2.25,13200,\nNQ,future,20,,,,2024-03-15\n"
    (tmp_path / "listed.csv").write_text(text)
    (tmp_path / "strategy.py").write_text(
        "import bt\nclass Bar(bt.Row):\n    symbol: str\n    minute: int\nclass Buys:\n    row = Bar\n    def on_bar(self, row, book):\n        book.target(row.symbol, 1)\n"
    )
    (tmp_path / "run.toml").write_text(
        '[data]\nbars = "bars"\ninstruments = "listed.csv"\n[session]\nstart = 2024-01-02\nend = 2024-01-02\n[strategy]\nuse = "strategy.py:Buys"\n'
    )
    run = bt.replay(tmp_path / "run.toml", save=False)
    assert run.fills["commission"].to_list() == [2.25]
    assert run.summary["instruments"]["symbols"] == 1


# -------------------------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"symbol": "ES", "kind": "bond"}, "'kind' must be one of stock, etf, future, crypto, fx, index, was 'bond' in row 1"),
        ({"symbol": ["A", "ES"], "multiplier": [1.0, 0.0]}, "'multiplier' must be more than 0, at most 100,000,000, of at most 8 decimals, was '0.0' in row 2"),
        ({"symbol": "ES", "multiplier": "1e-9"}, "'multiplier' must be more than 0"),
        ({"symbol": "ES", "multiplier": "fifty"}, "'multiplier' must be more than 0"),
        ({"symbol": "ES", "lot": 0.5}, "'lot' must be a whole number of shares, 1 or more (a share that is a part of a coin is a multiplier below 1, as 0.0001), was '0.5' in row 1"),
        ({"symbol": "ES", "lot": 0}, "'lot' must be a whole number of shares"),
        ({"symbol": "ES", "tick": 0.0}, "'tick' must be more than 0"),
        ({"symbol": "ES", "tick": "0.00001", "multiplier": "0.0001"}, "'tick' must be a step that moves a share of multiplier 0.0001 by at least 0.00000001, was '0.00001' in row 1"),
        ({"symbol": "ES", "commission": -1.0}, "'commission' must be 0 or more, of at most 8 decimals, was '-1.0' in row 1"),
        ({"symbol": "ES", "margin": 0.0}, "'margin' must be more than 0, of at most 8 decimals (empty for the share's value), was '0.0'"),
        ({"symbol": "ES", "borrow_bps": float("nan")}, "'borrow_bps' must be 0 or more, was 'nan' in row 1"),
        ({"symbol": ["ES", "ES"]}, "'symbol' must be there once, was 'ES' in row 2"),
        ({"symbol": [None, "ES"]}, "'symbol' must be there, was empty in row 1"),
        ({"symbol": "ES", "first_trade": "2024-02-01", "last_trade": "2024-01-01"}, "'last_trade' must be first_trade or later, was '2024-01-01' in row 1"),
        ({"symbol": "ES", "last_trade": "3/15/2024"}, "'last_trade' must be dates as 2014-06-09, was '3/15/2024' in row 1"),
        ({"kind": "stock"}, "'symbol' must be there, was missing among kind"),
        ({"symbol": "ES", "multiplyer": 50}, "'multiplyer' must be one of a table of instruments, was none; did you mean 'multiplier'?"),
        ({"symbol": "ES", "multiplier": "0.0000001"}, "'multiplier' must have at most 6 decimals for ES, whose prices have 2, was 0.0000001: money has 8"),
    ],
)  # fmt: skip
def test_bad_rows_are_refused_before_the_run(tmp_path: Path, columns: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError) as error:
        play(futures(tmp_path), Script(), instruments=table(**columns))
    assert message in str(error.value)
    assert str(error.value).startswith("data.instruments: column ")


def test_bad_files_are_refused(tmp_path: Path) -> None:
    where = futures(tmp_path)
    (tmp_path / "no.parquet").write_text("nothing")
    with pytest.raises(DataError, match=r"no.parquet: data.instruments must be a readable Parquet or CSV file"):
        play(where, Script(), instruments=str(tmp_path / "no.parquet"))
    with pytest.raises(ConfigError, match="instruments must be"):
        play(where, Script(), instruments=str(tmp_path / "absent.parquet"))


def test_names_of_one_company_have_one_multiplier(tmp_path: Path) -> None:
    where = store(tmp_path, bars("OLD", [10.0] * 3), bars("NEW", [10.0] * 3, day=WEDNESDAY))
    rename = pl.DataFrame(
        {"symbol": ["OLD"], "session": [date.fromisoformat(WEDNESDAY)], "kind": ["rename"], "to": ["NEW"]}
    )
    with pytest.raises(DataError, match="must be the same of OLD and NEW, which it is renamed to, was 10 and 1"):
        play(
            where, Script(), TUESDAY, WEDNESDAY, actions=rename, instruments=table(symbol=["OLD", "NEW"], multiplier=[10, 1])
        )  # fmt: skip


def test_a_share_that_doubles_cannot_tell_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        MoneyError, match=r"a share of ES must be worth less than 22,517,998, was more at a price of 4,700.25"
    ):
        play(futures(tmp_path), Script(), instruments=table(symbol="ES", multiplier=10_000))


# ------------------------------------------------------------------------------------------------ workers and sweeps


class Close(bt.Row):
    symbol: str
    minute: int
    close: float


class Turns:
    """Turns round now and then, symbol by symbol."""

    row = Close
    independent = True

    def __init__(self, every: int = 7) -> None:
        self.every = every

    def on_bar(self, row: Close, book: bt.Book) -> None:
        if row.minute % self.every == 0:
            side = 1 if row.minute % 2 else -1
            book.target(row.symbol, 30 * side)
            book.order(row.symbol, 10, limit=round(row.close * 0.998, 2))


LISTED = table(
    symbol=["ASHB", "DUNE"], kind=["future", "crypto"], multiplier=["5", "0.01"], lot=[3, 10], commission=["0.4", None], margin=["40", None],
    last_trade=[date(2024, 12, 3), None],
)  # fmt: skip


def test_workers_give_the_same() -> None:
    one, two = (
        bt.replay(
            bars=SAMPLE, calendar="XNYS", strategy=Turns(), start="2024-12-02", end="2024-12-04", save=False, instruments=LISTED,
            execution={"slippage_bps": 1.5, "participation": 0.2}, set={"engine.workers": workers},
        )
        for workers in (1, 2)
    )  # fmt: skip
    assert one.orders["reason"].is_in(["lot", "not_listed"]).sum() > 10
    for name in ("orders", "fills", "trades", "positions", "equity", "cash", "by_symbol"):
        assert getattr(one, name).equals(getattr(two, name)), name
    assert one.summary["instruments"] == two.summary["instruments"]


def test_a_set_of_a_sweep_is_the_run_alone(tmp_path: Path) -> None:
    how: dict[str, Any] = {
        "bars": SAMPLE, "calendar": "XNYS", "start": "2024-12-02", "end": "2024-12-03", "instruments": LISTED, "execution": {"slippage_bps": 1.5}
    }  # fmt: skip
    sweep = bt.sweep(strategy=Turns, grid={"every": [5, 7]}, out=tmp_path / "sweep", **how)
    for row in sweep.frame.iter_rows(named=True):
        alone = bt.replay(strategy=Turns(row["every"]), save=False, **how)
        assert (row["net_pnl"], row["fills"], row["trades"]) == (
            alone.summary["net_pnl"], alone.summary["fills"], alone.summary["trades"],
        )  # fmt: skip
