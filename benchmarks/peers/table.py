"""The outcomes as a table: Markdown to read, JSON to compute with."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict

from benchmarks.peers.judge import verdict
from benchmarks.peers.running import Outcome

HEAD = ("engine", "CPU s", "bars / CPU s", "whole CPU s", "wall s", "peak MB", "trades", "P&L", "against the reference")
ALIGNED = ("---", *["--:"] * (len(HEAD) - 2), "---")


def cells(values: Iterable[object]) -> str:
    """A row of a Markdown table."""
    return "| " + " | ".join(str(value) for value in values) + " |"


def speed(bars_a_second: float) -> str:
    """Bars a CPU second with two figures that mean something: 15k, 1.4M."""
    if bars_a_second >= 1e6:
        return f"{bars_a_second / 1e6:.1f}M"
    return f"{bars_a_second / 1e3:.0f}k"


def row(outcome: Outcome, rows: int) -> str:
    """An engine's row; `rows` are the bars of the size, whatever share of them an engine shows to a strategy."""
    figures, judged = outcome.figures, verdict(outcome)
    words = "; ".join(word for word in (judged.words, outcome.note) if word)
    if figures is None:
        return cells((outcome.engine, *[""] * 7, words))
    return cells(
        (
            f"{outcome.engine} {figures.version}", f"{figures.cpu:.2f}", speed(rows / figures.cpu), f"{figures.cpu_whole:.2f}",
            f"{figures.wall:.2f}", f"{figures.peak:.0f}", f"{figures.trades:,}", f"{figures.pnl:,.2f}", words,
        )
    )  # fmt: skip


def fastest_first(outcomes: Iterable[Outcome]) -> list[Outcome]:
    """By CPU seconds; those without figures last, in the order that they came."""
    return sorted(outcomes, key=lambda o: float("inf") if o.figures is None else o.figures.cpu)


def markdown(outcomes: Sequence[Outcome], rows: dict[str, int], heading: str) -> str:
    """A table a size. `rows` are the bars of each size."""
    parts = [heading]
    for size in dict.fromkeys(outcome.size for outcome in outcomes):
        chosen = fastest_first(o for o in outcomes if o.size == size)
        lines = [row(outcome, rows[size]) for outcome in chosen]
        parts.append("\n".join([f"Size {size}, {rows[size]:,} bars:\n", cells(HEAD), cells(ALIGNED), *lines]))
    return "\n\n".join(parts) + "\n"


def document(outcomes: Sequence[Outcome], rows: dict[str, int], heading: str) -> str:
    """The same as JSON: what was measured, and a record an outcome."""
    records = [
        {**asdict(outcome), "agrees": verdict(outcome).agrees, "judged": verdict(outcome).words} for outcome in outcomes
    ]
    return json.dumps({"measured": heading, "bars": rows, "outcomes": records}, indent=2) + "\n"
