"""What `import bt` offers: replaying, research frames, and the words strategies are written in."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from bt.config import asked
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
from bt.model import Fill, Order, Progress, RunSpec
from bt.research import load_bars
from bt.results import catalog
from bt.run import Run, open_run, run_spec
from bt.strategy import Book, Holding, Past, Row, Rows, Strategy, at, every
from bt.strategy import SessionDay as Session
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
        Called after each session as ``progress(sessions_done, sessions_total, bars_done)``.
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
    return run_spec(spec, progress=progress, save=save, out=None if out is None else Path(out))


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
    "Feature",
    "Fill",
    "Holding",
    "Order",
    "Past",
    "Row",
    "Rows",
    "Run",
    "RunSpec",
    "Session",
    "Strategy",
    "at",
    "atr",
    "cross_demean",
    "cross_rank",
    "cross_zscore",
    "ema",
    "every",
    "feature",
    "highest",
    "lag",
    "load_bars",
    "lowest",
    "members",
    "of",
    "open_run",
    "opening_range",
    "prior",
    "relative_volume",
    "replay",
    "ret",
    "rsi",
    "runs",
    "score",
    "sma",
    "so_far",
    "std",
    "sum",
    "top",
    "trailing",
    "vwap",
    "zscore",
]
