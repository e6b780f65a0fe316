"""The laws that every run obeys: cash and positions explain every fill, and equity is what they are worth.

`Audit` watches the sessions that engines play and the runs that come of them. It keeps its own books from nothing but the
fills, in whole numbers of 1e-8, and marks them with the bars themselves; what the engine says of cash, equity, positions and
trades must be the same to the unit.
"""

from __future__ import annotations

import copy
import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Any, NamedTuple

import acted
import numpy as np
import polars as pl
import pytest

import bt.run.replaying
from bt.engine import Engine, PlayerOutcome, SessionOutcome
from bt.errors import StrategyRaised
from bt.execution import layout as at
from bt.model import UNIT, ExecutionSpec, Instruments, PreparedSession, RunSpec, Session, high_low
from bt.run.making import Made
from bt.run.pool import Tell
from bt.run.slices import Part, SliceRecorder

MINUTE = 60_000_000


class FillRecord(NamedTuple):
    """A fill of the engine's books; money in units, times in us."""

    order_id: int
    code: int
    time: int
    slot: int
    shares: int
    price: int
    reference: int
    commission: int
    position_after: int
    stale_minutes: int
    bar: int
    ambiguous: int


class Terms(NamedTuple):
    """What an order was, as far as its fills must keep to it; prices in units, None without one."""

    type: str
    decided: int
    side: int
    shares: int | None
    limit: int | None
    status: str
    filled: int


class Trade(NamedTuple):
    """A closed trade of the engine's books; `shares` is signed, the total that was opened."""

    code: int
    shares: int
    entry_time: int
    exit_time: int
    entry_value: int
    exit_value: int
    gross: int
    commission: int
    mae: int
    mfe: int


def fills_of(own: PlayerOutcome) -> list[FillRecord]:
    columns = (
        at.F_ORDER, at.F_CODE, at.F_TIME, at.F_SLOT, at.F_SHARES, at.F_PRICE, at.F_REFERENCE, at.F_COMMISSION, at.F_AFTER, at.F_STALE,
        at.F_BAR, at.F_DOUBTED,
    )  # fmt: skip
    return [FillRecord(*row) for row in own.output.fills[:, columns].tolist()]


def live_orders(player: Any) -> np.ndarray:
    """Rows of a strategy's orders that are not over."""
    desk = player.account.desk
    rows = desk.tables.order[: int(desk.fixed[at.HIGH])]
    return rows[(rows[:, at.O_USED] == 1) & (rows[:, at.O_ACCOUNT] == player.account.number)]


def terms_of(rows: np.ndarray, columns: Sequence[int]) -> dict[tuple[int, int], Terms]:
    """By code and id what orders were; `columns` are those of code, id and what `Terms` has but the status and type."""
    made = {}
    for code, number, kind, decided, side, shares, limit, status, filled in rows[:, columns].tolist():
        known = [None if value == at.NULL else value for value in (shares, limit)]
        made[code, number] = Terms(at.TYPES[kind], decided, side, *known, at.STATUSES[status], filled)
    return made


def trades_of(own: PlayerOutcome) -> list[Trade]:
    columns = (
        at.T_CODE, at.T_SHARES, at.T_ENTERED, at.T_EXITED, at.T_ENTRY_VALUE, at.T_EXIT_VALUE, at.T_GROSS, at.T_COMMISSION, at.T_WORST,
        at.T_BEST,
    )  # fmt: skip
    return [Trade(*row) for row in own.output.trades[:, columns].tolist()]


@lru_cache(maxsize=1 << 16)
def exact(number: float) -> Fraction:
    """The number as written."""
    return Fraction(Decimal(repr(float(number))))


@dataclass
class Lot:
    """What one symbol's fills add up to since it was last flat; money in units."""

    opened: int
    shares: int = 0
    entered: int = 0
    entry_value: int = 0
    exit_value: int = 0
    commission: int = 0


@dataclass
class Books:
    """One strategy's books, kept from its fills."""

    cash: int
    start: int
    lots: dict[int, Lot] = field(default_factory=dict)
    filled: dict[tuple[int, int], int] = field(default_factory=dict)
    touched: set[tuple[int, int]] = field(default_factory=set)
    """Orders with a fill; those of a target may add up to nothing."""
    over: set[tuple[int, int]] = field(default_factory=set)
    net_of_trades: int = 0
    moved: int = 0
    curve: list[Any] = field(default_factory=list)
    fills: int = 0
    trades: int = 0
    moves: int = 0

    def book(self, fill: FillRecord) -> list[tuple[Any, ...]]:
        """Book a fill; the trades it ends, each as (code, entry_time, exit_time, side, shares, entry, exit, commission)."""
        self.cash -= fill.shares * fill.price + fill.commission
        lot = self.lots.setdefault(fill.code, Lot(fill.time))
        ended = []
        rest, commission = fill.shares, fill.commission
        if lot.shares * rest < 0:
            out = min(abs(rest), abs(lot.shares))
            side = 1 if lot.shares > 0 else -1
            part = round(Fraction(commission * out, abs(rest)))
            lot.exit_value += out * fill.price
            lot.commission += part
            lot.shares -= side * out
            rest, commission = rest + side * out, commission - part
            if lot.shares == 0:
                values = (lot.entered, lot.entry_value, lot.exit_value, lot.commission)
                ended.append((fill.code, lot.opened, fill.time, side, *values))
                self.net_of_trades += side * (lot.exit_value - lot.entry_value) - lot.commission
                del self.lots[fill.code]
                lot = Lot(fill.time)
        if rest:
            self.lots[fill.code] = lot
            lot.shares += rest
            lot.entered += abs(rest)
            lot.entry_value += abs(rest) * fill.price
            lot.commission += commission
        return ended

    def open_pnl(self, marks: Sequence[int]) -> int:
        """What the open lots have made so far."""
        total = 0
        for code, lot in self.lots.items():
            side = 1 if lot.shares > 0 else -1
            total += side * (lot.exit_value - lot.entry_value) + lot.shares * int(marks[code]) - lot.commission
        return total


@dataclass
class Fees:
    """What those who share their money were charged so far: by order (account, code where every symbol has its own money, id) its own commissions and what was paid; the shares of `month`,
    by code where every symbol has its own money."""

    orders: dict[tuple[int, int, int], tuple[int, int]] = field(default_factory=dict)
    shares: dict[int, int] = field(default_factory=dict)
    month: tuple[int, int] = (0, 0)


def charges(execution: ExecutionSpec, desk: Any, session: date, fees: Fees) -> list[int]:
    """The commissions of a session's fills, units, in their order."""
    listed = desk.instruments
    made, tiers, rows = [], execution.commission_tiers, desk.tables.fill[: int(desk.fixed[at.FILLS])]
    if fees.month != (session.year, session.month):
        fees.month, fees.shares = (session.year, session.month), {}
    closed_out = acted.closing(desk)
    for row in rows.tolist():
        a, code, number, size, price = (
            row[at.F_ACCOUNT],
            row[at.F_CODE],
            row[at.F_ORDER],
            abs(row[at.F_SHARES]),
            row[at.F_PRICE],
        )
        whose = code if desk.by_symbol else -1
        if (a, code, number) in closed_out:
            made.append(0)
            continue
        before = fees.shares.get(whose, 0)
        own, paid = fees.orders.get((a, whose, number), (0, 0))
        if (a, whose, number) not in fees.orders:
            own += in_units(execution.commission_per_trade)
        fee = None if listed is None else listed.commission[code]
        if fee is None:
            own += round(size * exact(execution.commission_per_share) * UNIT)
        else:
            own += size * fee
        own += round(size * price * exact(execution.commission_bps) / 10_000)
        ends = [start for start, _ in tiers[1:]] + [math.inf]
        for (start, rate), end in zip(tiers, ends, strict=bool(tiers)) if fee is None else ():
            own += int(max(min(before + size, end) - max(before, start), 0)) * in_units(rate)
        fees.shares[whose] = before + (size if fee is None else 0)
        due = max(own, in_units(execution.commission_minimum))
        fees.orders[a, whose, number] = own, due
        made.append(due - paid)
    return made


@dataclass
class Account:
    """What is known of one engine: its strategies' books and each symbol's last close."""

    engine: Engine
    spec: RunSpec | None
    marks: np.ndarray
    books: list[Books]
    fees: dict[int, Fees] = field(default_factory=dict)
    charged: dict[int, list[int]] = field(default_factory=dict)
    same: dict[int, int] = field(default_factory=dict)
    """Of codes that were renamed to one another, one."""


class Tape:
    """A session's minute bars by symbol, as they were prepared; with instruments prices are what a share is worth, and volumes shares."""

    def __init__(
        self, prepared: PreparedSession, instruments: Instruments | None = None, *, waited: bool = True
    ) -> None:
        """Highs and lows are there where an order has `waited` for a price."""
        bars = prepared.minutes
        self.session: Session = prepared.session
        self.slot = bars.begin.astype(np.int64)
        self.code = bars.code.astype(np.int64)
        self.open, self.close = bars.columns["open"].values, bars.columns["close"].values
        self.volume = bars.columns["volume"].values
        self.high, self.low = (high_low(bars, prepared.extremes) if waited else None) or (None, None)
        self.bid, self.ask = (bars.columns[k].values if k in bars.columns else None for k in ("bid", "ask"))
        self.closing = prepared.closing
        self.times = [t for a, b in self.session.segments for t in range(a, b, MINUTE)]
        if instruments is not None:
            self._scale(instruments)

    def _scale(self, instruments: Instruments) -> None:
        """Every price times its symbol's multiplier, in fractions."""
        each = instruments.multiplier

        def worth(price: float, code: int) -> float:
            return round(exact(price) * UNIT * each[code]) / UNIT if math.isfinite(price) else price

        for name in ("open", "close", "high", "low", "bid", "ask"):
            values = getattr(self, name)
            if values is not None:
                pairs = zip(values.tolist(), self.code.tolist(), strict=True)
                setattr(self, name, np.array([worth(price, code) for price, code in pairs], dtype=np.float64))
        self.closing = {code: worth(price, code) for code, price in self.closing.items()}
        base = [k in ("crypto", "fx") for k in instruments.kinds]
        shares = [
            volume * float(each[code].denominator) / float(each[code].numerator) if base[code] else volume
            for volume, code in zip(self.volume.tolist(), self.code.tolist(), strict=True)
        ]
        self.volume = np.array(shares, dtype=np.float64)

    def of(self, code: int) -> slice:
        """Rows of a symbol, by time."""
        a, b = np.searchsorted(self.code, [code, code + 1])
        return slice(int(a), int(b))

    def row(self, code: int, slot: int) -> int | None:
        """The row of the symbol's bar in a minute; None without one."""
        rows = self.of(code)
        at = rows.start + int(np.searchsorted(self.slot[rows], slot))
        return at if at < rows.stop and self.slot[at] == slot else None

    def opens_at(self, code: int, slot: int) -> int | None:
        """The open of the symbol's bar in a minute, units; None without one."""
        row = self.row(code, slot)
        return None if row is None else in_units(self.open[row])

    def filling(self, execution: ExecutionSpec) -> Tape:
        """The bars that fill orders, and no others."""
        if execution.zero_volume == "fill":
            return self
        kept, made = self.volume > 0, copy.copy(self)
        for name in ("slot", "code", "open", "close", "volume", "high", "low", "bid", "ask"):
            values = getattr(self, name)
            setattr(made, name, None if values is None else values[kept])
        return made

    def marks(self, code: int, before: int, minutes: int) -> np.ndarray:
        """The last close known at each minute's end, units."""
        rows = self.of(code)
        closes = np.concatenate([[before], np.rint(self.close[rows] * UNIT).astype(np.int64)])
        return closes[np.searchsorted(self.slot[rows], np.arange(minutes), side="right")]


@lru_cache(maxsize=1 << 16)
def in_units(price: float) -> int:
    """A price in units of 1e-8, rounded half to even."""
    return round(exact(price) * UNIT)


def in_units_of(amounts: pl.Series) -> int:
    """The sum of some amounts, units."""
    return sum(in_units(amount) for amount in amounts)


class Audit:
    """Watches every run made while it is installed; `broken` lists the laws that were."""

    def __init__(self) -> None:
        self.broken: list[str] = []
        self.sessions = 0
        self._accounts: list[Account] = []
        self._spec: RunSpec | None = None

    def install(self, patch: pytest.MonkeyPatch) -> None:
        """Watch `Engine.play` and the making of runs."""
        play, replay = Engine.play, bt.run.replaying._replay

        def watched_play(engine: Engine, prepared: PreparedSession, number: int, **how: Any) -> SessionOutcome:
            account = self._account(engine)
            outcome = play(engine, prepared, number, **how)
            self._check(self._session, account, prepared, outcome)
            return outcome

        def watched_replay(spec: RunSpec, *args: Any, **keywords: Any) -> bt.run.replaying.Run:
            before, count, self._spec = self._spec, len(self._accounts), spec
            try:
                run = replay(spec, *args, **keywords)
                self._check(self._run, run, self._accounts[count:])
            except StrategyRaised as error:
                if error.run is not None:
                    self._check(self._run, error.run, self._accounts[count:])
                raise
            finally:
                self._spec = before
                del self._accounts[count:]  # a law makes thousands of runs
            return run

        begin = SliceRecorder.__init__

        def watched_begin(recorder: SliceRecorder, parts: Made, part: Part, tell: Tell) -> None:
            self._spec = parts.spec
            begin(recorder, parts, part, tell)

        patch.setattr(SliceRecorder, "__init__", watched_begin)
        patch.setattr(Engine, "play", watched_play)
        patch.setattr(bt.run.replaying, "_replay", watched_replay)

    def _check(self, law: Callable[..., None], *on: Any) -> None:
        try:
            law(*on)
        except AssertionError as error:
            self.broken.append(str(error))
            raise

    def _account(self, engine: Engine) -> Account:
        for account in self._accounts:
            if account.engine is engine:
                return account
        cash = [p.account.start_cash for p in engine.players]
        marks = np.zeros(len(engine.market.symbols), dtype=np.int64)
        self._accounts.append(Account(engine, self._spec, marks, [Books(c, c) for c in cash]))
        return self._accounts[-1]

    # ------------------------------------------------------------------------------------------------- one session

    def _session(self, account: Account, prepared: PreparedSession, outcome: SessionOutcome) -> None:
        self.sessions += 1
        if not account.engine.players:
            return
        listed = account.engine.players[0].account.desk.instruments
        ended = [own.output.orders[:, at.R_TYPE] for own in outcome.players]
        live = [live_orders(player)[:, at.O_TYPE] for player in account.engine.players]
        waited = bool((np.concatenate([*ended, *live]) >= at.LIMIT_ORDER).any())
        tape = Tape(prepared, listed, waited=waited)
        acts = acted.Acts.of(account.marks, acted.in_money(prepared.actions, listed))
        for fees in account.fees.values():
            acts.rename_fees(fees)
        nothing = acted.Acts.of(account.marks, ())
        account.marks = acts.marks.copy()
        acts.join(account.same)
        for player, books, own in zip(account.engine.players, account.books, outcome.players, strict=True):
            rule = player.account.execution if account.spec is None else account.spec.execution
            minutes = outcome.minutes if player.over is None else min(player.over, outcome.minutes)
            assert all(move.time == tape.session.open for move in own.output.cash), "cash moves at an open"
            fills, held, cash, ended = self._opened(books, own, nothing if player.asleep else acts)
            orders = self._orders(books, player, own)
            self._caps(rule, tape, own)
            self._commissions(account, rule, tape, player, own)
            impacts = player.account.desk.impacts.view(np.float64)
            for fill in fills:
                kind = orders[fill.code, fill.order_id].type
                if kind == "expiry":
                    self._expiry(account, fill, tape.filling(rule), tape, listed)
                elif kind in acted.CLOSES_OUT:
                    acts.check(fill, kind, tape.session.open)
                else:
                    order = orders[fill.code, fill.order_id]
                    self._fill(account, rule, tape.filling(rule), fill, order, tape, impacts)
                ended += books.book(fill)
                after = books.lots[fill.code].shares if fill.code in books.lots else 0
                assert after == fill.position_after, f"{fill}: the fills so far add up to {after}"
            self._trades(ended, trades_of(own))
            self._curve(account, tape, own, minutes, held, cash)
            if all(p.account.trading for p in account.engine.players):
                books.curve.append(own.curve)
            else:
                assert not len(own.output.fills), f"{tape.session.name}: no order is taken while strategies warm up"
                assert not own.output.cash, f"{tape.session.name}: no cash moves while strategies warm up"
            books.fills += len(own.output.fills)
            books.trades += len(own.output.trades)
            books.moves += len(own.output.cash)
        played = tape.slot < outcome.minutes
        account.marks[tape.code[played]] = np.rint(tape.close[played] * UNIT)  # by time within a symbol: the last stays
        for player, books, own in zip(account.engine.players, account.books, outcome.players, strict=True):
            if player.asleep and player.over is not None:
                continue  # its run was over before this session: nobody is told what it holds now
            worth = [
                [code, lot.shares, int(account.marks[code]), lot.shares * int(account.marks[code])]
                for code, lot in sorted(books.lots.items())
            ]
            assert own.positions.tolist() == worth, (
                f"{tape.session.name}: positions {own.positions.tolist()}, by the fills {worth}"
            )
            value = books.cash + sum(w[3] for w in worth)
            explained = books.start + books.net_of_trades + books.open_pnl(account.marks) + books.moved
            assert value == explained, (
                f"{tape.session.name}: worth {value}, its trades, open lots and moves of cash explain {explained}"
            )

    @staticmethod
    def _opened(
        books: Books, own: PlayerOutcome, acts: acted.Acts
    ) -> tuple[list[FillRecord], dict[int, int], int, list[tuple[Any, ...]]]:
        """What corporate actions and moves of cash make of the books at the open: the fills that are left to book, what is held
        and the cash before any of the session, and the trades that have ended."""
        fills, ended, displaced, cash = fills_of(own), [], dict[int, int](), books.cash
        for new in acts.displaced(books.lots):
            displaced[new] = books.lots[new].shares
            ended += books.book(fills.pop(0))
        acts.rename(books)
        paid = acts.pay(books)
        held = {code: lot.shares for code, lot in books.lots.items()}
        held |= {code: held.get(code, 0) + shares for code, shares in displaced.items()}
        moved = sum(move.amount for move in own.output.cash)
        if own.output.cash:
            told = [(m.code, m.kind, m.amount) for m in own.output.cash if m.kind in ("dividend", "in_lieu")]
            assert sorted(told) == sorted(paid), f"corporate actions pay {paid}, not {told}"
        books.cash += moved
        books.moved += moved
        return fills, held, cash + moved, ended

    @staticmethod
    def _orders(books: Books, player: Any, own: PlayerOutcome) -> dict[tuple[int, int], Terms]:
        """An order fills after it was decided, on its side and no further than its shares, and never once it is over. What orders were, by code and id."""
        ended = terms_of(
            own.output.orders,
            (at.R_CODE, at.R_ID, at.R_TYPE, at.R_DECIDED, at.R_SIDE, at.R_SHARES, at.R_LIMIT, at.R_STATUS, at.R_FILLED),
        )
        assert len(ended) == len(own.output.orders), "an order has two records"
        rows = live_orders(player)
        rows[:, at.O_NEXT] = at.OPEN
        live = terms_of(
            rows,
            (at.O_CODE, at.O_ID, at.O_TYPE, at.O_DECIDED, at.O_SIDE, at.O_SHARES, at.O_LIMIT, at.O_NEXT, at.O_FILLED),
        )
        orders, fills = live | ended, fills_of(own)
        times = [f.time for f in fills]
        assert times == sorted(times), "fills must come in time order"
        for fill in fills:
            order = orders[fill.code, fill.order_id]
            assert (fill.code, fill.order_id) not in books.over, f"order {fill.order_id} filled after its end"
            assert order.decided <= fill.time, f"{fill} before its order was decided"
            if order.type not in ("target", "exit_at_close"):
                assert fill.shares * order.side > 0, f"{fill}: on the other side than its order"
            books.filled[fill.code, fill.order_id] = books.filled.get((fill.code, fill.order_id), 0) + fill.shares
            books.touched.add((fill.code, fill.order_id))
        for key, order in orders.items():
            filled = books.filled.get(key, 0)
            assert order.filled == filled, f"order {key[1]}: filled {order.filled}, its fills add up to {filled}"
            if order.type not in ("target", "exit_at_close") and filled:
                assert order.shares is not None
                assert abs(filled) <= abs(order.shares), f"order {key[1]}: filled {filled} of {order.shares}"
                assert order.status != "filled" or filled == order.shares, f"order {key[1]}: {filled} of {order.shares}"
            assert order.status != "filled" or key in books.touched, f"order {key[1]}: filled without a fill"
        books.over |= ended.keys()
        return orders

    @staticmethod
    def _commissions(account: Account, execution: ExecutionSpec, tape: Tape, player: Any, own: PlayerOutcome) -> None:
        """Every fill's commission is what the schedule says of it, of the fills of its order before, and of the month's shares of all who share the money."""
        desk, number = player.account.desk, player.account.number
        if number == 0:
            fees = account.fees.setdefault(id(desk), Fees())
            account.charged[id(desk)] = charges(execution, desk, tape.session.name, fees)
        charged = zip(desk.tables.fill[: int(desk.fixed[at.FILLS])], account.charged[id(desk)], strict=True)
        told = [amount for row, amount in charged if row[at.F_ACCOUNT] == number]
        for fill, amount in zip(fills_of(own), told, strict=True):
            assert fill.commission == amount, f"{fill}: by the schedule its commission is {amount}"

    @staticmethod
    def _caps(execution: ExecutionSpec, tape: Tape, own: PlayerOutcome) -> None:
        """No more of a bar fills than the cap on participation."""
        if not execution.participation:
            return
        took: dict[tuple[int, int], int] = defaultdict(int)
        for fill in fills_of(own):
            if fill.bar >= 0:
                took[fill.code, fill.bar] += abs(fill.shares)
        for (code, slot), shares in took.items():
            row = tape.row(code, slot)
            assert row is not None
            room = int(exact(execution.participation) * int(tape.volume[row]))
            assert shares <= room, f"{tape.session.name}: {shares} of a bar's {room} filled in minute {slot}"

    @classmethod
    def _fill(
        cls, account: Account, execution: ExecutionSpec, tape: Tape, fill: FillRecord, order: Terms, whole: Tape, impacts: np.ndarray
    ) -> None:  # fmt: skip
        """A fill is inside a segment at a price of a bar that is there, or at the close; its price is the rule's. `whole` has all bars, `tape` those that fill."""
        session = tape.session
        shown = int(whole.marks(fill.code, int(account.marks[fill.code]), session.minutes)[-1])
        assert fill.shares != 0, f"{fill}: no shares"
        rule = execution.fill
        waits = order.type not in ("market", "target", "exit_at_close", "market_on_close")
        if fill.bar < 0:
            assert fill.time == session.close, f"{fill}: only an exit at the close is of no bar"
            closes = [int(tape.marks(fill.code, int(account.marks[fill.code]), session.minutes)[-1])]
            if not len(tape.slot[tape.of(fill.code)]):
                closes.append(shown)  # the end of the run, in a session whose bars of the symbol have no volume
            if fill.code in tape.closing:
                closes.append(in_units(tape.closing[fill.code]))
            assert fill.reference in closes, f"{fill}: a fill at the close has one of {closes}"
        elif rule == "next_open" or (waits and fill.bar == fill.slot and fill.time == tape.times[fill.slot]):
            cls._in_bar(tape, fill, waits=waits)
        else:
            ended = tape.times[fill.bar] + MINUTE
            last = int(tape.marks(fill.code, 0, session.minutes)[fill.bar])
            assert tape.opens_at(fill.code, fill.bar) is not None, f"{fill}: no bar in minute {fill.bar}"
            assert last == fill.reference, f"{fill}: the bar of minute {fill.bar} closed at {last}"
            assert fill.time == ended if rule == "next_close" and not waits else fill.time >= ended, (
                f"{fill}: that was at {ended}"
            )
            assert fill.stale_minutes == (fill.time - ended) // MINUTE, f"{fill}: minutes since {ended}"
            later = tape.marks(fill.code, 0, session.minutes)[fill.bar : fill.slot]
            assert (later == last).all(), f"{fill}: a later bar was shown"
        if order.limit is None:
            prices = cls._prices(execution, tape, fill, float(impacts[fill.code]))
            assert fill.price in prices, f"{fill}: with slippage that is {prices}"
        else:
            assert fill.price == fill.reference, f"{fill}: a limit does not slip"
            assert fill.shares * (order.limit - fill.price) >= 0, f"{fill}: worse than its limit"

    @staticmethod
    def _expiry(account: Account, fill: FillRecord, tape: Tape, whole: Tape, listed: Instruments | None) -> None:
        """A position that ends with its symbol's last session: at the close, at the last close or the print, at no cost."""
        session, before = tape.session, int(account.marks[fill.code])
        closes = [int(bars.marks(fill.code, before, session.minutes)[-1]) for bars in (tape, whole)]
        if fill.code in tape.closing:
            closes.append(in_units(tape.closing[fill.code]))
        assert fill.price == fill.reference, f"{fill}: what ends costs nothing"
        assert fill.price in closes, f"{fill}: at one of {closes}"
        assert (fill.time, fill.commission, fill.position_after) == (session.close, 0, 0), f"{fill}: at the close"
        assert listed is not None
        assert listed.ends[fill.code] < 1 << 60, f"{fill}: it has no last day"

    @staticmethod
    def _prices(execution: ExecutionSpec, tape: Tape, fill: FillRecord, a_share: float) -> list[int]:
        """What a fill may have been paid with: half the spread that is assumed, or a quote at its bar's open; slippage; and what its shares move."""
        side, slip = (1 if fill.shares > 0 else -1), exact(execution.slippage_bps) / 10_000
        bases = [(fill.reference, slip + exact(execution.spread_bps) / 20_000)]
        row = tape.row(fill.code, fill.bar) if fill.bar >= 0 and fill.bar == fill.slot else None
        quotes = tape.ask if side > 0 else tape.bid
        at_open = row is not None and fill.time == tape.times[fill.slot] and fill.reference == in_units(tape.open[row])
        if execution.spread == "quotes" and at_open and quotes is not None and quotes[row] > 0:
            bases.append((in_units(quotes[row]), slip))
        if not execution.impact or math.isnan(a_share):
            a_share = 0.0
        root = math.sqrt(abs(fill.shares))
        found = [round(base * (1 + side * part)) + side * round(float(base) * a_share * root) for base, part in bases]
        return [max(price, 1) for price in found]

    @staticmethod
    def _in_bar(tape: Tape, fill: FillRecord, *, waits: bool) -> None:
        """A fill in a bar: at its open, or of an order that waits at a price between its low and its high."""
        session = tape.session
        inside = any(a <= fill.time < b for a, b in session.segments)
        assert inside, f"{fill}: outside every segment of {session.name}"
        assert tape.times[fill.slot] == fill.time, f"{fill}: minute {fill.slot} opens at {tape.times[fill.slot]}"
        row = tape.row(fill.code, fill.slot)
        assert row is not None, f"{fill}: no bar opens then"
        opened = in_units(tape.open[row])
        if waits and opened != fill.reference:
            assert tape.low is not None
            assert tape.high is not None
            low, high = in_units(tape.low[row]), in_units(tape.high[row])
            assert low <= fill.reference <= high, f"{fill}: the bar reached from {low} to {high}"
        else:
            assert opened == fill.reference, f"{fill}: the bar that opens then has {opened}"
            assert waits or not fill.ambiguous, f"{fill}: nothing about an open is ambiguous"

    @staticmethod
    def _trades(ended: Sequence[tuple[Any, ...]], trades: Sequence[Trade]) -> None:
        """Trades are what the fills make, flat to flat."""
        told = [
            (t.code, t.entry_time, t.exit_time, 1 if t.shares > 0 else -1, abs(t.shares), t.entry_value, t.exit_value,
             t.commission)
            for t in trades
        ]  # fmt: skip
        assert told == list(ended), f"trades {told}, by the fills {ended}"
        for t in trades:
            side = 1 if t.shares > 0 else -1
            assert t.gross == side * (t.exit_value - t.entry_value), f"{t}: gross P&L"
            assert t.mae <= min(0, t.mfe), f"{t}: excursions"
            assert t.mfe >= 0, f"{t}: excursions"

    @staticmethod
    def _curve(
        account: Account, tape: Tape, own: PlayerOutcome, minutes: int, held: dict[int, int], cash: int
    ) -> None:  # fmt: skip
        """Cash is what fills, and moves at the open, left; equity is cash plus every position at the last close known, each minute."""
        spent = np.zeros(minutes + 1, dtype=np.int64)
        moves: dict[int, list[FillRecord]] = defaultdict(list)
        for fill in fills_of(own):
            spent[fill.slot] += fill.shares * fill.price + fill.commission
            moves[fill.code].append(fill)
        net, gross = np.zeros(minutes, dtype=np.int64), np.zeros(minutes, dtype=np.int64)
        for code in held.keys() | moves.keys():
            shares = np.full(minutes, held.get(code, 0), dtype=np.int64)
            for fill in moves[code]:
                shares[fill.slot :] += fill.shares
            value = shares * tape.marks(code, int(account.marks[code]), minutes)
            net += value
            gross += np.abs(value)
        path = cash - np.cumsum(spent[:minutes])
        for name, expected in (("cash", path), ("net", net), ("gross", gross), ("equity", path + net)):
            found = getattr(own.curve, name)
            wrong = np.flatnonzero(found != expected) if len(found) == minutes else [-1]
            where = f"{tape.session.name}: {name} at minutes {list(wrong[:3])}"
            assert not len(wrong), f"{where}: {found[wrong[:3]]}, the fills and closes say {expected[wrong[:3]]}"

    # ----------------------------------------------------------------------------------------------------- one run

    def _run(self, run: bt.run.replaying.Run, accounts: Sequence[Account]) -> None:
        """The tables of a run say what was audited."""
        if not accounts:
            return
        (account,) = accounts
        equity = run.equity
        for player, books in zip(account.engine.players, account.books, strict=True):
            mine = equity.filter(strategy=player.declaration.name) if len(account.books) > 1 else equity
            for name in ("equity", "cash", "gross", "net"):
                told = np.concatenate([np.zeros(0), *(getattr(c, name) for c in books.curve)]) / UNIT
                found = mine[name].to_numpy()
                assert len(found) == len(told), f"equity has {len(found)} rows, {len(told)} minutes were played"
                assert (np.abs(found - told) <= np.spacing(np.abs(told))).all(), f"the table's {name} is another"
        fills, trades = run.fills, run.trades
        assert fills.height == sum(b.fills for b in account.books), "fills are missing"
        assert trades.height == sum(b.trades for b in account.books), "trades are missing"
        assert run.cash.height == sum(b.moves for b in account.books), "moves of cash are missing"
        moved = in_units_of(run.cash["amount"])
        assert moved == sum(b.moved for b in account.books), f"moves of cash add up to {moved}"
        told = sum(run.summary["cash_moved"].values())
        assert math.isclose(told * UNIT, moved, rel_tol=1e-9, abs_tol=10), f"the summary's moves add up to {told}"
        names = account.engine.market.symbols
        same = pl.col("symbol").replace({names[code]: names[one] for code, one in account.same.items()})
        keys = ["strategy", "symbol", "id"]
        orders = run.orders.filter(pl.col("filled") != 0).with_columns(same)
        filled = (
            orders.group_by(keys).agg(pl.col("filled").sum()).filter(pl.col("filled") != 0)
        )  # ids of two names may meet
        summed = (
            fills.with_columns(same)
            .rename({"order_id": "id"})
            .group_by(keys)
            .agg(pl.col("shares").sum().alias("filled"))
            .filter(pl.col("filled") != 0)  # the fills of a target may add up to nothing
        )
        assert filled.sort(pl.all()).equals(summed.sort(pl.all())), "what orders filled is not the fills"
        for player in account.engine.players:
            mine = run.orders.filter(strategy=player.declaration.name)
            ids = mine.select("symbol", "id") if player.declaration.independent else mine.select("id")
            assert ids.n_unique() == ids.height, "an order has two rows"
        if account.spec is not None and account.spec.account.shared:
            begun = sum(b.start for b in account.books)
            assert begun == in_units(account.spec.account.cash), f"the strategies' shares of the cash add up to {begun}"
        earned = sum(
            b.cash + sum(lot.shares * int(account.marks[c]) for c, lot in b.lots.items()) - b.start
            for b in account.books
        )
        assert run.summary["net_pnl"] == earned / UNIT, (
            f"net P&L is {run.summary['net_pnl']}, the books say {earned / UNIT}"
        )
