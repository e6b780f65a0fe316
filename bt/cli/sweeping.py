"""`bt sweep`: the grid or walk-forward of a configuration, its ranked table and an exit code."""

from __future__ import annotations

import time as wall
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bt.cli.catalog import parameters_told
from bt.cli.failures import DONE, PARTLY
from bt.cli.progress import progress_stages
from bt.cli.replaying import overrides
from bt.cli.streams import Output
from bt.cli.tables import facts, listing, plural, span
from bt.config import changed, load
from bt.errors import ConfigError
from bt.execution import saying
from bt.memory import peak_rss_mb
from bt.model import RunSpec
from bt.sweeps import Asked, Deflated, ParameterSet, Sweep, WalkForward, sweep_spec, walk_forward_spec

COLUMNS = (
    ("total_return", "return", "+.2%"), ("max_drawdown", "max drawdown", ".2%"), ("sharpe", "Sharpe", ".2f"),
    ("trades", "trades", ",d"), ("net_pnl", "net P&L", ",.2f"),
)  # fmt: skip
"""Figures of a ranked table: name, head and form."""


def sweep_config(
    output: Output,
    config: Path,
    flags: Mapping[str, Any],
    *,
    symbols: Sequence[str],
    settings: Sequence[str],
    out: Path | None,
    everything: bool,
) -> int:
    """Sweep as `config` says in [sweep]; `flags` maps keys to what their options were given, "" or None where they were not."""
    began = wall.perf_counter()
    spec = load(config, overrides=overrides(flags, symbols, settings))
    if spec.sweep is None:
        raise ConfigError(
            f"{config}: sweep must be a table with a grid, was absent; write [sweep] and grid = {{ fast = [5, 10] }}, or "
            '--set "sweep.grid.fast=[5, 10]"'
        )
    asked = Asked(spec, spec.sweep.grid, spec.sweep.where, spec.sweep.choose)
    stages = (("files checked", "rows"), ("sessions", "bars"))
    with (
        progress_stages(*stages, shown=output.shows_progress) as (checking, progress),
        saying(output.notice),
    ):
        how: Any = {"checking": checking, "progress": progress, "out": out}
        if spec.sweep.walk_forward is None:
            made: Sweep | WalkForward = sweep_spec(asked, **how)
        else:
            made = walk_forward_spec(asked, spec.sweep.walk_forward, **how)
    took = {"seconds": {"total": wall.perf_counter() - began}, "peak_rss_mb": peak_rss_mb()}
    if isinstance(made, Sweep) and spec.html:
        made.report()
    failed = _answer_sweep(output, made, took, everything=everything) if isinstance(made, Sweep) else 0.0
    if isinstance(made, WalkForward):
        failed = _answer_forward(output, made, took, everything=everything)
    if isinstance(made, WalkForward) and spec.html:
        output.warn(
            "output.html: a walk-forward has no report of its own; run.report() of its folds' runs, .run(0) and so on, has one"
        )
    _warn_of_costs(output, spec, made.sets if isinstance(made, Sweep) else made.tested[0].sweep.sets)
    return PARTLY if failed > spec.run.tolerate_failed else DONE


# ------------------------------------------------------------------------------------------------------------ a sweep


def _answer_sweep(output: Output, sweep: Sweep, took: Mapping[str, Any], *, everything: bool) -> float:
    """Tell of a sweep; the share of its sets that failed."""
    first = sweep.frame.row(0, named=True)
    if output.as_json:
        output.json(
            {
                "sweep": sweep.path, "trials": sweep.trials, "choose": sweep.choose, "sets": sweep.frame.to_dicts(),
                "best": dict(sweep.sets[first["number"]].values) if first[sweep.choose] is not None else None,
                "deflated": _deflated(sweep.deflated), "failed": sweep.failed, **took,
            }
        )  # fmt: skip
    elif output.quiet:
        output.text(str(sweep.path))
    else:
        _ranked(output, sweep, everything=everything)
        output.text("")
        facts(output, [*_trials(sweep.trials, sweep.deflated), *_took(took)], whole=[("sweep", str(sweep.path))])
    _warn_of_failed(output, sweep.failed, sweep.trials)
    return len(sweep.failed) / sweep.trials


def _ranked(output: Output, sweep: Sweep, *, everything: bool) -> None:
    """One line a set, the best first."""
    names = list(sweep.sets[0].values)
    columns = list(COLUMNS)
    if sweep.choose not in [name for name, *_ in columns]:
        columns.insert(0, (sweep.choose, sweep.choose, ",.6g"))
    rows = [
        [
            str(row["number"]),
            *(str(sweep.sets[row["number"]].values[name]) for name in names),
            *(_cell(row[name], form) for name, _, form in columns),
        ]
        for row in sweep.frame.iter_rows(named=True)
    ]
    title = f"{plural(sweep.trials, 'set')} by {sweep.choose}, the highest first:"
    listing(output, title, ["set", *names, *(head for _, head, _ in columns)], rows, left=0, everything=everything)


def _cell(value: Any, form: str) -> str:
    return "-" if value is None else format(value, form)


def _trials(trials: int, found: Deflated | None) -> list[tuple[str, str]]:
    """How many were tried, and what the best Sharpe ratio is worth then."""
    lines = [("trials", f"{trials:,}")]
    if found is None:
        return [*lines, ("best Sharpe", "undefined in every set")]
    where = f"set {found.number}" if found.fold is None else f"set {found.number} in the training of fold {found.fold}"
    chance = f"by chance the best of {trials:,} without skill: {found.expected:.2f}" if trials > 1 else "a single trial"
    lines.append(("best Sharpe", f"{found.sharpe:.2f} ({where}); {chance}"))
    lines.append(
        ("deflated", f"{found.probability:.1%}: the probability of skill, after all trials (deflated Sharpe ratio)")
    )
    return lines


def _deflated(found: Deflated | None) -> dict[str, Any] | None:
    return None if found is None else asdict(found)


def _took(took: Mapping[str, Any]) -> list[tuple[str, str]]:
    memory = "" if took["peak_rss_mb"] is None else f", {took['peak_rss_mb']:,.0f} MB"
    return [("took", f"{took['seconds']['total']:.1f} s{memory}")]


# ---------------------------------------------------------------------------------------------------- a walk-forward


def _answer_forward(output: Output, walk: WalkForward, took: Mapping[str, Any], *, everything: bool) -> float:
    """Tell of a walk-forward; the share of its sets that failed in a training."""
    failed = {f"{t.fold.number}.{number}": why for t in walk.tested for number, why in t.sweep.failed.items()}
    if output.as_json:
        output.json(
            {
                "walk_forward": walk.path, "trials": walk.trials, "choose": walk.choose, "folds": walk.folds.to_dicts(),
                "parameters": walk.parameters, "metrics": walk.metrics.to_dict(), "equity": walk.equity.to_dicts(),
                "deflated": _deflated(walk.deflated), "failed": failed, **took,
            }
        )  # fmt: skip
    elif output.quiet:
        output.text(str(walk.path))
    else:
        _folds(output, walk, everything=everything)
        output.text("")
        metrics = walk.metrics
        figures = f"{metrics.total_return:+.2%}, max drawdown {metrics.max_drawdown:.2%}, Sharpe {_cell(metrics.sharpe, '.2f')}"
        lines = [("tests chained", f"{figures}, {metrics.sessions:,} sessions"), *_trials(walk.trials, walk.deflated)]
        facts(output, [*lines, *_took(took)], whole=[("walk-forward", str(walk.path))])
    _warn_of_failed(output, failed, walk.trials)
    return len(failed) / walk.trials


def _folds(output: Output, walk: WalkForward, *, everything: bool) -> None:
    """One line a fold: what was chosen, and how it did where it was chosen and after."""
    rows = []
    for one, row in zip(walk.tested, walk.folds.iter_rows(named=True), strict=True):
        fold = one.fold
        cells = [str(fold.number), span(fold.train_start, fold.train_end), span(fold.test_start, fold.test_end)]
        figures = [_cell(row[f"{part}_{walk.choose}"], ",.6g") for part in ("train", "test")] if _told(walk) else []
        tests = [_cell(row["test_total_return"], "+.2%"), _cell(row["test_max_drawdown"], ".2%")]
        sharpes = [_cell(row[f"{part}_sharpe"], ".2f") for part in ("train", "test")]
        rows.append([*cells, parameters_told(dict(one.chosen.values)), *figures, *sharpes, *tests])
    chosen = [f"{walk.choose} trained", f"{walk.choose} tested"] if _told(walk) else []
    heads = [
        "fold",
        "training",
        "test",
        "chosen",
        *chosen,
        "Sharpe trained",
        "Sharpe tested",
        "return tested",
        "drawdown tested",
    ]
    title = f"{plural(len(rows), 'fold')}, chosen by {walk.choose}:"
    listing(output, title, heads, rows, left=4, everything=everything)


def _told(walk: WalkForward) -> bool:
    """Whether what was chosen by has columns of its own: a metric that the others do not tell."""
    return walk.choose != "sharpe" and f"test_{walk.choose}" in walk.folds.columns


# ----------------------------------------------------------------------------------------------------------- warnings


def _warn_of_failed(output: Output, failed: Mapping[Any, str], trials: int, most: int = 5) -> None:
    if failed:
        lines = [f"  set {number}: {why}" for number, why in list(failed.items())[:most]]
        more = f"\n  and {len(failed) - most:,} more" if len(failed) > most else ""
        output.warn(f"{len(failed):,} of {plural(trials, 'set')} failed:\n" + "\n".join(lines) + more)


def _warn_of_costs(output: Output, spec: RunSpec, sets: Sequence[ParameterSet]) -> None:
    tried = {repr([i for i in one.settings.items() if i[0].startswith("execution.")]): one.settings for one in sets}
    if not any(changed(spec, settings, "sweep.grid").execution.has_costs for settings in tried.values()):
        output.warn("no costs were assumed; set execution.slippage_bps or execution.commission_per_share")
