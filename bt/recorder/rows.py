"""Rows of what was traded in a session, from the engine's integers (columns: `bt.execution.layout`)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from bt.book import CashMove, Curve
from bt.engine import PlayerOutcome
from bt.exact import quotient
from bt.execution import IntArray, portions
from bt.execution import layout as at
from bt.model import Schedule
from bt.results import Rows, arrow, coded, order_of, repeated, table, text
from bt.schema import MINUTE

_TYPES, _TIFS, _STATUSES, _REASONS, _SIDES, _POSITIONS = (
    text(words) for words in (at.TYPES, at.TIFS, at.STATUSES, at.REASONS, ("buy", "sell"), ("long", "short"))
)


class RowMaker:
    """Makes rows of a run's symbols and sessions, each table's in its order: symbols are in text order by code.

    Parameters
    ----------
    symbols : sequence of str
        By code.
    schedule : Schedule
        Numbers sessions for orders that outlive theirs, and counts minutes held.
    """

    def __init__(self, symbols: Sequence[str], schedule: Schedule) -> None:
        if any(one >= other for one, other in pairwise(symbols)):
            raise ValueError(f"rows: symbols must be in text order, were {list(symbols)}")
        self._symbols = text(symbols)
        self._every = text([*symbols, ""])
        self._sessions = np.array(schedule.names, dtype="datetime64[D]")
        self._clock = _SessionClock(schedule)

    def named(self, codes: npt.NDArray[Any]) -> pa.DictionaryArray:
        """Symbols by code."""
        return coded(codes, self._symbols)

    def named_or_every(self, codes: IntArray) -> pa.DictionaryArray:
        """Symbols by code, "" of an order about every one."""
        if codes.min() >= 0:
            return self.named(codes)
        return coded(np.where(codes == at.EVERY, len(self._symbols), codes), self._every)

    def fills(self, name: str, session: date, own: PlayerOutcome) -> Rows:
        """Rows of `fills` of a strategy."""
        fills, traded = own.output.fills, own.traded
        order = _order(fills, at.F_TIME, at.F_CODE, at.F_ORDER)
        columns, traded = _columns(fills, order), traded if order is None else traded[order]
        shares, price, reference = (columns[k] for k in (at.F_SHARES, at.F_PRICE, at.F_REFERENCE))
        size = np.abs(shares)
        unknown = ~(traded > 0)  # an exit at the session's close, or a bar without volume
        share = np.divide(size, traded, out=np.zeros(len(size)), where=~unknown)
        return table(
            {
                "order_id": columns[at.F_ORDER],
                "strategy": repeated(name, len(size)),
                "symbol": self.named(columns[at.F_CODE]),
                "session": days(session, len(size)),
                "time": columns[at.F_TIME],
                "side": coded(shares < 0, _SIDES),
                "shares": shares,
                "price": price,
                "reference_price": reference,
                "slippage": (price - reference) * shares,
                "commission": columns[at.F_COMMISSION],
                "position_after": columns[at.F_AFTER],
                "bar_share": arrow(share, absent=unknown),
                "stale_minutes": columns[at.F_STALE],
                "tag": coded(columns[at.F_TAG], own.output.tags),
                "ambiguous": columns[at.F_DOUBTED] != 0,
            }
        )

    def trades(self, name: str, own: PlayerOutcome) -> Rows:
        """Rows of `trades` of a strategy."""
        trades = own.output.trades
        columns = _columns(trades, _order(trades, at.T_EXITED, at.T_CODE, at.T_ENTERED))
        signed, gross, costs = (columns[k] for k in (at.T_SHARES, at.T_GROSS, at.T_COMMISSION))
        entered, left = columns[at.T_ENTRY_VALUE], columns[at.T_EXIT_VALUE]
        entry, exit_ = columns[at.T_ENTERED], columns[at.T_EXITED]
        size, net = np.abs(signed), gross - costs
        return table(
            {
                "strategy": repeated(name, len(size)),
                "symbol": self.named(columns[at.T_CODE]),
                "side": coded(signed < 0, _POSITIONS),
                "entry_time": entry,
                "exit_time": exit_,
                "entry_price": portions(entered, size),
                "exit_price": portions(left, size),
                "shares": size,
                "gross_pnl": gross,
                "costs": costs,
                "net_pnl": net,
                "return": quotient(net, entered),
                "mae": columns[at.T_WORST],
                "mfe": columns[at.T_BEST],
                "minutes_held": self._clock.between(entry, exit_),
                "entry_tag": coded(columns[at.T_TAG], own.output.tags),
                "exit_reason": coded(columns[at.T_REASON], _TYPES),
                "ambiguous": columns[at.T_DOUBTED] != 0,
            }
        )

    def orders(self, name: str, orders: IntArray, tags: Sequence[str]) -> Rows:
        """Rows of `orders` of a strategy, from its records."""
        columns = _columns(orders, _order(orders, at.R_SESSION, at.R_DECIDED, at.R_CODE, at.R_ID))
        shares, code = columns[at.R_SHARES], columns[at.R_CODE]
        side = np.where((shares == at.NULL) | (shares == 0), columns[at.R_SIDE], shares)
        parent = columns[at.R_PARENT]
        return table(
            {
                "id": columns[at.R_ID],
                "strategy": repeated(name, len(code)),
                "symbol": self.named_or_every(code),
                "session": self._sessions[columns[at.R_SESSION]],
                "decided_at": columns[at.R_DECIDED],
                "ended_at": _nullable(columns[at.R_ENDED]),
                "type": coded(columns[at.R_TYPE], _TYPES),
                "side": coded(np.where(side == 0, -1, side < 0), _SIDES, null=True),
                "shares": _nullable(shares),
                "level": _nullable(columns[at.R_LEVEL]),
                "limit": _nullable(columns[at.R_LIMIT]),
                "stop": _nullable(columns[at.R_STOP]),
                "trail": _nullable(columns[at.R_TRAIL]),
                "tif": coded(columns[at.R_TIF], _TIFS),
                "status": coded(columns[at.R_STATUS], _STATUSES),
                "reason": coded(columns[at.R_REASON], _REASONS),
                "tag": coded(columns[at.R_TAG], tags),
                "filled": columns[at.R_FILLED],
                "parent": _nullable(np.where(parent == 0, at.NULL, parent)),
            }
        )

    def cash(self, name: str, session: date, moves: Sequence[CashMove]) -> Rows:
        """Rows of `cash` of a strategy."""
        kinds = sorted({move.kind for move in moves})
        code = np.array([move.code for move in moves], dtype=np.int64)
        return table(
            {
                "time": np.array([move.time for move in moves], dtype=np.int64),
                "session": days(session, len(moves)),
                "strategy": repeated(name, len(moves)),
                "symbol": coded(np.where(code == at.EVERY, -1, code), self._symbols, null=True),
                "kind": coded(np.array([kinds.index(move.kind) for move in moves]), kinds),
                "amount": np.array([move.amount for move in moves], dtype=np.int64),
            }
        )

    def positions(self, name: str, session: date, held: Sequence[tuple[int, int, int, int]]) -> Rows:
        """Rows of `positions` of a strategy."""
        rows = np.array(held, dtype=np.int64)
        code, shares, price, value = _columns(rows, _order(rows, 0))
        return table(
            {
                "session": days(session, len(code)),
                "strategy": repeated(name, len(code)),
                "symbol": self.named(code),
                "shares": shares,
                "price": price,
                "value": value,
            }
        )


def equity(name: str, session: date, times: IntArray, curve: Curve) -> Rows:
    """Rows of `equity` of a strategy."""
    return table(
        {
            "time": times,
            "session": days(session, len(times)),
            "strategy": repeated(name, len(times)),
            "equity": curve.equity,
            "cash": curve.cash,
            "gross": curve.gross,
            "net": curve.net,
        }
    )


def days(session: date, count: int) -> npt.NDArray[np.datetime64]:
    """The same session in every row."""
    return np.full(count, session, dtype="datetime64[D]")


def _order(rows: IntArray, *keys: int) -> npt.NDArray[np.intp] | None:
    """The order of rows by some of their columns, None if they are in order."""
    return order_of([np.ascontiguousarray(rows[:, k]) for k in keys])


def _columns(rows: IntArray, order: npt.NDArray[np.intp] | None) -> IntArray:
    """The columns of rows in an order."""
    return np.ascontiguousarray((rows if order is None else rows.take(order, axis=0)).T)


def _nullable(values: IntArray) -> pa.Array:
    """The values, null where there is none."""
    return arrow(values, absent=values == at.NULL)


class _SessionClock:
    """Counts minutes of session between instants, breaks and nights left out."""

    def __init__(self, schedule: Schedule) -> None:
        self._open, self._close = schedule.segment_open, schedule.segment_close
        self._before = np.concatenate([[0], np.cumsum((self._close - self._open) // MINUTE)])

    def _at(self, us: np.ndarray[Any, np.dtype[np.int64]]) -> np.ndarray[Any, np.dtype[np.int64]]:
        i = np.searchsorted(self._open, us, side="right") - 1
        return np.asarray(self._before[i] + (np.minimum(us, self._close[i]) - self._open[i]) // MINUTE)

    def between(
        self, start: np.ndarray[Any, np.dtype[np.int64]], end: np.ndarray[Any, np.dtype[np.int64]]
    ) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Minutes of session from each `start` to its `end`, UTC microseconds."""
        return np.asarray(self._at(end) - self._at(start))
