"""A part of a run, played by a worker: what happened in each session is told as a slice, and nothing is kept.

A slice holds everything that the run's tables and summary need of its session, so that a run may end after any of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from zoneinfo import ZoneInfo

import polars as pl

from bt.coordinator import FinishReason, Timings
from bt.engine import Engine, Left, Pace, PlayerOutcome, SessionOutcome, hearing
from bt.frames import packed
from bt.memory import calm_collector, keep_freed_memory, peak_rss_mb
from bt.model import RunSpec
from bt.recorder import Said, Totals, said
from bt.run.driving import coordinated
from bt.run.making import Made, Share, made
from bt.run.pool import Tell
from bt.strategy import unpack

Short = tuple[dict[str, dict[str, str | None]], dict[str, dict[str, str | None]]]
"""Whose history, and whose features' history, was short at the start, and since when all of it is there."""


@dataclass(frozen=True)
class Part:
    """What a worker is to play: of the run `spec`, whose strategies travel as `strategies`, a `share`; whether it tells what happened to symbols, whoever
    plays: quality and guards."""

    spec: RunSpec
    strategies: Sequence[bytes]
    share: Share
    facts: bool


@dataclass(frozen=True)
class Slice:
    """What happened in one session.

    Attributes
    ----------
    outcome : SessionOutcome
        Of the part's strategies, without what they said. The tags of each are those that are new, and all words count among codes.
    quality, guards : bytes
        Frames (`bt.frames.packed`) as the engine's window has them, without rows where others tell them.
    failed : mapping of int to str
        Symbols dropped, by code, and why.
    said : sequence of (bytes or None, bytes or None)
        What each strategy of the part recorded and said (`bt.recorder.Said`), packed likewise.
    left : sequence of Left
        What each leaves if the run ends here.
    strategies_failed : mapping of int to str
        Strategies that have raised, here or before, by their number in the run.
    short : Short or None
        None if it is what the slice before told.
    """

    outcome: SessionOutcome
    quality: bytes
    guards: bytes
    failed: Mapping[int, str]
    said: Sequence[tuple[bytes | None, bytes | None]]
    left: Sequence[Left]
    strategies_failed: Mapping[int, str]
    short: Short | None
    seconds: float


@dataclass(frozen=True)
class Stopped:
    """The run ends within a session, or for a faulty row: only who plays all of it knows what the others do until then."""

    reason: str


@dataclass(frozen=True)
class Over:
    """How a part came to its end. Wall seconds by phase and part."""

    reason: FinishReason
    phases: Mapping[str, float]
    parts: Mapping[str, float]
    peak_rss_mb: float | None


def play_part(part: Part, tell: Tell) -> Over:
    """Play a part of a run and tell every session's `Slice`; a `Stopped` where it does not come to its end by itself."""
    keep_freed_memory()
    spec = replace(part.spec, strategies=tuple(unpack(data) for data in part.strategies))
    with made(spec, share=part.share) as parts:
        engine = Engine(
            parts.market, parts.players, ZoneInfo(parts.time.zone), pace=Pace(spec.session.speed),
            isolate=spec.run.on_strategy_error == "isolate",
            leave=parts.spec.universe is not None and parts.spec.universe.leavers == "exit",
            several=len(parts.declarations) > 1,
        )  # fmt: skip
        recorder = SliceRecorder(parts, part, tell)
        coordinator = coordinated(parts, engine, recorder, None)
        recorder.timings = coordinator.timings
        with calm_collector(), hearing(engine):
            reason = coordinator.run()
        if reason == "stopped":
            tell(Stopped(str(coordinator.stop_reason)))
        timings = coordinator.timings
        return Over(reason, timings.phases, timings.parts, peak_rss_mb())


def _packed(heard: Said) -> tuple[bytes | None, bytes | None]:
    records, log = (None if frame is None else packed(frame) for frame in heard)
    return records, log


class SliceRecorder:
    """A recorder that tells what a session left, and forgets it."""

    def __init__(self, parts: Made, part: Part, tell: Tell) -> None:
        self._parts, self._part, self._tell = parts, part, tell
        self._words = [0 for _ in parts.players]  # tags of each that were told
        self._short: Short | None = None
        self._judged = date.min  # the session of which it was told last
        self.totals = Totals()
        self.timings = Timings()

    def session(
        self, outcome: SessionOutcome, quality: pl.DataFrame, guards: pl.DataFrame, failed: Mapping[int, str]
    ) -> None:
        """Tell a session that was played to its end."""
        if outcome.stopped is not None:
            return
        self.totals.sessions += 1
        self.totals.bars += outcome.bars
        facts, visible, players = self._part.facts, outcome.visible, self._parts.players
        silent = [self._silent(number, own) for number, own in enumerate(outcome.players)]
        self._tell(
            Slice(
                replace(outcome, players=silent),
                packed(quality if facts else quality.clear()),
                packed(guards if facts else guards.clear()),
                {code: why for code, why in failed.items() if visible is None or visible[code]},
                said=[_packed(said(own.output)) for own in outcome.players],
                left=[player.left(outcome.session.open) for player in players],
                strategies_failed={
                    n: p.failed for n, p in zip(self._part.share.strategies, players, strict=True) if p.failed
                },
                short=self._news(outcome.session.name),
                seconds=self.timings.sessions[-1]["stream"],
            )
        )

    def _silent(self, number: int, own: PlayerOutcome) -> PlayerOutcome:
        """Without what is told apart: what the strategy said, and tags that were told before."""
        tags = own.output.tags[self._words[number] :]
        self._words[number] += len(tags)
        return replace(own, output=replace(own.output, records=[], log=[], tags=tags))

    def _news(self, session: date) -> Short | None:
        """Whose history was short, if that has changed."""
        source, judged, self._judged = self._parts.source, self._judged, session
        if source.short_settled <= judged:
            return None
        short = source.short_history(session), source.short_features(session)
        if short == self._short:
            return None
        self._short = short
        return short
