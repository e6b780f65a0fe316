"""NinjaTrader minute exports: ``YYYYMMDD HHMMSS;open;high;low;close;volume``, no header, UTC, stamped at the minute's end.

Source: NinjaTrader Help Guide, "Historical Data > Import", text file format.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from bt.ingest.columns import symbol_for
from bt.ingest.options import IngestOptions
from bt.ingest.seam import Batch, Convention
from bt.ingest.sources import first_lines
from bt.ingest.table import text_batches

COLUMNS = ("time", "open", "high", "low", "close", "volume")
_LINE = re.compile(r"\d{8} \d{6}(;[^;]+){5}")


class NinjaTrader:
    """One symbol a file; the file's name or ``symbol`` says which."""

    name = "ninjatrader"

    def sniff(self, path: Path, head: bytes) -> bool:
        """Whether the first line is a NinjaTrader minute."""
        del path
        return any(_LINE.fullmatch(line.strip()) for line in first_lines(head, 1))

    def told(self, path: Path, options: IngestOptions) -> str:
        """The symbol."""
        return symbol_for(path, options)

    def batches(self, path: Path, options: IngestOptions) -> Iterator[Batch]:
        """Bars, one minute earlier than their stamps unless ``stamp`` says start."""
        return text_batches(path, options, Convention("end", "UTC"), names=COLUMNS)
