"""Delimited text as batches of text columns, streamed: any delimiter, quoted or not, with a header or without.

Lines with a wrong number of fields are set aside with their line number; a line without any value is nothing.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.csv as pc

from bt.errors import DataError
from bt.ingest.seam import NotBars
from bt.ingest.sources import first_lines

BLOCK = 4 << 20
"""Bytes of text parsed at a time."""

DELIMITERS = ",;\t|"


@dataclass(frozen=True, slots=True)
class Shape:
    """How a text is laid out: delimiter, the columns' names (``column 1`` ... without a header), and whether there is a header."""

    delimiter: str
    columns: tuple[str, ...]
    header: bool


@dataclass(frozen=True, slots=True)
class Lines:
    """A batch: text columns and ``line`` (1-based), and the (line, text) of lines with a wrong number of fields."""

    frame: pl.DataFrame
    broken: tuple[tuple[int, str], ...]


def shape(head: bytes, path: Path) -> Shape:
    """The layout of the text that begins with `head`.

    Raises
    ------
    NotBars
        When it is no delimited text.
    DataError
        When its header names a column twice.
    """
    lines = first_lines(head)
    if not lines:
        raise NotBars(f"{path}: file must be delimited text, was empty or binary; name its format with --format")
    delimiter = max(DELIMITERS, key=lambda d: (min(line.count(d) for line in lines[:2]), lines[0].count(d)))
    if delimiter not in lines[0]:
        raise NotBars(f"{path}: lines must have fields split by one of , ; tab |, the first was {lines[0][:80]!r}")
    cells = next(csv.reader(lines[:1], delimiter=delimiter))
    header = not any(_is_value(cell) for cell in cells)
    names = [cell.strip() for cell in cells] if header else [f"column {i + 1}" for i in range(len(cells))]
    twice = {name for name in names if name and names.count(name) > 1}
    if twice:
        raise DataError(f"{path}: column names must differ, was {min(twice)!r} twice; rename one")
    names = [name or f"column {i + 1}" for i, name in enumerate(names)]
    return Shape(delimiter, tuple(names), header)


def _is_value(cell: str) -> bool:
    """Whether a cell holds a number or a stamp, which no header does."""
    text = cell.strip()
    if not text or not (text[0].isdigit() or text[0] in "+-."):
        return False
    return all(c.isdigit() or c in "+-.:/eET, ZzAPMapm" for c in text)


def read(stream: IO[bytes], layout: Shape, wanted: list[str]) -> Iterator[Lines]:
    """The `wanted` columns of a text, batch by batch, in order, every value as text."""
    broken: list[tuple[int, str]] = []

    def set_aside(row: pc.InvalidRow) -> str:
        broken.append((int(row.number or 0), str(row.text)))
        return "skip"

    reader = pc.open_csv(
        _Guarded(stream),
        read_options=pc.ReadOptions(
            use_threads=False, block_size=BLOCK, column_names=list(layout.columns), skip_rows=int(layout.header)
        ),
        parse_options=pc.ParseOptions(
            delimiter=layout.delimiter, invalid_row_handler=set_aside, ignore_empty_lines=False
        ),
        convert_options=pc.ConvertOptions(
            column_types=dict.fromkeys(layout.columns, pa.string()), include_columns=wanted, strings_can_be_null=False
        ),
    )
    line = 1 + int(layout.header)
    told = 0
    for batch in reader:
        frame = pl.from_arrow(pa.Table.from_batches([batch]))
        assert isinstance(frame, pl.DataFrame)  # a table is never a Series
        numbers, line = _line_numbers(frame.height, line, {number for number, _ in broken})
        empty = frame.select(pl.all_horizontal(pl.all() == "")).to_series()
        frame = frame.with_columns(pl.Series("line", numbers)).filter(~empty)
        wrong = tuple((n, text) for n, text in broken[told:] if text.strip())
        told = len(broken)
        yield Lines(frame, wrong)
    rest = tuple((n, text) for n, text in broken[told:] if text.strip())
    if rest:
        yield Lines(pl.DataFrame(schema=dict.fromkeys(wanted, pl.String) | {"line": pl.Int64}), rest)


def _line_numbers(rows: int, first: int, broken: set[int]) -> tuple[np.ndarray, int]:
    """The line of each of `rows` good rows from line `first` on, and the line after them."""
    inside = sum(first <= number < first + rows for number in broken)
    last = first + rows
    while inside:  # every broken line inside pushes the end, which may take in more of them
        grown = last + inside
        inside = sum(last <= number < grown for number in broken)
        last = grown
    numbers = np.arange(first, last, dtype=np.int64)
    if len(numbers) > rows:
        numbers = numbers[~np.isin(numbers, list(broken))][:rows]
    return numbers, last


class _Guarded:
    """A readable that refuses text in another encoding early, and lets Arrow read any Python stream."""

    closed = False

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def read(self, size: int = -1) -> bytes:
        return bytes(self._stream.read(size))

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return False

    def close(self) -> None:
        """Nothing: whoever opened the stream closes it."""
