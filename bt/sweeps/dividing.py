"""Passes of a sweep, played by several workers: which passes there are changes no result."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from bt.model import RunSpec
from bt.run.pool import Crew, Tell, crew_of, threads_each
from bt.strategy import Source, pack, remember, source_of, unpack
from bt.sweeps.playing import Known, run_sets
from bt.sweeps.recording import SetResult
from bt.sweeps.sets import ParameterSet


class Heard(Protocol):
    """Hears how far a pass is, by its number."""

    def tell(self, number: int, done: int, total: int, bars: int) -> None:
        """As a run tells of its sessions."""


@dataclass(frozen=True)
class Group:
    """Sets that a worker plays: `spec` has its strategies packed beside it, and `sources` is the code of classes that the sets try."""

    spec: RunSpec
    strategies: Sequence[bytes]
    sets: Sequence[ParameterSet]
    sources: Sequence[tuple[type, Source]]
    now: datetime
    known: Known


def crew_for(spec: RunSpec, sets: Sequence[ParameterSet]) -> AbstractContextManager[Crew | None]:
    """The workers of a sweep: none of them is without a set."""
    return crew_of(max(1, min(spec.workers, len(sets))), spec.threads)


def played_apart(
    spec: RunSpec, groups: Sequence[Sequence[ParameterSet]], heard: Heard, now: datetime, crew: Crew, *, known: Known
) -> Iterator[tuple[int, list[SetResult]]]:
    """The number of each group and what its sets come to, as they come.

    Raises
    ------
    WorkerError
        A worker died.
    BtError
        As `run_sets`.
    """
    packed = tuple(pack(given) for given in spec.strategies)
    threads = threads_each(spec.threads, len(crew.workers))
    each = replace(spec, strategies=(), threads=threads, workers=1)
    given = [Group(each, packed, group, _sources(group), now, known) for group in groups]
    return crew.played(play_group, given, lambda number, told: heard.tell(number, *told))


def _sources(group: Sequence[ParameterSet]) -> list[tuple[type, Source]]:
    """The code of the classes among what sets try."""
    uses = [value for one in group for key, value in one.settings.items() if key.endswith(".use")]
    classes = {use if isinstance(use, type) else type(use) for use in uses if not isinstance(use, str)}
    return [(cls, source_of(cls)) for cls in classes]


def play_group(group: Group, tell: Tell) -> list[SetResult]:
    """What a worker does: it tells of every session."""
    remember(group.sources)
    spec = replace(group.spec, strategies=tuple(unpack(data) for data in group.strategies))
    return run_sets(spec, group.sets, progress=lambda *told: tell(told), now=group.now, known=group.known)
