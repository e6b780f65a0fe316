"""From a specification and a grid to a sweep: what is to be done, what is done already, and the rest, pass by pass."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from bt.errors import NoSuchField, StrategyError
from bt.model import Progress, RunSpec
from bt.run.pool import Crew
from bt.strategy import told
from bt.sweeps.dividing import crew_for, played_apart
from bt.sweeps.folder import SweepFolder, opened
from bt.sweeps.identity import Ground, code_of, document, grounded
from bt.sweeps.passes import chunks
from bt.sweeps.playing import Known, run_sets
from bt.sweeps.recording import SetResult
from bt.sweeps.result import Sweep, checked_metric
from bt.sweeps.sets import ParameterSet, Where, checked_grid, expand


@dataclass(frozen=True)
class Asked:
    """What a sweep is asked to be: the specification that its sets share, the grid, which of its sets, and how they are ranked."""

    spec: RunSpec
    grid: Mapping[str, Sequence[Any]]
    where: Where = ""
    choose: str = "sharpe"


class SweepInterrupted(KeyboardInterrupt):
    """Ctrl-C: `done` of `trials` sets are kept in `path`, and the same sweep goes on from there; None: nothing is kept."""

    def __init__(self, path: Path | None, done: int, trials: int) -> None:
        kept = "nothing is kept" if path is None else f"they are kept in {path}: the same sweep goes on from there"
        super().__init__(f"interrupted after {done} of {trials} sets; {kept}")
        self.path, self.done, self.trials = path, done, trials


def sweep_spec(
    asked: Asked,
    *,
    checking: Progress | None = None,
    progress: Progress | None = None,
    save: bool = True,
    out: Path | None = None,
    now: datetime | None = None,
    crew: Crew | None = None,
    code: Mapping[str, str] | None = None,
) -> Sweep:
    """Play every set of a grid that is not done yet.

    Parameters
    ----------
    checking : callable, optional
        As `bt.run.run_spec`.
    progress : callable, optional
        Called after each session of each pass as ``progress(sessions_done, sessions_total, bars_done)``.
    save : bool
        False keeps the results in memory.
    out : Path, optional
        The sweep's folder itself, instead of ``sweep-<hash>`` in ``output.dir``; where the same sweep was stopped, it goes on.
    crew : Crew, optional
        Workers of somebody who has more for them to do; else as many as ``engine.workers`` are started.
    code : mapping of str to str, optional
        What the code of strategies that are loaded from files must be (`bt.sweeps.identity.code_of`); else what it is now.

    Raises
    ------
    ConfigError
        An unknown parameter, key or metric, an impossible value, or no set.
    UsageError
        The folder is another sweep's.
    BtError
        As `bt.run.run_spec`; what a set's strategy raises is in the results.
    SweepInterrupted
        Ctrl-C.
    """
    spec, choose = asked.spec, checked_metric(asked.choose, "sweep.choose")
    now = now or datetime.now(UTC)
    tried = checked_grid(asked.grid)
    sets = expand(spec, tried, asked.where)
    code = code_of(spec, sets) if code is None else code
    path: Path | None = None
    with crew_for(spec, sets) if crew is None else nullcontext(crew) as workers:
        ground = grounded(spec, checking=checking, now=now)
        known = Known(code, ground.spec.data, ground.fingerprint)
        play = partial(_results, ground, sets, progress=progress, now=now, crew=workers, known=known)
        if save:
            told_ = document(ground, sets, grid={k: list(v) for k, v in tried.items()}, where=_where(asked.where))
            path = place(ground.spec, told_, out, "sweep")
            with opened(path, told_, named=out is not None) as folder:
                results = play(folder)
        else:
            results = play(None)
    return Sweep(replace(ground.spec, workers=1), sets, results, choose, path, ground.time.sessions_a_year())


def _where(where: Where) -> Any:
    return where if isinstance(where, str) else told(where)


def place(spec: RunSpec, told_: Mapping[str, Any], out: Path | None, kind: str) -> Path:
    """The folder of a sweep or walk-forward (`kind`): the same for the same one."""
    if out is not None:
        return Path(os.path.normpath(Path.cwd() / out))
    return Path(os.path.normpath(Path.cwd() / spec.output_dir)) / f"{kind}-{told_['sweep_hash'][:12]}"


def _results(
    ground: Ground,
    sets: Sequence[ParameterSet],
    folder: SweepFolder | None,
    *,
    progress: Progress | None,
    now: datetime,
    crew: Crew | None,
    known: Known,
) -> list[SetResult]:
    """What every set comes to, in order; those that `folder` has are not played again."""
    found = {} if folder is None else folder.results()
    left = [one for one in sets if one.number not in found]
    groups = chunks(ground.spec, left, ground.spec.workers)
    passed = _Passes(len(groups), progress)
    held: list[Sequence[SetResult]] = []  # not kept until a set can be played: they may all be refused
    try:
        for number, results in _played(ground.spec, groups, passed, now, crew, known=known):
            passed.end(number)
            found |= {result.number: result for result in results}
            held.append(results)
            if folder is not None and not _refused(found):
                for kept in held:
                    folder.add(kept)
                held.clear()
    except KeyboardInterrupt:
        done = len(found)
        raise SweepInterrupted(None if folder is None else folder.path, done, len(sets)) from None
    every = [found[one.number] for one in sets]
    if _refused(found):
        raise StrategyError(every[0].error.partition(": ")[2])
    if folder is not None and not folder.finished(every):
        folder.finish(sets, every)
    return every


def _refused(found: Mapping[int, SetResult]) -> bool:
    """Whether no set has a strategy that can be used."""
    kinds = tuple(f"{kind.__name__}: " for kind in (StrategyError, NoSuchField))
    return all(result.error.startswith(kinds) for result in found.values())


def _played(
    spec: RunSpec,
    groups: Sequence[Sequence[ParameterSet]],
    passed: _Passes,
    now: datetime,
    crew: Crew | None,
    *,
    known: Known,
) -> Iterator[tuple[int, list[SetResult]]]:
    """What the sets of each group come to, by the group's number: one after another here, or some at a time by workers."""
    if crew is not None and len(groups) > 1:
        yield from played_apart(spec, groups, passed, now, crew, known=known)
        return
    for number, group in enumerate(groups):
        yield number, run_sets(spec, group, progress=partial(passed.tell, number), now=now, known=known)


class _Passes:
    """Progress over several passes, which are thought to have as many sessions as the one that is played."""

    def __init__(self, passes: int, progress: Progress | None) -> None:
        self._passes, self._progress = passes, progress
        self._done: dict[int, tuple[int, int]] = {}  # sessions and bars by pass
        self._over: set[int] = set()

    def tell(self, number: int, done: int, total: int, bars: int) -> None:
        """As a run tells of its sessions: pass `number`."""
        self._done[number] = done, bars
        if self._progress is not None:
            ended = sum(self._done.get(n, (0, 0))[0] for n in self._over)
            sessions, flowed = (sum(values) for values in zip(*self._done.values(), strict=True))
            self._progress(sessions, ended + total * (self._passes - len(self._over)), flowed)

    def end(self, number: int) -> None:
        """A pass is over."""
        self._over.add(number)
