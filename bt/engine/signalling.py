"""The columns style played: what a strategy's signals say of each bar, decided by the compiled rules.

Signals are decided in symbol order, before any row of the minute is shown: as an `on_bar` that calls the book's `target` would. A strategy
of signals alone is played a session at a time; beside callbacks, timers or a shared cash, a minute at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bt.book import MOST, shares_worth
from bt.engine.players import Player
from bt.errors import StrategyError
from bt.execution import IntArray, Script, Tape, layout, signalling
from bt.model import Column, Instruments, PreparedSession
from bt.strategy import BOOLEANS, LEGS

NULL, UNSURE = layout.NULL, signalling.UNSURE
SAID = {"entry": signalling.ENTRY, "exit": signalling.EXIT, "short": signalling.SHORT, "cover": signalling.COVER}


class Turns(NamedTuple):
    """A session's bars that a strategy sees: `turn` and `start` as of a `Script`."""

    turn: IntArray
    start: IntArray

    @staticmethod
    def of(prepared: PreparedSession, seen: npt.NDArray[np.bool_]) -> Turns:
        """Those of the symbols that are marked as `seen`."""
        bars = prepared.minutes
        rows = np.flatnonzero(seen[bars.code])
        turn = rows[np.argsort(bars.end[rows].astype(np.uint16), kind="stable")]
        count = np.bincount(bars.end[turn], minlength=prepared.session.minutes + 1)
        return Turns(turn, np.cumsum(count))


class Bars:
    """A session's bars, as what signals say of them is played; what is equal for several strategies is made once."""

    def __init__(
        self, prepared: PreparedSession, tape: Tape, symbols: int, instruments: Instruments | None = None
    ) -> None:
        self.instruments, self.tape = instruments, tape
        self._prepared, self._symbols = prepared, symbols
        self.code = np.require(prepared.minutes.code, np.int64, ["C", "W"])
        self.end = prepared.minutes.end
        self._turns: dict[bytes, Turns] = {}

    @property
    def minutes(self) -> int:
        """Minutes of the session."""
        return self._prepared.session.minutes

    def seen(self, visible: IntArray) -> npt.NDArray[np.bool_]:
        """Marks the symbols of the `visible` codes."""
        seen = np.zeros(self._symbols, dtype=bool)
        seen[visible] = True
        return seen

    def turns(self, seen: npt.NDArray[np.bool_]) -> Turns:
        """All bars of the symbols that are `seen`."""
        key = seen.tobytes()
        if key not in self._turns:
            self._turns[key] = Turns.of(self._prepared, seen)
        return self._turns[key]


@dataclass(frozen=True)
class Signalled:
    """What one strategy's signals say in a session: the `columns` as they were evaluated, and `said` of them by bar as a `Script` has it.

    `seen` marks the symbols it sees. `script` has every bar of them in its turn, for a minute beside callbacks; `whole` those that say something
    new, for a session that is played as one.
    """

    style: int
    columns: Mapping[str, Column]
    said: tuple[IntArray, npt.NDArray[np.float64], npt.NDArray[np.uint8], IntArray]
    seen: npt.NDArray[np.bool_]
    bars: Bars

    @staticmethod
    def of(prepared: PreparedSession, player: Player, bars: Bars) -> Signalled | None:
        """Those of a player; None where it has none or has not begun."""
        signals = player.declaration.signals
        if signals is None or player.asleep:
            return None
        columns = prepared.decided[player.number]
        said = _said(columns, signals.style, bars)
        seen = bars.seen(player.visible(prepared.members))
        return Signalled(signalling.STYLES.index(signals.style), columns, said, seen, bars)

    @cached_property
    def script(self) -> Script:
        """Every bar in its turn."""
        nothing = np.zeros(0, dtype=np.uint8), np.zeros((0, signalling.NEWS_COLUMNS), dtype=np.int64)
        return Script(self.bars.code, *self.said, *self.bars.turns(self.seen), *nothing)

    @cached_property
    def whole(self) -> Script:
        """The bars that say something new."""
        waiting = np.zeros(len(self.seen), dtype=np.uint8)
        start = np.zeros(self.bars.minutes + 1, dtype=np.int64)
        level, number, said, _ = self.said
        tape, code = self.bars.tape, self.bars.code
        turn, told = signalling.news(self.style, self.seen, tape.whole, tape.prices, start, code, level, number, said)
        return Script(code, *self.said, turn, start, waiting, told)

    @property
    def is_sure(self) -> bool:
        """Whether every bar says what can be decided."""
        turn, number = self.whole.turn, self.whole.number
        if len(self.whole.legs):
            return False  # of which bars an entry has its legs is known when it is decided
        return not (self.whole.level[turn] == UNSURE).any() and not (len(number) and np.isinf(number[turn]).any())

    @cached_property
    def decides(self) -> npt.NDArray[np.bool_]:
        """Whether anything may be decided when so many minutes are over."""
        turn = self.script.turn
        made = np.zeros(len(self.script.start), dtype=bool)
        end = self.bars.end
        made[end[turn][_decides(self.columns, len(end))[turn]]] = True
        return made

    def decide(self, end: int, player: Player) -> None:
        """Give the orders of the minute.

        Raises
        ------
        StrategyError
            A level is not a whole number of shares, or not finite; or an entry's `shares` are not a whole number, 0 or more.
        """
        account, script = player.account, self.script
        account.flush()
        begun = -1
        while True:
            begun, base = account.desk.decide_minute(account.number, script, self.style, end - 1, begun)
            if begun < 0:
                return
            self.settle(begun, base, int(account.market.last[script.code[begun]]), player)

    def play(self, player: Player) -> tuple[int, StrategyError] | None:
        """Play the whole session, or until a bar cannot be decided: then how many minutes are over, and why."""
        script, desk, place = self.whole, player.account.desk, (0, -1)
        while True:
            slot, begun, base = desk.play_script(script, self.style, place)
            place = slot, begun
            if slot == len(script.start) - 1:
                desk.look_again()
                return None
            if begun >= 0:
                try:
                    self.settle(begun, base, int(desk.known[0, layout.LAST, script.code[begun]]), player)
                except StrategyError as error:
                    desk.look_again()
                    return slot + 1, error

    def settle(self, row: int, base: int, price: int, player: Player) -> None:
        """The level of a bar that a double cannot tell, in exact arithmetic; what is no level is the strategy's error."""
        codes = self.bars.code[row : row + 1]
        code = int(codes[0])
        book = player.book
        book.shown, book.about = (iter(()), codes.copy()), code  # the symbol, for the error
        key = "shares" if self.style == signalling.ENTRIES else signalling.STYLES[self.style]
        value = self.columns[key].values[row].item()
        if self.style == signalling.ENTRIES and self.said[0][row] != UNSURE:
            self._raise_for_legs(row, code, player)
        if self.style == signalling.ENTRIES:
            if np.isfinite(value) and value > MOST:
                raise StrategyError(f"signals(): shares must fit 2^60, was {value!r}")
            raise StrategyError(f"signals(): shares must be a whole number, 0 or more, was {value!r}; round it first")
        if self.style == signalling.LEVELS or not np.isfinite(value):
            (book.target if self.style == signalling.LEVELS else book.target_percent)(
                player.account.market.symbols[code], value
            )
        level = player.account.in_lots(code, shares_worth(base, value, price))
        if abs(level) > MOST:
            book.target(player.account.market.symbols[code], level)
        self.said[0][row] = level  # of every script
        book.shown = book.about = None

    def _raise_for_legs(self, row: int, code: int, player: Player) -> None:
        """The strategy's error: an entry at a bar has legs that are none."""
        side = 1 if self.said[2][row] & signalling.ENTRY else -1
        legs = {}
        for key in LEGS:
            column = self.columns.get(key)
            if column is not None and (column.null is None or not column.null[row]):
                legs["trailing_loss" if key == "trail" else key] = column.values[row].item()
        player.book.target(player.account.market.symbols[code], side * int(self.said[0][row]), **legs)


def _said(
    columns: Mapping[str, Column], style: str, bars: Bars
) -> tuple[IntArray, npt.NDArray[np.float64], npt.NDArray[np.uint8], IntArray]:
    """The columns of a `Script`: level, number, said and legs."""
    rows = len(bars.code)
    none = np.zeros(0), np.zeros(0, dtype=np.uint8), np.zeros((0, len(LEGS)), dtype=np.int64)
    if style == "target":
        return _whole(columns["target"], -MOST), *none
    if style == "target_percent":
        values, null = columns["target_percent"]
        number = values.astype(np.float64)
        if null is not None:
            number[null] = np.nan
        return np.full(rows, NULL), number, *none[1:]
    said = np.zeros(rows, dtype=np.uint8)
    for name, bit in SAID.items():
        if name in columns:
            said |= columns[name].values.astype(np.uint8) * np.uint8(bit)
    legs = none[2]
    if any(key in columns for key in LEGS):
        legs = np.empty((rows, len(LEGS)), dtype=np.int64)
        for leg, key in enumerate(LEGS):
            _fill_leg(columns.get(key), bars, legs, leg)
    shares = columns.get("shares")  # what only closes needs none
    return np.full(rows, NULL) if shares is None else _whole(shares, 0), none[0], said, legs


def _fill_leg(column: Column | None, bars: Bars, legs: IntArray, leg: int) -> None:
    """Fill column `leg` of `legs` (bars, 3) with prices and distances in units of money a share; NULL where null, UNSURE where one is none."""
    if column is None:
        legs[:, leg] = NULL
        return
    values, null = column
    nowhere = np.zeros(0, dtype=bool) if null is None else np.require(null, bool, ["C", "W"])
    signalling.priced(np.require(values, np.float64, ["C", "W"]), nowhere, legs, leg)
    if bars.instruments is not None:
        for code in bars.instruments.scaled:
            for row in np.flatnonzero((bars.code == code) & (legs[:, leg] > UNSURE)).tolist():
                legs[row, leg] = max(bars.instruments.worth(int(legs[row, leg]), code), 1)


def _whole(column: Column, least: int) -> IntArray:
    """Whole numbers from `least` to MOST; NULL where null, UNSURE where it is none of them."""
    values, null = column
    with np.errstate(invalid="ignore"):
        level = values.astype(np.int64)
    if values.dtype.kind not in "iu":
        level[level != values] = UNSURE
    if len(level) and not (least <= level.min() and level.max() <= MOST):
        level[(level < least) | (level > MOST)] = UNSURE
    if null is not None:
        level[null] = NULL
    return level


def _decides(columns: Mapping[str, Column], rows: int) -> npt.NDArray[np.bool_]:
    """The rows that may decide something."""
    found = np.zeros(rows, dtype=bool)
    for name, (values, null) in columns.items():
        if name in BOOLEANS:
            found |= values
        elif name != "shares" and name not in LEGS:
            found |= True if null is None else ~null
    return found


def plays_whole(player: Player) -> bool:
    """Whether a session may be played to a strategy as one: it has nothing but signals, and its money to itself."""
    declared, account = player.declaration, player.account
    if declared.signals is None or declared.timers or declared.callbacks - {"at_open"}:
        return False
    apart = not account.by_symbol or account.execution.fill != "same_close"  # else each symbol has moments of its own
    return len(account.desk.rows) == 1 and apart
