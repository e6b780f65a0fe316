"""Rows in the engine's terms as Arrow columns, from the recorder to the file: text stays codes into words, and order is of integers.

A text column is a dictionary array. Which words a column knows, and in which order, is how it came to be; `settled` leaves
the words that occur, in text order, so that what is written tells the rows' values alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from bt.arrays import arrow, plain, text, whole
from bt.model import UNIT
from bt.results.tables import ABSENT_AS_NULL, MONEY, NULLABLE, ORDER, PRICES, SCHEMAS, conform, currency_of

IntArray: TypeAlias = npt.NDArray[np.int64]
Integers: TypeAlias = npt.NDArray[np.integer[Any]]

Rows: TypeAlias = pa.Table
"""Rows of one table in the engine's terms: money as int64 units of 1e-8, times as int64 UTC microseconds, text as codes."""

Days: TypeAlias = npt.NDArray[np.datetime64]
"""A session a row."""

Multipliers: TypeAlias = Mapping[str, Fraction]
"""By symbol what a share is worth at a price of 1, where that is not 1."""

NO_MULTIPLIERS: Multipliers = {}

TEXT = pa.dictionary(pa.int32(), pa.string())

FREE_TEXT = {"log": ("message", "fields")}
"""Text of which every row may have its own: no codes."""

GAP = 24
"""Bytes of one element of a list."""

_WIDEST = 1 << 62
_MINUTE = 60_000_000


def _field(table: str, name: str, arrow: pa.Field) -> pa.Field:
    has_codes = SCHEMAS[table][name] == pl.String and name not in FREE_TEXT.get(table, ())
    return pa.field(name, TEXT if has_codes else arrow.type, nullable=name in NULLABLE.get(table, (name,)))


COLUMNS: dict[str, pa.Schema] = {
    table: pa.schema(
        [_field(table, f.name, f) for f in schema.to_frame().to_arrow(compat_level=pl.CompatLevel.oldest()).schema]
    )
    for table, schema in SCHEMAS.items()
}
"""The columns of every table in Arrow, settled."""


# -------------------------------------------------------------------------------------------------------------- making


def coded(codes: npt.NDArray[Any], words: Sequence[str] | pa.Array, *, null: bool = False) -> pa.DictionaryArray:
    """Text as codes into `words`; with `null` a code below 0 is none."""
    indices: npt.NDArray[np.integer[Any]] = codes.astype(np.int32)
    if not isinstance(words, pa.Array):
        if len(words) > len(codes):  # a run's words may be many, a session's rows few
            used, indices = np.unique(indices, return_inverse=True)
            first = int(np.searchsorted(used, 0))
            indices, words = indices.astype(np.int32) - np.int32(first), [words[code] for code in used[first:].tolist()]
        words = text(words)
    return pa.DictionaryArray.from_arrays(arrow(indices, absent=indices < 0 if null else None), words)


def repeated(word: str, count: int) -> pa.DictionaryArray:
    """The same text in every row."""
    return coded(np.zeros(count, dtype=np.int32), [word])


def rows_of(table: str, frame: pl.DataFrame) -> Rows:
    """A frame in the engine's terms as rows, settled.

    Raises
    ------
    TypeError
        A column is missing or has a dtype that cannot stand for the table's.
    """
    return settled(table, conform(table, frame).to_arrow(compat_level=pl.CompatLevel.oldest()))


@dataclass(frozen=True)
class Deferred:
    """Rows of one session that are made when they are needed, together with those of sessions after it: what is made few at a time costs by how often.

    Parameters
    ----------
    make : callable
        Makes rows of several parts, in their order.
    part : object
        What these rows are made of; nothing of it may change.
    count : int
        How many they are.
    wide : int
        Bytes of their lists.
    """

    make: Callable[[Sequence[Any]], Rows]
    part: Any
    count: int
    wide: int = 0

    def __len__(self) -> int:
        return self.count

    def only(self, mask: npt.NDArray[np.bool_]) -> Deferred:
        """Those that are marked; they must be made of an array without lists."""
        part = self.part[mask]
        return Deferred(self.make, part, len(part))


def joined(parts: Sequence[Rows | Deferred]) -> Rows:
    """Rows one after the other, each column in one piece."""
    made: list[Rows] = []
    for make, some in groupby(parts, lambda part: part.make if isinstance(part, Deferred) else None):
        if make is None:
            made.extend(part for part in some if not isinstance(part, Deferred))
        else:
            made.append(make([part.part for part in some if isinstance(part, Deferred)]))
    return made[0] if len(made) == 1 else pa.concat_tables(made).combine_chunks()


def alike(parts: Iterable[Rows | Deferred]) -> Sequence[Rows | Deferred]:
    """Deferred rows that one callable makes of arrays as one, to be put in order by it; others as they are."""
    given = list(parts)
    deferred = [part for part in given if isinstance(part, Deferred)]
    if len(given) == 1 or len(deferred) < len(given) or any(part.make != deferred[0].make for part in deferred):
        return given
    arrays = np.concatenate([part.part for part in deferred])
    return [Deferred(deferred[0].make, arrays, len(arrays), sum(part.wide for part in deferred))]


# --------------------------------------------------------------------------------------------------------------- order


def in_order(table: str, rows: Rows) -> Rows:
    """Rows sorted as the table is; those that tie stay as they came."""
    if rows.num_rows < 2:
        return rows
    order = order_of([_key(whole(rows[name])) for name in ORDER[table]])
    return rows if order is None else rows.take(arrow(order)).combine_chunks()


def order_of(keys: Sequence[Integers]) -> npt.NDArray[np.intp] | None:
    """The stable order of rows by whole numbers, the first key first; None if they are in order."""
    merged = _merged(keys)
    if merged is None:
        merged = _merged([_in_minutes(values) for values in keys])
    if merged is None:
        return np.lexsort(tuple(reversed(keys)))
    return None if (merged[1:] >= merged[:-1]).all() else np.argsort(merged, kind="stable")


def _merged(keys: Sequence[Integers]) -> IntArray | None:
    """One number a row in the order of several, None where it would not fit."""
    ranges = [(int(values.min()), int(values.max())) for values in keys]
    if math.prod(high - low + 1 for low, high in ranges) > _WIDEST:
        return None
    merged = np.zeros(len(keys[0]), dtype=np.int64)
    for values, (low, high) in zip(keys, ranges, strict=True):
        if low < high:
            merged *= high - low + 1
            merged += values
            merged -= low
    return merged


def _in_minutes(values: Integers) -> Integers:
    """Times that lie on minutes, far apart, as their minutes; other numbers as they are."""
    even = values.dtype == np.int64 and int(values.max()) - int(values.min()) > _MINUTE and not (values % _MINUTE).any()
    return values // _MINUTE if even else values


def _key(column: pa.Array) -> Integers:
    """Whole numbers in the order of a column's values; a text's place among the words, -1 where there is none."""
    if isinstance(column, pa.DictionaryArray):
        codes, words = plain(column.indices), column.dictionary
        if column.null_count:
            codes = np.where(plain(column.is_null()), -1, codes)
        if _in_text_order(words):
            return np.asarray(codes)
        places = np.full(len(words) + 1, -1, dtype=np.int32)  # the last one is of no text
        places[plain(pc.array_sort_indices(words))] = np.arange(len(words))
        return np.asarray(places[codes])
    values = plain(column)
    return values.view(np.int64) if values.dtype.kind == "M" else values


# ------------------------------------------------------------------------------------------------------------ settling


def settled(table: str, rows: Rows, multipliers: Multipliers = NO_MULTIPLIERS) -> Rows:
    """Rows as the table has them: money in currency, prices as such, times as such, of the words those that occur in text order.

    Raises
    ------
    TypeError
        A column is missing, or null where it must not be.
    """
    columns, names = [], rows.column_names
    for field in COLUMNS[table]:
        if field.name in names:
            column = whole(rows[field.name])
            money = field.name in MONEY.get(table, ()) and pa.types.is_integer(column.type)
            if column.null_count and not field.nullable:
                raise TypeError(
                    f"{table}: {field.name} must not be null, was in {column.null_count} of {len(rows)} rows"
                )
            if money and multipliers and field.name in PRICES.get(table, ()):
                columns.append(_prices(column, whole(rows["symbol"]), multipliers))
            else:
                columns.append(_currency(column) if money else _settled(column, field.type))
        elif field.name in ABSENT_AS_NULL.get(table, ()):
            columns.append(pa.nulls(rows.num_rows, field.type))
        else:
            raise TypeError(f"{table}: rows must have {field.name}, were {names}")
    return pa.Table.from_arrays(columns, schema=COLUMNS[table])


def _settled(column: pa.Array, dtype: pa.DataType) -> pa.Array:
    if dtype == TEXT:
        return _compact(column if isinstance(column, pa.DictionaryArray) else column.dictionary_encode())
    return column if column.type == dtype else column.cast(dtype)


def _currency(units: pa.Array) -> pa.Array:
    if not units.null_count:
        return arrow(currency_of(plain(units)))
    if units.null_count == len(units):
        return pa.nulls(len(units), pa.float64())
    absent = plain(units.is_null())
    return arrow(currency_of(np.where(absent, 0, plain(units))), absent=absent)


def _prices(units: pa.Array, symbols: pa.DictionaryArray, multipliers: Multipliers) -> pa.Array:
    """What a share is worth as prices: divided by the multipliers of their symbols, rounded once."""
    absent = plain(units.is_null()) if units.null_count else np.zeros(len(units), dtype=bool)
    worth, codes = np.where(absent, 0, plain(units)), plain(symbols.indices)
    made = currency_of(worth)
    for code, symbol in enumerate(symbols.dictionary.to_pylist()):
        if symbol in multipliers:
            up, down = multipliers[symbol].as_integer_ratio()
            mine = codes == code
            made[mine] = [value * down / (up * UNIT) for value in worth[mine].tolist()]
    return arrow(made, absent=absent)


def _compact(column: pa.DictionaryArray) -> pa.DictionaryArray:
    """The same text by the words that occur, each once, in text order."""
    known, absent = column.dictionary, None
    codes = plain(column.indices)
    if column.null_count:
        absent = plain(column.is_null())
        codes = np.where(absent, len(known), codes)
    occurring = _occurring(codes, len(known))
    if column.type == TEXT and len(occurring) == len(known) and _in_text_order(known):
        return column
    words, places = known.to_pylist(), dict[str, int]()
    new = np.full(len(words) + 1, -1, dtype=np.int32)  # the last one is of no text
    for code in sorted(occurring, key=words.__getitem__):
        new[code] = places.setdefault(words[code], len(places))
    indices = arrow(new.take(codes), absent=absent)
    return pa.DictionaryArray.from_arrays(indices, text(list(places)), safe=False)


def _occurring(codes: Integers, known: int) -> list[int]:
    """Which of so many known codes occur; most columns have one or two."""
    if not len(codes):
        return []
    low, high = int(codes.min()), int(codes.max())
    found = {low, high} if high - low < 2 else np.flatnonzero(np.bincount(codes)).tolist()
    return [code for code in found if code < known]


def _in_text_order(words: pa.Array) -> bool:
    """Whether each word comes after the one before."""
    return len(words) < 2 or bool(pc.all(pc.less(words[:-1], words[1:])).as_py())


def frame_of(rows: Rows) -> pl.DataFrame:
    """Rows as a frame, text as String."""
    frame = pl.DataFrame(rows)
    return frame.with_columns(pl.col(pl.Categorical).cast(pl.String))
