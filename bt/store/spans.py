"""What the files of a store hold: one row a file, one a file and symbol."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from bt.store.checks import ROW_FAULTS
from bt.store.files import FileId


def spans_of(contents: Sequence[str], verdict: pl.DataFrame, symbols: Sequence[str]) -> pl.DataFrame:
    """One row per file and symbol of `symbols`, files in path order."""
    order = pl.DataFrame({"content": contents}).with_row_index("file")
    codes = pl.DataFrame({"symbol": symbols}).with_row_index("code").with_columns(pl.col("code").cast(pl.UInt16))
    return (
        order.join(verdict, on="content")
        .join(codes, on="symbol")
        .sort("file", "code")
        .select("file", "code", "rows", "first", "last", "decimals", "top", *ROW_FAULTS, "duplicate")
    )


def files_of(
    ids: Sequence[FileId], contents: Sequence[str], verdict: pl.DataFrame, spans: pl.DataFrame
) -> pl.DataFrame:
    """One row per file, as `Store.files`."""
    faulty = pl.sum_horizontal(*ROW_FAULTS, "duplicate").sum()
    per_file = spans.group_by("file").agg(
        pl.col("rows").sum(), pl.col("first").min(), pl.col("last").max(), (faulty == 0).alias("clean")
    )
    is_sorted = dict(verdict.select("content", "sorted").unique().iter_rows())
    overlapping = _overlapping(spans)
    frame = pl.DataFrame(
        {
            "path": [i.path for i in ids],
            "hash": [i.hash for i in ids],
            "bytes": [i.size for i in ids],
            "sorted": [is_sorted[content] for content in contents],
        }
    ).with_row_index("file")
    return frame.join(per_file, on="file", how="left", maintain_order="left").select(
        "path",
        "hash",
        pl.col("rows").fill_null(0),
        "bytes",
        "first",
        "last",
        pl.col("clean").fill_null(True) & ~pl.col("file").is_in(overlapping),
        "sorted",
    )


def _overlapping(spans: pl.DataFrame) -> list[int]:
    """Files that share a stretch of time with another file for some symbol: a bar may be in both."""
    by_symbol = spans.sort("code", "first").with_columns(before=pl.col("last").cum_max().shift(1).over("code"))
    # the file whose end reaches furthest so far
    leader = pl.when(pl.col("before").is_null() | (pl.col("last") > pl.col("before"))).then("file").forward_fill()
    overlaps = by_symbol.with_columns(leader=leader.shift(1).over("code")).filter(pl.col("first") <= pl.col("before"))
    return sorted({*overlaps["file"], *overlaps["leader"]})
