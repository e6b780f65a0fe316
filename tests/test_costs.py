"""What fills cost, by hand (decision 0030); tests/test_order_laws.py has the rest."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from small import Script, bars, play, store

import bt
from bt.errors import ConfigError

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
        ({"commission_minimum": -1.0}, "commission_minimum must be a finite number >= 0"),
        ({"commission_bps": 1e-16}, "commission_bps must have at most 14 decimals"),
    ],
)  # fmt: skip
def test_what_no_broker_charges_is_refused(tmp_path: Path, execution: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        play(two_days(tmp_path), buying(1, 0), LAST, execution=execution)
    assert message in str(refused.value)
