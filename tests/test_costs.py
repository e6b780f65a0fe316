"""What fills cost, by hand (decision 0030); tests/test_order_laws.py has the rest."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from small import Script, bars, play, store

import bt
from bt.errors import ConfigError
from bt.run import summary_lines

LAST, NEXT = "2024-01-31", "2024-02-01"


def two_days(folder: Path, symbols: str = "A") -> Path:
    """Every symbol at 10 for ten minutes of the last session of January and of the first of February, 40 shares a minute."""
    days = [(LAST, 10.0), (NEXT, 10.0)]
    return store(folder, *(bars(symbol, [price] * 10, day=day, volume=40) for day, price in days for symbol in symbols))


def buying(shares: int, *minutes: int) -> Any:
    return Script({("A", minute): lambda b: b.order("A", shares) for minute in minutes})


def paid(run: bt.Run) -> list[tuple[int, float]]:
    return run.fills.select("shares", "commission").rows()


def test_the_fills_of_an_order_pay_the_least_one_together(tmp_path: Path) -> None:
    """20 a bar: 0.20 three times, of which the first pays 0.50 and the last the 0.10 that exceeds it."""
    execution = {"commission_per_share": 0.01, "commission_minimum": 0.5, "participation": 0.5}
    run = play(two_days(tmp_path), buying(60, 0), LAST, execution=execution)
    assert paid(run) == [(20, 0.5), (20, 0.0), (20, 0.1)]
    assert run.summary["commission"] == pytest.approx(0.6)


def test_an_order_pays_once_and_its_value_each_time(tmp_path: Path) -> None:
    execution = {"commission_per_trade": 1.0, "commission_bps": 10.0, "slippage_bps": 100.0, "participation": 0.5}
    run = play(two_days(tmp_path), buying(30, 0, 4), LAST, execution=execution)
    assert paid(run) == [(20, 1.202), (10, 0.101), (20, 1.202), (10, 0.101)]  # of 10.10 a share


TIERS = {"commission_tiers": [[0, 0.01], [50, 0.005]]}


def test_tiers_count_the_months_shares(tmp_path: Path) -> None:
    run = play(two_days(tmp_path), buying(30, 0, 1), LAST, NEXT, execution=TIERS)
    assert paid(run) == [
        (30, 0.3),
        (30, 0.25),
        (30, 0.3),
        (30, 0.25),
    ]  # 20 x 0.01 + 10 x 0.005, and February begins again


def test_strategies_with_one_cash_have_one_month(tmp_path: Path) -> None:
    entries = [{"name": name, "use": buying(30, minute)} for name, minute in (("a", 0), ("b", 1))]
    for shared, second in ((True, 0.25), (False, 0.3)):
        run = bt.replay(
            bars=two_days(tmp_path), calendar="XNYS", start=LAST, end=LAST, strategies=entries, save=False,
            execution=TIERS, account={"shared": shared},
        )  # fmt: skip
        assert paid(run) == [(30, 0.3), (30, second)]


def test_symbols_with_their_own_money_have_their_own_month(tmp_path: Path) -> None:
    class Buys(Script):
        independent = True

        def on_session_start(self, session: bt.Session, book: bt.Book) -> None: ...

        def on_session_end(self, session: bt.Session, book: bt.Book) -> None: ...

    def buys(symbol: str) -> Callable[[bt.Book], Any]:
        return lambda b: b.order(symbol, 30)

    script = Buys({(symbol, minute): buys(symbol) for symbol in "AB" for minute in (0, 1)})
    run = play(two_days(tmp_path, "AB"), script, LAST, execution=TIERS)
    assert run.fills.sort("symbol", "time").select("symbol", "commission").rows() == [("A", 0.3), ("A", 0.25), ("B", 0.3), ("B", 0.25)]  # fmt: skip


class Signals:
    """Long 30 in the second half of every ten minutes: in columns."""

    def signals(self) -> dict[str, Any]:
        return {"target": pl.when(pl.col("minute") % 10 >= 5).then(30).otherwise(0)}


class Rows:
    """The same in rows."""

    class row(bt.Row):  # noqa: N801 - as strategies name it
        symbol: str
        minute: int

    def on_bar(self, row: Any, book: bt.Book) -> None:
        book.target(row.symbol, 30 if row.minute % 10 >= 5 else 0)


def test_columns_pay_what_rows_do(tmp_path: Path) -> None:
    where = store(tmp_path, *(bars(s, [10.0 + m % 7 / 100 for m in range(120)]) for s in "AB"))
    execution = {**TIERS, "commission_minimum": 0.2, "commission_bps": 1.5, "commission_per_trade": 0.01}
    one, other = (play(where, strategy(), execution=execution) for strategy in (Signals, Rows))
    assert one.fills.height == 46
    assert one.fills.drop("strategy").equals(other.fills.drop("strategy"))
    assert one.equity.drop("strategy").equals(other.equity.drop("strategy"))


# ------------------------------------------------------------------------------------------------------------ slippage


def quoted(folder: Path) -> Path:
    """A at 10 for six minutes, of which the third has no ask and the fourth no quote; the bid is 9.98 and the ask 10.03."""
    rows = bars("A", [10.0] * 6, day=LAST)
    quotes = [(9.98, 10.03), (9.98, 10.03), (9.98, None), (None, None), (9.98, 10.03), (9.98, 10.03)]
    return store(folder, [{**row, "b": bid, "ask": ask} for row, (bid, ask) in zip(rows, quotes, strict=True)])


QUOTES = {"spread": "quotes", "spread_bps": 20.0}


def test_a_fill_at_the_open_pays_the_quote_that_is_there(tmp_path: Path) -> None:
    script = Script({("A", m): lambda b, m=m: b.order("A", 10 if m < 3 else -10) for m in range(5)})
    run = play(quoted(tmp_path), script, LAST, execution=QUOTES, columns={"bid": "b"})
    assert run.fills["price"].to_list() == [10.03, 10.01, 10.01, 9.98, 9.98]
    assert run.fills["slippage"].to_list() == [0.3, 0.1, 0.1, 0.2, 0.2]
    assert run.summary["fills_at_quotes"] == 3
    assert ("quotes", "3 of 5 fills paid one") in summary_lines(run.summary)


@pytest.mark.parametrize(
    ("execution", "given", "prices"),
    [
        ({"slippage_bps": 100.0}, lambda b: b.order("A", 10), [10.1303]),
        ({"fill": "next_close"}, lambda b: b.order("A", 10), [10.01]),
        ({"fill": "same_close"}, lambda b: b.order("A", 10), [10.01]),
        ({}, lambda b: b.order("A", 10, limit=10.01), [10.0]),
        ({}, lambda b: b.order("A", 10, stop=9.5), [10.03]),
        ({}, lambda b: b.order("A", 10, at="close"), [10.01]),
        ({"participation": 0.05}, lambda b: b.order("A", 7), [10.03, 10.01]),
    ],
)  # fmt: skip
def test_quotes_are_of_the_open_and_of_what_pays_slippage(
    tmp_path: Path, execution: dict[str, Any], given: Any, prices: list[float]
) -> None:
    run = play(
        quoted(tmp_path), Script({("A", 0): given}), LAST, execution={**QUOTES, **execution}, columns={"bid": "b"}
    )
    assert run.fills["price"].to_list() == prices


def test_a_better_quote_is_slippage_below_0(tmp_path: Path) -> None:
    where = store(tmp_path, [{**row, "bid": 10.02, "ask": 9.99} for row in bars("A", [10.0] * 2, day=LAST)])
    run = play(where, buying(10, 0), LAST, execution=QUOTES)
    assert run.fills.select("price", "slippage").rows() == [(9.99, -0.1)]
    assert run.summary["slippage"] == -0.1


def test_a_store_without_quotes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"execution.spread must be \"assumed\" where the data has no quotes"):
        play(two_days(tmp_path), buying(1, 0), LAST, execution=QUOTES)


class Quoted(bt.Row):
    symbol: str
    minute: int
    bid: float
    ask: float


def test_rows_show_the_quotes_of_their_minute(tmp_path: Path) -> None:
    shown: list[Any] = []

    class Looks:
        row = Quoted

        def on_bar(self, row: Quoted, book: bt.Book) -> None:
            shown.append((row.minute, row.bid, row.ask))

    play(quoted(tmp_path), Looks(), LAST, columns={"bid": "b"})
    assert [str(row) for row in shown[1:4]] == ["(1, 9.98, 10.03)", "(2, 9.98, nan)", "(3, nan, nan)"]


def test_recorded_quotes(shared_data: Path, tmp_path: Path) -> None:
    """SPY, AIG and IBM on 7 October 2013, trades and quotes of one vendor: a buy at every open pays the ask of that minute."""
    trades, quotes = (
        pl.read_parquet(shared_data / folder / "2013-10-07.parquet")
        for folder in ("us-equity-lean-minute", "us-equity-lean-quote-minute")
    )
    both = trades.join(quotes, on=["symbol", "ts"], how="left")
    both.write_parquet(tmp_path / "both.parquet")

    class Buys:
        row = Seen

        def on_bar(self, row: Seen, book: bt.Book) -> None:
            book.order(row.symbol, 1)

    run = play(
        tmp_path / "both.parquet", Buys(), "2013-10-07", execution={"spread": "quotes"}, columns={"bid": "bid_open", "ask": "ask_open"}
    )  # fmt: skip
    asks = both.select("symbol", pl.col("ts").alias("time"), "ask_open")
    paid = run.fills.join(asks, on=["symbol", "time"], how="left")
    assert paid.height > 1000
    assert paid["price"].equals(paid.select(pl.coalesce("ask_open", "reference_price")).to_series())
    assert run.summary["fills_at_quotes"] == paid["ask_open"].count()
    assert 0 < run.summary["slippage"] / paid["reference_price"].sum() < 0.0002  # half a cent or so a share


class Seen(bt.Row):
    symbol: str


def test_volume_moves_the_price_by_the_square_root_law(tmp_path: Path) -> None:
    """Closes of 10, 11 and 11 over 600, 300 and no shares: sigma is sqrt(0.01 / 2) and ADV 300; on the second day there is one close, and nothing moves."""
    days = [("2024-01-29", 10.0, 300), ("2024-01-30", 11.0, 150), ("2024-01-31", 11.0, 0), ("2024-02-01", 20.0, 50)]
    where = store(tmp_path, *(bars("A", [price] * 2, day=day, volume=volume) for day, price, volume in days))
    script = Script({("A", 0): lambda b: b.order("A", 12)})
    run = play(where, script, "2024-01-30", "2024-02-01", execution={"impact": 0.5, "slippage_bps": 10.0})
    moved = round(20.0 * 0.5 * (math.sqrt(0.01 / 2) / math.sqrt(300)) * math.sqrt(12), 8)
    assert run.fills["price"].to_list()[0] == 11.011
    assert run.fills["price"].to_list()[2] == pytest.approx(20.02 + moved, abs=1e-8)
    assert run.summary["fills_without_impact"] == 1
    assert ("impact", "not known for 1 of 3 fills") in summary_lines(run.summary)


def test_a_sale_never_gets_less_than_nothing(tmp_path: Path) -> None:
    days = [("2024-01-29", 10.0), ("2024-01-30", 20.0), ("2024-01-31", 11.0)]
    where = store(tmp_path, *(bars("A", [price] * 2, day=day, volume=1) for day, price in days))
    run = play(where, buying(-100, 0), LAST, execution={"impact": 1.0})
    assert run.fills["price"].to_list() == [1e-8]


@pytest.mark.parametrize(
    ("execution", "message"),
    [
        ({"commission_tiers": [[0, 0.01]], "commission_per_share": 0.01}, "commission_per_share must be absent beside execution.commission_tiers"),
        ({"commission_tiers": [[5, 0.01]]}, "the first is from 0 shares on"),
        ({"commission_tiers": [[0, 0.01], [0, 0.02]]}, "each next one from more"),
        ({"commission_tiers": [[0, -0.01]]}, "a rate is a number >= 0"),
        ({"commission_tiers": [[0, 0.000000001]]}, "at most 8 decimals"),
        ({"commission_tiers": [[0.5, 0.01]]}, "with a whole number of shares"),
        ({"commission_tiers": 0.01}, "write a list of [shares, rate]"),
        ({"spread_bps": 10_000.0}, "spread_bps must be a number >= 0 and < 10000"),
        ({"spread": "wide"}, "execution.spread"),
        ({"impact": -1.0}, "impact must be a finite number >= 0"),
        ({"commission_minimum": -1.0}, "commission_minimum must be a finite number >= 0"),
        ({"commission_bps": 1e-16}, "commission_bps must have at most 14 decimals"),
    ],
)  # fmt: skip
def test_what_no_broker_charges_is_refused(tmp_path: Path, execution: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        play(two_days(tmp_path), buying(1, 0), LAST, execution=execution)
    assert message in str(refused.value)
