"""What pages are made of."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, NamedTuple, Protocol

import polars as pl

from bt.model import Session

Frame = pl.DataFrame | pl.LazyFrame


class BarSource(Protocol):
    """Where the minute bars of candle charts come from.

    Attributes
    ----------
    zone : str
        The exchange's IANA zone.
    note : str
        What a reader should know about these bars, "" for nothing.
    """

    zone: str
    note: str

    def session(self, day: date) -> Session:
        """One session of the calendar."""

    def bars(self, wanted: Mapping[date, Collection[str]]) -> Mapping[date, Mapping[str, pl.DataFrame]]:
        """The bars that a run is shown, by session and symbol, of the symbols `wanted` in each session: open_time (Int64 UTC microseconds, sorted), open,
        high, low, close, volume."""


class Wish(NamedTuple):
    """Whose candle charts are wanted first; None for any."""

    symbol: str | None = None
    session: date | None = None


@dataclass(frozen=True)
class SweepTold:
    """A sweep: `frame` has one row a set, the best first, with the columns `parameters`, error and metrics; `choose` ranks them; `lines` are further
    facts as (name, text); `document` is sweep.json."""

    frame: pl.DataFrame
    parameters: Sequence[str]
    choose: str
    lines: Sequence[tuple[str, str]] = ()
    document: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class RunTold:
    """A run.

    Attributes
    ----------
    summary : mapping
        That of metrics.json.
    metrics, strategy_metrics : mapping
        Those of the account, and of each strategy by name.
    manifest : mapping
        manifest.json.
    tables : mapping of frames
        As a run's folder has them.
    outages : DataFrame
        Of `bt.outages`.
    bars : BarSource or None
        None: the page has no candle charts, and says `why_no_bars`.
    sweep : SweepTold or None
        The sweep that the run's parameters come from.
    lines : sequence of (name, text)
        The summary as a terminal shows it: what the page does not tell otherwise is among its facts.
    zone : str
        The zone that times are told in.
    """

    summary: Mapping[str, Any]
    metrics: Mapping[str, Any]
    strategy_metrics: Mapping[str, Mapping[str, Any]]
    manifest: Mapping[str, Any]
    tables: Mapping[str, Frame]
    outages: pl.DataFrame
    bars: BarSource | None
    why_no_bars: str = ""
    sweep: SweepTold | None = None
    lines: Sequence[tuple[str, str]] = ()
    zone: str = "UTC"

    @property
    def multipliers(self) -> dict[str, float]:
        """By symbol what a share is worth at a price of 1, where that is not 1."""
        told = (self.summary.get("instruments") or {}).get("multipliers", {})
        return {symbol: float(number) for symbol, number in told.items()}


@dataclass(frozen=True)
class QualityTold:
    """How complete a store is.

    Attributes
    ----------
    lines : sequence of (name, text)
        What was looked at.
    table : DataFrame
        As a run's table of quality, with gaps; of one interval.
    worst, outages, guards : DataFrame
        As `bt.research.Quality` has them.
    sessions : sequence of Session
    zone : str
    interval : str
    """

    lines: Sequence[tuple[str, str]]
    table: pl.DataFrame
    worst: pl.DataFrame
    outages: pl.DataFrame
    guards: pl.DataFrame
    sessions: Sequence[Session]
    zone: str
    interval: str
