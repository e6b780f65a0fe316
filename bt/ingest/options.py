"""What an ingest is asked to do, as one frozen value."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Literal, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from bt.errors import UsageError
from bt.schema import BAR_COLUMNS, OPTIONAL_COLUMNS

Format = Literal["auto", "csv", "parquet", "json", "alpaca", "massive", "lean", "databento", "yfinance", "ninjatrader"]
MAPPED = ("symbol", "open_time", *BAR_COLUMNS, *OPTIONAL_COLUMNS)
_OFFSET = re.compile(r"(?:UTC|GMT)?([+-])(\d{2}):?(\d{2})")


@dataclass(frozen=True, slots=True)
class IngestOptions:
    """How the sources are to be read. Empty values mean the format's own default.

    Parameters
    ----------
    format
        ``auto`` tells the format of each source by its content.
    stamp
        What the sources' stamps mean: the ``start`` or the ``end`` of the minute.
    tz
        Zone of naive stamps: an IANA name or a fixed offset (``UTC-05:00``). Naive stamps without a zone are refused.
    price_divisor
        Prices in the sources are this many times too large.
    price_decimals
        ``auto`` takes prices as they are; a number rounds them to so many decimals (float32 noise), and counts what changed.
    columns
        Our names to the source's. A source column may be named, or numbered from 1 (files without a header);
        ``"date+time"`` joins two; ``volume`` may be ``"0"`` where the source has none.
    on_bad
        ``isolate`` refuses bad rows one by one; ``raise`` stops at the first, with nothing written.
    symbol
        The symbol of sources that have none in a column.
    quotes
        What to do with sources of bid and ask bars: ``refuse``, or store the ``mid`` with volume 0.
    time_format
        strptime format of stamps that are written in no usual way.

    Raises
    ------
    UsageError
        For an unknown format, zone or column name, or a number out of range.
    """

    format: Format = "auto"
    stamp: Literal["start", "end"] | None = None
    tz: str = ""
    price_divisor: float | None = None
    price_decimals: int | Literal["auto"] = "auto"
    columns: Mapping[str, str] = field(default_factory=dict)
    on_bad: Literal["isolate", "raise"] = "isolate"
    symbol: str = ""
    quotes: Literal["refuse", "mid"] = "refuse"
    time_format: str = ""

    def __post_init__(self) -> None:
        _one_of("format", self.format, get_args(Format))
        _one_of("stamp", self.stamp or "start", ("start", "end"))
        _one_of("on_bad", self.on_bad, ("isolate", "raise"))
        _one_of("quotes", self.quotes, ("refuse", "mid"))
        for ours in self.columns:
            _one_of("column", ours, MAPPED)
        if self.price_divisor is not None and not 0 < self.price_divisor < float("inf"):
            raise UsageError(f"ingest: price_divisor must be a positive number, was {self.price_divisor}")
        decimals: object = self.price_decimals
        if decimals != "auto" and decimals not in range(9):
            raise UsageError(f"ingest: price_decimals must be auto or 0 to 8, was {decimals!r}")
        check_zone(self.tz)

    def fingerprint(self) -> str:
        """16 hex digits naming everything that decides which bars a source becomes."""
        meaning = asdict(self) | {"columns": dict(sorted(self.columns.items()))}
        del meaning["on_bad"]
        return hashlib.sha256(json.dumps(meaning, sort_keys=True).encode()).hexdigest()[:16]


def fixed_offset(zone: str) -> int | None:
    """Minutes east of UTC of a zone written as an offset (``-05:00``, ``UTC+0530``); None for any other name."""
    match = _OFFSET.fullmatch(zone)
    if match is None:
        return None
    sign, hours, minutes = match.groups()
    return (1 if sign == "+" else -1) * (int(hours) * 60 + int(minutes))


def check_zone(zone: str) -> None:
    """Nothing, or a UsageError when `zone` is neither "", an IANA name nor a fixed offset."""
    if not zone or fixed_offset(zone) is not None:
        return
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        hint = "take an IANA name such as America/New_York, or an offset such as UTC-05:00"
        raise UsageError(f"ingest: tz must be a known zone, was {zone!r}; {hint}") from None


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise UsageError(f"ingest: {name} must be one of {', '.join(allowed)}, was {value!r}")
