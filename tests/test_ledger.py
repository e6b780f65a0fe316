from __future__ import annotations

import numpy as np
import pytest

from bt.errors import MoneyError
from bt.ledger import Ledger, Marks, Moment
from bt.model import UNIT


def ledger(cash: int = 1000 * UNIT) -> Ledger:
    made = Ledger(2, cash)
    made.begin()
    return made


def fill(
    book: Ledger,
    shares: int,
    price: float,
    *,
    slot: int,
    commission: int = 0,
    reason: str = "market",
    at_close: bool = False,
) -> int:
    moment = Moment(time=slot, slot=slot, seen=slot, at_close=at_close)
    return book.book_fill(0, shares, round(price * UNIT), commission, moment, reason=reason, tag=f"t{slot}")


def marks(closes: list[float | None], prior: float = 0.0) -> Marks:
    """One symbol's closes by minute (None: no bar); the second symbol never trades."""
    present = [c for c in closes if c is not None]
    number = iter(range(len(present)))
    rows = np.array([[-1 if c is None else next(number) for c in closes], [-1] * len(closes)], dtype=np.int32)
    units = np.array([round(c * UNIT) for c in present], dtype=np.int64)
    rows = np.maximum.accumulate(rows, axis=1)
    return Marks(rows, lambda some: units[some], np.array([round(prior * UNIT), 0]))


def test_reducing_keeps_the_average_price():
    book = ledger()
    assert fill(book, 10, 5.0, slot=0) == 10
    assert fill(book, 20, 8.0, slot=1) == 30
    assert fill(book, -15, 9.0, slot=2) == 15
    held = book.positions[0]
    assert held.cost / held.shares / UNIT == 7.0
    assert held.realized == 15 * 2 * UNIT
    assert book.cash == (1000 - 50 - 160 + 135) * UNIT


def test_the_cost_removed_is_rounded_half_to_even():
    book = ledger()
    fill(book, 1, 1e-8, slot=0)
    fill(book, 1, 2e-8, slot=1)  # two shares cost 3 units: one of them 1.5
    fill(book, -1, 2e-8, slot=2)
    assert book.positions[0].cost == 1
    assert book.positions[0].realized == 0


def test_a_reversal_closes_one_trade_and_opens_the_next():
    book = ledger()
    fill(book, 10, 5.0, slot=0, commission=10)
    assert fill(book, -25, 6.0, slot=1, commission=25, reason="target") == -15
    held = book.positions[0]
    assert (held.shares, held.cost, held.commission, held.entry_tag) == (-15, -90 * UNIT, 15, "t1")
    _, trades = book.finish(marks([5.0, 6.0]))
    (trade,) = trades
    assert (trade.shares, trade.gross, trade.commission) == (10, 10 * UNIT, 20)
    assert (trade.entry_tag, trade.exit_reason) == ("t0", "target")


def test_the_curve_follows_cash_and_closes():
    book = ledger()
    fill(book, 10, 5.0, slot=1, commission=UNIT)
    fill(book, -10, 7.0, slot=3)
    curve, _ = book.finish(marks([4.0, 6.0, None, 7.0]))
    assert (curve.cash // UNIT).tolist() == [1000, 949, 949, 1019]
    assert (curve.equity // UNIT).tolist() == [1000, 1009, 1009, 1019]
    assert (curve.gross // UNIT).tolist() == [0, 60, 60, 0]


def test_a_short_has_negative_net_and_positive_gross():
    book = ledger()
    fill(book, -10, 5.0, slot=0)
    curve, _ = book.finish(marks([6.0]))
    assert (curve.gross[0], curve.net[0], curve.equity[0]) == (60 * UNIT, -60 * UNIT, 990 * UNIT)


def test_a_position_from_yesterday_is_marked_at_its_last_close():
    book = ledger()
    fill(book, 10, 5.0, slot=0)
    book.finish(marks([5.0]))
    book.begin()
    curve, _ = book.finish(marks([None, 8.0], prior=6.0))
    assert (curve.equity // UNIT).tolist() == [1010, 1030]


def test_excursions_are_sampled_at_closes_while_held():
    book = ledger()
    fill(book, 10, 5.0, slot=1)
    fill(book, -10, 5.5, slot=3)
    _, trades = book.finish(marks([1.0, 4.0, 8.0, 99.0]))
    assert (trades[0].mae, trades[0].mfe) == (-10 * UNIT, 30 * UNIT)


def test_an_exit_at_the_close_was_held_through_the_last_minute():
    book = ledger()
    fill(book, 10, 5.0, slot=0)
    fill(book, -10, 9.0, slot=1, at_close=True)
    _, trades = book.finish(marks([5.0, 9.0]))
    assert trades[0].mfe == 40 * UNIT


def test_excursions_grow_over_sessions_and_are_at_most_and_at_least_zero():
    book = ledger()
    fill(book, 10, 5.0, slot=0)
    book.finish(marks([6.0, 7.0]))
    book.begin()
    fill(book, -10, 7.0, slot=1)
    _, trades = book.finish(marks([6.5, 6.5], prior=7.0))
    assert (trades[0].mae, trades[0].mfe) == (0, 20 * UNIT)


def test_amounts_that_do_not_fit_are_errors():
    book = ledger()
    with pytest.raises(MoneyError):
        fill(book, 10**9, 1000.0, slot=0)
    book = ledger()
    fill(book, 10**7, 1000.0, slot=0)
    with pytest.raises(MoneyError, match="must fit int64"):
        book.finish(marks([50_000.0]))
