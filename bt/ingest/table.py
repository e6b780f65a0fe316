"""A delimited text with our columns in it, as batches: what the text formats share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

import polars as pl

from bt.ingest import delimited
from bt.ingest.columns import Picked, pick, symbol_for
from bt.ingest.options import IngestOptions
from bt.ingest.seam import Batch, Convention, convention
from bt.ingest.sources import head, open_stream, reading


def text_batches(
    path: Path, options: IngestOptions, default: Convention, *, names: Sequence[str] = (), ignored: Sequence[str] = ()
) -> Iterator[Batch]:
    """The rows of a delimited file. `names` are its columns where it has no header; `ignored` ones are counted where not zero."""
    layout = delimited.shape(head(path), path)
    if names and not layout.header:
        layout = delimited.Shape(layout.delimiter, tuple(names), header=False)
    picked = pick(layout.columns, options, path, header=layout.header or bool(names))
    with reading(path), open_stream(path) as stream:
        yield from stream_batches(
            stream,
            layout,
            picked,
            convention=convention(options, default),
            symbol=symbol_for(path, options),
            ignored=[name for name in ignored if name in layout.columns],
        )


def stream_batches(
    stream: IO[bytes],
    layout: delimited.Shape,
    picked: Picked,
    *,
    convention: Convention,
    symbol: str,
    ignored: Sequence[str] = (),
    member: str = "",
) -> Iterator[Batch]:
    """The rows of an open text as batches with our column names."""
    for lines in delimited.read(stream, layout, [*picked.used, *ignored]):
        ours = [pl.col(theirs).alias(name) for name, theirs in picked.source.items() if len(theirs) == 1]
        joined = [
            pl.concat_str(theirs, separator=" ").alias(name)
            for name, theirs in picked.source.items()
            if len(theirs) > 1
        ]
        zero = [pl.lit(0, pl.Int64).alias("volume")] if picked.volume_zero else []
        yield Batch(
            lines.frame.select(*ours, *joined, *zero, "line"),
            convention,
            picked.names,
            "" if "symbol" in picked.source else symbol,
            member,
            broken=lines.broken,
            ignored={name: _non_zero(lines.frame[name]) for name in ignored},
        )


def _non_zero(cells: pl.Series) -> int:
    return int((cells.cast(pl.Float64, strict=False).fill_null(0.0) != 0).sum())
