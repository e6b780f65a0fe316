"""Massive (formerly Polygon) minute aggregate flat files: ``.csv.gz``, one a day, all symbols.

Columns ``ticker,volume,open,close,high,low,window_start,transactions``; window_start is the minute's start in UTC nanoseconds, read as an
integer. Source: Massive documentation, "Flat Files > Minute Aggregates".
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bt.ingest.options import IngestOptions
from bt.ingest.seam import Batch, Convention
from bt.ingest.sources import first_lines
from bt.ingest.table import text_batches


class Massive:
    """Day files with every symbol."""

    name = "massive"

    def sniff(self, path: Path, head: bytes) -> bool:
        """Whether the header has ticker and window_start."""
        del path
        cells = (first_lines(head, 1) or [""])[0].lower().split(",")
        return {"ticker", "window_start"} <= set(cells)

    def told(self, path: Path, options: IngestOptions) -> str:
        """Nothing: ticker is a column."""
        del path, options
        return ""

    def batches(self, path: Path, options: IngestOptions) -> Iterator[Batch]:
        """Bars of all symbols, with n_trades."""
        return text_batches(path, options, Convention(tz="UTC"))
