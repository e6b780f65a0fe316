"""`bt replay`: from a configuration and flags to a run, its summary and an exit code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bt.cli.failures import DONE, INTERRUPTED, PARTLY
from bt.cli.options import symbols_given
from bt.cli.progress import progress_stages
from bt.cli.streams import Output
from bt.cli.tables import facts, listing, plural, some
from bt.config import load, parse_set, parse_value
from bt.errors import ConfigError
from bt.execution import saying
from bt.model import RunSpec
from bt.run import REPORT, Run, run_spec, summary_lines


def replay_config(
    output: Output,
    config: Path,
    flags: Mapping[str, Any],
    *,
    symbols: Sequence[str],
    settings: Sequence[str],
    out: Path | None,
) -> int:
    """Replay `config`; `flags` maps keys to what their options were given, "" or None where they were not."""
    spec = load(config, overrides=overrides(flags, symbols, settings))
    stages = (("files checked", "rows"), ("sessions", "bars"))
    with (
        progress_stages(*stages, shown=output.shows_progress) as (checking, progress),
        saying(output.notice),
    ):
        run = run_spec(spec, checking=checking, progress=progress, out=out)
    if spec.sweep is not None:
        output.warn(
            f"[sweep] was left alone: the strategy ran with its own parameters; bt sweep {config} tries the grid"
        )
    _answer(output, run)
    return exit_code(run, spec)


def overrides(flags: Mapping[str, Any], symbols: Sequence[str], settings: Sequence[str]) -> dict[str, Any]:
    """Keys and values of the options and of every ``--set``.

    Raises
    ------
    ConfigError
        A ``--set`` that is none, or a key given by an option too.
    """
    given = {
        key: value if key == "run.name" or not isinstance(value, str) else parse_value(value)
        for key, value in flags.items()
        if value is not None and (value != "" or key == "run.name")
    }
    if symbols:
        given["data.symbols"] = symbols_given(symbols)
    for text in settings:
        key, value = parse_set(text)
        if key in given and key in {*flags, "data.symbols"}:
            raise ConfigError(f"--set: {key} must be given once, was given by its own option too; drop one of them")
        given[key] = value
    return given


def exit_code(run: Run, spec: RunSpec) -> int:
    """Of a run that came to its end."""
    if run.stop_reason == "interrupted":
        return INTERRUPTED
    share = len(run.summary["failed"]) / max(run.summary["symbols"], 1)
    return PARTLY if share > spec.run.tolerate_failed or run.summary["strategies_failed"] else DONE


def _answer(output: Output, run: Run) -> None:
    summary, page = run.summary, _page(run)
    notes = _notes(summary)
    if output.as_json:
        output.json(summary if page is None else {**summary, "report": page})
        if not summary["costs_assumed"]:
            notes.insert(0, "no costs were assumed; set execution.slippage_bps or execution.commission_per_share")
    elif output.quiet:
        output.text(str(run.path))
    else:
        speed = f"{summary['seconds']['total']:.1f} s, {summary['bars_per_second']:,.0f} bars/s"
        if summary["peak_rss_mb"] is not None:
            speed += f", {summary['peak_rss_mb']:,.0f} MB"
        whole = [("run", str(run.path)), *([] if page is None else [("report", str(page))])]
        facts(output, [*summary_lines(summary), ("took", speed)], whole=whole)
        _by_strategy(output, run)
    for note in notes:
        output.warn(note)


def _page(run: Run) -> Path | None:
    """Its report, if it was written."""
    asked = run.path is not None and run.manifest["spec"]["output"]["html"]
    return run.path / REPORT if asked and run.path is not None else None


def _by_strategy(output: Output, run: Run) -> None:
    """Where there are several, one line each."""
    if run.strategy_metrics:
        heads = ("strategy", "return", "max drawdown", "Sharpe", "trades won")
        rows = [
            (
                name,
                f"{m.total_return:+.2%}",
                f"{m.max_drawdown:.2%}",
                _optional(m.sharpe, ".2f"),
                _optional(m.hit_rate, ".0%"),
            )
            for name, m in run.strategy_metrics.items()
        ]
        listing(output, "By strategy:", heads, rows, everything=True)


def _optional(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _notes(summary: Mapping[str, Any]) -> list[str]:
    """What a person should know besides the figures."""
    notes = []
    if summary["float_path"]:
        without = some(summary["float_path"])
        notes.append(
            f"prices of {without} have more than 8 decimals or others than declared: their means are floats, not exact"
        )
    if summary["failed"]:
        failed = "\n".join(f"  {symbol}: {why}" for symbol, why in summary["failed"].items())
        notes.append(f"{plural(len(summary['failed']), 'symbol')} failed and sat out sessions:\n{failed}")
    notes += [f"{text}; it was stopped, the others went on" for text in summary["strategies_failed"].values()]
    if summary["stop_reason"] == "interrupted":
        notes.append("interrupted: what was replayed until then is kept")
    return notes
