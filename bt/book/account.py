"""One account at a desk, as the engine handles it: its money, its orders' lives, and what they bring about."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from bt.book.asking import Asked, Legs
from bt.book.desk import Desk
from bt.book.market import Market
from bt.book.records import Curve, Output, Spoken
from bt.book.terms import Terms
from bt.book.waiting import Waiting
from bt.execution import IntArray, closing, giving, orders, power, targets
from bt.execution import layout as at
from bt.model import UNIT, Fill, Order, instant


class Account:
    """One strategy's money and orders. `bt.book.StrategyBook` is what the strategy sees of it.

    Attributes
    ----------
    market : Market
        What it knows.
    shares, levels : array
        By symbol the signed shares, and the level that a target is known not to change, NULL where it has to be looked at; the books' own arrays.
    positions : array
        (symbols, columns) what is kept of positions; the books' own array.
    records, log : list
        What the session has recorded and said so far; `settle` gives them with what happened to orders.
    margin_calls : int
        Those of the session.
    kept : memoryview
        `levels` for quick looks; from its first session on.
    waiting_targets : Waiting
        Targets given since the rules were last asked; `flush` hands them over.
    """

    def __init__(self, name: str, market: Market, terms: Terms, *, desk: Desk, hears: bool = True) -> None:
        self.name = name
        self.market = market
        self.execution = terms.execution
        self.desk = desk
        self._events: list[IntArray] = []
        self.number = desk.join(market, terms, self._events)
        self.by_symbol = desk.by_symbol
        self._hears = hears
        self._own: memoryview[int]
        self.kept: memoryview[int]
        self.shares: IntArray
        self.positions: IntArray
        self.levels: IntArray
        self._sit_down()
        self.start_cash = int(desk.account[self.number, at.CASH])
        self.waiting_targets = Waiting()
        self.records: list[tuple[int, str, float, int]] = []
        self.log: list[Spoken] = []
        self.margin_calls = 0
        self._opened_with: IntArray = np.zeros(0, dtype=np.int64)

    # ------------------------------------------------------------------------------------------------------------- columns

    def _sit_down(self) -> None:
        """Its part of the desk's arrays, which are laid out anew whenever somebody joins."""
        desk, n = self.desk, len(self.market.symbols)
        part = slice(self.number * n, (self.number + 1) * n)
        self._own, self.kept = desk.rows[self.number], desk.kept[self.number]
        self.shares, self.positions, self.levels = desk.shares[part], desk.position[part], desk.level[part]

    def position(self, code: int) -> int:
        """Signed shares held of a symbol."""
        return int(self.desk.shares[self.number * len(self.market.symbols) + code])

    def held_codes(self) -> list[int]:
        """The codes of what is held, in order."""
        found: list[int] = np.flatnonzero(self.shares).tolist()
        return found

    def priced(self, code: int, worth: int) -> float:
        """What a share of a symbol is worth, in units, as a price; a distance likewise."""
        listed = self.desk.instruments
        return worth / UNIT if listed is None else listed.price(worth, code)

    def worth(self, code: int, price: int | None) -> int | None:
        """A price or distance in units as money of a share of a symbol, at least a unit; None where there is none."""
        listed = self.desk.instruments
        return price if listed is None or price is None else max(listed.worth(price, code), 1)

    def in_lots(self, code: int, shares: int) -> int:
        """Signed shares cut toward zero to whole lots of a symbol."""
        listed = self.desk.instruments
        if listed is None:
            return shares
        lot = int(listed.lot[code])
        return shares // lot * lot if shares >= 0 else -(-shares // lot * lot)

    def held(self) -> IntArray:
        """A row (code, shares, what one is worth at the last close and all of them, in units) of every position, by code."""
        code = np.flatnonzero(self.shares)
        made = np.empty((len(code), 4), dtype=np.int64)
        made[:, 0], made[:, 1], made[:, 2] = code, self.shares[code], self.market.last[code]
        np.multiply(made[:, 1], made[:, 2], out=made[:, 3])
        return made

    # --------------------------------------------------------------------------------------------------------------- money

    @property
    def leverage(self) -> int:
        """0 where orders are never refused for money."""
        return int(self.desk.fixed[at.LEVERAGE_UP])

    def cash(self, code: int) -> int:
        """Cash in units: that of all who share it, or of `code` where every symbol has its own."""
        return int(self.positions[code, at.OWN_CASH] if self.by_symbol else self.desk.account[:, at.CASH].sum())

    def value(self, code: int) -> tuple[int, int]:
        """(net, gross) of the positions in units at the last closes shown; at cost while a symbol has shown none."""
        if not self.by_symbol:
            self.desk.look()
            power.worth(self.desk.fixed)
            return int(self.desk.fixed[at.NET]), int(self.desk.fixed[at.GROSS])
        held, last = int(self.shares[code]), int(self.market.last[code])
        net = held * last if last else int(self.positions[code, at.COST])
        return net, abs(net)

    def equity(self, code: int) -> int:
        """Cash and positions in units; of `code`, where every symbol has its own."""
        return self.cash(code) + self.value(code)[0]

    def equity_at_open(self, code: int) -> int:
        """`equity` as the session opened."""
        return int(self._opened_with[code if self.by_symbol else 0])

    def buying_power(self, code: int) -> float:
        """Leverage x equity - what positions take - what live orders have reserved, in currency."""
        self.flush()
        terms = self.desk.fixed
        up, down = int(terms[at.LEVERAGE_UP]), int(terms[at.LEVERAGE_DOWN])
        reserved = int(self.positions[code, at.OWN_RESERVED] if self.by_symbol else terms[at.RESERVED])
        net, tied = self.value(code)
        if self.by_symbol:
            margin = int(self.desk.ties[code])
            tied = abs(int(self.shares[code])) * margin if margin else tied
        else:
            tied = int(terms[at.TIED])
        return ((self.cash(code) + net) * up - (tied + reserved) * down) / (down * UNIT)

    # -------------------------------------------------------------------------------------------------------------- orders

    def flush(self) -> None:
        """Targets that were given are looked at, in order."""
        if self.waiting_targets.count:
            codes, levels, tags = self.waiting_targets.taken()
            self.desk.decide(self.number, codes, tags, levels=levels)

    def aim(self, codes: IntArray, levels: IntArray, tag: str) -> None:
        """Targets of some symbols, in order."""
        self.flush()
        self.desk.decide(self.number, codes, self.desk.code_array(tag), levels=levels)

    def aim_at(self, codes: IntArray, numbers: npt.NDArray[np.float64], tag: str) -> int:
        """Targets of some symbols, in order, whose levels are numbers, NaN for none; -1, or why none was decided: as `targets.decide`."""
        self.flush()
        return self.desk.decide(self.number, codes, self.desk.code_array(tag), numbers=numbers)

    def order(self, code: int, shares: int, asked: Asked, tag: str) -> int:
        """An order of signed shares; its id."""
        self.flush()
        arrays = self.desk.arrays(4)
        kind, tif = at.TYPES.index(asked.type), at.TIFS.index(asked.tif)
        prices = _as_units(asked.limit), _as_units(asked.stop), _as_units(asked.trail)
        legs = map(_as_units, asked.legs)
        number, partner = self.desk.code_of(tag), _as_units(asked.partner)
        return int(giving.order_shares(*arrays, self.number, code, kind, shares, tif, number, *prices, partner, *legs))

    def aim_with_legs(self, code: int, level: int, legs: Legs, tag: str) -> None:
        """One target with legs."""
        self.flush()
        targets.aim_with_legs(
            *self.desk.arrays(4), self.number, code, level, self.desk.code_of(tag), *map(_as_units, legs)
        )

    def live_row(self, code: int | None, number: int) -> int | None:
        """The row of the live order of an id, None where there is none; with `code` of that symbol."""
        self.flush()
        for k in closing.live(*self.desk.arrays(0), self.number).tolist():
            order = self.desk.tables.order[k]
            if order[at.O_ID] == number and (code is None or order[at.O_CODE] == code):
                return int(k)
        return None

    def replace(self, row: int, shares: int | None, prices: Sequence[int | None]) -> int:
        """The successor of the live order in a row of the desk's: its id."""
        return int(giving.replace_order(*self.desk.arrays(1), row, _as_units(shares), *map(_as_units, prices)))

    def exit_at_close(self, code: int, before: int) -> None:
        """A standing exit of a symbol, or of every one."""
        self.flush()
        giving.order_exit(*self.desk.arrays(1), self.number, code, before, at.DAY)

    def cancel(self, code: int | None, number: int | None) -> bool:
        """Orders that concern a symbol (None: any), or the one of an id, end; whether there were any."""
        self.flush()
        every, all_ = at.EVERY if code is None else code, at.NULL if number is None else number
        return bool(closing.cancel(*self.desk.arrays(0), self.number, every, all_, at.WITHDRAWN))

    def open_orders(self, code: int | None) -> list[Order]:
        """The live orders that concern a symbol (None: any), by id."""
        self.flush()
        desk, found = self.desk, []
        arrays = desk.arrays(1)
        place = int(desk.fixed[at.EVENTS])  # a row that nothing is in
        for k in closing.live(*arrays, self.number).tolist():
            order = desk.tables.order[k]
            every = order[at.O_CODE] == at.EVERY and not (code is not None and self.positions[code, at.BUT])
            if code is None or order[at.O_CODE] == code or every:
                self._write(place, k)
                found.append(self._told(desk.tables.event[place]))
        return found

    # ------------------------------------------------------------------------------------------------------------- telling

    @property
    def waiting(self) -> bool:
        """Whether any order could fill."""
        own = self._own
        return own[at.LIVE] > 0 or own[at.STANDING] > 0

    @property
    def trading(self) -> bool:
        """Whether orders are taken: not while the strategy warms up."""
        return bool(self._own[at.TRADING])

    @trading.setter
    def trading(self, is_so: bool) -> None:
        self._own[at.TRADING] = int(is_so)

    @property
    def orders_given(self) -> int:
        """Orders of this session, refused ones included."""
        return self._own[at.GIVEN]

    @property
    def has_events(self) -> bool:
        """Whether on_order has something to be told."""
        if self.desk.counts[at.EVENTS]:
            self.desk.hand_out_events()
        return bool(self._events)

    def decide_at(self, us: int) -> None:
        """Orders given from now on count as decided at `us`, and what is cancelled as ended then."""
        if self.waiting_targets.count:
            self.flush()
        self._own[at.DECIDED] = us
        self.desk.counts[at.NOW] = us

    def events(self, of: Callable[[int], bool] | None = None) -> list[Order]:
        """What on_order has not been told yet; with `of`, of those symbols only."""
        self.flush()
        self.desk.hand_out_events()
        pending = self._events.copy()
        self._events[:] = [] if of is None else [row for row in pending if not of(int(row[at.R_CODE]))]
        return [self._told(row) for row in pending if of is None or of(int(row[at.R_CODE]))]

    def rename_events(self, renames: Mapping[int, int]) -> None:
        """What on_order has not been told yet is told under other codes: by them the book knows from now on what it was about."""
        self.desk.hand_out_events()
        for row in self._events:
            code = int(row[at.R_CODE])
            row[at.R_CODE] = renames.get(code, code)

    def _told(self, row: IntArray) -> Order:
        """An order as on_order and open_orders tell of it."""
        shares, level = int(row[at.R_SHARES]), int(row[at.R_LEVEL])
        kind, code = int(row[at.R_TYPE]), int(row[at.R_CODE])
        return Order(
            id=int(row[at.R_ID]),
            symbol="" if code == at.EVERY else self.market.symbols[code],
            type=at.TYPES[kind],
            shares=None if kind in (at.TARGET, at.EXIT) or shares == at.NULL else shares,
            level=None if level == at.NULL else level,
            tif=at.TIFS[int(row[at.R_TIF])],
            status=at.STATUSES[int(row[at.R_STATUS])],
            reason=at.REASONS[int(row[at.R_REASON])],
            tag=self.desk.tags[int(row[at.R_TAG])],
            decided_at=instant(int(row[at.R_DECIDED])),
            limit=self._price(code, row[at.R_LIMIT]),
            stop=self._price(code, row[at.R_STOP]),
            trail=self._price(code, row[at.R_TRAIL]),
            parent=int(row[at.R_PARENT]) or None,
            filled=int(row[at.R_FILLED]),
        )

    def _price(self, code: int, units: int) -> float | None:
        """A price or distance; None where there is none."""
        return None if units == at.NULL else self.priced(code, int(units))

    def fills_since(self, before: int) -> list[tuple[int, Fill]]:
        """Its fills from number `before` of the desk's on, each with its code, as on_fill is told of them."""
        rows = self.desk.tables.fill[before : int(self.desk.fixed[at.FILLS])]
        return [
            (int(row[at.F_CODE]), self._told_fill(row.tolist())) for row in rows if row[at.F_ACCOUNT] == self.number
        ]

    def _told_fill(self, row: list[int]) -> Fill:
        shares, price, reference = row[at.F_SHARES], row[at.F_PRICE], row[at.F_REFERENCE]
        return Fill(
            order_id=row[at.F_ORDER],
            symbol=self.market.symbols[row[at.F_CODE]],
            time=instant(row[at.F_TIME]),
            shares=shares,
            price=self.priced(row[at.F_CODE], price),
            reference_price=self.priced(row[at.F_CODE], reference),
            slippage=(price - reference) * shares / UNIT,
            commission=row[at.F_COMMISSION] / UNIT,
            position_after=row[at.F_AFTER],
            stale_minutes=row[at.F_STALE],
            tag=self.desk.tags[row[at.F_TAG]],
        )

    # ---------------------------------------------------------------------------------------------------- a session's life

    def begin(self) -> None:
        """A session starts: its clock stands at the open, and its desk has begun it."""
        self._sit_down()
        own, last = self._own, self.market.last
        if self.by_symbol:
            net = np.where(last != 0, self.shares * last, self.positions[:, at.COST])
            self._opened_with = self.positions[:, at.OWN_CASH] + net
        else:
            self._opened_with = np.array([self.equity(0)])
        own[at.DECIDED], own[at.GIVEN], own[at.HEARS] = self.market.now, 0, int(self._hears)
        self.records, self.log, self.margin_calls = [], [], 0

    def give_up(self) -> None:
        """The strategy raised and plays no more: its live orders are cancelled, its positions stay."""
        self.flush()
        closing.end_all(*self.desk.arrays(0), self.number, at.CANCELLED, at.STRATEGY_RAISED)
        self.desk.hand_out_events()
        self._events.clear()

    def expire(self, *, traded: bool = False) -> None:
        """The session is over: day orders end; with `traded` only those of symbols with a bar in the session."""
        self.flush()
        if self.waiting:
            closing.expire(*self.desk.arrays(0), *self.desk.tape, self.number, traded)

    def settle(self, curves: IntArray) -> tuple[Output, Curve]:
        """The session's output and equity curve; `curves` are the desk's. Rows may be the desk's own, which the next session writes over."""
        desk, tables, counts = self.desk, self.desk.tables, self.desk.counts
        records, fills = tables.record[: counts[at.RECORDS]], tables.fill[: counts[at.FILLS]]
        trades = tables.trade[: counts[at.TRADES]]
        if len(desk.account) > 1:
            records = records[records[:, at.R_ACCOUNT] == self.number]
            fills = fills[fills[:, at.F_ACCOUNT] == self.number]
            trades = trades[trades[:, at.T_ACCOUNT] == self.number]
        output = Output(
            records, fills, trades, desk.tags, self.records, self.log,
            margin_calls=self.margin_calls, cash=[move for number, move in desk.moves if number == self.number],
            at_quotes=self._own[at.AT_QUOTES], unmoved=desk.unmoved(fills[:, at.F_CODE]), ambiguous_bars=self._own[at.UNSURE_BARS], otherwise=self._own[at.OTHERWISE],
        )  # fmt: skip
        return output, Curve(*curves[self.number])

    def abandon(self) -> IntArray:
        """The records of the orders that are live at the end of the run."""
        found = closing.live(*self.desk.arrays(1), self.number).tolist()
        made = np.zeros((len(found), at.RECORD_COLUMNS), dtype=np.int64)
        place = int(self.desk.fixed[at.EVENTS])  # a row that nothing is in
        for row, k in zip(made, found, strict=True):
            self._write(place, k)
            row[:] = self.desk.tables.event[place]
            row[at.R_ENDED] = at.NULL
        return made

    def _write(self, place: int, k: int) -> None:
        """Live order `k` as a row of events that is not in use."""
        _, growing = self.desk.arrays(1)
        reason = self.desk.tables.order[k, at.O_REASON]
        orders.write(growing, int(growing[at.EVENTS_AT]) + place * at.RECORD_COLUMNS, k, at.OPEN, reason)


def _as_units(price: int | None) -> int:
    """A price as the rules take it."""
    return at.NULL if price is None else price
