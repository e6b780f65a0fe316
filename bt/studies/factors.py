"""Whether a feature tells what comes: quantile returns, information coefficient, decay, turnover."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from bt.errors import UsageError
from bt.model import Int64Array
from bt.studies.asked import RETURN, check_whole, eager, returns_of
from bt.studies.sections import (
    Sections,
    Within,
    information,
    quantile,
    rank_correlation,
    sections,
    turnover_of,
)
from bt.studies.statistics import Floats, Moments, known, moments, ratio

Frame = pl.DataFrame | pl.LazyFrame


def information_coefficient(
    frame: Frame, feature: str, horizons: Sequence[str] | None = None, *, by: str = "time", min_names: int = 2
) -> pl.DataFrame:
    """The information coefficient by moment: Spearman's rank correlation of the feature and the forward return.

    Parameters
    ----------
    frame : DataFrame or LazyFrame
        symbol, the feature (a number), columns ``ret_<horizon>`` (Float64, as `forward_returns` adds them), and what `by` names.
    feature : str
    horizons : sequence of str, optional
        Such as ``["5m", "close"]``; all that the frame has by default.
    by : str
        A cross-section: "time", the rows of a moment (close_time, or known_at); or a column: "session" ranks all rows of a session together.
    min_names : int
        Null where fewer rows have both.

    Returns
    -------
    DataFrame
        The column `by`, then for each horizon ``names_<horizon>`` (rows with both) and ``ic_<horizon>`` (-1 to 1; null where nothing varies). Sorted by `by`.
        Ties have their middle rank; null and what is not finite do not count.

    Raises
    ------
    UsageError
        Columns are missing or of another type, or a symbol is twice in a moment.

    Notes
    -----
    Source: Grinold and Kahn, "Active Portfolio Management", 2nd ed. (2000), chapter 6; ranks as Spearman, "The Proof and Measurement of Association between Two
    Things", American Journal of Psychology 15 (1904).
    """
    source = "information_coefficient"
    rows = eager(frame)
    columns = returns_of(rows, horizons, source)
    found = sections(rows, feature, by, source)
    return coefficients(found, columns, min_names, source)


def coefficients(found: Sections, columns: Sequence[str], min_names: int, source: str) -> pl.DataFrame:
    """The frame of `information_coefficient`."""
    told: dict[str, Floats | Int64Array] = {}
    for column in columns:
        horizon = column.removeprefix(RETURN)
        told[f"names_{horizon}"], told[f"ic_{horizon}"] = _coefficients(found, column, min_names, source)
    return found.keys(**told)


def _coefficients(found: Sections, column: str, least: int, source: str) -> tuple[Int64Array, Floats]:
    """By moment, how many names have both, and the coefficient."""
    check_whole(least, 2, source, "min_names")
    names, value = information(found, column)
    return names, np.where(names >= least, value, np.nan)


def decay(
    frame: Frame, feature: str, horizons: Sequence[str] | None = None, *, by: str = "time", min_names: int = 2
) -> pl.DataFrame:
    """How the information coefficient falls with the horizon.

    Parameters
    ----------
    frame, feature, horizons, by, min_names
        As `information_coefficient`.

    Returns
    -------
    DataFrame
        One row a horizon, as given: horizon, mean, std (n - 1) and count of the coefficients, positive (the share above 0), information_ratio (mean / std,
        not annualized), t_stat (mean / (std / sqrt(count))), sessions and t_stat_sessions. Coefficients of moments whose horizons overlap are not
        independent, so t_stat tells too much; t_stat_sessions is that of the sessions' mean coefficients. Null without a column session.

    Raises
    ------
    UsageError
        As `information_coefficient`.

    Notes
    -----
    Source of t_stat_sessions: Fama and MacBeth, "Risk, Return, and Equilibrium", Journal of Political Economy 81 (1973), with a session as the period.
    """
    source = "decay"
    rows = eager(frame)
    columns = returns_of(rows, horizons, source)
    return decayed(sections(rows, feature, by, source), columns, min_names, source)


def decayed(found: Sections, columns: Sequence[str], min_names: int, source: str) -> pl.DataFrame:
    """The frame of `decay`."""
    lines = []
    for column in columns:
        _, value = _coefficients(found, column, min_names, source)
        every, whole = _one(value), _by_session(found, value)
        positive = ratio(np.array([(value > 0).sum()]), every.count)
        lines.append(
            {
                "horizon": column.removeprefix(RETURN), "mean": every.mean[0], "std": every.std[0], "count": int(every.count[0]),
                "positive": positive[0], "information_ratio": ratio(every.mean, every.std)[0], "t_stat": every.t_stat[0],
                "sessions": None if whole is None else int(whole.count[0]),
                "t_stat_sessions": None if whole is None else whole.t_stat[0],
            }
        )  # fmt: skip
    return pl.DataFrame(lines, schema=_DECAY).with_columns(pl.col(pl.Float64).fill_nan(None))


_DECAY = {
    "horizon": pl.String, "mean": pl.Float64, "std": pl.Float64, "count": pl.Int64, "positive": pl.Float64, "information_ratio": pl.Float64,
    "t_stat": pl.Float64, "sessions": pl.Int64, "t_stat_sessions": pl.Float64,
}  # fmt: skip


def _one(values: Floats) -> Moments:
    return moments(np.zeros(len(values), np.int64), values, 1)


def _by_session(found: Sections, values: Floats) -> Moments | None:
    """Moments of the sessions' means."""
    if found.sessions is None:
        return None
    return _one(moments(found.sessions, values, int(found.sessions.max(initial=-1)) + 1).mean)


def quantile_returns(
    frame: Frame,
    feature: str,
    horizons: Sequence[str] | None = None,
    *,
    quantiles: int = 5,
    by: str = "time",
    demean: bool = False,
) -> pl.DataFrame:
    """The mean forward return by quantile of the feature.

    In each cross-section the symbols that have the feature are cut into quantiles, and each quantile's returns are averaged; these means are averaged over
    the cross-sections. Who has a return later plays no part in who is in a quantile.

    Parameters
    ----------
    frame, feature, horizons, by
        As `information_coefficient`.
    quantiles : int
        Into how many. A row of rank i (0 the lowest of n) is in quantile ceil(i * quantiles / (n - 1)), the lowest in the first; ties are in that of their
        middle rank. A cross-section of fewer symbols than quantiles does not count.
    demean : bool
        True subtracts the mean return of all rows of the cross-section that are in a quantile.

    Returns
    -------
    DataFrame
        horizon, quantile (1 the lowest), mean (a fraction), std (n - 1), std_error and t_stat of the cross-sections' means, count of them, rows (returns in them all). Sorted
        by horizon as given, then quantile; null where there is nothing.

    Raises
    ------
    UsageError
        As `information_coefficient`, or `quantiles` is less than 2.

    Notes
    -----
    Source: the boundaries are those of linearly interpolated quantiles, closed above: Hyndman and Fan, "Sample Quantiles in Statistical Packages", American
    Statistician 50 (1996), definition 7, which pandas.qcut and alphalens use too.
    """
    source = "quantile_returns"
    rows = eager(frame)
    columns = returns_of(rows, horizons, source)
    return quantiled(sections(rows, feature, by, source), columns, quantiles, source, demean=demean)


def quantiled(
    found: Sections, columns: Sequence[str], quantiles: int, source: str, *, demean: bool = False
) -> pl.DataFrame:
    """The frame of `quantile_returns`."""
    group = quantile(found, quantiles, source)
    parts = []
    for column in columns:
        means, count = _means(found, group, column, quantiles, demean=demean)
        over = moments(np.tile(np.arange(quantiles), len(means)), means.ravel(), quantiles)
        parts.append(
            pl.DataFrame(
                {
                    "horizon": pl.Series([column.removeprefix(RETURN)] * quantiles, dtype=pl.String),
                    "quantile": pl.Series(range(1, quantiles + 1), dtype=pl.Int64), **_statistics(over), "rows": count.sum(axis=0),
                }
            )
        )  # fmt: skip
    return pl.concat(parts)


def quantile_spread(
    frame: Frame, feature: str, horizons: Sequence[str] | None = None, *, quantiles: int = 5, by: str = "time"
) -> pl.DataFrame:
    """The mean return of the highest quantile less that of the lowest, over cross-sections that have both.

    Parameters
    ----------
    frame, feature, horizons, quantiles, by
        As `quantile_returns`.

    Returns
    -------
    DataFrame
        One row a horizon, as given: horizon, mean (a fraction), std (n - 1), std_error, t_stat, count (cross-sections), sessions and t_stat_sessions (of the sessions' mean
        spreads; null without a column session).

    Raises
    ------
    UsageError
        As `quantile_returns`.
    """
    source = "quantile_spread"
    rows = eager(frame)
    columns = returns_of(rows, horizons, source)
    return spreads(sections(rows, feature, by, source), columns, quantiles, source)


def spreads(found: Sections, columns: Sequence[str], quantiles: int, source: str) -> pl.DataFrame:
    """The frame of `quantile_spread`."""
    group = quantile(found, quantiles, source)
    parts = []
    for column in columns:
        means, _ = _means(found, group, column, quantiles, demean=False)
        spread = means[:, -1] - means[:, 0]
        over, whole = _one(spread), _by_session(found, spread)
        parts.append(
            pl.DataFrame(
                {
                    "horizon": [column.removeprefix(RETURN)], **_statistics(over),
                    "sessions": pl.Series([None if whole is None else int(whole.count[0])], dtype=pl.Int64),
                    "t_stat_sessions": pl.Series([None if whole is None else float(whole.t_stat[0])], dtype=pl.Float64),
                }
            ).with_columns(pl.col(pl.Float64).fill_nan(None))
        )  # fmt: skip
    return pl.concat(parts)


def _means(
    found: Sections, group: Int64Array, column: str, quantiles: int, *, demean: bool
) -> tuple[Floats, Int64Array]:
    """By cross-section and quantile, the mean of what came after and how many rows it is of."""
    after, n = found.after(column), len(found.moments)
    order, values = after.order[group[after.order] > 0], after.values
    if demean:
        values = values - moments(found.at, values, n, order).mean[found.at]
    each = moments(found.at * quantiles + group - 1, values, n * quantiles, order)
    return each.mean.reshape(n, quantiles), each.count.reshape(n, quantiles)


def _statistics(over: Moments) -> dict[str, pl.Series]:
    return {
        "mean": known(over.mean), "std": known(over.std), "std_error": known(over.std_error), "t_stat": known(over.t_stat),
        "count": pl.Series(over.count),
    }  # fmt: skip


def turnover(
    frame: Frame, feature: str, *, quantiles: int = 5, by: str = "time", lag: int = 1, within: Within = "session"
) -> pl.DataFrame:
    """The share of a quantile's names that were not in it `lag` cross-sections before.

    Parameters
    ----------
    frame : DataFrame or LazyFrame
        symbol, the feature, what `by` names, and session where `within` needs it.
    feature, quantiles, by
        As `quantile_returns`.
    lag : int
        How many cross-sections back, those of the frame counted.
    within : "session" or None
        "session" never compares with an earlier session, so its first `lag` moments have none; None does. With ``by="session"`` sessions are compared either way.

    Returns
    -------
    DataFrame
        The column `by`, quantile (1 the lowest), turnover (0 to 1; null without a cross-section to compare with), names (how many it has). Sorted by both; a quantile
        without names has no row.

    Raises
    ------
    UsageError
        As `quantile_returns`; `lag` is less than 1; a symbol is twice in a cross-section; there is no column session where it is needed.
    """
    source = "turnover"
    return turned(sections(eager(frame), feature, by, source), quantiles, lag, within, source)


def turned(found: Sections, quantiles: int, lag: int, within: Within, source: str) -> pl.DataFrame:
    """The frame of `turnover`."""
    _check_single(found, source)
    group = quantile(found, quantiles, source)
    names, share = turnover_of(found, group, quantiles, found.earlier(lag, within, source))
    n = len(found.moments)
    return pl.DataFrame(
        {
            found.by: found.moments.gather(np.repeat(np.arange(n), quantiles)),
            "quantile": pl.Series(np.tile(np.arange(1, quantiles + 1), n), dtype=pl.Int64),
            "turnover": known(share.ravel()), "names": names.ravel(),
        }
    ).filter(pl.col("names") > 0)  # fmt: skip


def rank_autocorrelation(
    frame: Frame, feature: str, *, by: str = "time", lag: int = 1, within: Within = "session"
) -> pl.DataFrame:
    """How far the symbols keep their ranks: the correlation of the feature's ranks with those `lag` cross-sections before.

    Parameters
    ----------
    frame, feature, by, lag, within
        As `turnover`.

    Returns
    -------
    DataFrame
        The column `by`, autocorrelation (-1 to 1; null where nothing is to be compared or nothing varies), names (those that have the feature at both). Ranks are
        among all that have it at their moment. Sorted by `by`.

    Raises
    ------
    UsageError
        As `turnover`.
    """
    source = "rank_autocorrelation"
    return ranked(sections(eager(frame), feature, by, source), lag, within, source)


def ranked(found: Sections, lag: int, within: Within, source: str) -> pl.DataFrame:
    """The frame of `rank_autocorrelation`."""
    _check_single(found, source)
    names, value = rank_correlation(found, found.earlier(lag, within, source))
    return found.keys(autocorrelation=value, names=names)


def _check_single(found: Sections, source: str) -> None:
    if not found.single:
        raise UsageError(f"{source}: a symbol must have one row in a cross-section; take one row of each by {found.by}")
