"""The books of accounts that share their money: arrays for the compiled rules, with room for what a call may write.

It is long because every call of a compiled rule is here: nothing else knows how the arrays grow.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bt.book.cash import Carry, CashKind, CashMove, equal_parts
from bt.book.market import Market
from bt.book.terms import Terms, instrument_rows, settings
from bt.execution import IntArray, Script, Tape, closing, fits, ledger, matching, signalling, targets
from bt.execution import layout as at
from bt.execution import within as bars
from bt.execution.shown import OUTSIDE
from bt.jit import FloatArray, read_only
from bt.model import Instruments, Session

ROOM = 64
"""Rows of every table to begin with."""

NOBODY: npt.NDArray[np.bool_] = np.zeros(0, dtype=bool)
"""Marks no symbol: the moment is everybody's."""

NOTHING: IntArray = np.zeros(0, dtype=np.int64)
NO_NUMBERS: FloatArray = np.zeros(0)
NO_BARS = Tape(NOTHING, NO_NUMBERS)
_UNKNOWN = np.zeros((0, 0), dtype=np.int32)


class Tables(NamedTuple):
    """The rows that are in use or have room, as views of the array that grows."""

    order: IntArray
    record: IntArray
    event: IntArray
    fill: IntArray
    trade: IntArray
    met: IntArray


class Desk:
    """Some accounts that share their money, mostly one; with `by_symbol` one whose every symbol has its own.

    Attributes
    ----------
    fixed, tables : array, Tables
        What `bt.execution.layout` describes: the first array, and views of the second, which is replaced as it grows.
    account, position, shares, level, known, member, usual, impacts : array
        Views of the first.
    counts, rows, kept : memoryview, list of memoryview
        `fixed` for quick looks; likewise of each account its row, and its levels that a target is known not to change.
    tags : list of str
        The words behind their codes.
    by_symbol : bool
    margin, liquidates : str, bool
        As its `Terms` say.
    rule : int
        By which price market orders fill, as `matching` numbers them.
    moves : list
        (number of the account, CashMove) of the session.
    instruments : Instruments or None
        What is traded.
    liquidity, others : callable or None, array
        With impact, what `bt.prepare.Liquidity` says by session; with `by_symbol`, the codes of symbols that are another worker's.
    """

    def __init__(self, *, by_symbol: bool = False) -> None:
        self.instruments: Instruments | None = None
        self.by_symbol = by_symbol
        self.tags: list[str] = [""]
        self._tag_codes = {"": 0}
        self._code_arrays: dict[str, IntArray] = {}
        self._markets: list[Market] = []
        self._versions: list[int] = []
        self._knows: list[int] = []
        self._cash: list[int] = []
        self._heard: list[list[IntArray]] = []
        self._tape: Tape | None = None
        self._wide: Callable[[bool], Tape] | None = None
        self._measures = False
        self.rule = 0
        self._usual: npt.NDArray[np.int32] = _UNKNOWN
        self.moves: list[tuple[int, CashMove]] = []
        self.others: IntArray = np.zeros(0, dtype=np.int64)
        self._carry: Carry | None = None
        self.margin, self.liquidates = "none", False
        self._since: date | None = None
        self._month = (0, 0)
        self._impact = 0.0
        self.liquidity: Callable[[int], npt.NDArray[np.float64]] | None = None
        self.fixed: IntArray
        self._growing: IntArray
        self.tables: Tables

    # ------------------------------------------------------------------------------------------------------------- making

    def join(self, market: Market, terms: Terms, heard: list[IntArray]) -> int:
        """One more account; its number. All have the same terms but cash, and join before the first session; what happens to its orders is
        added to `heard`."""
        if market not in self._markets:
            self._markets.append(market)
        self._heard.append(heard)
        self._knows.append(self._markets.index(market))
        self._cash.append(fits(terms.cash * (len(market.symbols) if self.by_symbol else 1)))
        self.rule = matching.RULES.index(terms.execution.fill)
        self._carry, self.margin, self.liquidates = terms.carry, terms.margin, terms.liquidates
        self._measures = terms.execution.participation > 0 or terms.execution.zero_volume == "skip"
        self._measures |= terms.execution.spread == "quotes"
        self._impact = terms.execution.impact
        self.instruments = terms.instruments
        self._lay_out(terms, len(market.symbols))
        return len(self._knows) - 1

    def _lay_out(self, terms: Terms, symbols: int) -> None:
        """Both arrays, as nothing has happened yet."""
        accounts, markets = len(self._knows), len(self._markets)
        entries = accounts * symbols
        sizes = (
            at.TERMS + accounts * at.ACCOUNT_COLUMNS, entries * at.POSITION_COLUMNS, entries, entries, entries,
            markets * at.KNOWN_ROWS * symbols, symbols, symbols, 2 * len(terms.execution.commission_tiers), symbols,
            0 if terms.instruments is None else at.INSTRUMENT_COLUMNS * symbols,
        )  # fmt: skip
        begins = np.cumsum(sizes).tolist()
        self.fixed = np.zeros(begins[-1], dtype=np.int64)
        self.fixed[at.POSITIONS_AT : at.TERMS] = begins[:-1]
        parts = [self.fixed[at.TERMS : begins[0]], *np.split(self.fixed[begins[0] :], np.cumsum(sizes[1:-1]))]
        self.account = parts[0].reshape(accounts, at.ACCOUNT_COLUMNS)
        self.position = parts[1].reshape(entries, at.POSITION_COLUMNS)
        self.shares, self.level = parts[2:4]
        self.known = parts[5].reshape(markets, at.KNOWN_ROWS, symbols)
        self.member, self.usual, self._tiers, self.impacts, listed = parts[6:]
        self._listed = listed.reshape(-1, at.INSTRUMENT_COLUMNS)
        self._listed[:] = instrument_rows(terms)
        self._write_terms(terms, symbols)
        self.account[:, at.CASH], self.account[:, at.KNOWS] = self._cash, self._knows
        self.account[:, [at.NEXT_ID, at.TRADING, at.EXIT_ALL]] = 1, 1, -1
        self.position[:, [at.HEAD, at.TAIL, at.EXIT_ORDER]] = -1
        self.position[:, at.OWN_CASH] = terms.cash if self.by_symbol else 0
        self.rows: list[memoryview[int]] = [row.data for row in self.account]
        self.kept: list[memoryview[int]] = [row.data for row in self.level.reshape(accounts, symbols)]
        self.counts: memoryview[int] = self.fixed.data
        self._versions = [-1] * markets
        self._grow(ROOM, ROOM)

    def _write_terms(self, terms: Terms, symbols: int) -> None:
        """The settings."""
        for place, value in settings(terms):
            self.fixed[place] = value
        self.fixed[[at.SYMBOLS, at.ACCOUNTS, at.BY_SYMBOL]] = symbols, len(self._knows), self.by_symbol
        self.fixed[[at.FREE, at.VALUED]] = -1
        self._tiers[:] = np.array(terms.costs.tiers, dtype=np.int64).ravel()

    def _grow(self, order_room: int, room: int) -> None:
        """The second array with room for more; what there is stays."""
        columns = (at.ORDER_COLUMNS, at.RECORD_COLUMNS, at.RECORD_COLUMNS, at.FILL_COLUMNS, at.TRADE_COLUMNS, 2)
        counts = (order_room, room, 2 * room, room, room, order_room)
        ends = [at.GROWS + end for end in np.cumsum([n * c for n, c in zip(counts, columns, strict=True)]).tolist()]
        made = np.zeros(ends[-1], dtype=np.int64)
        begins = [at.GROWS, *ends[:-1]]
        made[: at.GROWS] = *begins, order_room, room
        views = [made[i:j].reshape(-1, c) for i, j, c in zip(begins, ends, columns, strict=True)]
        if hasattr(self, "tables"):
            for view, old in zip(views, self.tables, strict=True):
                view[: len(old)] = old
        self._growing, self.tables = made, Tables(*views)
        self._sizes: memoryview[int] = made[: at.GROWS].data

    def code_of(self, tag: str) -> int:
        """A tag's code."""
        code = self._tag_codes.get(tag)
        if code is None:
            code = self._tag_codes[tag] = len(self.tags)
            self.tags.append(tag)
        return code

    def code_array(self, tag: str) -> IntArray:
        """A tag's code as an array of one, made once: a strategy gives the same tag every minute."""
        found = self._code_arrays.get(tag)
        if found is None:
            found = self._code_arrays[tag] = np.array([self.code_of(tag)])
        return found

    # ------------------------------------------------------------------------------------------------------------ sessions

    def begin(self, session: Session, number: int) -> None:
        """A session opens, and nothing has happened in it yet."""
        self.hand_out_events()
        terms, first = self.counts, self._markets[0]
        terms[at.SESSION], terms[at.NOW], terms[at.OPENS] = number, session.open, session.open
        terms[at.CLOSES], terms[at.MINUTES] = session.close, session.minutes
        terms[at.RECORDS] = terms[at.EVENTS] = terms[at.FILLS] = terms[at.TRADES] = 0
        if (session.name.year, session.name.month) != self._month:
            self._month = session.name.year, session.name.month
            terms[at.MONTH] = self.position[:, at.OWN_MONTH] = 0
        ledger.begin_session(self.fixed)
        if self.liquidity is not None:
            moves = self._impact * self.liquidity(number)
            for code, multiplier in () if self.instruments is None else self.instruments.of_base.items():
                moves[code] *= np.sqrt(float(multiplier))  # of a share, where volumes are of what it is a part of
            self.impacts[:] = moves.view(np.int64)
        self._list(number)
        terms[at.HAS_MEMBERS] = first.member is not None
        if first.member is not None:
            self.member[:] = first.member
        self._usual = _UNKNOWN if first.usual is None else np.require(first.usual, np.int32, ["C", "W"])
        for into, market in zip(self.known, self._markets, strict=True):
            into[at.SEEN_BEFORE] = market.seen_at_open
        self._versions = [-1] * len(self._markets)
        self._tape = self._wide = None
        self.moves = []
        self.look()

    def _list(self, number: int) -> None:
        """Which symbols may be ordered in a session, and which end with it."""
        if self.instruments is not None:
            is_index = np.array([kind == "index" for kind in self.instruments.kinds])
            closed = np.where(self.instruments.closed(number), at.NOT_LISTED, at.NONE)
            self._listed[:, at.I_CLOSED] = np.where(is_index, at.NOT_TRADABLE, closed)
            self._listed[:, at.I_ENDS] = self.instruments.ends == number

    def move_cash(self, number: int, code: int, kind: CashKind, amount: int) -> None:
        """The cash of account `number` changes by `amount` units as the session opens, because of a symbol (`layout.EVERY`: of none; where each
        symbol has its own cash it is of one). After the account has begun the session, and before anything is shown."""
        own = self.account[number]
        own[at.CASH] = fits(int(own[at.CASH]) + amount)
        if self.by_symbol:
            self.position[number * int(self.fixed[at.SYMBOLS]) + code, at.OWN_CASH] += amount
        self.moves.append((number, CashMove(int(self.fixed[at.OPENS]), code, kind, amount)))

    def pay_night(self, session: Session) -> None:
        """What the night before a session that opens has cost and brought: shorts, then cash, as they were at the close before; nothing before the
        first session with orders."""
        since, self._since = self._since, session.name if self.account[:, at.TRADING].all() else None
        if self._carry is None or since is None:
            return
        days, symbols = (session.name - since).days, int(self.fixed[at.SYMBOLS])
        last = np.concatenate([self._markets[market].last for market in self._knows])
        value = self.shares * last
        settled = self._carry.settled(value)
        if self.by_symbol:
            owned = self.position[:, at.OWN_CASH] + settled
        else:
            owned = self.account[:, at.CASH].sum(keepdims=True) + settled.sum()
        owned[self.others] = 0
        for place, amount in self._carry.borrowed(self.shares, value, days):
            self.move_cash(*divmod(place, symbols), "borrow", amount)
        for code, cash in enumerate(owned.tolist()):
            for number, part in enumerate(equal_parts(self._carry.interest(cash, days), len(self._knows))):
                if part:
                    self.move_cash(number, code if self.by_symbol else at.EVERY, "interest", part)

    def play(self, tape: Tape, wide: Callable[[bool], Tape] | None = None) -> None:
        """The session's bars; `wide` gives them with what caps on what fills need, and for orders that wait for a price (True) highs and lows besides."""
        self._tape, self._wide = tape, wide

    def let_go(self) -> None:
        """Whoever keeps the desk keeps none of the session's bars."""
        self._tape = self._wide = None

    def look(self) -> None:
        """Take over what everybody knows now."""
        elapsed = self._markets[0].elapsed
        for number, market in enumerate(self._markets):
            version = market.version
            if version != self._versions[number]:
                self._versions[number] = version
                self.known[number, :3] = market.known
                self.fixed[at.VALUED] = -1
        self._move(elapsed)

    def _move(self, elapsed: int) -> None:
        """So many minutes are over."""
        if elapsed != self.counts[at.ELAPSED]:
            self.counts[at.ELAPSED] = elapsed
            if elapsed and len(self._usual):
                self.usual[:] = self._usual[elapsed - 1]

    def finish(self, minutes: int) -> IntArray:
        """The session is over: (accounts, 4, minutes) equity, cash, gross and net at each minute's end, units."""
        curves = np.zeros((len(self._knows), 4, minutes), dtype=np.int64)
        for number, move in self.moves:
            curves[number, 1, 0] += move.amount
        assert self._tape is not None
        first, after = np.zeros(len(self.shares), dtype=np.int64), np.empty(self.fills, dtype=np.int64)
        ledger.finish_session(self.fixed, self._growing, *self._tape, curves, first, after)
        return curves

    def unmoved(self, codes: IntArray) -> int:
        """How many of some fills were of symbols whose volume moved no price, because nothing said how."""
        return int(np.isnan(self.impacts.view(np.float64)[codes]).sum()) if self.liquidity is not None else 0

    @property
    def tape(self) -> Tape:
        """The session's bars: as little of them as the orders that are live need."""
        assert self._tape is not None
        rests = self.counts[at.RESTING] > 0
        if not self._measures and not rests:
            return self._tape
        assert self._wide is not None
        return self._wide(rests)

    @property
    def has_resting(self) -> bool:
        """Whether any live order may have to do with bars otherwise than a market order."""
        return self.counts[at.RESTING] > 0

    @property
    def has_minuted(self) -> bool:
        """Whether any live order is for one minute."""
        return self.counts[at.MINUTED] > 0

    def hand_out_events(self) -> None:
        """Tell accounts what happened to their orders."""
        count = self.counts[at.EVENTS]
        if count:
            for row in self.tables.event[:count].copy():
                self._heard[row[at.R_ACCOUNT]].append(row)
            self.fixed[at.EVENTS] = 0

    # --------------------------------------------------------------------------------------------------------------- rules

    def arrays(self, more: int) -> tuple[IntArray, IntArray]:
        """Both arrays as everybody knows them now, with room for a call that makes at most `more` orders and ends every live one."""
        self.look()
        self._make_room(more)
        return self.fixed, self._growing

    def _known(self) -> int:
        """The minute whose end the rules may look up what is known of, and time is moved there; OUTSIDE where the bars do not tell, and it is taken over."""
        market = self._markets[0]
        if len(self._markets) > 1 or market.visible is not None or self._tape is None:
            self.look()
            return OUTSIDE
        elapsed = market.elapsed
        self._move(elapsed)
        return elapsed - 1

    def _make_room(self, more: int, *, legs: bool = False) -> None:
        counts, growing = self.counts, self._sizes
        high = counts[at.HIGH] + more
        orders_, room = growing[at.ORDER_ROOM], growing[at.ROOM]
        ended = high + max(counts[at.RECORDS], counts[at.EVENTS] - room)
        several = legs or counts[at.RESTING] or counts[at.CAP_UP] or counts[at.GROUPED]  # as signalling.fills_each
        used = max(ended, counts[at.FILLS] + (signalling.SEVERAL if several else 1) * high)
        if high > orders_ or used > room:
            self._grow(2 * high if high > orders_ else orders_, used + used // 2 if used > room else room)

    def decide(
        self,
        number: int,
        codes: IntArray,
        tags: IntArray,
        *,
        levels: IntArray = NOTHING,
        numbers: FloatArray = NO_NUMBERS,
    ) -> int:
        """Targets of one account, as `targets.decide`."""
        known = self._known()
        self._make_room(len(codes))
        arrays = self.fixed, self._growing, *(self._tape or NO_BARS)
        return targets.decide(*arrays, known, number, read_only(codes), levels, read_only(numbers), tags)

    def decide_minute(self, number: int, script: Script, style: int, slot: int, begun: int) -> tuple[int, int]:
        """What signals say of a minute, as `signalling.decide_bars`."""
        arrays = self.arrays(int(script.start[slot + 1] - script.start[slot]) * (4 if len(script.legs) else 1))
        return signalling.decide_bars(*arrays, number, style, slot, begun, *script)

    def match(
        self, moment: int, time: int, due: int, slot: int, *, at_close: bool, only: npt.NDArray[np.bool_] = NOBODY
    ) -> None:
        """Fill what finds its price at a moment, as `matching.match`."""
        known = self._known()
        standing = moment == self.rule and self._stands
        self._make_room(self._held() if standing else 0)
        arrays = self.fixed, self._growing
        if standing:
            closing.wake_exits(*arrays, due)
        matching.match(*arrays, *self.tape, self.rule, moment, time, due, slot, at_close, known, only)

    def within(self, time: int, slot: int) -> None:
        """Fill what is reached within the bars that opened at `time`."""
        bars.within(*self.arrays(0), *self.tape, time, slot)

    def end_minuted(self, now: int, *, limits_only: bool = False) -> None:
        """Orders for one minute that was over `now` end, or those with a limit."""
        closing.end_minuted(*self.arrays(0), now, limits_only)

    @property
    def fills(self) -> int:
        """How many there are in the session so far."""
        return self.counts[at.FILLS]

    @property
    def _stands(self) -> bool:
        """Whether any order waits for the close."""
        for row in self.rows:  # noqa: SIM110 - asked at every minute, where any() of a generator costs more than the answer
            if row[at.STANDING]:
                return True
        return False

    def _held(self) -> int:
        """How many positions there are: no exit of everything makes more orders."""
        return int((self.shares != 0).sum())

    def play_script(self, script: Script, style: int, place: tuple[int, int]) -> tuple[int, int, int]:
        """Play a session of signals from `place` on, as `signalling.play`, for the desk's one account."""
        if place == (0, -1):  # from then on the rules move on what is known
            self.look()
        legs = len(script.legs) > 0
        self._make_room(len(script.waiting) * (4 if legs else 1), legs=legs)
        assert self._wide is not None
        tape = self._wide(True) if legs else self.tape
        arrays = self.fixed, self._growing, *tape, self._usual
        return signalling.play(*arrays, self.rule, style, *place, NOBODY, *script)

    def look_again(self) -> None:
        """After a session of signals has been played: what is known is the market's again."""
        self._versions = [-1] * len(self._markets)
        self.fixed[at.VALUED] = -1

    def review(self, number: int, *, leave: bool, tag: str) -> None:
        """Apply the session's universe to an account's orders and positions; `leave` sells what left."""
        if self._markets[0].member is not None:
            closing.review(*self.arrays(self._held()), number, leave, self.code_of(tag))

    def close_exits(self, number: int) -> int:
        """An account's standing exits fill at the close; from which fill on they are new."""
        before = int(self.fixed[at.FILLS])
        if self.rows[number][at.STANDING] or self.has_resting:
            closing.close_exits(*self.arrays(self._held()), *self.tape, number)
        return before

    @property
    def ties(self) -> IntArray:
        """By code what a share takes of buying power, units; 0 for its value. With a table of instruments."""
        return (
            self._listed[:, at.I_MARGIN] if len(self._listed) else np.zeros(int(self.fixed[at.SYMBOLS]), dtype=np.int64)
        )

    @property
    def ends_any(self) -> bool:
        """Whether this is the last session of any symbol."""
        return bool(self._listed[:, at.I_ENDS].any())

    def retire(self, number: int) -> int:
        """At the close, the symbols of which this was the last session: an account's orders expire, what it holds is closed, and nothing more may be ordered. From
        which fill on they are new."""
        before = int(self.fixed[at.FILLS])
        closing.retire(*self.arrays(self._held()), *self.tape, number)
        over = (self._listed[:, at.I_ENDS] != 0) & (self._listed[:, at.I_CLOSED] == at.NONE)
        self._listed[over, at.I_CLOSED] = at.NOT_LISTED
        return before

    def close_all(self, number: int, tag: str) -> int:
        """Every position of an account is closed at its last close; from which fill on they are new."""
        before = int(self.fixed[at.FILLS])
        if self._held():
            closing.close_all(*self.arrays(self._held()), *self.tape, number, self.code_of(tag))
        return before
