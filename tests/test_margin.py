"""Margin as of Regulation T, by hand (decision 0030); tests/test_order_laws.py has the rest."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import oracle as o
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from order_worlds import Orderer, OrderHabits, executions, order_worlds
from small import Script, bars, play, store
from test_laws import law
from test_order_laws import (
    Entries,
    HeardLegsByColumns,
    LegsByColumns,
    LegsByRows,
    assert_same_result,
    assert_same_told,
)
from watchers import fitting, judged, replayed
from worlds import World, stored

import bt
from bt.errors import ConfigError
from bt.run import summary_lines

FIRST, SECOND, THIRD = "2024-01-02", "2024-01-03", "2024-01-04"
REG_T = {"margin": "reg_t"}
LIQUIDATE = {**REG_T, "margin_call": "liquidate"}


def market(folder: Path, **prices: tuple[float, float, float]) -> Path:
    """Five minutes of each of three sessions, a price a session for each symbol."""
    days = (FIRST, SECOND, THIRD)
    return store(folder, *(bars(s, [p] * 5, day=day) for s, own in prices.items() for day, p in zip(days, own, strict=True)))  # fmt: skip


def calls(run: bt.Run) -> list[dict[str, Any]]:
    return [json.loads(fields) for fields in run.log.filter(message="margin call")["fields"]]


def test_half_of_what_is_opened_is_margin(tmp_path: Path) -> None:
    """1000 buys 2000 worth of shares, long and short together; what is reserved counts."""
    powers: list[float] = []
    script = Script(
        {
            ("A", 0): lambda b: (powers.append(b.buying_power), b.order("A", 120), powers.append(b.buying_power), b.order("B", -81)),
            ("A", 1): lambda b: (powers.append(b.buying_power), b.order("B", -80)),
            ("A", 3): lambda b: powers.append(b.buying_power),
        }
    )  # fmt: skip
    run = play(market(tmp_path, A=(10.0,) * 3, B=(10.0,) * 3), script, cash=1000.0, account=REG_T)
    assert run.orders.sort("id").select("shares", "status", "reason").rows() == [
        (120, "filled", ""), (-81, "rejected", "buying_power"), (-80, "filled", ""),
    ]  # fmt: skip
    assert powers == [2000.0, 800.0, 800.0, 0.0]
    assert run.summary["margin_calls"] == 0


def test_a_call_says_what_is_missing(tmp_path: Path) -> None:
    """200 at 10 with 1000 of cash; at 6.50 equity is 300 and 325 is required, at 6.60 it is 320 of 330; a short of 200 at 14 has 800 of 840 required."""
    script = Script({("A", 0): lambda b: b.order("A", 200)})
    where = market(tmp_path, A=(10.0, 6.5, 6.6), B=(10.0, 14.0, 13.0))
    run = play(where, script, FIRST, THIRD, cash=1000.0, account=REG_T)
    assert calls(run) == [
        {"equity": 300.0, "missing": 25.0, "required": 325.0}, {"equity": 320.0, "missing": 10.0, "required": 330.0},
    ]  # fmt: skip
    assert run.fills.height == 1
    assert ("margin calls", "2: run.log has what was missing") in summary_lines(run.summary)
    short = play(where, Script({("B", 0): lambda b: b.order("B", -200)}), FIRST, THIRD, cash=1000.0, account=REG_T)
    assert calls(short) == [
        {"equity": 200.0, "missing": 640.0, "required": 840.0}, {"equity": 400.0, "missing": 380.0, "required": 780.0},
    ]  # fmt: skip


def test_a_call_is_met_at_the_next_open_by_the_largest_first(tmp_path: Path) -> None:
    """120 A and 80 B at 10: at 6 and 7 equity is 280, required 320, missing 40. Of A 27 shares of 1.50 each free 40.50."""
    script = Script({("A", 0): lambda b: (b.order("A", 120), b.order("B", 80))})
    where = market(tmp_path, A=(10.0, 6.0, 6.0), B=(10.0, 7.0, 7.0))
    run = play(where, script, FIRST, THIRD, cash=1000.0, account=LIQUIDATE)
    assert calls(run) == [{"equity": 280.0, "missing": 40.0, "required": 320.0}]
    sold = run.fills.filter(tag="margin_call").select("session", "symbol", "shares").rows()
    assert [(str(day), symbol, shares) for day, symbol, shares in sold] == [(THIRD, "A", -27)]
    assert ("order", 3, "filled", "") not in script.happened


def test_shorts_are_covered_too_and_one_position_after_the_other(tmp_path: Path) -> None:
    """Long 100 A and short 100 B at 10: A at 3 and B at 15 leave 1000 - 700 - 500 = -200, required 75 + 450; everything goes."""
    script = Script({("A", 0): lambda b: (b.order("A", 100), b.order("B", -100))})
    where = market(tmp_path, A=(10.0, 3.0, 3.0), B=(10.0, 15.0, 15.0))
    run = play(where, script, FIRST, THIRD, cash=1000.0, account=LIQUIDATE)
    assert [c["missing"] for c in calls(run)] == [725.0, 200.0]  # at the end nothing is held, and 200 are owed
    assert run.fills.filter(tag="margin_call").select("symbol", "shares").rows() == [("A", -100), ("B", 100)]
    assert run.orders.filter(tag="margin_call").sort("id")["symbol"].to_list() == ["B", "A"]


def test_one_cash_has_one_margin(tmp_path: Path) -> None:
    """What one strategy loses the other's shares are sold for, if they are the larger."""
    one, two = Script({("A", 0): lambda b: b.order("A", 90)}), Script({("B", 0): lambda b: b.order("B", 110)})
    run = bt.replay(
        bars=market(tmp_path, A=(10.0, 3.0, 3.0), B=(10.0, 9.0, 9.0)), calendar="XNYS", start=FIRST, end=THIRD, save=False,
        strategies=[{"name": "one", "use": one}, {"name": "two", "use": two}], account={**LIQUIDATE, "cash": 1000.0, "shared": True},
    )  # fmt: skip
    assert run.log.select("strategy").rows() == [("one",)]
    assert calls(run) == [{"equity": 260.0, "missing": 55.0, "required": 315.0}]
    assert run.fills.filter(tag="margin_call").select("strategy", "symbol", "shares").rows() == [("two", "B", -25)]


def test_each_symbol_with_its_own_money_has_its_own_margin(tmp_path: Path) -> None:
    class Buys(Script):
        independent = True

        def on_session_start(self, session: bt.Session, book: bt.Book) -> None: ...

        def on_session_end(self, session: bt.Session, book: bt.Book) -> None: ...

    def buys(symbol: str) -> Any:
        return lambda b: b.order(symbol, 200)

    where = market(tmp_path, A=(10.0, 9.0, 9.0), B=(10.0, 6.5, 6.5))
    for workers in (1, 2):
        script = Buys({(symbol, 0): buys(symbol) for symbol in "AB"})
        account = {**LIQUIDATE, "cash_per_symbol": 1000.0}
        run = play(where, script, FIRST, THIRD, account=account, set={"engine.workers": workers})
        assert calls(run) == [{"equity": 300.0, "missing": 25.0, "required": 325.0, "symbol": "B"}]
        assert run.fills.filter(tag="margin_call").select("symbol", "shares").rows() == [("B", -16)]
        assert run.summary["margin_calls"] == 1


class Signals:
    """Twice what it has, from the first minute on: in columns."""

    def signals(self) -> dict[str, Any]:
        return {"target": pl.when((pl.col("minute") == 0) & (pl.col("close") == 10.0)).then(200)}


def test_a_session_of_signals_meets_calls_too(tmp_path: Path) -> None:
    run = play(market(tmp_path, A=(10.0, 6.5, 6.5)), Signals(), FIRST, THIRD, cash=1000.0, account=LIQUIDATE)
    assert run.fills.select("tag", "shares").rows() == [("", 200), ("margin_call", -16)]


@pytest.mark.parametrize("style", [LegsByColumns, HeardLegsByColumns, LegsByRows])
@pytest.mark.parametrize(
    ("second", "covered"),
    [
        ((10.41, 10.39), [("", 20, 0), ("margin_call", 20, 20)]),  # it says short, and is to be long
        (10.32, [("margin_call", 20, 0)]),  # it says cover, and is to be flat
    ],
)
def test_an_order_that_meets_a_call_counts_as_held(tmp_path: Path, style: Any, second: Any, covered: list[Any]) -> None:
    """Half of what 20 sold short at 10.39 are worth goes to slippage, all there is: the call is for all 20. With same_close what meets it is still on its way when
    the second session's first bar is shown, also where the stop at 10.41 has covered them within that bar."""
    how = Entries(factor=420, kinds=10_000, keys=("short", "cover"), legs=("stop_loss",))  # the same at every minute
    where = store(tmp_path, bars("A", [10.39] * 3), bars("A", [second] * 3, day=SECOND))
    execution = {"fill": "same_close", "slippage_bps": 5000.0}
    run = play(where, style(how), FIRST, SECOND, cash=103.9, account=LIQUIDATE, execution=execution)
    assert calls(run)[0] == {"equity": 0.0, "missing": 62.34, "required": 62.34}
    assert run.fills.select("tag", "shares", "position_after").rows() == [("", -20, -20), *covered]


def test_a_leverage_of_its_own_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"account.leverage must be left at 1 with account.margin = \"reg_t\", was 3"):
        play(market(tmp_path, A=(10.0,) * 3), Script(), account={**REG_T, "leverage": 3.0})


# --------------------------------------------------------------------------------------------------------------- the law

holders = st.builds(
    OrderHabits, seed=st.integers(0, 2**32 - 1), busy=st.sampled_from((0.01, 0.1)),
    kinds=st.sampled_from((("percent",), ("percent", "target"), ("percent", "limit", "risk"))), brackets=st.sampled_from((0.0, 0.4)),
)  # fmt: skip
margined = st.fixed_dictionaries(
    {
        "cash": st.sampled_from((1e6, 500.0)), "margin": st.just("reg_t"), "margin_call": st.sampled_from(("liquidate",) * 4 + ("report",)),
        "borrow_bps": st.sampled_from((0.0, 1e5)), "shared": st.booleans(),
    }
)  # fmt: skip


@law(40)
@given(order_worlds(least=3, sessions=4, most=40), st.lists(holders, min_size=1, max_size=2), executions, margined)
def test_calls_and_what_meets_them_are_those_of_the_oracle(
    world: World, hows: list[OrderHabits], execution: dict[str, Any], account: dict[str, Any]
) -> None:
    """Cheap shares that move far, held with all the buying power there is: a third of such runs has a call."""
    hows = [replace(how, symbols=tuple(world.symbols)) for how in hows]
    ours, theirs = ([Orderer(how) for how in hows] for _ in range(2))
    names = "ba"
    with stored(world) as folder:
        run, result = fitting(
            lambda: replayed(
                world, folder, None, strategies=[{"name": n, "use": one} for n, one in zip(names, ours, strict=False)],
                execution=execution, account=account,
            ),
            lambda: judged(
                world, *[o.Strategy(n, one, [o.RowType.of(r) for r in one.row]) for n, one in zip(names, theirs, strict=False)],
                execution=o.Execution(**execution), account=o.Account(**account),
            ),
        )  # fmt: skip
    for own, other in zip(ours, theirs, strict=True):
        assert_same_told(own, other)
    assert_same_result(run, result, "strategy", ordered=True)
