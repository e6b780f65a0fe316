"""Where P&L is from, by hand; tests/test_order_laws.py has the law that the parts add up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from small import TUESDAY, WEDNESDAY, Script, bars, play, store

import bt
from bt.model import UNIT
from bt.run.attribution import _units

COSTS = {"slippage_bps": 100.0, "commission_per_share": 0.1}


def market(folder: Path) -> Path:
    """A rises from 10 to 15, B stays at 20; on the second day A is at 16."""
    rising = bars("A", [10.0, 11.0, 12.0, 13.0, 14.0, 15.0])
    return store(folder, rising, bars("B", [20.0] * 6), bars("A", [16.0] * 2, day=WEDNESDAY, first=3), bars("B", [20.0] * 2, day=WEDNESDAY, first=3))  # fmt: skip


STEPS = {
    ("A", 0): lambda b: b.order("A", 10, tag="in"),
    ("A", 1): lambda b: b.order("B", -5, tag="short"),
    ("A", 2): lambda b: b.order("A", -14, tag="turn"),
}
"""Ten A at 11.11; five B sold at 19.80; fourteen A sold at 12.87, of which four open a short."""


def rows(frame: pl.DataFrame, *names: str) -> list[tuple[Any, ...]]:
    return [tuple(round(v, 8) if isinstance(v, float) else v for v in row) for row in frame.select(names).rows()]


def test_symbols(tmp_path: Path) -> None:
    run = play(
        market(tmp_path), Script(STEPS), TUESDAY, WEDNESDAY, cash=1e4, execution=COSTS, account={"borrow_bps": 3600.0}
    )
    names = ("symbol", "trades", "hit_rate", "gross_pnl", "slippage", "commission", "borrow", "net_pnl", "value_traded")
    # A: 10 x 2 from 11 to 13, and 4 x -3 from 13 to 16; the night of 60 and of 100 short at 36 % of 1 / 360
    assert rows(run.by_symbol, *names) == [
        ("A", 1, 1.0, 8.0, 2.92, 2.4, -0.06, 2.62, 291.28), ("B", 0, None, 0.0, 1.0, 0.5, -0.1, -1.6, 99.0),
    ]  # fmt: skip
    assert rows(run.by_strategy, *names[1:]) == [(1, 1.0, 8.0, 3.92, 2.9, -0.16, 1.02, 390.28)]
    assert run.summary["net_pnl"] == 1.02


def test_tags_are_of_what_opened_the_position(tmp_path: Path) -> None:
    """The sale of fourteen closes ten of `in` and opens four of `turn`, each with its part of the commission and of the value."""
    run = play(
        market(tmp_path), Script(STEPS), TUESDAY, WEDNESDAY, cash=1e4, execution=COSTS, account={"borrow_bps": 3600.0}
    )
    names = ("entry_tag", "trades", "gross_pnl", "slippage", "commission", "borrow", "net_pnl", "value_traded")
    assert rows(run.by_tag, *names) == [
        ("in", 1, 20.0, 2.4, 2.0, 0.0, 15.6, 239.8),
        ("short", 0, 0.0, 1.0, 0.5, -0.1, -1.6, 99.0),
        ("turn", 0, -12.0, 0.52, 0.4, -0.06, -12.98, 51.48),
    ]
    assert run.trades.select("entry_tag", "net_pnl").rows() == [("in", 15.6)]


def test_exposure_is_of_closes(tmp_path: Path) -> None:
    """At the first close A is -60 and B -100 of 10,001.18, at the second -64 and -100 of 10,001.02 or so."""
    run = play(market(tmp_path), Script(STEPS), TUESDAY, WEDNESDAY, cash=1e4, execution=COSTS)
    equity = run.equity.group_by("session", maintain_order=True).last()["equity"].to_list()
    net = [-60 / equity[0] - 64 / equity[1], -100 / equity[0] - 100 / equity[1]]
    assert run.by_symbol["exposure_net"].to_list() == pytest.approx([n / 2 for n in net])
    assert run.by_symbol["exposure_gross"].to_list() == pytest.approx([-n / 2 for n in net])


def test_interest_is_of_no_symbol(tmp_path: Path) -> None:
    run = play(market(tmp_path), Script(), TUESDAY, WEDNESDAY, cash=1e4, account={"interest_bps": 360.0})
    assert rows(run.by_symbol, "symbol", "interest", "net_pnl") == [(None, 1.0, 1.0)]
    assert rows(run.by_tag, "entry_tag", "interest", "net_pnl") == [(None, 1.0, 1.0)]


def test_exits_before_entries_of_one_moment(tmp_path: Path) -> None:
    """By id the entry comes first; it happened after the exit that had been given later."""
    steps = {
        ("A", 0): lambda b: b.order("A", 10, tag="first"),
        ("A", 1): lambda b: (b.order("A", 4, tag="more"), b.order("A", -10, tag="out")),
    }
    run = play(market(tmp_path), Script(steps), TUESDAY, WEDNESDAY, cash=1e4)
    assert run.fills["position_after"].to_list() == [10, 4, 0]  # the table has them by id
    assert rows(run.by_tag, "entry_tag", "trades", "gross_pnl") == [("first", 1, 10.0), ("more", 0, 16.0)]


def test_a_renamed_symbol_is_one(tmp_path: Path) -> None:
    """A is called B from the second session on, with what was held of it and paid for it."""
    where = store(tmp_path, bars("A", [10.0] * 3), bars("B", [12.0] * 2, day=WEDNESDAY))
    actions = pl.DataFrame({"symbol": ["A"], "session": [WEDNESDAY], "kind": ["rename"], "to": ["B"]})
    actions = actions.with_columns(pl.col("session").str.to_date())
    script = Script({("A", 0): lambda b: b.order("A", 10, tag="in")})
    run = play(where, script, TUESDAY, WEDNESDAY, cash=1e4, actions=actions)
    assert rows(run.by_symbol, "symbol", "net_pnl") == [("B", 20.0)]
    assert rows(run.by_tag, "entry_tag", "net_pnl", "exposure_gross") == [("in", 20.0, round((100 / 1e4 + 120 / 10_020) / 2, 8))]  # fmt: skip


def test_a_run_without_a_fill_has_nothing_to_tell(tmp_path: Path) -> None:
    run = play(market(tmp_path), Script())
    assert run.by_strategy.is_empty()
    assert run.by_symbol.is_empty()
    assert run.by_tag.is_empty()


def test_it_is_there_when_a_run_is_opened_again(tmp_path: Path) -> None:
    run = play(market(tmp_path), Script(STEPS), TUESDAY, WEDNESDAY, cash=1e4, save=True, out=tmp_path / "run")
    assert bt.open_run(tmp_path / "run").by_tag.equals(run.by_tag)


def test_a_column_is_exact_in_units_as_far_as_doubles_tell_them() -> None:
    """Up to 2^26, on either side of 0; a product with 10^8 is off by one for some from 2^25 on."""
    units = [3_805_803_344_389_971, -4_169_621_185_706_577, 1, -1, 0, 2**26 * UNIT - 1]
    doubles = pl.DataFrame({"amount": [u / UNIT for u in units]})
    assert doubles.select(_units("amount"))["amount"].to_list() == units
