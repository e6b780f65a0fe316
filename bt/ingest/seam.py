"""The seam between a vendor's format and the store: an Importer yields batches, everything after is common.

A new format is one module with a class of these three methods, added to the list in `detect`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

import polars as pl

from bt.errors import DataError
from bt.ingest.options import IngestOptions


class NotBars(DataError):  # noqa: N818  says what is the matter, as the tree in errors does
    """A readable file that holds no minute bars: an error where it was named, skipped and told where a folder was."""


@dataclass(frozen=True, slots=True)
class Convention:
    """What the stamps and prices of a batch mean. `tz` is the zone of naive stamps, "" if there is none."""

    stamp: Literal["start", "end"] = "start"
    tz: str = ""
    divisor: float = 1.0


@dataclass(frozen=True, slots=True)
class Batch:
    """Some rows of a source.

    `frame` has time, open, high, low, close and volume, and where the source has them symbol, vwap, n_trades, bid, ask and line (1-based
    line or row number). Values may be text or numbers; time may be text, an epoch (s, ms, us or ns, told by size), a naive or an aware Datetime.
    `names` maps our columns to the source's, for messages. `symbol` is that of a frame without the column. A `reason` refuses every
    row. `broken` are lines with a wrong number of fields as (line, text). `ignored` counts non-zero cells of columns left out.
    """

    frame: pl.DataFrame
    convention: Convention
    names: Mapping[str, str] = field(default_factory=dict)
    symbol: str = ""
    member: str = ""
    reason: str = ""
    broken: tuple[tuple[int, str], ...] = ()
    ignored: Mapping[str, int] = field(default_factory=dict)


class Importer(Protocol):
    """A vendor's format."""

    name: str

    def sniff(self, path: Path, head: bytes) -> bool:
        """Whether `path`, whose first (decompressed) bytes are `head`, is of this format."""
        ...

    def told(self, path: Path, options: IngestOptions) -> str:
        """What the bars of batches without a symbol column take from the path, or from `options` in its place; "" for nothing."""
        ...

    def batches(self, path: Path, options: IngestOptions) -> Iterator[Batch]:
        """The source's rows, in bounded memory, in the source's order. Raises DataError for a file fault."""
        ...


def convention(options: IngestOptions, default: Convention) -> Convention:
    """The format's own convention, with whatever the user said instead."""
    return Convention(
        options.stamp or default.stamp,
        options.tz or default.tz,
        default.divisor if options.price_divisor is None else options.price_divisor,
    )
