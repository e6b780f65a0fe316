"""Which of a source's columns are ours: by the user's map, or by the names vendors use."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bt.errors import DataError
from bt.ingest.options import IngestOptions
from bt.ingest.seam import NotBars

SYNONYMS: Mapping[str, tuple[str, ...]] = {
    "symbol": ("symbol", "ticker", "sym"),
    "time": ("open_time", "ts", "timestamp", "timestamp_utc", "datetime", "date_time", "date", "time", "ts_event",
             "window_start", "t"),
    "open": ("open", "o"),
    "high": ("high", "h"),
    "low": ("low", "l"),
    "close": ("close", "c"),
    "volume": ("volume", "vol", "v"),
    "vwap": ("vwap", "vw"),
    "n_trades": ("n_trades", "trades", "transactions", "trade_count", "n"),
    "bid": ("bid",),
    "ask": ("ask",),
}  # fmt: skip
REQUIRED = ("time", "open", "high", "low", "close", "volume")
MOST = len(REQUIRED) - 1
"""So many of them make a file one of bars: that it lacks another is its fault then."""
_TIMEFRAME = re.compile(
    r"[ _.-](?:1[ _-]?(?:min(?:ute)?s?|m|t)|m1|min(?:ute)?s?|\d{4}-\d{2}(?:-\d{2})?|\d{8})(?=[ _.-]|$).*", re.IGNORECASE
)
_SUFFIXES = re.compile(r"(?:\.(?:csv|tsv|txt|json|jsonl|parquet|feather|arrow|ipc|gz|zst|zip|bz2))+$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Picked:
    """Our columns found in a source. `source` maps ours to one or two (joined) of theirs; `volume_zero`: there is no volume and the
    user said 0."""

    source: Mapping[str, tuple[str, ...]]
    volume_zero: bool = False

    @property
    def names(self) -> dict[str, str]:
        """Ours to theirs, for messages."""
        return {ours: "+".join(theirs) for ours, theirs in self.source.items()}

    @property
    def used(self) -> list[str]:
        """Every source column that is read."""
        return list(dict.fromkeys(name for theirs in self.source.values() for name in theirs))


def pick(available: Sequence[str], options: IngestOptions, path: Path, *, header: bool = True) -> Picked:
    """The source columns for time, prices, volume, and symbol, vwap, n_trades, bid and ask where there are any.

    Raises
    ------
    DataError
        When one that is needed is missing, with what the source has instead, or the user's map names a column that is not there. A
        `NotBars` when few are there.
    """
    lower = {name.strip().lower(): name for name in reversed(available)}
    found: dict[str, tuple[str, ...]] = {}
    volume_zero = False
    for ours, theirs in options.columns.items():
        key = "time" if ours == "open_time" else ours
        if key == "volume" and theirs == "0" and "0" not in available:
            volume_zero = True
            continue
        found[key] = tuple(_named(part, available, lower, ours=ours, path=path) for part in _parts(theirs, available))
    if header:
        for ours, names in SYNONYMS.items():
            known = next((lower[n] for n in names if n in lower and lower[n] not in _taken(found)), None)
            if ours not in found and known is not None and not (ours == "volume" and volume_zero):
                found[ours] = (known,)
        if "open_time" not in options.columns and found.get("time") == (lower.get("date"),) and "time" in lower:
            found["time"] = (lower["date"], lower["time"])
    missing = [ours for ours in REQUIRED if ours not in found and not (ours == "volume" and volume_zero)]
    if missing:
        kind = NotBars if len(REQUIRED) - len(missing) < MOST else DataError
        raise kind(_missing(missing[0], available, path, header=header))
    return Picked(found, volume_zero)


def _parts(theirs: str, available: Sequence[str]) -> list[str]:
    return [theirs] if theirs in available else theirs.split("+")


def _taken(found: Mapping[str, tuple[str, ...]]) -> set[str]:
    return {name for theirs in found.values() for name in theirs}


def _named(part: str, available: Sequence[str], lower: Mapping[str, str], *, ours: str, path: Path) -> str:
    if part in available:
        return part
    if part.strip().lower() in lower:
        return lower[part.strip().lower()]
    if part.isdigit() and 1 <= int(part) <= len(available):
        return available[int(part) - 1]
    raise DataError(f"{path}: column {part!r} (for {ours}) must be one of {', '.join(available)}; it is not there")


def _missing(ours: str, available: Sequence[str], path: Path, *, header: bool) -> str:
    name = "open_time" if ours == "time" else ours
    has = f"the columns {', '.join(available)}" if header else f"{len(available)} columns without a header"
    hint = f"say which it is, e.g. --column {name}={'2' if not header else 'NAME'}"
    if ours == "volume":
        hint += " (--column volume=0 where the vendor has none)"
    return f"{path}: a column for {name} must be there, was not among {has}; {hint}"


def symbol_for(path: Path, options: IngestOptions) -> str:
    """The symbol of rows that have none in a column: as the user says, else as the file's name does."""
    return options.symbol or symbol_of(path)


def symbol_of(path: Path) -> str:
    """The symbol that a file name gives: AAPL for ``AAPL_1min.csv``, SPY for ``SPY_2024-03.parquet``; "" for a mere date."""
    stem = _TIMEFRAME.sub("", _SUFFIXES.sub("", path.name))
    return "" if re.fullmatch(r"[\d\W_]*\d{4}-?\d{2}(?:-?\d{2})?[\d\W_]*", stem) else stem
