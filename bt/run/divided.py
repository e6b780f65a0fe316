"""A run played by several workers: each plays its part, and what they tell is put together session by session.

Results are those of one process, byte by byte. What workers cannot know alone ends the attempt, and the run is played in one process
instead (`Undivided`): a strategy that raises or calls `book.stop` ends the run at that minute for everybody, and what the others had done
by then only one process knows (docs/decisions/0025).
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import polars as pl

from bt.coordinator import FinishReason, Marking, Timings, mark_streams
from bt.engine import Pace
from bt.errors import BtError, UsageError, WorkerError
from bt.model import Progress, RunSpec
from bt.results import Results
from bt.run.driving import labels_of
from bt.run.finishing import Elsewhere
from bt.run.gathering import Gathered, Undivided
from bt.run.interrupt import interruptible
from bt.run.making import Made, Share
from bt.run.pool import Crew, Result, Worker, threads_each
from bt.run.sharding import Shard, shards
from bt.run.slices import Over, Part, Slice, Stopped, play_part
from bt.store import Store
from bt.strategy import pack


@dataclass
class Driven:
    """How the workers drove the run: `waiting` is never, so that Ctrl-C is heard between sessions."""

    timings: Timings = field(default_factory=Timings)
    markings: dict[str, Marking] = field(default_factory=dict)
    stop_reason: str | None = None
    waiting: bool = False
    reason: FinishReason = "stopped"
    peak_rss_mb: float = 0.0


def parts_of(made: Made) -> list[Part]:
    """What each worker of a run plays. Who plays all symbols knows all that happened to them: the first of those tells.

    Raises
    ------
    UsageError
        There are more workers than symbols to divide.
    """
    spec = made.spec
    found = shards(spec, made.declarations, spec.workers)
    if (most := max(shard.parts for shard in found)) > made.store.candidates:
        raise UsageError(
            f"{spec.source}: engine.workers must leave a symbol to each, was {spec.workers}: {made.store.candidates} symbols cannot "
            f"be divided among {most}"
        )
    symbols = kept_together(spec, [symbols_of(made.store, shard) for shard in found], linked(made))
    whole = [n for n, shard in enumerate(found) if shard.parts == 1]
    packed = tuple(pack(given) for given in spec.strategies)
    each = replace(spec, strategies=(), threads=threads_each(spec.threads, spec.workers), workers=1)
    parts = []
    for number, shard in enumerate(found):
        facts = not whole or number == whole[0]
        parts.append(Part(each, packed, Share(shard.strategies, symbols[number]), facts))
    return parts


def symbols_of(store: Store, shard: Shard) -> tuple[str, ...] | None:
    """The symbols of a shard, None for all: neighbours by name with about as many bars as every other shard has, at least one symbol.

    Neighbours, because a file has them beside each other: what lies between two names is read without decoding the rest.
    """
    if shard.parts == 1:
        return None
    counted = dict(store.spans.group_by("code").agg(pl.col("rows").sum()).iter_rows())
    rows = np.array([counted.get(code, 0) + 1 for code in range(store.candidates)])
    middle = np.cumsum(rows) - rows / 2
    cuts = np.searchsorted(middle, rows.sum() * np.arange(shard.parts + 1) / shard.parts)
    for k in range(1, shard.parts):
        cuts[k] = min(max(cuts[k], cuts[k - 1] + 1), store.candidates - (shard.parts - k))
    return store.symbols[cuts[shard.part] : cuts[shard.part + 1]]


def linked(made: Made) -> list[set[str]]:
    """Symbols of the run that are renamed to one another in it: what one holds the other holds later."""
    groups: list[set[str]] = []
    names, span = made.store.symbols, made.span
    for action in made.acts.every:
        if (
            action.kind == "rename"
            and span.first <= action.session <= span.last
            and max(action.code, action.to) < len(names)
        ):
            group = {names[action.code], names[action.to]}
            apart = [g for g in groups if not g & group]
            groups = [*apart, group.union(*(g for g in groups if g & group))]
    return groups


def kept_together(
    spec: RunSpec, shares: Sequence[tuple[str, ...] | None], groups: Sequence[set[str]]
) -> list[tuple[str, ...] | None]:
    """The symbols of shards with those of a group in the one that has the first of them; one that is left without any gets one of another.

    Raises
    ------
    UsageError
        A shard is left without a symbol.
    """
    made = [None if share is None else set(share) for share in shares]
    for group in groups:
        home = next((share for share in made if share is not None and min(group) in share), None)
        for share in made:
            if share is not None and home is not None:
                share.difference_update(group)
        if home is not None:
            home.update(group)
    bound = set().union(*groups)
    for share in (share for share in made if share is not None and not share):
        donor = max((other for other in made if other), key=lambda other: len(other - bound) if len(other) > 1 else 0)
        moved = sorted(donor - bound)[-1:] if len(donor) > 1 else []
        donor.difference_update(moved)
        share.update(moved)
    if any(share is not None and not share for share in made):
        raise UsageError(
            f"{spec.source}: engine.workers must leave a symbol to each, was {spec.workers}: symbols that are renamed to one another are played "
            "together; take fewer"
        )
    return [None if share is None else tuple(sorted(share)) for share in made]


def play_divided(
    made: Made, results: Results, progress: Progress | None, crew: Crew
) -> tuple[Gathered, Driven, Elsewhere]:
    """Play a run with a crew of as many workers as it is to have; they are gone at the end.

    Raises
    ------
    Undivided
        It has to be played in one process.
    WorkerError
        A worker died.
    """
    parts = parts_of(made)
    gathered = Gathered(results, made, [part.share for part in parts])
    driven, pace = Driven(markings=mark_streams("backtest", labels_of(made))), Pace(0.0)
    total = made.span.last - made.span.first + 1
    told = None
    with interruptible(pace, driven), contextlib.suppress(KeyboardInterrupt), crew:
        for worker, part in zip(crew.workers, parts, strict=True):
            worker.begin(play_part, part)
        while (told := _told(crew.workers, pace)) is not None and not isinstance(told[0], Result):
            gathered.session(told)
            _time(driven, told, gathered)
            if progress is not None:
                progress(gathered.totals.sessions, total, gathered.totals.bars)
    if told is None or not isinstance(told[0], Result):
        driven.stop_reason = "interrupted"
    else:
        _over(driven, [result.value for result in told])
    history, features = gathered.short
    return gathered, driven, Elsewhere(history, features, driven.peak_rss_mb)


def _told(workers: Sequence[Worker], pace: Pace) -> Any:
    """What every worker tells next: slices of one session, or results; None after Ctrl-C."""
    try:
        told = [worker.take(pace.stop) for worker in workers]
    except WorkerError:
        raise
    except BtError as error:  # it is told as one process tells it
        raise Undivided(str(error)) from error
    if any(one is None for one in told):
        return None
    for stopped in (t for t in told if isinstance(t, Stopped)):
        raise Undivided(stopped.reason)
    kinds = {type(t) for t in told}
    if len(kinds) > 1:
        raise WorkerError(
            "engine.workers: workers must play the same sessions, were at different ones; this is a bug in bt"
        )
    return told


def _time(driven: Driven, slices: Sequence[Slice], gathered: Gathered) -> None:
    """A session's bars, and the seconds of the worker that took longest."""
    bars = gathered.totals.bars - sum(int(known["bars"]) for known in driven.timings.sessions)
    driven.timings.sessions.append({"bars": float(bars), "stream": max(s.seconds for s in slices)})


def _over(driven: Driven, ends: Sequence[Over]) -> None:
    """Every phase and part is that of the worker that took longest; memory is that of all together."""
    driven.reason = ends[0].reason
    for mine, theirs in (
        (driven.timings.phases, [e.phases for e in ends]),
        (driven.timings.parts, [e.parts for e in ends]),
    ):
        mine.update({name: max(one.get(name, 0.0) for one in theirs) for one in theirs for name in one})
    driven.peak_rss_mb = sum(e.peak_rss_mb or 0.0 for e in ends)
