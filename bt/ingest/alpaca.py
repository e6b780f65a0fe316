"""Alpaca REST bodies of bars: pages, several symbols, the latest bar of each; one body a file or one a line.

``{"bars": {"SPY": [{"t", "o", "h", "l", "c", "v", "n", "vw"}, ...]}}``, also ``{"bars": [...], "symbol": "SPY"}`` and a single bar for a list. t is
the start of the bar, UTC. A body does not say its timeframe: one whose stamps all lie on a coarser grid is refused whole
(``not_one_minute``). Bodies of trades, quotes, auctions or snapshots are refused. Source: Alpaca Market Data API v2 reference, "Historical bars".
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from bt.errors import DataError
from bt.ingest.grid import Grid
from bt.ingest.options import IngestOptions
from bt.ingest.seam import Batch, Convention, NotBars, convention
from bt.ingest.sources import open_stream, reading

KEYS = {"time": "t", "open": "o", "high": "h", "low": "l", "close": "c", "volume": "v", "vwap": "vw", "n_trades": "n"}


class Alpaca:
    """Market data bodies; stream frames have no ``bars`` and are not read."""

    name = "alpaca"

    def sniff(self, path: Path, head: bytes) -> bool:
        """Whether `head` begins an object with bars."""
        del path
        return head.lstrip().startswith(b"{") and (b'"bars"' in head or b'"bar"' in head)

    def told(self, path: Path, options: IngestOptions) -> str:
        """Nothing: a body names its symbols."""
        del path, options
        return ""

    def batches(self, path: Path, options: IngestOptions) -> Iterator[Batch]:
        """The bars of each body, one batch a body."""
        rule = convention(options, Convention(tz="UTC"))
        seen = 0
        with reading(path):
            for line, body in _bodies(path):
                rows = list(_rows(body, options))
                seen += len(rows)
                if not rows:
                    continue
                frame = pl.DataFrame(rows, schema=["symbol", *KEYS], orient="row", infer_schema_length=None)
                frame = frame.with_columns(pl.lit(line, pl.Int64).alias("line"))
                yield Batch(frame, rule, KEYS, reason=_coarse(frame["time"]))
        if not seen:
            raise NotBars(f"{path}: bodies must hold bars, none did; fetch /v2/stocks/bars with timeframe=1Min")


def _bodies(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Bodies with the line they begin on: the whole file, or each line of it."""
    with open_stream(path) as stream:
        first = stream.readline()
        try:
            yield 1, _loads(first)
        except ValueError:
            rest = stream.read()  # one body over several lines; the service sends at most 10,000 bars in one
            try:
                yield 1, _loads(first + rest)
            except ValueError as error:
                raise DataError(f"{path}: body must be JSON, was not ({error}); fetch it again") from None
            return
        for number, line in enumerate(stream, start=2):
            if line.strip():
                try:
                    yield number, _loads(line)
                except ValueError as error:
                    raise DataError(f"{path}: line {number} must be one JSON body, was not ({error})") from None


def _loads(text: bytes) -> dict[str, Any]:
    body = json.loads(text.removeprefix(b"\xef\xbb\xbf"), parse_float=str)
    if not isinstance(body, dict):
        raise ValueError("not an object")  # noqa: TRY004  the caller treats it as any other damage
    return body


def _rows(body: dict[str, Any], options: IngestOptions) -> Iterator[tuple[Any, ...]]:
    bars = body.get("bars", body.get("bar"))
    if not bars:
        return
    by_symbol = bars if isinstance(bars, dict) and "t" not in bars else {body.get("symbol") or options.symbol: bars}
    for symbol, found in by_symbol.items():
        for bar in [found] if isinstance(found, dict) else found:
            yield symbol, *(None if bar.get(key) is None else str(bar[key]) for key in KEYS.values())


def _coarse(stamps: pl.Series) -> str:
    grid = Grid()
    grid.add(stamps.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%#z", time_unit="us", strict=False).drop_nulls().to_physical())
    return "not_one_minute" if grid.minutes > 1 else ""
