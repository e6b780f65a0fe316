"""CSV files saved from yfinance: offset stamps at the minute's start; Adj Close, Dividends and Stock Splits are left out, but counted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bt.ingest.columns import symbol_for
from bt.ingest.options import IngestOptions
from bt.ingest.seam import Batch, Convention
from bt.ingest.sources import first_lines
from bt.ingest.table import text_batches

LEFT_OUT = ("Adj Close", "Dividends", "Stock Splits", "Capital Gains")


class YFinance:
    """One symbol a file, named by the file. ``auto_adjust`` prices are stored as they come."""

    name = "yfinance"

    def sniff(self, path: Path, head: bytes) -> bool:
        """Whether the header has Datetime and one of yfinance's own columns."""
        del path
        cells = [cell.strip() for cell in (first_lines(head, 1) or [""])[0].split(",")]
        return cells[0] in {"Datetime", "Date", ""} and any(name in cells for name in LEFT_OUT)

    def told(self, path: Path, options: IngestOptions) -> str:
        """The symbol."""
        return symbol_for(path, options)

    def batches(self, path: Path, options: IngestOptions) -> Iterator[Batch]:
        """Bars, with the columns left out counted where they are not zero."""
        return text_batches(path, options, Convention(), ignored=LEFT_OUT)
