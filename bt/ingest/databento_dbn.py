"""Databento DBN files of ohlcv-1m, through Databento's own package (``pip install minute-bt[databento]``).

ts_event is the minute's start in UTC nanoseconds, prices are integers in units of 1e-9; a minute without a trade has no row. Symbols come
from the file's symbology. Source: Databento documentation, "Schemas and data formats > OHLCV".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from bt.errors import DataError
from bt.ingest.options import IngestOptions
from bt.ingest.seam import Batch, Convention, NotBars, convention
from bt.ingest.sources import reading

RECORDS = 100_000
UNDEFINED = np.iinfo(np.int64).max
"""What DBN writes for a price that is not there."""

PRICES = ("open", "high", "low", "close")


class Databento:
    """DBN, plain or Zstandard-compressed."""

    name = "databento"

    def sniff(self, path: Path, head: bytes) -> bool:
        """Whether `head` begins a DBN file."""
        del path
        return head.startswith(b"DBN")

    def told(self, path: Path, options: IngestOptions) -> str:
        """Nothing: the symbology is in the file."""
        del path, options
        return ""

    def batches(self, path: Path, options: IngestOptions) -> Iterator[Batch]:
        """Bars of all instruments."""
        store = _open(path)
        if str(store.schema) != "ohlcv-1m":
            raise NotBars(f"{path}: schema must be ohlcv-1m, was {store.schema}; request bars of one minute")
        symbols = _symbols(store, path)
        rule = convention(options, Convention(tz="UTC", divisor=1e9))
        row = 1
        with reading(path):
            for records in store.to_ndarray(count=RECORDS):
                yield Batch(_frame(records, symbols, row), rule, {"time": "ts_event"})
                row += len(records)


def _open(path: Path) -> Any:
    try:
        import databento
    except ImportError:
        hint = "install it: pip install 'minute-bt[databento]'"
        raise DataError(f"{path}: reading DBN must have the databento package, was not installed; {hint}") from None
    try:
        return databento.DBNStore.from_file(path)
    except Exception as error:  # the package raises its own errors, not all of them exported
        raise DataError(f"{path}: file must be readable DBN, was not ({error}); fetch it again") from error


def _symbols(store: Any, path: Path) -> pl.DataFrame:
    """One row per instrument and interval: instrument_id, start, end (dates, end excluded), symbol."""
    by_id = str(store.metadata.stype_in) == "instrument_id"
    mappings: Mapping[str, list[dict[str, Any]]] = store.metadata.mappings
    rows: list[tuple[int, date, date, str]] = [
        (int(name), i["start_date"], i["end_date"], i["symbol"])
        if by_id
        else (int(i["symbol"]), i["start_date"], i["end_date"], name)
        for name, intervals in mappings.items()
        for i in intervals
        if (name if by_id else i["symbol"]).isdigit()
    ]
    if not rows:
        hint = "request it with stype_in raw_symbol, parent or continuous"
        raise DataError(f"{path}: symbology must map instrument ids to symbols, was empty; {hint}")
    schema = {"instrument_id": pl.Int64, "start": pl.Date, "end": pl.Date, "symbol": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row").sort("instrument_id", "start", "symbol")


def _frame(records: Any, symbols: pl.DataFrame, row: int) -> pl.DataFrame:
    frame = pl.DataFrame(
        {
            "instrument_id": records["instrument_id"].astype(np.int64),
            "time": records["ts_event"].astype(np.int64),
            **{c: records[c].astype(np.int64) for c in PRICES},
            "volume": records["volume"].astype(np.int64),
        }
    ).with_columns(
        pl.int_range(row, row + len(records), dtype=pl.Int64).alias("line"),
        *(pl.when(pl.col(c) != UNDEFINED).then(pl.col(c)) for c in PRICES),
    )
    day = pl.from_epoch("time", time_unit="ns").dt.date()
    named = frame.with_columns(day.alias("day")).join(symbols, on="instrument_id", how="left", maintain_order="left")
    inside = (pl.col("day") >= pl.col("start")) & (pl.col("day") < pl.col("end"))
    found = named.filter(inside).unique("line", keep="first", maintain_order=True)
    return frame.join(found.select("line", "symbol"), on="line", how="left", maintain_order="left").drop(
        "instrument_id"
    )
