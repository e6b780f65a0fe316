"""A strategy played by bt and by the oracle over the same files, and everything that came of it compared, exactly.

A strategy written for both has ``row`` and ``features()`` for bt, and ``judged()``, the same features of the oracle by name.
What it notes in ``seen`` is compared too. Money is compared as whole numbers of 1e-8, on the frames the engine hands to its
results, and again as the tables' currency.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import oracle as o
import polars as pl
import pytest

import bt
from bt.results import MONEY, ORDER, SCHEMAS, Deferred, MemoryResults, Rows, frame_of, joined
from bt.sessions import TimeManager

EXECUTION = ("fill", "time_in_force", "slippage_bps", "commission_per_share", "close_price", "at_end")


@dataclass(frozen=True)
class Market:
    """Files of bars, the calendar they trade by, and the sessions to play (both included)."""

    files: Sequence[Path]
    calendar: str
    start: date
    end: date
    symbols: tuple[str, ...] | None = None
    label: str = "ts"

    @cached_property
    def bars(self) -> list[o.Bar]:
        """Every row, as the oracle reads it."""
        return o.load_parquet(self.files, self.label, self.symbols)

    @cached_property
    def days(self) -> list[o.Day]:
        """The sessions from the one before the data's first row to the one after the last to be played."""
        times = TimeManager(self.calendar)
        first = min(o.instant(min(b.time_us for b in self.bars)).date(), self.start) - timedelta(days=10)
        schedule = times.schedule(first, self.end + timedelta(days=10))
        days = o.days_from_rows(schedule.frame.iter_rows(named=True))
        before = sum(d.close <= min(b.time_us for b in self.bars) for d in days) - 1
        after = sum(d.name <= self.end for d in days)
        return days[max(before, 0) : after + 1]

    @cached_property
    def classified(self) -> o.Classified:
        """Which row belongs where, by the oracle."""
        return o.classify(self.bars, self.days[1:-1], self.zone, before=self.days[0], after=self.days[-1])

    @cached_property
    def zone(self) -> str:
        """The exchange's."""
        return TimeManager(self.calendar).zone

    @cached_property
    def flat_us(self) -> int:
        """The last minute but one of the last session to be played."""
        return self.days[-2].minutes[-2]

    @cached_property
    def whole(self) -> bool:
        """Whether every volume is a whole number."""
        return all(isinstance(b.volume, int) for b in self.bars)

    @property
    def given(self) -> dict[str, Any]:
        """What `bt.replay` needs to know of it."""
        folder = self.files[0].parent
        bars = self.files[0] if len(self.files) == 1 else folder / "*.parquet"
        symbols = {} if self.symbols is None else {"symbols": list(self.symbols)}
        columns = {"columns": {"open_time": self.label}} if self.label != "open_time" else {}
        return {"bars": bars, "calendar": self.calendar, "start": self.start, "end": self.end, **symbols, **columns}


@dataclass(frozen=True)
class Entry:
    """A strategy of a run: its name, what makes it (afresh for each engine), and its cash."""

    name: str
    make: Callable[[], Any]
    cash: float | None = None


@dataclass(frozen=True)
class Ours:
    """A run of bt, its strategies, and its tables with money in units of 1e-8."""

    run: bt.Run
    strategies: Sequence[Any]
    units: Mapping[str, pl.DataFrame]


@dataclass
class Tables:
    """Frames in the engine's own terms, by table, as they are handed to `MemoryResults`."""

    frames: dict[str, list[pl.DataFrame]] = field(default_factory=dict)

    def of(self, table: str) -> pl.DataFrame:
        """One table: its columns, money in units, sorted as it is."""
        wanted = list(SCHEMAS[table])
        frames = [f.select([c for c in wanted if c in f.columns]) for f in self.frames.get(table, [])]
        frames = [f.with_columns(pl.col(c).cast(pl.Int64) for c in f.columns if f[c].dtype == TIME) for f in frames]
        return pl.concat(frames).sort(ORDER[table], maintain_order=True) if frames else pl.DataFrame()


TIME = pl.Datetime("us", "UTC")


@contextmanager
def tables_in_units() -> Iterator[Tables]:
    """Collects what runs kept in memory are made of."""
    kept, append = Tables(), MemoryResults.append

    def spy(self: MemoryResults, table: str, rows: Rows | Deferred, **how: Any) -> None:
        if len(rows):
            kept.frames.setdefault(table, []).append(frame_of(joined([rows])))
        append(self, table, rows, **how)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MemoryResults, "append", spy)
        yield kept


def ours(market: Market, entries: Sequence[Entry], **tables: Any) -> Ours:
    """The run by bt, in memory."""
    made = [e.make() for e in entries]
    given = [
        {"name": e.name, "use": s} | ({} if e.cash is None else {"cash": e.cash})
        for e, s in zip(entries, made, strict=True)
    ]
    with tables_in_units() as kept:
        run = bt.replay(**market.given, strategies=given, save=False, **tables)
    return Ours(run, made, {t: kept.of(t) for t in ("fills", "orders", "trades", "equity", "positions", "sessions")})


def theirs(market: Market, entries: Sequence[Entry], **tables: Mapping[str, Any]) -> tuple[o.Result, list[Any]]:
    """The run by the oracle, and its strategies."""
    made = [e.make() for e in entries]
    strategies = [
        o.Strategy(e.name, s, [row_type(r, s.judged()) for r in rows_of(s)], e.cash)
        for e, s in zip(entries, made, strict=True)
    ]
    account = tables.get("account", {})
    backtest = o.Backtest(
        market.days[1:-1],
        (),
        strategies,
        zone=market.zone,
        start=market.start,
        end=market.end,
        symbols=market.symbols or sorted({b.symbol for b in market.bars}),
        execution=o.Execution(**tables.get("execution", {})),
        account=o.Account(account.get("cash", 1_000_000.0), account.get("leverage", 1.0)),
        gate=o.Gate(**tables.get("quality", {})),
        classified=market.classified,
    )
    return backtest.run(), made


def rows_of(strategy: Any) -> tuple[type, ...]:
    """A strategy's row types."""
    row = getattr(strategy, "row", ())
    return row if isinstance(row, tuple) else (row,)


def row_type(row: type, features: Mapping[str, Any]) -> o.RowType:
    """A row type as the oracle's; an indicator's field ``<name>_sessions`` is how many sessions it used."""
    fields = o.RowType.of(row).fields
    own = {k: v for k, v in features.items() if k in fields}
    return o.RowType.of(row, own)


# --------------------------------------------------------------------------------------------------------- comparing


def assert_equal(market: Market, entries: Sequence[Entry], **tables: Any) -> Ours:
    """Play both and compare every table, what was withheld, and what the strategies saw; our run comes back."""
    mine = ours(market, entries, **tables)
    judged, strategies = theirs(market, entries, **tables)
    for own, other in zip(mine.strategies, strategies, strict=True):
        # in time order, so it shows the cause first; sums of volumes that are no whole numbers are floats, not exact
        assert_same_seen(getattr(own, "seen", []), getattr(other, "seen", []), 0.0 if market.whole else 1e-12)
    compare(mine, judged)
    return mine


def compare(mine: Ours, judged: o.Result) -> None:
    """Every table of a run against the oracle's."""
    run = mine.run
    assert run.finish_reason == judged.finish_reason
    for table in ("fills", "orders", "trades", "equity", "positions", "sessions"):
        rows = sorted(getattr(judged, table), key=lambda r, t=table: tuple(r[k] for k in ORDER[t]))
        assert_same_table(table, mine.units[table], getattr(run, "by_session" if table == "sessions" else table), rows)
    guards = {(r["session"], r["symbol"], r["reason"]): r["rows"] for r in run.guards.iter_rows(named=True)}
    assert guards == dict(judged.guards)
    for table in ("records", "log"):
        rows = [tuple(r.values()) for r in sorted(getattr(judged, table), key=lambda r: (r["time"], r["strategy"]))]
        if table == "log":
            rows = [(*r[:3], as_json(r[3])) for r in rows]
        found = getattr(run, table).rows()
        assert same(found, rows), first_difference(found, rows)
    assert run.summary["bars"] == judged.bars
    assert run.summary["iterations"] == judged.iterations


def as_json(fields: Mapping[str, Any]) -> str:
    """Log fields as the table holds them, for plain numbers and words."""
    inside = ", ".join(f'"{k}": {v!r}' for k, v in sorted(fields.items()))
    return "{" + inside.replace("'", '"') + "}"


def assert_same_table(table: str, units: pl.DataFrame, found: pl.DataFrame, rows: Sequence[Mapping[str, Any]]) -> None:
    """One table of a run, in units and in currency, against the oracle's rows."""
    money = MONEY.get(table, ())
    columns = [c for c in SCHEMAS[table] if c != "withheld"]
    assert found.height == len(rows), (table, found.height, len(rows), difference_of(found, rows))
    for column in columns:
        if column in money:
            exact = [r[f"{column}_units"] for r in rows]
            assert_same_column(table, f"{column} in units", units[column].to_list() if rows else [], exact, rows)
            told = [None if amount is None else amount / o.UNIT for amount in exact]
        else:
            told = [r[column] for r in rows]
        assert_same_column(table, column, found[column].to_list(), told, rows)


def assert_same_column(table: str, column: str, found: list[Any], told: list[Any], rows: Sequence[Any]) -> None:
    if found == told:
        return
    at = next(i for i, (a, b) in enumerate(zip(found, told, strict=True)) if a != b)
    count = sum(a != b for a, b in zip(found, told, strict=True))
    pytest.fail(f"{table}.{column}: {count} of {len(told)} differ, first row {at}: ours {found[at]!r}, {rows[at]}")


def difference_of(found: pl.DataFrame, rows: Sequence[Mapping[str, Any]]) -> Any:
    """The first rows that differ, for a message."""
    keys = [c for c in ("session", "time", "decided_at", "symbol", "order_id", "id", "shares", "status") if c in found]
    ours_ = found.select(keys).rows()
    other = [tuple(r[k] for k in keys) for r in rows]
    return first_difference(ours_, other)


def first_difference(found: Sequence[Any], told: Sequence[Any], tolerance: float = 0.0) -> Any:
    """Where two lists begin to differ, and what is there."""
    for i, (a, b) in enumerate(zip(found, told, strict=False)):
        if not same(a, b, tolerance):
            return i, a, b
    i = min(len(found), len(told))
    return i, list(found[i : i + 1]), list(told[i : i + 1])


def same(a: Any, b: Any, tolerance: float = 0.0) -> bool:
    """Equal (floats up to a relative `tolerance`), NaN equal to itself, lists and tuples entry by entry."""
    if isinstance(a, float) and isinstance(b, float):
        return a == b or (math.isnan(a) and math.isnan(b)) or math.isclose(a, b, rel_tol=tolerance)
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(same(x, y, tolerance) for x, y in zip(a, b, strict=True))
    return bool(a == b)


def assert_same_seen(mine: list[Any], other: list[Any], tolerance: float = 0.0) -> None:
    """What two strategies noted."""
    if mine != other and not same(mine, other, tolerance):
        first = first_difference(mine, other, tolerance)
        pytest.fail(f"what was seen differs: {len(mine)} notes, the oracle {len(other)}: {first}")


def moment(when: datetime | int) -> int:
    """A time as UTC microseconds."""
    return o.micros(when)
