"""JSON rows ``[[time, open, high, low, close, volume], ...]``, as exchanges and freqtrade write them; times are epochs."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import polars as pl

from bt.errors import DataError
from bt.ingest.columns import symbol_for
from bt.ingest.options import IngestOptions
from bt.ingest.seam import Batch, Convention, convention
from bt.ingest.sources import open_stream, reading

COLUMNS = ("time", "open", "high", "low", "close", "volume")
CHUNK = 4 << 20
_START = re.compile(rb"\s*\[\s*\[\s*-?\d")


class JsonRows:
    """One symbol a file; rows may have more fields, the first six count."""

    name = "json"

    def sniff(self, path: Path, head: bytes) -> bool:
        """Whether `head` begins an array of arrays of numbers."""
        del path
        return _START.match(head) is not None

    def told(self, path: Path, options: IngestOptions) -> str:
        """The symbol."""
        return symbol_for(path, options)

    def batches(self, path: Path, options: IngestOptions) -> Iterator[Batch]:
        """Bars; `line` is the row's number."""
        row = 1
        with reading(path), open_stream(path) as stream:
            for rows in _rows(stream, path):
                data = {name: [_cell(r, i) for r in rows] for i, name in enumerate(COLUMNS)}
                frame = pl.DataFrame(data, schema=dict.fromkeys(COLUMNS, pl.String))
                lines = pl.int_range(row, row + frame.height, dtype=pl.Int64).alias("line")
                yield Batch(
                    frame.with_columns(lines),
                    convention(options, Convention(tz="UTC")),
                    {},
                    symbol_for(path, options),
                )
                row += frame.height


def _cell(row: list[str | None], i: int) -> str | None:
    return row[i] if i < len(row) else None


def _rows(stream: IO[bytes], path: Path) -> Iterator[list[list[str | None]]]:
    """Rows in chunks; numbers stay the text they were. Rows hold no brackets, so a chunk may end at any ``]``."""
    text = codecs.getreader("utf-8")(stream)
    rest, first = "", True
    while chunk := text.read(CHUNK):
        rest += chunk
        if first:
            rest, first = rest.lstrip().removeprefix("["), False
        cut = rest.rfind("]", 0, len(rest.rstrip()) - 1) + 1
        if cut:
            yield _parsed(rest[:cut], path)
            rest = rest[cut:]
    rest = rest.strip()
    if not rest.endswith("]"):
        raise DataError(f"{path}: array must be closed at the end of the file, was cut short; fetch it again")
    if len(rest) > 1:
        yield _parsed(rest[:-1], path)


def _parsed(text: str, path: Path) -> list[list[str | None]]:
    body = text.strip().strip(",")
    try:
        rows = json.loads(f"[{body}]", parse_float=str, parse_int=str, parse_constant=str)
    except ValueError as error:
        raise DataError(f"{path}: rows must be JSON arrays of numbers, were not ({error}); fetch it again") from None
    if not all(isinstance(row, list) for row in rows):
        raise DataError(f"{path}: rows must be JSON arrays of numbers, was {str(rows[0])[:60]}")
    return [[None if cell is None else str(cell) for cell in row] for row in rows]
