"""Rows of what was traded in a session, from the engine's integers (columns: `bt.execution.layout`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from bt.arrays import arrow, table, text
from bt.book import CashMove, Curve
from bt.exact import quotient
from bt.execution import IntArray, portions
from bt.execution import layout as at
from bt.model import Schedule, Session
from bt.results import Rows, coded, order_of, repeated
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

    def named_or_none(self, codes: IntArray) -> pa.DictionaryArray:
        """Symbols by code, null of what is of none."""
        return coded(np.where(codes == at.EVERY, -1, codes), self._symbols, null=True)

    def universe(self, parts: Sequence[Members]) -> Rows:
        """Rows of `universe`."""
        count = [len(part.codes) for part in parts]
        return table(
            {
                "session": days([part.session for part in parts], count),
                "symbol": self.named(np.concatenate([part.codes for part in parts])),
                "rank": np.concatenate([np.arange(1, n + 1) for n in count]),
            }
        )

    def sessions(self, parts: Sequence[Counted]) -> Rows:
        """Rows of `sessions`."""
        bars, iterations, withheld, orders, fills, net = np.array([part.counts for part in parts]).T
        sessions = [part.session for part in parts]
        return table(
            {
                "session": days([session.name for session in sessions], [1] * len(parts)),
                "open": [session.open for session in sessions],
                "close": [session.close for session in sessions],
                "early_close": [session.early_close for session in sessions],
                "bars": bars,
                "iterations": iterations,
                "withheld": withheld,
                "orders": orders,
                "fills": fills,
                "net_pnl": net,
            }
        )

    def quality(self, parts: Sequence[Quality]) -> Rows:
        """Rows of `quality`."""
        frame = pl.concat([part.frame for part in parts], rechunk=True)
        lengths, labels = np.unique(frame["interval"].to_numpy(), return_inverse=True)
        words = [parts[0].labels.get(length, f"{length}m") for length in lengths.tolist()]
        rows = frame.drop("interval", "code").to_arrow(compat_level=pl.CompatLevel.oldest())
        return (
            rows.append_column("session", arrow(days([p.session for p in parts], [p.frame.height for p in parts])))
            .append_column("symbol", self.named(frame["code"].to_numpy()))
            .append_column("interval", coded(labels, words))
        )

    def of(self, strategy: str, tags: Sequence[str]) -> StrategyRows:
        """Makes one strategy's; `tags` by code, which may become more."""
        return StrategyRows(self, strategy, tags)

    def days(self, numbers: IntArray) -> npt.NDArray[np.datetime64]:
        """Sessions by their number in the schedule."""
        return np.asarray(self._sessions[numbers])

    def minutes_between(self, start: IntArray, end: IntArray) -> IntArray:
        """Minutes of session from each `start` to its `end`."""
        return self._clock.between(start, end)


class Members(NamedTuple):
    """A session's members of the universe, by rank."""

    session: date
    codes: IntArray


class Counted(NamedTuple):
    """A session, and what is counted of it: bars, iterations, rows withheld, orders, fills, and units of P&L."""

    session: Session
    counts: tuple[int, int, int, int, int, int]


class Quality(NamedTuple):
    """A session's quality, by code and interval, and the names of intervals that have one, by their minutes."""

    session: date
    frame: pl.DataFrame
    labels: Mapping[int, str]


class Fills(NamedTuple):
    """A session's fills of one strategy, and what traded in the bars that they were in (0: not known)."""

    session: date
    rows: IntArray
    traded: npt.NDArray[np.float64]


class Positions(NamedTuple):
    """What one strategy held at a session's close, as `bt.book.Account.held` tells it."""

    session: date
    held: IntArray


class Equity(NamedTuple):
    """What one strategy was worth at the end of each minute of a session, UTC microseconds."""

    session: date
    times: IntArray
    curve: Curve


class StrategyRows:
    """Makes one strategy's rows, those of several sessions at once: what is made few at a time costs by how often."""

    def __init__(self, maker: RowMaker, strategy: str, tags: Sequence[str]) -> None:
        self._maker, self._strategy, self._tags = maker, strategy, tags

    def fills(self, parts: Sequence[Fills]) -> Rows:
        """Rows of `fills`."""
        count = [len(part.rows) for part in parts]
        columns, orders = columns_of([part.rows for part in parts], at.F_TIME, at.F_CODE, at.F_ORDER)
        traded = np.concatenate([part.traded[order] for part, order in zip(parts, orders, strict=True)])
        shares, price, reference = (columns[k] for k in (at.F_SHARES, at.F_PRICE, at.F_REFERENCE))
        size = np.abs(shares)
        unknown = ~(traded > 0)  # an exit at the session's close, or a bar without volume
        share = np.divide(size, traded, out=np.zeros(len(size)), where=~unknown)
        return table(
            {
                "order_id": columns[at.F_ORDER],
                "strategy": repeated(self._strategy, len(size)),
                "symbol": self._maker.named(columns[at.F_CODE]),
                "session": days([part.session for part in parts], count),
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
                "tag": coded(columns[at.F_TAG], self._tags),
                "ambiguous": columns[at.F_DOUBTED] != 0,
            }
        )

    def trades(self, parts: Sequence[IntArray]) -> Rows:
        """Rows of `trades`; each part is a session's."""
        columns, _ = columns_of(parts, at.T_EXITED, at.T_CODE, at.T_ENTERED)
        signed, gross, costs = (columns[k] for k in (at.T_SHARES, at.T_GROSS, at.T_COMMISSION))
        entered, left = columns[at.T_ENTRY_VALUE], columns[at.T_EXIT_VALUE]
        entry, exit_ = columns[at.T_ENTERED], columns[at.T_EXITED]
        size, net = np.abs(signed), gross - costs
        return table(
            {
                "strategy": repeated(self._strategy, len(size)),
                "symbol": self._maker.named(columns[at.T_CODE]),
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
                "minutes_held": self._maker.minutes_between(entry, exit_),
                "entry_tag": coded(columns[at.T_TAG], self._tags),
                "exit_reason": coded(columns[at.T_REASON], _TYPES),
                "ambiguous": columns[at.T_DOUBTED] != 0,
            }
        )

    def orders(self, parts: Sequence[IntArray]) -> Rows:
        """Rows of `orders`, from their records; of several parts each is a session's."""
        columns, _ = columns_of(parts, at.R_SESSION, at.R_DECIDED, at.R_CODE, at.R_ID)
        shares, code = columns[at.R_SHARES], columns[at.R_CODE]
        side = np.where((shares == at.NULL) | (shares == 0), columns[at.R_SIDE], shares)
        parent = columns[at.R_PARENT]
        return table(
            {
                "id": columns[at.R_ID],
                "strategy": repeated(self._strategy, len(code)),
                "symbol": self._maker.named_or_every(code),
                "session": self._maker.days(columns[at.R_SESSION]),
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
                "tag": coded(columns[at.R_TAG], self._tags),
                "filled": columns[at.R_FILLED],
                "parent": _nullable(np.where(parent == 0, at.NULL, parent)),
            }
        )

    def cash(self, session: date, moves: Sequence[CashMove]) -> Rows:
        """Rows of `cash` of a session."""
        kinds = sorted({move.kind for move in moves})
        code = np.array([move.code for move in moves], dtype=np.int64)
        return table(
            {
                "time": np.array([move.time for move in moves], dtype=np.int64),
                "session": days([session], [len(moves)]),
                "strategy": repeated(self._strategy, len(moves)),
                "symbol": self._maker.named_or_none(code),
                "kind": coded(np.array([kinds.index(move.kind) for move in moves]), kinds),
                "amount": np.array([move.amount for move in moves], dtype=np.int64),
            }
        )

    def positions(self, parts: Sequence[Positions]) -> Rows:
        """Rows of `positions`."""
        code, shares, price, value = np.ascontiguousarray(np.concatenate([part.held for part in parts]).T)
        return table(
            {
                "session": days([part.session for part in parts], [len(part.held) for part in parts]),
                "strategy": repeated(self._strategy, len(code)),
                "symbol": self._maker.named(code),
                "shares": shares,
                "price": price,
                "value": value,
            }
        )

    def equity(self, parts: Sequence[Equity]) -> Rows:
        """Rows of `equity`."""
        count = [len(part.times) for part in parts]
        return table(
            {
                "time": np.concatenate([part.times for part in parts]),
                "session": days([part.session for part in parts], count),
                "strategy": repeated(self._strategy, sum(count)),
                "equity": np.concatenate([part.curve.equity for part in parts]),
                "cash": np.concatenate([part.curve.cash for part in parts]),
                "gross": np.concatenate([part.curve.gross for part in parts]),
                "net": np.concatenate([part.curve.net for part in parts]),
            }
        )


def columns_of(parts: Sequence[IntArray], *keys: int) -> tuple[IntArray, list[IntArray]]:
    """The columns of some rows, one part's behind the other's, each part in the stable order of some of its columns, the first key first; and those orders."""
    columns = np.empty((parts[0].shape[1], sum(map(len, parts))), dtype=np.int64)
    orders, begin = [], 0
    for part in parts:
        order = order_of([part[:, key] for key in keys])
        if order is None:
            order = np.arange(len(part))
        columns[:, begin : begin + len(part)] = part[order].T
        orders.append(order)
        begin += len(part)
    return columns, orders


def days(sessions: Sequence[date], count: Sequence[int]) -> npt.NDArray[np.datetime64]:
    """Each session in so many rows."""
    return np.repeat(np.array(sessions, dtype="datetime64[D]"), count)


def _nullable(values: IntArray) -> pa.Array:
    """The values, null where there is none."""
    absent = values == at.NULL
    return pa.nulls(len(values), pa.int64()) if absent.all() else arrow(values, absent=absent)


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
