"""Any delimited text: columns by name or by the user's map, stamps in any usual form."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bt.ingest.columns import symbol_for
from bt.ingest.options import IngestOptions
from bt.ingest.seam import Batch, Convention
from bt.ingest.sources import ZIP, first_lines
from bt.ingest.table import text_batches


class Csv:
    """The general importer for text; it takes whatever no other text format claims."""

    name = "csv"

    def sniff(self, path: Path, head: bytes) -> bool:
        """Whether `head` is text whose first line has fields."""
        del path
        lines = [] if head.startswith(ZIP) else first_lines(head, 1)
        return bool(lines) and any(d in lines[0] for d in ",;\t|") and lines[0][0] not in "{["

    def told(self, path: Path, options: IngestOptions) -> str:
        """The symbol."""
        return symbol_for(path, options)

    def batches(self, path: Path, options: IngestOptions) -> Iterator[Batch]:
        """Bars as the header or the user's column map say."""
        return text_batches(path, options, Convention())
