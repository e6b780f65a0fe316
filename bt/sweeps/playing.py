"""Sets played together: one pass of the data for all, an account for each."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from bt.engine import Engine, Pace, Player
from bt.errors import BtError, DataError, ExpressionRaised, FeatureError, MoneyError, StrategyError, UsageError
from bt.memory import calm_collector, keep_freed_memory
from bt.model import DataSpec, Progress, RunSpec, StrategySpec
from bt.run import made
from bt.run.benchmark import benchmark_returns
from bt.run.interrupt import interruptible
from bt.run.replaying import coordinated
from bt.strategy import build, load_class, source_of
from bt.sweeps.recording import Apart, Chain, SetRecorder, SetResult
from bt.sweeps.sets import ParameterSet


def run_sets(
    spec: RunSpec,
    sets: Sequence[ParameterSet],
    *,
    checking: Progress | None = None,
    progress: Progress | None = None,
    now: datetime | None = None,
    known: Known | None = None,
) -> list[SetResult]:
    """What each of some sets comes to, in their order, over one pass of the data. Arguments and results can be pickled.

    Parameters
    ----------
    spec : RunSpec
        What the sets have in common.
    sets : sequence of ParameterSet
        Sets that may share a pass (`bt.sweeps.passes`).
    checking, progress, now
        As `bt.run.run_spec`.
    known : Known, optional
        What code and data must be.

    Raises
    ------
    BtError
        What no set is to blame for: data, dates, a configuration, or that they have changed.
    KeyboardInterrupt
        Ctrl-C; nothing is kept.
    """
    keep_freed_memory()
    return _played(spec, sets, _Classes(known), checking=checking, progress=progress, now=now, known=known)


def written(cls: type) -> str:
    """A digest of what the files of a class say: its own and those of local modules."""
    source = source_of(cls)
    return hashlib.sha256(json.dumps([source.text, dict(source.modules)], sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Known:
    """What a sweep is known by while it is played: what the files of strategies say (`written`), by where they are, and the fingerprint of the bars `data`."""

    code: Mapping[str, str]
    data: DataSpec
    fingerprint: str

    def check_code(self, use: str, cls: type) -> None:
        """Refuse a class that is not what it was.

        Raises
        ------
        UsageError
            It has changed.
        """
        if self.code.get(use, now := written(cls)) != now:
            raise UsageError(
                f"{use}: the strategy must stay as it is while it is swept, was changed; what is done is kept, sweep again into another folder"
            )

    def check_data(self, data: DataSpec, fingerprint: str) -> None:
        """Refuse bars that are not what they were.

        Raises
        ------
        DataError
            They have changed.
        """
        if data == self.data and fingerprint != self.fingerprint:
            raise DataError(
                f"{data.bars}: bars must stay as they are while they are swept over, were changed; what is done is kept, sweep again into another folder"
            )


class _Classes(dict[str, type]):
    """Strategies by where they are, each loaded once for a pass."""

    def __init__(self, known: Known | None) -> None:
        super().__init__()
        self._known = known

    def __missing__(self, use: str) -> type:
        cls = self[use] = load_class(use)
        if self._known is not None:
            self._known.check_code(use, cls)
        return cls


def _played(spec: RunSpec, sets: Sequence[ParameterSet], classes: _Classes, **how: Any) -> list[SetResult]:
    """One pass; where a set makes it impossible, or would change what others see, it is found by halves: alone it has failed, or is what it is alone."""
    found: dict[int, SetResult] = {}
    runs: dict[int, RunSpec] = {}
    for one in sets:
        try:
            runs[one.number] = _made(one.applied(spec), classes)
        except BtError:
            raise
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a constructor may raise anything; then its set has failed
            found[one.number] = SetResult(one.number, _raised(error))
    if runs:
        try:
            found |= {result.number: result for result in play(runs, **how)}
        except (MoneyError, FeatureError, StrategyError, ExpressionRaised, Apart) as error:
            if len(sets) > 1:
                half = len(sets) // 2
                return [*_played(spec, sets[:half], classes, **how), *_played(spec, sets[half:], classes, **how)]
            found[sets[0].number] = SetResult(sets[0].number, _raised(error.__cause__ or error))
    return [found[one.number] for one in sets]


def _raised(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _made(run: RunSpec, classes: _Classes) -> RunSpec:
    """The run with its strategies made; a file is loaded once, so that row types are the same for all sets."""
    own: list[StrategySpec] = []
    for given in run.strategies:
        use: Any = given.use
        if isinstance(use, str):
            use = classes[use]
        own.append(replace(given, use=build(use, given.params), params={}))
    return replace(run, strategies=tuple(own))


def play(
    runs: Mapping[int, RunSpec],
    *,
    checking: Progress | None = None,
    progress: Progress | None = None,
    now: datetime | None = None,
    chain: Chain | None = None,
    known: Known | None = None,
) -> list[SetResult]:
    """What the runs of some sets, by number, come to over one pass of the data; those of a single one may be part of a `chain`."""
    every = list(runs.values())
    first = replace(every[0], strategies=tuple(s for run in every for s in run.strategies))
    with made(first, checking=checking, now=now, runs=every) as parts:
        if known is not None:
            known.check_data(first.data, parts.store.fingerprint)
        benchmark = benchmark_returns(parts.spec, parts.time, parts.span, parts.actions)
        groups = _groups(every, parts.players)
        pace = Pace(0.0)
        engine = Engine(
            parts.market,
            parts.players,
            ZoneInfo(parts.time.zone),
            pace=pace,
            isolate=True,
            leave=parts.spec.universe is not None and parts.spec.universe.leavers == "exit",
            groups=groups,
        )
        recorder = SetRecorder(groups, parts.time.sessions_a_year(), chain)
        coordinator = coordinated(parts, engine, recorder, progress)
        with calm_collector(), interruptible(pace, coordinator):
            coordinator.run()
        if pace.stop.is_set():
            raise KeyboardInterrupt
        if coordinator.fault is not None:
            raise coordinator.fault
        results = recorder.results(list(runs), benchmark)
    return [_judged(result, run) for result, run in zip(results, every, strict=True)]


def _groups(runs: Sequence[RunSpec], players: Sequence[Player]) -> list[Sequence[Player]]:
    """The players of each run."""
    left = iter(players)
    return [[next(left) for _ in run.strategies] for run in runs]


def _judged(result: SetResult, run: RunSpec) -> SetResult:
    """A set whose strategy raised has failed, unless the strategy is to be stopped and the others kept."""
    if not result.error or run.run.on_strategy_error == "isolate":
        return result
    return SetResult(result.number, result.error)
