"""The opened store."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from bt.errors import DataError, UsageError
from bt.model import IN_MEMORY, DataSpec, MemoryBars
from bt.store.checks import verdicts
from bt.store.codes import UNWANTED, SymbolCodes
from bt.store.files import FileId, changed_meanwhile, find, identify, memory_cache, memory_id, recognised, store_cache
from bt.store.footers import Layout, hive_symbol, layout_of_schemas, schemas_of
from bt.store.reading import Connection, quoted, read_sql, start_stamped
from bt.store.schemas import known_schemas, remember_schemas
from bt.store.spans import files_of, spans_of

_EXACT = 2.0**51
"""Scaled prices up to here are the integers they stand for."""

_SUMMED = 9.2e18
"""Sums of volumes below it, as doubles, fit int64."""


@dataclass(frozen=True)
class Store:
    """A checked store of minute bars. Make it with `Store.open`; several threads may read from it.

    Attributes
    ----------
    data : DataSpec
        What was asked for.
    layout : Layout
        The files' columns.
    symbols : tuple of str
        Sorted; a bar's ``code`` is the index into it. The last `along` of them, sorted too, were asked for beside the others.
    files : DataFrame
        One row per file: path, hash, rows, bytes, first, last (Int64 UTC microseconds of open_time, null if it has no
        bar of `symbols`), clean (no faulty row, no duplicate, no overlap with another file), sorted (by symbol and
        time). `rows`, first, last and clean count `symbols` only.
    spans : DataFrame
        One row per file and symbol, in path order: file (index into `files`), code, rows, first, last, decimals, top,
        and the number of rows with each fault.
    cache : Path
        The folder for what is remembered about this store.
    volume_is_integer : bool
        Every finite volume of the store is whole, and int64 holds the sum of any symbol's: `read` gives Int64, else Float64.
    reach : int
        UTC microseconds of open_time of the last row of any symbol of the files, asked for or not.
    every : frozenset of str
        The symbols of the files, asked for or not.
    """

    data: DataSpec
    layout: Layout
    symbols: tuple[str, ...]
    files: pl.DataFrame
    spans: pl.DataFrame
    cache: Path
    volume_is_integer: bool
    along: int
    reach: int
    every: frozenset[str]
    _ids: tuple[FileId, ...]
    _connection: Connection
    _symbol_codes: SymbolCodes | None  # None where folders name the symbol

    @classmethod
    def open(
        cls,
        data: DataSpec,
        *,
        threads: int = 0,
        progress: Callable[[int, int, int], None] | None = None,
        along: Sequence[str] = (),
    ) -> Store:
        """The store that `data` names, every file checked.

        Files whose content is known are not read. `progress` is called as ``progress(files_done, files_total,
        rows_done)`` while others are. `along` are symbols to be read beside those of ``data.symbols``.

        Raises
        ------
        ConfigError
            ``data.timezone`` is not a zone.
        UsageError
            ``data.symbols`` or `along` has a symbol the store has not, or there are more than 65534.
        DataError
            No file matches, the files have faults (all are listed), or the store has no bar.
        """
        if isinstance(data.bars, MemoryBars):
            table = data.bars.frame.to_arrow(compat_level=pl.CompatLevel.oldest())
            layout = layout_of_schemas(data, {IN_MEMORY: table.schema})
            cache, ids, paths = memory_cache(), [memory_id(data.bars)], [IN_MEMORY]
        else:
            root, paths = find(data.bars)
            table, cache = None, store_cache(root)
            layout, ids = _identified(data, paths, cache)
        folders = [None if layout.symbol else hive_symbol(path) for path in paths]
        contents = [i.hash if symbol is None else f"{i.hash}|{symbol}" for i, symbol in zip(ids, folders, strict=True)]
        connection = Connection(threads, table)
        verdict = verdicts(
            connection, layout, list(zip(contents, paths, folders, strict=True)), cache=cache, progress=progress
        )
        found = _found_symbols(data, verdict)
        symbols = _chosen_symbols(data, found)
        if along:
            symbols = (*symbols, *_chosen_symbols(replace(data, symbols=tuple(along)), found, "of"))
            data = replace(data, symbols=symbols)
        spans = spans_of(contents, verdict, symbols)
        return cls(
            data=data,
            layout=layout,
            symbols=symbols,
            files=files_of(ids, contents, verdict, spans),
            spans=spans,
            cache=cache,
            volume_is_integer=_whole_volumes(verdict),
            along=len(along),
            reach=int(verdict["last"].drop_nulls().cast(pl.Int64).to_numpy().max()),
            every=frozenset(found),
            _ids=tuple(ids),
            _connection=connection,
            _symbol_codes=_symbol_codes(connection, found, symbols) if layout.symbol else None,
        )

    @property
    def candidates(self) -> int:
        """How many symbols are not only read along."""
        return len(self.symbols) - self.along

    @property
    def rows(self) -> int:
        """Bars of `symbols`, faulty ones included."""
        return int(self.files["rows"].sum())

    @property
    def bytes(self) -> int:
        """Size of all files."""
        return int(self.files["bytes"].sum())

    @property
    def extra_columns(self) -> tuple[str, ...]:
        """Columns beyond the contract's that every file has with one type, such as vwap."""
        return self.layout.extras

    @cached_property
    def fingerprint(self) -> str:
        """Hex digest of the files' contents and of what their columns and timestamps mean."""
        parts = [self.layout.key, *sorted(self._contents)]
        return hashlib.blake2b("\n".join(parts).encode(), digest_size=20).hexdigest()

    @cached_property
    def _contents(self) -> list[str]:
        folder = [None if self.layout.symbol else hive_symbol(i.path) for i in self._ids]
        return [i.hash if s is None else f"{i.hash}|{s}" for i, s in zip(self._ids, folder, strict=True)]

    @cached_property
    def first(self) -> dict[str, int]:
        """Each symbol's first bar, UTC microseconds of open_time."""
        return self._per_symbol(pl.col("first").min())

    @cached_property
    def last(self) -> dict[str, int]:
        """Each symbol's last bar, UTC microseconds of open_time."""
        return self._per_symbol(pl.col("last").max())

    def _per_symbol(self, value: pl.Expr) -> dict[str, int]:
        frame = self.spans.group_by("code").agg(value.alias("value")).sort("code")
        return {self.symbols[code]: number for code, number in frame.iter_rows()}

    @cached_property
    def decimals(self) -> dict[str, int | None]:
        """Each symbol's price decimals: the smallest k <= 8 for which 10^k times every price is a whole number.

        None where there is none, or not the declared one: such a symbol takes the float path.
        """
        declared = self.data.price_decimals
        frame = self.spans.group_by("code").agg(
            pl.col("decimals").min().alias("least"), pl.col("decimals").max().alias("most"), pl.col("top").max()
        )
        result: dict[str, int | None] = {}
        for code, least, most, top in frame.sort("code").iter_rows():
            k = most if declared == "auto" else declared
            result[self.symbols[code]] = k if least >= 0 and most <= k and top * 10.0**k < _EXACT else None
        return result

    def clean(self, start: int, end: int) -> bool:
        """Whether no file with bars in ``[start, end)`` (UTC microseconds) has a faulty or duplicate row.

        Files whose time ranges overlap for some symbol are not clean either: a bar could be in both.
        """
        first, last = self._ranges
        return bool(self._clean[(first < end) & (last >= start)].all())

    def read(
        self, start: int, end: int, columns: Sequence[str], *, symbols: Sequence[str] | None = None
    ) -> pl.DataFrame:
        """Bars with open_time in ``[start, end)``, by one DuckDB query.

        Parameters
        ----------
        start, end : int
            UTC microseconds.
        columns : sequence of str
            Bar columns and `extra_columns`.
        symbols : sequence of str, optional
            Only these.

        Returns
        -------
        DataFrame
            ``code`` (UInt16), ``time`` (Int64, UTC microseconds of open_time), then `columns`: prices Float64, volume
            Int64 or Float64 (`volume_is_integer`), extras as the files have them. Row order is that of the files in
            path order. The frame may have several chunks.

        Raises
        ------
        UsageError
            An unknown column or symbol.
        DataError
            A file vanished or changed since the store was opened, or cannot be read.
        """
        self._check_columns(columns)
        # bounds within the store's own: any pair of integers may be asked
        start, end = max(start, self._first), min(end, self._last + 1)
        codes = self._wanted(symbols)
        chosen = self._files_between(start, end, codes)
        for i in chosen:
            self._ids[i].check_unchanged()
        if start >= end or not chosen:
            chosen, start, end = [int(self.spans["file"][0])], 0, 0
        paths = [self._ids[i].path for i in chosen]
        frame = self._connection.frame(self._sql((start, end), columns, codes), paths)
        if self._symbol_codes is not None:
            code = self._symbol_codes.decode(frame["code"], codes)
        else:
            code = np.array([self._folder_codes[i] for i in chosen], np.uint16)[frame["code"].to_numpy()]
        frame = frame.with_columns(pl.Series("code", code), start_stamped(self.layout, pl.col("time")))
        if codes is not None and (code == UNWANTED).any():
            frame = frame.filter(pl.col("code") != UNWANTED)
        if self.layout.zone:
            frame = frame.filter(pl.col("time").is_between(start, end, closed="left"))
        return frame

    def explain(self, start: int, end: int, columns: Sequence[str], *, symbols: Sequence[str] | None = None) -> str:
        """How DuckDB answers the same `read`: its plan with the files and row groups it scanned."""
        start, end = max(start, self._first), min(end, self._last + 1)
        codes = self._wanted(symbols)
        paths = [self._ids[i].path for i in self._files_between(start, end, codes)]
        return self._connection.explain(self._sql((start, end), columns, codes), paths)

    def overlapping_hashes(self, start: int, end: int) -> list[str]:
        """Content hashes of the files with bars in ``[start, end)``, sorted."""
        first, last = self._ranges
        return sorted(self._contents[i] for i in np.flatnonzero((first < end) & (last >= start)).tolist())

    def rows_within(self, start: int, end: int) -> int:
        """About how many bars of `symbols` lie in ``[start, end)`` (UTC microseconds): as if each file's were spread evenly."""
        first, last = self._ranges
        within = np.minimum(last, end - 1) - np.maximum(first, start) + 1.0
        shares = np.where(within > 0, within, 0.0) / np.maximum(last - first + 1.0, 1.0)
        return int((self.files["rows"].to_numpy() * shares).sum())

    @cached_property
    def _ranges(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """First and last bar of each file; of one without a bar a range that nothing is in."""
        never = pl.col("first").fill_null(np.iinfo(np.int64).max), pl.col("last").fill_null(np.iinfo(np.int64).min)
        frame = self.files.select(*never)
        return frame["first"].to_numpy(), frame["last"].to_numpy()

    @cached_property
    def _clean(self) -> npt.NDArray[np.bool_]:
        """Whether each file is."""
        return self.files["clean"].to_numpy()

    def close(self) -> None:
        """Release DuckDB's memory; the store cannot be read afterwards."""
        self._connection.close()

    def _sql(self, bounds: tuple[int, int], columns: Sequence[str], codes: Sequence[int] | None) -> str:
        name = quoted(self.layout.symbol or "")
        return read_sql(
            self.layout,
            columns,
            code=self._symbol_codes.sql(f"b.{name}") if self._symbol_codes is not None else "b.file_index",
            bounds=bounds,
            symbols=[self.symbols[code] for code in codes or ()],
            integer_volume=self.volume_is_integer,
            source=self._connection.source,
        )

    def _wanted(self, symbols: Sequence[str] | None) -> list[int] | None:
        """Codes to read, sorted; None for every symbol of the files."""
        if symbols is not None:
            return sorted({self._code(symbol) for symbol in symbols})
        return None if self.data.symbols is None else list(range(len(self.symbols)))

    @cached_property
    def _folder_codes(self) -> dict[int, int]:
        """The code of each file where folders name the symbol."""
        return dict(self.spans.select("file", "code").iter_rows())

    @cached_property
    def _first(self) -> int:
        return min(self.first.values()) - 1  # a time between two microseconds may be told as the later (start_stamped)

    @cached_property
    def _last(self) -> int:
        return max(self.last.values())

    def _files_between(self, start: int, end: int, codes: Sequence[int] | None) -> list[int]:
        """Indices of the files with bars in ``[start, end)`` of the symbols with `codes` (None: any)."""
        if codes is None:
            first, last = self._ranges
            return np.flatnonzero((first < end) & (last >= start)).tolist()
        touched = self.spans.filter(pl.col("code").is_in(list(codes)))
        touched = touched.filter((pl.col("first") < end) & (pl.col("last") >= start))
        return touched["file"].unique().sort().to_list()

    def _check_columns(self, columns: Sequence[str]) -> None:
        for name in columns:
            if name not in self.layout.columns:
                near = get_close_matches(name, list(self.layout.columns), 1)
                raise UsageError(
                    f"{self.data.bars}: column must be one of {', '.join(self.layout.columns)}, was {name!r}"
                    + (f"; did you mean {near[0]!r}?" if near else "; every file must have it, with one type")
                )

    @cached_property
    def _codes(self) -> dict[str, int]:
        return {symbol: code for code, symbol in enumerate(self.symbols)}

    def _code(self, symbol: str) -> int:
        if symbol not in self._codes:
            raise _unknown("symbols", str(self.data.bars), symbol, self.symbols)
        return self._codes[symbol]


def _unknown(source: str, bars: str, symbol: str, symbols: Sequence[str]) -> UsageError:
    folded = {known.casefold(): known for known in symbols}
    near = folded[get_close_matches(symbol.casefold(), folded, 1, 0.0)[0]]
    return UsageError(
        f"{source}: symbol must be one of the {len(symbols)} in {bars}, was {symbol!r}; the nearest is {near!r}"
    )


def _whole_volumes(verdict: pl.DataFrame) -> bool:
    """Whether volumes can be summed as integers, whatever a symbol's rows are summed over."""
    traded = verdict.group_by("symbol").agg(pl.col("traded").sum())["traded"]
    return bool(verdict["integral"].all()) and bool((traded < _SUMMED).all())


def _found_symbols(data: DataSpec, verdict: pl.DataFrame) -> list[str]:
    found: list[str] = verdict["symbol"].drop_nulls().unique().sort().to_list()
    if not found:
        raise DataError(f"data.bars: {data.bars} must have at least one bar, was without any row; check the path")
    return found


def _chosen_symbols(data: DataSpec, found: Sequence[str], source: str = "data.symbols") -> tuple[str, ...]:
    chosen = found if data.symbols is None else sorted(set(data.symbols))
    for symbol in sorted(set(chosen).difference(found)):
        raise _unknown(source, str(data.bars), symbol, found)
    if not 0 < len(chosen) < UNWANTED:
        raise UsageError(f"data.symbols: must be 1 to {UNWANTED - 1} symbols, was {len(chosen)}; choose others")
    return tuple(chosen)


def _identified(data: DataSpec, paths: Sequence[str], cache: Path) -> tuple[Layout, list[FileId]]:
    """What the files share, and who each of them is; those that are not known by what vouches for them are opened.

    Raises
    ------
    DataError
        A file cannot be read or has a fault, or it changes meanwhile.
    """
    known, met = recognised(paths, cache), known_schemas(cache)
    schemas, stamps = schemas_of(paths, {path: met[i.hash] for path, i in known.items() if i.hash in met})
    layout = layout_of_schemas(data, schemas)
    ids = identify(paths, known, cache)
    for i in ids:
        if stamps.get(i.path, i.stamp) != i.stamp:  # its footer is another content's
            raise DataError(changed_meanwhile(i.path))
    if fresh := {i.hash: schemas[i.path] for i in ids if i.path in stamps}:
        remember_schemas(cache, met, fresh)
    return layout, ids


def _symbol_codes(connection: Connection, found: Sequence[str], symbols: Sequence[str]) -> SymbolCodes:
    code = {symbol: i for i, symbol in enumerate(symbols)}
    codes = np.array([code.get(symbol, UNWANTED) for symbol in found], np.uint16)
    return SymbolCodes(found, connection.hashes(found), codes)
