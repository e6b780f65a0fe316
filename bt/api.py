"""What `import bt` offers: replaying, research frames, and the words strategies are written in."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from bt.config import from_mapping, load
from bt.features import (
    Feature,
    cross_demean,
    cross_rank,
    cross_zscore,
    feature,
    highest,
    lag,
    lowest,
    of,
    opening_range,
    prior,
    relative_volume,
    ret,
    score,
    sma,
    so_far,
    std,
    sum,
    trailing,
    vwap,
    zscore,
)
from bt.model import Fill, Order, Progress, RunSpec, StrategySpec
from bt.research import load_bars
from bt.results import catalog
from bt.run import Run, open_run, run_spec
from bt.strategy import Book, Holding, Row, Rows, Strategy, at, every
from bt.strategy import SessionDay as Session

DATA = ("bars", "calendar", "symbols", "stamp", "timezone", "price_decimals", "columns")
SESSION = ("start", "end", "prefetch_days", "speed")


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
        A TOML file or a specification; without it, keywords: the keys of [data] and [session], ``cash``, ``seed`` and ``name``;
        other tables as dicts (``execution={"slippage_bps": 2}``).
    strategy : class, instance, or "file.py:Class"
        With keywords; with a file it replaces the file's.
    set : mapping
        Any dotted key: ``{"execution.slippage_bps": 2}``.
    save : bool
        False keeps the results in memory and writes nothing.
    out : path, optional
        The run's folder itself.
    progress : callable, optional
        Called after each session as ``progress(sessions_done, sessions_total, bars_done)``.

    Returns
    -------
    Run

    Raises
    ------
    BtError
        See `bt.errors`; `ConfigError` for an unknown keyword.
    """
    folder = None if out is None else Path(out)
    if isinstance(source, RunSpec):
        return run_spec(source, progress=progress, save=save, out=folder)
    given = dict(set or {})
    if source is not None:
        given |= {_dotted(k): v for k, v in keywords.items()}
        spec = load(source, overrides=given)
        if strategy is not None:
            name = (
                strategy.rpartition(":")[2]
                if isinstance(strategy, str)
                else getattr(strategy, "__name__", type(strategy).__name__)
            )
            spec = replace(spec, strategies=(StrategySpec(name, strategy),))
        return run_spec(spec, progress=progress, save=save, out=folder)
    tables: dict[str, Any] = {}
    for key, value in keywords.items():
        parts = _dotted(key).split(".")
        if len(parts) == 1:
            tables[key] = {**tables.get(key, {}), **value} if isinstance(value, Mapping) else value
        else:
            tables.setdefault(parts[0], {})[parts[1]] = value
    if strategy is not None:
        tables.setdefault("strategy", {})["use"] = strategy
    spec = from_mapping(tables, base=Path.cwd(), source="replay", overrides=given, override_source="set")
    return run_spec(spec, progress=progress, save=save, out=folder)


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


def _dotted(keyword: str) -> str:
    if keyword in DATA:
        return f"data.{keyword}"
    if keyword in SESSION:
        return f"session.{keyword}"
    return {"cash": "account.cash", "seed": "run.seed", "name": "run.name"}.get(keyword, keyword)


__all__ = [
    "Book",
    "Feature",
    "Fill",
    "Holding",
    "Order",
    "Row",
    "Rows",
    "Run",
    "RunSpec",
    "Session",
    "Strategy",
    "at",
    "cross_demean",
    "cross_rank",
    "cross_zscore",
    "every",
    "feature",
    "highest",
    "lag",
    "load_bars",
    "lowest",
    "of",
    "open_run",
    "opening_range",
    "prior",
    "relative_volume",
    "replay",
    "ret",
    "runs",
    "score",
    "sma",
    "so_far",
    "std",
    "sum",
    "trailing",
    "vwap",
    "zscore",
]
