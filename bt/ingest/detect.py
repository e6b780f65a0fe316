"""Which importer reads a source."""

from __future__ import annotations

from pathlib import Path

from bt.ingest import sources
from bt.ingest.alpaca import Alpaca
from bt.ingest.columnar import Columnar
from bt.ingest.databento_dbn import Databento
from bt.ingest.generic_csv import Csv
from bt.ingest.json_rows import JsonRows
from bt.ingest.lean import Lean
from bt.ingest.massive import Massive
from bt.ingest.ninjatrader import NinjaTrader
from bt.ingest.seam import Importer, NotBars
from bt.ingest.yfinance import YFinance

IMPORTERS: tuple[Importer, ...] = (
    Columnar(), Lean(), Databento(), Alpaca(), JsonRows(), Massive(), YFinance(), NinjaTrader(), Csv(),
)  # fmt: skip
"""In the order in which they are asked: the general ones last."""


def importer(path: Path, wanted: str) -> Importer:
    """The importer of that name, or with ``auto`` the first that knows the content.

    Raises
    ------
    NotBars
        When none does.
    """
    if wanted != "auto":
        return named(wanted)
    head = sources.head(path)
    found = next((i for i in IMPORTERS if i.sniff(path, head)), None)
    if found is None:
        names = ", ".join(i.name for i in IMPORTERS)
        what = "empty" if not head else "none of them"
        raise NotBars(f"{path}: content must be of a known format ({names}), was {what}; name it with --format")
    return found


def named(name: str) -> Importer:
    """The importer of that name."""
    return next(i for i in IMPORTERS if i.name == name)
