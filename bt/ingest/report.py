"""What an ingest did and what it refused, as frozen values that also go into the store as JSON."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from bt.schema import FAULT_REASONS

REASONS = (
    "wrong_fields",  # a line with more or fewer fields than the header
    "unparseable",  # a price or volume that is no number
    "bad_time",  # a stamp that cannot be read
    "nonexistent_time",  # a local time skipped by a clock change
    "ambiguous_time",  # a local time that happened twice
    "no_symbol",
    "one_sided",  # a quote bar without bid or ask
    "not_one_minute",  # a page of coarser bars
    "too_large",  # a volume of 2^53 or more, from where a float cannot hold every whole number
    *FAULT_REASONS[:4],  # off_grid, non_finite, non_positive, inconsistent
)
"""Why a row was refused, in the order in which the first match counts."""

SAMPLES = 3
"""Samples kept of each reason and source."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One refused row: its 1-based line or row number (0 unknown) and archive member, and the value that failed."""

    line: int
    symbol: str
    time: str
    column: str
    value: str
    member: str = ""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Rows of one source refused for one reason."""

    reason: str
    rows: int
    samples: tuple[Sample, ...]


@dataclass(frozen=True, slots=True)
class SourceReport:
    """What became of one source.

    `rows` were read, `bars` passed the row checks. `first` and `last` are open_times, ISO UTC ("" without bars). With a calendar,
    `outside` counts bars outside every segment and `looks` says ``end`` or ``start`` when the stamps look unlike what was
    declared ("" otherwise); without one `outside` is None. `ignored` counts the non-zero cells of columns that were left out on purpose,
    `dates` says so where nothing shows that their month is first, `rounded` the prices that price_decimals changed, `merged` the rows that another source holds identically, `duplicates` repeated rows.
    """

    path: str
    format: str
    sha256: str
    status: Literal["new", "replaced", "known"]
    rows: int = 0
    bars: int = 0
    symbols: int = 0
    first: str = ""
    last: str = ""
    refused: tuple[Refusal, ...] = ()
    outside: int | None = None
    looks: str = ""
    ignored: dict[str, int] = field(default_factory=dict)
    rounded: int = 0
    merged: int = 0
    duplicates: int = 0
    dates: str = ""


@dataclass(frozen=True, slots=True)
class Conflict:
    """Rows of one day that give the same symbol and minute different values. All are kept; a run withholds them."""

    day: str
    rows: int
    symbol: str
    time: str


@dataclass(frozen=True, slots=True)
class IngestReport:
    """The outcome of one ingest. `sources` are those given, `skipped` files of folders that hold no minute bars, with the reason, `replaced`
    what earlier ingests had read and sources of this one took the place of.

    `conflicts` are those in the days written. `days_written` and `days_deleted` count day files, `bars` and `bytes` are of the whole store after it.
    """

    store: Path
    sources: tuple[SourceReport, ...]
    skipped: tuple[tuple[str, str], ...]
    replaced: tuple[SourceReport, ...]
    conflicts: tuple[Conflict, ...]
    days_written: int
    days_deleted: int
    days: int
    symbols: int
    bars: int
    bytes: int

    @property
    def new(self) -> int:
        """Sources read: new ones and changed ones."""
        return sum(s.status != "known" for s in self.sources)

    @property
    def refused(self) -> dict[str, int]:
        """Refused rows by reason, over the sources read, in the order of REASONS, then duplicates."""
        counts: Counter[str] = Counter()
        for source in self.sources:
            counts.update({r.reason: r.rows for r in source.refused})
            counts["duplicate"] += source.duplicates
        return {reason: counts[reason] for reason in (*REASONS, "duplicate") if counts[reason]}

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences a user should read: stamps that look unlike what was declared, dates that may be read two ways, conflicting rows."""
        told = [
            f"{s.path}: bars have no row at the open and one at the close: they look {s.looks}-stamped; try --stamp {s.looks}"
            for s in self.sources
            if s.looks
        ]
        told += [s.dates for s in self.sources if s.dates and s.status != "known"]
        if self.conflicts:
            first = self.conflicts[0]
            rows = sum(c.rows for c in self.conflicts)
            told.append(
                f"{self.store}: {rows} rows conflict (first {first.symbol} {first.time}); a run will withhold them"
            )
        return tuple(told)

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON-ready values."""
        out = asdict(self) | {"store": str(self.store), "new": self.new, "refused": self.refused}
        return out | {"warnings": list(self.warnings)}
