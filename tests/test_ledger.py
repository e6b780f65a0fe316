from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from bt.book import Curve, Desk, Market, Terms
from bt.errors import MoneyError
from bt.execution import Tape, ledger
from bt.execution import layout as at
from bt.model import UNIT, ExecutionSpec, QualitySpec, Session

MINUTE = 60_000_000


class Book:
    """One account's books over two symbols, the second of which never trades."""

    def __init__(self, closes: list[float | None], cash: int = 1000 * UNIT) -> None:
        self.market = Market(("A", "B"))
        self.desk = Desk()
        self.desk.join(self.market, Terms(ExecutionSpec(), QualitySpec(), 0.0, cash), lambda row: None)
        self.begin(closes)

    def begin(self, closes: list[float | None], prior: float = 0.0) -> None:
        """A session with these closes of the first symbol by minute, None without a bar."""
        end = len(closes) * MINUTE
        session = Session(date(2024, 1, 2), 0, end, ((0, end),), early_close=False, minutes=len(closes))
        slots = [slot for slot, c in enumerate(closes) if c is not None]
        values = np.array([c for c in closes if c is not None], dtype=np.float64)
        self.market.begin(session, 0)
        self.desk.begin(session, 0)
        priors = np.array([round(prior * UNIT), 0])
        code = np.zeros(len(slots), dtype=np.int64)
        time = np.arange(len(closes)) * MINUTE
        self.desk.play(Tape.of(code, np.array(slots, dtype=np.int64), values, values, time=time, prior=priors))

    def fill(
        self,
        shares: int,
        price: float,
        *,
        slot: int,
        commission: int = 0,
        reason: int = at.MARKET,
        at_close: bool = False,
    ) -> int:
        """Book a fill of the first symbol; its tag's code is the slot."""
        arrays = self.desk.arrays(1)
        units = round(price * UNIT)
        after = ledger.book_fill(
            *arrays, *self.desk.tape, 0, 0, shares, units, commission, slot, slot, slot, at_close, reason, slot, False
        )
        row = self.desk.tables.fill[int(self.desk.fixed[at.FILLS])]
        row[[at.F_SLOT, at.F_SHARES, at.F_PRICE, at.F_COMMISSION]] = slot, shares, units, commission
        self.desk.fixed[at.FILLS] += 1
        return int(after)

    @property
    def cash(self) -> int:
        return int(self.desk.account[0, at.CASH])

    @property
    def shares(self) -> int:
        return int(self.desk.shares[0])

    def held(self, column: int) -> int:
        """A column of the first symbol's position."""
        return int(self.desk.position[0, column])

    def finish(self) -> tuple[Curve, list[np.ndarray]]:
        """The session's curve and trades."""
        curves = self.desk.finish(int(self.desk.fixed[at.MINUTES]))
        return Curve(*curves[0]), list(self.desk.tables.trade[: int(self.desk.fixed[at.TRADES])])


def test_reducing_keeps_the_average_price():
    book = Book([5.0, 8.0, 9.0])
    assert book.fill(10, 5.0, slot=0) == 10
    assert book.fill(20, 8.0, slot=1) == 30
    assert book.fill(-15, 9.0, slot=2) == 15
    assert book.held(at.COST) / book.shares / UNIT == 7.0
    assert book.held(at.REALIZED) == 15 * 2 * UNIT
    assert book.cash == (1000 - 50 - 160 + 135) * UNIT


def test_the_cost_removed_is_rounded_half_to_even():
    book = Book([1e-8, 2e-8, 2e-8])
    book.fill(1, 1e-8, slot=0)
    book.fill(1, 2e-8, slot=1)  # two shares cost 3 units: one of them 1.5
    book.fill(-1, 2e-8, slot=2)
    assert book.held(at.COST) == 1
    assert book.held(at.REALIZED) == 0


def test_a_reversal_closes_one_trade_and_opens_the_next():
    book = Book([5.0, 6.0])
    book.fill(10, 5.0, slot=0, commission=10)
    assert book.fill(-25, 6.0, slot=1, commission=25, reason=at.TARGET) == -15
    assert book.shares == -15
    assert [book.held(k) for k in (at.COST, at.COMMISSION, at.ENTRY_TAG)] == [-90 * UNIT, 15, 1]
    _, (trade,) = book.finish()
    assert trade[[at.T_SHARES, at.T_GROSS, at.T_COMMISSION]].tolist() == [10, 10 * UNIT, 20]
    assert trade[[at.T_TAG, at.T_REASON]].tolist() == [0, at.TARGET]


def test_the_curve_follows_cash_and_closes():
    book = Book([4.0, 6.0, None, 7.0])
    book.fill(10, 5.0, slot=1, commission=UNIT)
    book.fill(-10, 7.0, slot=3)
    curve, _ = book.finish()
    assert (curve.cash // UNIT).tolist() == [1000, 949, 949, 1019]
    assert (curve.equity // UNIT).tolist() == [1000, 1009, 1009, 1019]
    assert (curve.gross // UNIT).tolist() == [0, 60, 60, 0]


def test_a_short_has_negative_net_and_positive_gross():
    book = Book([6.0])
    book.fill(-10, 5.0, slot=0)
    curve, _ = book.finish()
    assert (curve.gross[0], curve.net[0], curve.equity[0]) == (60 * UNIT, -60 * UNIT, 990 * UNIT)


def test_a_position_from_yesterday_is_marked_at_its_last_close():
    book = Book([5.0])
    book.fill(10, 5.0, slot=0)
    book.finish()
    book.begin([None, 8.0], prior=6.0)
    curve, _ = book.finish()
    assert (curve.equity // UNIT).tolist() == [1010, 1030]


def test_excursions_are_sampled_at_closes_while_held():
    book = Book([1.0, 4.0, 8.0, 99.0])
    book.fill(10, 5.0, slot=1)
    book.fill(-10, 5.5, slot=3)
    _, (trade,) = book.finish()
    assert trade[[at.T_WORST, at.T_BEST]].tolist() == [-10 * UNIT, 30 * UNIT]


def test_an_exit_at_the_close_was_held_through_the_last_minute():
    book = Book([5.0, 9.0])
    book.fill(10, 5.0, slot=0)
    book.fill(-10, 9.0, slot=1, at_close=True)
    _, (trade,) = book.finish()
    assert trade[at.T_BEST] == 40 * UNIT


def test_excursions_grow_over_sessions_and_are_at_most_and_at_least_zero():
    book = Book([6.0, 7.0])
    book.fill(10, 5.0, slot=0)
    book.finish()
    book.begin([6.5, 6.5], prior=7.0)
    book.fill(-10, 7.0, slot=1)
    _, (trade,) = book.finish()
    assert trade[[at.T_WORST, at.T_BEST]].tolist() == [0, 20 * UNIT]


def test_excursions_see_the_close_of_the_day_before_while_there_is_no_bar():
    book = Book([5.0])
    book.fill(10, 5.0, slot=0)
    book.finish()
    book.begin([None, None, 6.0], prior=3.0)
    book.fill(-10, 6.0, slot=2)
    _, (trade,) = book.finish()
    assert trade[[at.T_WORST, at.T_BEST]].tolist() == [-20 * UNIT, 0]


def test_amounts_that_do_not_fit_are_errors():
    with pytest.raises(MoneyError):
        Book([1.0]).fill(10**9, 1000.0, slot=0)
    book = Book([50_000.0])
    book.fill(10**7, 1000.0, slot=0)
    with pytest.raises(MoneyError, match="must fit int64"):
        book.finish()
