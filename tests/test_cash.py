"""Cash that moves without a trade: nights of shorts and of cash (decision 0030)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from small import Script, at, bars, play, store

import bt

FRIDAY, MONDAY, TUESDAY = "2024-01-05", "2024-01-08", "2024-01-09"


def market(folder: Path) -> Path:
    """A at 10 on Friday, 12 on Monday, and 11 on Tuesday; B always at 5."""
    days = [(FRIDAY, 10.0), (MONDAY, 12.0), (TUESDAY, 11.0)]
    return store(folder, *(bars("A", [price] * 3, day=day) for day, price in days), *(bars("B", [5.0] * 3, day=day) for day, _ in days))  # fmt: skip


def moves(run: bt.Run) -> list[tuple[Any, ...]]:
    return [(str(day), symbol, kind, amount) for day, symbol, kind, amount in run.cash.select("session", "symbol", "kind", "amount").rows()]  # fmt: skip


def test_a_night_costs_what_is_short_and_brings_what_is_owned(tmp_path: Path) -> None:
    """1000 worth of A is short over three days, and 1100 of it at the night after; 3000 less 500 for B is the cash."""
    known: list[tuple[float, float]] = []

    class Asks(Script):
        def on_session_start(self, session: bt.Session, book: bt.Book) -> None:
            known.append((book.cash, book.session_pnl))

    script = Asks({("A", 0): lambda b: (b.order("A", -100), b.order("B", 100))})
    account = {"borrow_bps": 36.0, "interest_bps": 360.0, "debit_bps": 720.0}
    run = play(market(tmp_path), script, FRIDAY, TUESDAY, cash=2000.0, account=account)
    # 1000 x 0.36 % x 3 / 360 = 0.03; 2500 x 3.6 % x 3 / 360 = 0.75; 1200 x 0.36 % / 360 = 0.012; 2500.72 x 3.6 % / 360 = 0.250072
    assert moves(run) == [
        ("2024-01-08", None, "interest", 0.75), ("2024-01-08", "A", "borrow", -0.03),
        ("2024-01-09", None, "interest", 0.250072), ("2024-01-09", "A", "borrow", -0.012),
    ]  # fmt: skip
    assert run.cash["time"].unique(maintain_order=True).to_list() == [at(0, MONDAY), at(0, TUESDAY)]
    assert known == [(2000.0, 0.0), (2500.72, pytest.approx(0.72)), (2500.958072, pytest.approx(0.238072))]
    first = run.equity.filter(time=at(1, MONDAY))
    assert first["cash"].item() == 2500.72
    assert first["equity"].item() == 1800.72
    assert run.summary["net_pnl"] == pytest.approx(-100 + 0.958072)
    assert run.summary["cash_moved"] == {"borrow": -0.042, "interest": 1.000072}
    assert run.trades.is_empty()


def test_cash_below_0_costs(tmp_path: Path) -> None:
    script = Script({("A", 0): lambda b: b.order("A", 100)})
    account = {"interest_bps": 360.0, "debit_bps": 720.0, "leverage": 2.0}
    run = play(market(tmp_path), script, FRIDAY, MONDAY, cash=600.0, account=account)
    assert moves(run) == [("2024-01-08", None, "interest", -0.24)]  # 400 x 7.2 % x 3 / 360


def test_nothing_moves_where_a_run_is_stopped_before_its_first_minute(tmp_path: Path) -> None:
    """What a session's first minute would have shown has not happened."""

    class Stops(Script):
        def on_session_start(self, session: bt.Session, book: bt.Book) -> None:
            if str(session) >= MONDAY:
                book.stop("enough")

    run = play(market(tmp_path), Stops(), FRIDAY, TUESDAY, cash=1000.0, account={"interest_bps": 360.0})
    assert run.cash.is_empty()
    assert run.finish_reason == "stopped"
    assert run.summary["net_pnl"] == 0.0


def test_a_strategy_that_warms_up_has_no_nights(tmp_path: Path) -> None:
    class Warm(Script):
        warm_up = "1d"

    run = play(market(tmp_path), Warm(), MONDAY, TUESDAY, cash=1000.0, account={"interest_bps": 360.0})
    assert moves(run) == [("2024-01-09", None, "interest", 0.1)]


def test_one_cash_has_one_interest_in_equal_parts(tmp_path: Path) -> None:
    """Of 100 owned and 33.33333334 owed the account has 66.66666666; a day of 360 % is 1 %, in two parts a unit apart."""
    entries = [{"name": name, "use": Script()} for name in ("b", "a")]
    run = bt.replay(
        bars=market(tmp_path), calendar="XNYS", start=MONDAY, end=TUESDAY, strategies=entries, save=False,
        account={"cash": 100.00000150, "shared": True, "interest_bps": 36_000.0},
    )  # fmt: skip
    # 100.0000015 x 1 % = 1.000000015, to the unit 1.00000002 (half to even: ...01|5 -> 02), in parts of 0.50000001
    assert run.cash.select("strategy", "symbol", "amount").rows() == [("a", None, 0.50000001), ("b", None, 0.50000001)]


def test_symbols_with_their_own_money_have_their_own_nights(tmp_path: Path) -> None:
    class Shorts(Script):
        independent = True

        def on_session_start(self, session: bt.Session, book: bt.Book) -> None: ...

        def on_session_end(self, session: bt.Session, book: bt.Book) -> None: ...

    script = Shorts({("A", 0): lambda b: b.order("A", -10)})
    account = {"cash_per_symbol": 100.0, "borrow_bps": 360.0, "interest_bps": 3600.0}
    runs = [
        play(market(tmp_path), script, FRIDAY, MONDAY, account=account, set={"engine.workers": workers})
        for workers in (1, 2)
    ]
    for run in runs:
        assert moves(run) == [
            ("2024-01-08", "A", "borrow", -0.03), ("2024-01-08", "A", "interest", 0.6), ("2024-01-08", "B", "interest", 0.3),
        ]  # fmt: skip
    assert runs[0].cash.equals(runs[1].cash)
    assert runs[0].summary["cash_moved"] == runs[1].summary["cash_moved"] == {"borrow": -0.03, "interest": 0.9}
