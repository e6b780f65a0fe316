"""Verdicts: what one file holds and which of its rows are faulty, found once and remembered by content.

A verdict has one row per symbol of the file. It is judged through the same SQL that later reads the bars, batch by
batch, so that a file of any size takes the memory of one batch; an unsorted file is read a second time to count its
duplicates, in DuckDB, which spills to disk.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from bt.errors import DataError
from bt.schema import BAR_COLUMNS, FAULT_REASONS, OK, PRICES, fault_code
from bt.store.files import load_frame, remembered_hashes, save_table
from bt.store.footers import Layout
from bt.store.reading import Connection, column_sql, quoted, start_stamped

ROW_FAULTS = FAULT_REASONS[:4]
"""The faults a row has by itself."""

MAX_DECIMALS = 8

YEARS = (-62_135_596_800_000_000, 253_402_300_799_999_999)
"""First and last UTC microsecond of the years 1 to 9999."""

VERDICT = {
    "content": pl.String(),  # content hash, with the folder's symbol where the folder names it
    "symbol": pl.String(),  # null in the one row of a file without rows
    "rows": pl.Int64(),
    "first": pl.Int64(),  # UTC microseconds, start-stamped
    "last": pl.Int64(),
    "decimals": pl.Int8(),  # -1: no k <= 8 represents every sound price
    "top": pl.Float64(),  # the highest sound price
    "traded": pl.Float64(),  # the volume of all sound rows
    **{name: pl.Int64() for name in ROW_FAULTS},
    "duplicate": pl.Int64(),  # rows beyond the first of their symbol and time
    "sorted": pl.Boolean(),  # the whole file, by symbol and time
    "integral": pl.Boolean(),  # every finite volume is a whole number
}
"""Columns of verdicts."""

_BATCH = 500_000
_VERSION = 2


def verdicts(
    connection: Connection,
    layout: Layout,
    contents: Sequence[tuple[str, str, str | None]],
    *,
    cache: Path,
    progress: Callable[[int, int, int], None] | None = None,
) -> pl.DataFrame:
    """The verdict on every file, from the cache folder where its content is known there.

    `contents` has (content key, path, symbol named by the folder or None) of each file. `progress` is called as
    ``progress(files_done, files_total, rows_done)`` while files are read.

    Raises
    ------
    DataError
        A file cannot be read, a time or symbol is null, or a local time does not exist or exists twice.
    """
    store = cache / f"verdicts-{_VERSION}-{layout.key}.arrow"
    known = load_frame(store, VERDICT)
    have = set(known["content"].unique())
    todo = {content: (path, symbol) for content, path, symbol in contents if content not in have}
    fresh: list[pl.DataFrame] = []
    rows = 0
    try:
        for content, (path, symbol) in todo.items():
            fresh.append(examine(connection, layout, path, symbol=symbol).with_columns(content=pl.lit(content)))
            rows += int(fresh[-1]["rows"].sum())
            if progress is not None:
                progress(len(fresh), len(todo), rows)
    finally:  # an interrupted check goes on where it was
        if fresh:
            live = remembered_hashes(cache) | {content for content, _, _ in contents}
            kept = known.filter(pl.col("content").str.split("|").list.first().is_in(list(live)))
            known = pl.concat([kept, *(frame.select(list(VERDICT)) for frame in fresh)])
            save_table(store, known.to_arrow())
    wanted = {content for content, _, _ in contents}
    return known if have == wanted else known.filter(pl.col("content").is_in(list(wanted)))


def examine(connection: Connection, layout: Layout, path: str, *, symbol: str | None) -> pl.DataFrame:
    """The verdict on one file, without its content key: reads the whole file in batches."""
    name = f"b.{quoted(layout.symbol)}" if layout.symbol else "NULL::VARCHAR"
    integer = pa.types.is_integer(layout.types["volume"])
    values = [f"{column_sql(layout, c, integer_volume=integer)} AS {c}" for c in BAR_COLUMNS]
    source = f"FROM {connection.source} b"
    sql = f"SELECT {name} AS symbol, b.{quoted(layout.time)} AS time, {', '.join(values)} {source}"
    tally = _Tally()
    for batch in connection.batches(sql, [path], _BATCH):
        if batch.num_rows:
            frame = pl.DataFrame(batch)
            if symbol is not None:
                frame = frame.with_columns(symbol=pl.lit(symbol))
            tally.add(_timed(frame, layout, path))
    if tally.needs_count:
        groups = f"SELECT {name} AS symbol, count(*) AS n {source} GROUP BY 1, b.{quoted(layout.time)} HAVING n > 1"
        counts = connection.frame(f"SELECT symbol, sum(n - 1)::BIGINT AS duplicate FROM ({groups}) GROUP BY 1", [path])  # noqa: S608
        tally.duplicates = counts if symbol is None else counts.with_columns(symbol=pl.lit(symbol))
    return tally.verdict()


def _timed(frame: pl.DataFrame, layout: Layout, path: str) -> pl.DataFrame:
    """`frame` with time as Int64 UTC microseconds, start-stamped."""
    for column, theirs in (("symbol", layout.symbol), ("time", layout.time)):
        if frame[column].null_count():
            count = frame[column].null_count()
            raise DataError(f"{path}: column {theirs!r} must have no null, was null in {count} rows; drop those rows")
    timed = frame.with_columns(start_stamped(layout, pl.col("time")))
    if not timed["time"].is_between(*YEARS).all():
        value = timed.filter(~pl.col("time").is_between(*YEARS)).row(0, named=True)
        raise DataError(
            f"{path}: column {layout.time!r} must lie in the years 1 to 9999, was {value['time']:,} microseconds from 1970 in "
            f"{value['symbol']}; drop such rows"
        )
    if timed["time"].null_count():
        value = frame.filter(timed["time"].is_null())["time"][0]
        zone = layout.zone
        again = f"a local time that exists once in {zone}, was {value} (the clock is changed then)"
        raise DataError(
            f"{path}: column {layout.time!r} must be {again}; convert to UTC where the data is made, or drop those rows"
        )
    return timed


class _Tally:
    """What is known of a file so far, batch by batch."""

    def __init__(self) -> None:
        self.parts: list[pl.DataFrame] = []
        self.by_symbol = True  # sorted by symbol, then time
        self.by_time = True  # strictly sorted by time, then symbol: no duplicates either
        self.integral = True
        self.duplicates: pl.DataFrame | None = None
        self._last: tuple[str, int] | None = None

    @property
    def needs_count(self) -> bool:
        """Equal keys need not be neighbours."""
        return not (self.by_symbol or self.by_time)

    def add(self, frame: pl.DataFrame) -> None:
        """Take one batch: symbol, time (Int64), prices and volume."""
        names = frame["symbol"].unique().sort()
        code = frame["symbol"].cast(pl.Enum(names)).to_physical().to_numpy().astype(np.int64)
        time = frame["time"].to_numpy()
        twin = self._order(names, code, time)
        fault = frame.select(fault_code()).to_series().to_numpy()
        volume = frame["volume"]
        if volume.dtype.is_float():
            finite = volume.filter(volume.is_finite()).to_numpy()
            self.integral &= bool(np.all(finite == np.floor(finite))) and bool(np.all(np.abs(finite) < 2.0**53))
        prices = [frame[name].to_numpy() for name in PRICES]
        faults = [_count(code, fault == kind + 1, len(names)) for kind in range(len(ROW_FAULTS))]
        sound = fault == OK
        times = (
            pl.DataFrame({"code": code, "time": time})
            .group_by("code")
            .agg(rows=pl.len().cast(pl.Int64), first=pl.col("time").min(), last=pl.col("time").max())
        )
        part = (
            times.sort("code")
            .select("rows", "first", "last")
            .with_columns(
                names.alias("symbol"),
                pl.Series("decimals", _decimals([p[sound] for p in prices], code[sound], len(names))),
                pl.Series("top", _tops(prices[1][sound], code[sound], len(names))),
                pl.Series("traded", _totals(volume.to_numpy()[sound], code[sound], len(names))),
                *(pl.Series(name, n) for name, n in zip(ROW_FAULTS, faults, strict=True)),
                pl.Series("duplicate", _count(code, twin, len(names))),
            )
        )
        self.parts.append(part)

    def _order(
        self, names: pl.Series, code: npt.NDArray[np.int64], time: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.bool_]:
        """Update both orders; True at rows equal in symbol and time to the row before."""
        steps, ticks = np.diff(code), np.diff(time)
        self.by_symbol &= bool(np.all((steps > 0) | ((steps == 0) & (ticks >= 0))))
        self.by_time &= bool(np.all((ticks > 0) | ((ticks == 0) & (steps > 0))))
        twin = np.concatenate([[False], (steps == 0) & (ticks == 0)])
        first = (str(names[int(code[0])]), int(time[0]))
        if self._last is not None:
            self.by_symbol &= self._last <= first
            self.by_time &= self._last[::-1] < first[::-1]
            twin[0] = self._last == first
        self._last = (str(names[int(code[-1])]), int(time[-1]))
        return twin

    def verdict(self) -> pl.DataFrame:
        """One row per symbol, without the column content."""
        if not self.parts:
            frame = pl.DataFrame([{"rows": 0}], {name: kind for name, kind in VERDICT.items() if name != "content"})
            return frame.with_columns(sorted=pl.lit(True), integral=pl.lit(True), decimals=pl.lit(0, pl.Int8))
        counts = ["rows", *ROW_FAULTS, "duplicate"]
        frame = (
            pl.concat(self.parts)
            .group_by("symbol")
            .agg(
                pl.col(*counts, "traded").sum(),
                pl.col("first").min(),
                pl.col("last", "top").max(),
                # none at all (-1) wins over any number of decimals
                decimals=pl.when(pl.col("decimals").min() < 0)
                .then(-1)
                .otherwise(pl.col("decimals").max())
                .cast(pl.Int8),
            )
            .sort("symbol")
        )
        if self.needs_count:
            if self.duplicates is None:
                raise AssertionError("duplicates of an unsorted file were not counted")
            frame = frame.drop("duplicate").join(self.duplicates, on="symbol", how="left", maintain_order="left")
            frame = frame.with_columns(pl.col("duplicate").fill_null(0))
        return frame.with_columns(sorted=pl.lit(self.by_symbol), integral=pl.lit(self.integral))


def _count(code: npt.NDArray[np.int64], where: npt.NDArray[np.bool_], n: int) -> npt.NDArray[np.int64]:
    return np.bincount(code[where], minlength=n).astype(np.int64)


def _tops(high: npt.NDArray[np.float64], code: npt.NDArray[np.int64], n: int) -> npt.NDArray[np.float64]:
    tops = np.zeros(n)
    np.maximum.at(tops, code, high)
    return tops


def _totals(volume: npt.NDArray[np.number], code: npt.NDArray[np.int64], n: int) -> npt.NDArray[np.float64]:
    return np.bincount(code, volume, n).astype(np.float64)  # of nothing it is integers


def _decimals(prices: Sequence[npt.NDArray[np.float64]], code: npt.NDArray[np.int64], n: int) -> npt.NDArray[np.int8]:
    """Per code the smallest k <= 8 with round(p x 10^k) / 10^k == p for all its prices, -1 if none, 0 without any.

    A price that k represents is represented by every larger k too while p x 10^k < 2^51: p x 10^k is then less than a
    half away from the right integer, and the quotient of two exact integers is correctly rounded. So the numbers of
    batches and files combine by their maximum, and only symbols that k did not suit are tried with k + 1.
    """
    found = np.zeros(n, np.int8)
    for k in range(MAX_DECIMALS + 1):
        scale = 10.0**k
        bad = np.zeros(len(code), np.bool_)
        for price in prices:
            bad |= np.rint(price * scale) / scale != price
        missed = np.zeros(n, np.bool_)
        missed[code[bad]] = True
        found[missed] = k + 1
        if not missed.any():
            break
        rest = missed[code]
        prices, code = [price[rest] for price in prices], code[rest]
    found[found > MAX_DECIMALS] = -1
    return found
