"""One day of the store: what was there, what came, copies merged and conflicts found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from bt.ingest.clean import iso
from bt.ingest.layout import KINDS, nulls
from bt.ingest.report import Conflict
from bt.schema import BAR_COLUMNS, OPTIONAL_COLUMNS, PRICES

VALUES = (*BAR_COLUMNS,)
MAX_DECIMALS = 8
NO_SCALE = MAX_DECIMALS + 1
"""Recorded for prices that no 10^k, k <= 8, represents."""


class Origins:
    """Numbers for the sets of sources that a bar came from."""

    def __init__(self, known: Sequence[Sequence[int]] = ()) -> None:
        self.sets: list[tuple[int, ...]] = [tuple(s) for s in known]
        self._number = {s: i for i, s in enumerate(self.sets)}

    def number(self, sources: Iterable[int]) -> int:
        """The number of that set of sources."""
        key = tuple(sorted(set(sources)))
        if key not in self._number:
            self._number[key] = len(self.sets)
            self.sets.append(key)
        return self._number[key]


@dataclass(frozen=True, slots=True)
class Day:
    """A merged day. `bars` is sorted by symbol and time, with `origin`; `duplicates` and `merged` count dropped copies by source."""

    bars: pl.DataFrame
    conflicts: tuple[Conflict, ...] = ()
    duplicates: Counter[int] = field(default_factory=Counter)
    merged: Counter[int] = field(default_factory=Counter)


def expand(
    bars: pl.DataFrame, runs: pl.DataFrame, origins: Origins, sources: Mapping[int, Collection[str]]
) -> pl.DataFrame:
    """The bars of a stored day with one row per bar and source of `sources`, each with no other optional columns than it gave.

    `runs` has origin and rows, in the order of `bars`; `sources` tells the optional columns of those that stay.
    """
    origin = np.repeat(runs["origin"].to_numpy(), runs["rows"].to_numpy())
    parts = []
    for number in np.unique(origin).tolist():
        mine = bars.filter(pl.Series(origin == number))
        parts += [
            mine.with_columns(pl.lit(source, pl.Int32).alias("source"), *nulls(set(KINDS) - set(sources[source])))
            for source in origins.sets[number]
            if source in sources
        ]
    return pl.concat(parts) if parts else bars.clear().with_columns(pl.lit(None, pl.Int32).alias("source"))


def merge(rows: pl.DataFrame, origins: Origins, day: str) -> Day:
    """One row per distinct bar: identical copies become one, copies that differ are all kept and told as a conflict.

    `rows` has symbol, time, the bar columns, the optional ones and source.
    """
    ordered = _sorted(rows.sort("source", maintain_order=True))
    same = (pl.col("symbol") == pl.col("symbol").shift()) & (pl.col("time") == pl.col("time").shift())
    repeats = ordered.select(same.fill_null(value=False)).to_series()
    if not repeats.any():
        return Day(_single(ordered, origins))
    repeated = repeats | repeats.shift(-1, fill_value=False)
    many = ordered.filter(repeated)
    key = ["symbol", "time", *VALUES]
    distinct = (
        many.sort(key, maintain_order=True)
        .group_by(key, maintain_order=True)
        .agg(pl.col("source").sort(), *(pl.col(c).max() for c in OPTIONAL_COLUMNS if c in many.columns))
    )
    numbers = [origins.number(sources) for sources in distinct["source"].to_list()]
    merged = distinct.drop("source").with_columns(pl.Series("origin", numbers, pl.Int32))
    single = _single(ordered.filter(~repeated), origins)
    bars = _sorted(pl.concat([single, merged.select(single.columns)]))
    duplicates, shared = _copies(distinct["source"].to_list())
    return Day(bars, _conflicts(distinct, day), duplicates, shared)


def _sorted(rows: pl.DataFrame) -> pl.DataFrame:
    """Stably sorted by time, then by symbol: two sorts by one key are several times faster than one by two."""
    symbols = pl.Enum(rows["symbol"].unique().sort())
    by_symbol = rows.sort("time", maintain_order=True).with_columns(pl.col("symbol").cast(symbols))
    return by_symbol.sort("symbol", maintain_order=True).with_columns(pl.col("symbol").cast(pl.String))


def _single(rows: pl.DataFrame, origins: Origins) -> pl.DataFrame:
    sources = rows["source"].unique().sort().to_list()
    numbers = {source: origins.number([source]) for source in sources}
    origin = pl.col("source").replace_strict(numbers, return_dtype=pl.Int32).alias("origin")
    return rows.with_columns(origin).drop("source")


def _copies(groups: list[list[int]]) -> tuple[Counter[int], Counter[int]]:
    """Dropped copies by source: repeats within the source, and rows that another source has too."""
    duplicates: Counter[int] = Counter()
    shared: Counter[int] = Counter()
    for sources in groups:
        times = Counter(sources)
        duplicates.update({source: n - 1 for source, n in times.items() if n > 1})
        if len(times) > 1:
            shared.update(times.keys())
    return duplicates, shared


def _conflicts(distinct: pl.DataFrame, day: str) -> tuple[Conflict, ...]:
    differing = distinct.filter(pl.len().over("symbol", "time") > 1)
    if differing.is_empty():
        return ()
    first = differing.sort("symbol", "time").row(0, named=True)
    return (Conflict(day, differing.height, first["symbol"], iso(first["time"])),)


def runs(bars: pl.DataFrame, day: int) -> pl.DataFrame:
    """The index of a day: for each run of rows of one symbol and origin, in order, its rows, first and last time and decimals."""
    bars = bars.with_columns(pl.Series("decimals", decimals(bars), pl.Int8))
    run = pl.struct("symbol", "origin").rle_id()
    return (
        bars.group_by(run.alias("run"), maintain_order=True)
        .agg(
            pl.lit(day, pl.Int32).first().alias("day"),
            pl.col("symbol").first(),
            pl.col("origin").first(),
            pl.len().cast(pl.Int64).alias("rows"),
            pl.col("time").first().alias("first"),
            pl.col("time").last().alias("last"),
            pl.col("decimals").max(),
        )
        .drop("run")
    )


def decimals(bars: pl.DataFrame) -> np.ndarray:
    """For each bar the smallest k such that 10^k scales all its prices to whole numbers and back exactly; NO_SCALE if none, k <= 8."""
    found = np.full(bars.height, NO_SCALE, np.int8)
    left = np.arange(bars.height)
    prices = bars.select(PRICES).to_numpy()
    for k in range(MAX_DECIMALS + 1):
        scale = 10.0**k
        fits = (np.rint(prices[left] * scale) / scale == prices[left]).all(axis=1)
        found[left[fits]] = k
        left = left[~fits]
        if len(left) == 0:
            break
    return found
