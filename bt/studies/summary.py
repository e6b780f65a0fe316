"""The questions about a feature in one call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

import polars as pl

from bt.studies.asked import eager, returns_of
from bt.studies.factors import Frame, coefficients, decayed, quantiled, ranked, spreads, turned
from bt.studies.sections import Within, sections


@dataclass(frozen=True, slots=True)
class Study:
    """What a feature tells, as frames. Made by `bt.study`.

    Attributes
    ----------
    feature : str
    decay : DataFrame
        As `bt.decay`: the information coefficient by horizon.
    quantile_returns : DataFrame
        As `bt.quantile_returns`.
    spread : DataFrame
        As `bt.quantile_spread`.
    information_coefficient : DataFrame
        As `bt.information_coefficient`, by cross-section.
    turnover : DataFrame
        As `bt.turnover`, by cross-section and quantile.
    rank_autocorrelation : DataFrame
        As `bt.rank_autocorrelation`, by cross-section.
    """

    feature: str
    decay: pl.DataFrame = field(repr=False)
    quantile_returns: pl.DataFrame = field(repr=False)
    spread: pl.DataFrame = field(repr=False)
    information_coefficient: pl.DataFrame = field(repr=False)
    turnover: pl.DataFrame = field(repr=False)
    rank_autocorrelation: pl.DataFrame = field(repr=False)

    @property
    def mean_turnover(self) -> pl.DataFrame:
        """quantile and turnover, the mean of its cross-sections; sorted by quantile."""
        means = self.turnover.sort("quantile", maintain_order=True).group_by("quantile", maintain_order=True)
        return means.agg(pl.col("turnover").mean())

    def _repr_html_(self) -> str:
        stable = self.rank_autocorrelation["autocorrelation"].mean()
        parts = [
            f"<h4>{escape(self.feature)}</h4>",
            _table("Information coefficient by horizon", self.decay),
            _table(
                "Mean return by quantile",
                self.quantile_returns.select("horizon", "quantile", "mean", "t_stat", "count"),
            ),
            _table("Highest less lowest quantile", self.spread.drop("std")),
            _table("Mean turnover by quantile", self.mean_turnover),
            f"<p>Mean autocorrelation of ranks: {_text(stable)}</p>",
        ]
        return "".join(parts)


def study(
    frame: Frame,
    feature: str,
    horizons: Sequence[str] | None = None,
    *,
    quantiles: int = 5,
    by: str = "time",
    lag: int = 1,
    within: Within = "session",
) -> Study:
    """What a feature tells of the returns after it, and how much trading it would ask for.

    Parameters
    ----------
    frame : DataFrame or LazyFrame
        Rows with the feature and forward returns, as `bt.forward_returns` makes them of bars with features.
    feature, horizons, quantiles, by
        As `bt.quantile_returns`.
    lag, within
        As `bt.turnover`.

    Returns
    -------
    Study

    Raises
    ------
    UsageError
        As `bt.quantile_returns` and `bt.turnover`.
    """
    rows = eager(frame)
    columns = returns_of(rows, horizons, "study")
    found = sections(rows, feature, by, "study")
    return Study(
        feature,
        decayed(found, columns, 2, "study"),
        quantiled(found, columns, quantiles, "study"),
        spreads(found, columns, quantiles, "study"),
        coefficients(found, columns, 2, "study"),
        turned(found, quantiles, lag, within, "study"),
        ranked(found, lag, within, "study"),
    )


def _table(title: str, frame: pl.DataFrame) -> str:
    heads = "".join(f"<th>{escape(name)}</th>" for name in frame.columns)
    lines = ["".join(f"<td>{escape(_text(value))}</td>" for value in row) for row in frame.iter_rows()]
    return f"<table><caption>{escape(title)}</caption><tr>{heads}</tr>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def _text(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
