"""bt: a minute-bar backtester, one trading day at a time, column by column.

Everything public is here, loaded when first used: ``bt.replay``, ``bt.load_bars``, ``bt.Row``, ``bt.Book``, ``bt.feature``,
``bt.sma``, ``bt.trailing``. Errors are in ``bt.errors``.
"""

from __future__ import annotations

import importlib.metadata
import warnings
from typing import TYPE_CHECKING, Any

from bt.collector import START, seldom

if TYPE_CHECKING:
    from bt.api import (
        Book,
        Comparison,
        Feature,
        Fill,
        ForwardReturn,
        Holding,
        Metrics,
        Order,
        Past,
        PastBars,
        Row,
        Rows,
        Run,
        RunSpec,
        Session,
        Strategy,
        Study,
        Sweep,
        WalkForward,
        at,
        atr,
        by_minute,
        compare,
        cross_demean,
        cross_rank,
        cross_zscore,
        decay,
        ema,
        event_paths,
        event_study,
        every,
        feature,
        forward_return,
        forward_returns,
        highest,
        information_coefficient,
        lag,
        load_bars,
        load_quality,
        load_rows,
        lowest,
        members,
        of,
        open_run,
        opening_range,
        prior,
        quantile_returns,
        quantile_spread,
        rank_autocorrelation,
        relative_volume,
        replay,
        ret,
        rsi,
        runs,
        score,
        sma,
        so_far,
        std,
        study,
        sum,
        sweep,
        top,
        trailing,
        turnover,
        vwap,
        walk_forward,
        zscore,
    )

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


def _warn_of_namesake() -> None:
    """Another distribution owns the import name ``bt`` on the package index; installed together they break each other."""
    try:
        other = importlib.metadata.distribution("bt")
    except importlib.metadata.PackageNotFoundError:
        return
    warnings.warn(
        f"the distribution 'bt' {other.version} is installed too and overwrites files of minute-bt; "
        "run: pip uninstall bt && pip install --force-reinstall minute-bt",
        stacklevel=3,
    )


_warn_of_namesake()


if not TYPE_CHECKING:  # a type checker would take every misspelt name for one of these

    def __getattr__(name: str) -> Any:
        if name in __all__:
            with seldom(START):
                from bt import api  # heavy: only when something of it is used

            value = getattr(api, name)
            globals()[name] = value
            return value
        raise AttributeError(f"module 'bt' has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return sorted(__all__)
