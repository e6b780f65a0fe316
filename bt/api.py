"""What `import bt` offers: replaying, research frames, and the words strategies are written in.

It is long because half of it is docstrings that users read, and the list of names.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from bt.config import asked, first_day, forward_days, last_day
from bt.errors import ConfigError, UsageError
from bt.execution import saying
from bt.features import (
    Feature,
    atr,
    cross_demean,
    cross_rank,
    cross_zscore,
    ema,
    feature,
    highest,
    lag,
    lowest,
    of,
    opening_range,
    prior,
    relative_volume,
    ret,
    rsi,
    score,
    sma,
    so_far,
    std,
    sum,
    trailing,
    vwap,
    zscore,
)
from bt.metrics import Metrics
from bt.model import Fill, Order, Progress, RunSpec, StrategySpec
from bt.notebook import notebook_progress
from bt.research import load_bars, load_quality
from bt.results import catalog
from bt.run import Comparison, Run, compare, open_run, run_spec
from bt.strategy import Book, ForwardReturn, Holding, Past, PastBars, Row, Rows, Strategy, at, every, forward_return
from bt.strategy import SessionDay as Session
from bt.studies import (
    Study,
    by_minute,
    decay,
    event_paths,
    event_study,
    forward_returns,
    information_coefficient,
    quantile_returns,
    quantile_spread,
    rank_autocorrelation,
    study,
    turnover,
)
from bt.sweeps import Asked, Sweep, WalkForward, sweep_spec, walk_forward_spec
from bt.training import rows_by_session
from bt.universe import members, top


def replay(
    source: str | os.PathLike[str] | RunSpec | None = None,
    *,
    strategy: Any = None,
    set: Mapping[str, Any] | None = None,  # noqa: A002 - the name promised to users, as --set
    save: bool = True,
    out: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
    **keywords: Any,
) -> Run:
    """Replay a configuration, a specification, or what keywords describe.

    Parameters
    ----------
    source : path or RunSpec, optional
        A TOML file, which keywords change, or a specification, which stands alone.
    strategy : class, instance, "file.py:Class", or the table [strategy] as a dict
        What is replayed; beside a file it stands for the file's.
    set : mapping
        Any dotted key: ``{"execution.slippage_bps": 2, "strategy.params.fast": 5}``.
    save : bool
        False keeps the results in memory and writes nothing.
    out : path, optional
        The run's folder itself.
    progress : callable, optional
        Called after each session as ``progress(sessions_done, sessions_total, bars_done)``; a notebook shows a bar without one.
    **keywords
        The keys of [data] (``bars`` may be a Polars or Arrow table) and [session], ``cash``, ``seed`` and ``name``; the
        other tables as dicts: ``execution={"slippage_bps": 2}``. Paths are relative to the working folder.

    Returns
    -------
    Run

    Raises
    ------
    BtError
        See `bt.errors`; `ConfigError` for an unknown keyword, or a key that is given twice.
    """
    spec = asked(source, strategy=strategy, settings=set, keywords=keywords)
    with saying(_say), notebook_progress(progress, "sessions", "bars") as told:
        return run_spec(spec, progress=told, save=save, out=None if out is None else Path(out))


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)  # noqa: T201 - for whoever looks at a notebook


def sweep(
    source: str | os.PathLike[str] | RunSpec | None = None,
    grid: Mapping[str, Sequence[Any]] | None = None,
    *,
    where: str | Callable[[Any], Any] | None = None,
    choose: str | None = None,
    save: bool = True,
    out: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
    **given: Any,
) -> Sweep:
    """Replay many parameter sets over one pass of the data, each with its own account.

    Parameters
    ----------
    source, **given
        As `replay`: a configuration, a specification, or keywords, with ``strategy=`` and ``set=``.
    grid : mapping
        By parameter of the strategy (``"fast"``) or dotted key (``"execution.slippage_bps"``), the values to try: every combination
        is a set. By default that of [sweep].
    where : text or callable, optional
        Which sets count: ``"fast < slow"``, or a function of an object with the parameters as attributes.
    choose : str, optional
        The metric or total that the frame is ranked by, the highest first; ``"sharpe"`` by default.
    save : bool
        False keeps the results in memory and writes nothing.
    out : path, optional
        The sweep's folder itself, by default ``sweep-<hash>`` in ``output.dir``. A sweep that was stopped goes on there.
    progress : callable, optional
        Called as ``progress(sessions_done, sessions_total, bars_done)``, sessions of every pass counted.

    Returns
    -------
    Sweep

    Raises
    ------
    BtError
        See `bt.errors`; before anything is played for an unknown parameter, key or metric. What a set's strategy raises is in the frame.
    """
    spec = asked(
        source, caller="sweep", strategy=given.pop("strategy", None), settings=given.pop("set", None), keywords=given
    )
    asked_for = _swept(spec, grid, where, choose)
    with saying(_say), notebook_progress(progress, "sessions", "bars") as told:
        return sweep_spec(asked_for, progress=told, save=save, out=None if out is None else Path(out))


def walk_forward(  # noqa: PLR0913 - the keywords promised to users
    source: str | os.PathLike[str] | RunSpec | None = None,
    grid: Mapping[str, Sequence[Any]] | None = None,
    *,
    train: str | None = None,
    test: str | None = None,
    step: str | None = None,
    embargo: str | None = None,
    anchored: bool | None = None,
    where: str | Callable[[Any], Any] | None = None,
    choose: str | None = None,
    save: bool = True,
    out: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
    **given: Any,
) -> WalkForward:
    """Choose parameters by some sessions, play the choice over the sessions after them, and go on: fold by fold.

    A test begins flat, with a fresh strategy and warm windows, and is closed at its end; costs are counted. The returns of the tests are chained.

    Parameters
    ----------
    source, grid, where, choose, progress, **given
        As `sweep`; the sessions are those of the specification that the data reaches.
    train, test, step, embargo : str
        Lengths in sessions of the calendar, by default those of [sweep.walk_forward], else ``"120d"``, ``"20d"``, as `test`, and ``"1d"``. After `train`
        sessions to choose by come `embargo` that nobody uses, then `test` to be judged by; the next fold begins `step` later.
    anchored : bool
        True begins every training with the first session.
    save : bool
        False keeps the results in memory and writes nothing.
    out : path, optional
        The folder itself, by default ``walk-forward-<hash>`` in ``output.dir``. A walk-forward that was stopped goes on there.

    Returns
    -------
    WalkForward

    Raises
    ------
    BtError
        See `bt.errors`; `ConfigError` where not one fold fits.
    """
    spec = asked(
        source,
        caller="walk_forward",
        strategy=given.pop("strategy", None),
        settings=given.pop("set", None),
        keywords=given,
    )
    lengths = {"train": train, "test": test, "step": step, "embargo": embargo, "anchored": anchored}
    forward = forward_days(None if spec.sweep is None else spec.sweep.walk_forward, lengths)
    asked_for = _swept(spec, grid, where, choose)
    with saying(_say), notebook_progress(progress, "sessions", "bars") as told:
        return walk_forward_spec(asked_for, forward, progress=told, save=save, out=None if out is None else Path(out))


def _swept(
    spec: RunSpec,
    grid: Mapping[str, Sequence[Any]] | None,
    where: str | Callable[[Any], Any] | None,
    choose: str | None,
) -> Asked:
    """What is asked for; what is not given is that of [sweep]."""
    own = spec.sweep
    if grid is None and own is None:
        raise ConfigError(
            'sweep: grid must be given, was absent; as {"fast": [5, 10]}, or in the configuration as [sweep]'
        )
    return Asked(
        spec,
        own.grid if grid is None and own is not None else grid or {},
        where if where is not None else own.where if own is not None and grid is None else "",
        choose if choose is not None else own.choose if own is not None else "sharpe",
    )


def load_rows(
    source: str | os.PathLike[str] | RunSpec | None = None,
    *,
    strategy: Any = None,
    label: Mapping[str, ForwardReturn] | None = None,
    set: Mapping[str, Any] | None = None,  # noqa: A002 - as replay has it
    stream: bool = False,
    **keywords: Any,
) -> Any:
    """Exactly the rows that a strategy would be shown, for training, with labels of what came after each.

    Nothing is played: of the strategy only `at_open` is called. Rows that would be withheld are not there.

    Parameters
    ----------
    source, strategy, set, **keywords
        As `replay`: a configuration, a specification (which only `strategy`, `start` and `end` may change), or keywords.
        There must be one strategy.
    label : mapping of str to forward_return(...)
        Further columns. They exist only here, never in a strategy; nothing after the last session is read for them.
    stream : bool
        True gives an iterator of one result a session, in which nothing is kept.

    Returns
    -------
    DataFrame, or dict of DataFrame by interval where there are several row types
        symbol, known_at (Datetime us UTC, the row's close_time), the fields of the row type as declared (None is null), then the labels;
        sorted by known_at and symbol. Of a strategy without on_bar the finest row type; with timers alone the rows at timers.

    Raises
    ------
    BtError
        As `replay`.
    """
    if isinstance(source, RunSpec):
        spec = _changed(source, strategy, keywords if set is None else {**keywords, "set": set})
    else:
        spec = asked(source, strategy=strategy, settings=set, keywords=keywords, caller="load_rows")
    sessions = rows_by_session(spec, label or {})
    if stream:
        return (_single(frames) for frames in sessions)
    kept = list(sessions)
    return _single({interval: pl.concat([frames[interval] for frames in kept]) for interval in kept[0]})


def _changed(spec: RunSpec, strategy: Any, keywords: Mapping[str, Any]) -> RunSpec:
    """A specification with another strategy, start or end."""
    if more := sorted(keywords.keys() - {"start", "end"}):
        raise UsageError(f"load_rows: beside a RunSpec only strategy, start and end may be given, was {more[0]}")
    if strategy is not None:
        cls = strategy if isinstance(strategy, type) else type(strategy)
        spec = replace(spec, strategies=(StrategySpec(cls.__name__, strategy),))
    session = spec.session
    if (start := keywords.get("start")) is not None:
        session = replace(session, start=first_day(start))
    if (end := keywords.get("end")) is not None:
        session = replace(session, end=last_day(end))
    return replace(spec, session=session)


def _single(frames: dict[str, pl.DataFrame]) -> Any:
    """The only frame, or all by interval."""
    return next(iter(frames.values())) if len(frames) == 1 else frames


def runs(folder: str | os.PathLike[str]) -> pl.DataFrame:
    """The finished runs in a folder, one row each, the latest first; `open_run` opens one by its ``path``.

    Parameters
    ----------
    folder : path
        A folder of runs, such as ``"runs/"``.

    Returns
    -------
    DataFrame
        when it began (Datetime us UTC), name, strategy, parameters (a JSON object, of several strategies one by name),
        start, end (Date), sessions, net_pnl (currency), total_return, max_drawdown (fractions), sharpe (annualized),
        trades, finish_reason, path (absolute).

    Warns
    -----
    UserWarning
        Folders that a run has begun and not finished, or that are damaged, are left out and named.

    Raises
    ------
    UsageError
        `folder` is no folder, or a run itself.
    """
    found = catalog(folder)
    if found.skipped:
        left_out = "; ".join(f"{path.name} ({reason})" for path, reason in found.skipped)
        warnings.warn(f"{folder}: left out {left_out}", stacklevel=2)
    return found.frame


__all__ = [
    "Book",
    "Comparison",
    "Feature",
    "Fill",
    "ForwardReturn",
    "Holding",
    "Metrics",
    "Order",
    "Past",
    "PastBars",
    "Row",
    "Rows",
    "Run",
    "RunSpec",
    "Session",
    "Strategy",
    "Study",
    "Sweep",
    "WalkForward",
    "at",
    "atr",
    "by_minute",
    "compare",
    "cross_demean",
    "cross_rank",
    "cross_zscore",
    "decay",
    "ema",
    "event_paths",
    "event_study",
    "every",
    "feature",
    "forward_return",
    "forward_returns",
    "highest",
    "information_coefficient",
    "lag",
    "load_bars",
    "load_quality",
    "load_rows",
    "lowest",
    "members",
    "of",
    "open_run",
    "opening_range",
    "prior",
    "quantile_returns",
    "quantile_spread",
    "rank_autocorrelation",
    "relative_volume",
    "replay",
    "ret",
    "rsi",
    "runs",
    "score",
    "sma",
    "so_far",
    "std",
    "study",
    "sum",
    "sweep",
    "top",
    "trailing",
    "turnover",
    "vwap",
    "walk_forward",
    "zscore",
]
