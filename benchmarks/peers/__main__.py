"""bt beside other engines: the same strategy on the same bars, each engine in an environment of its own, one after another.

    python -m benchmarks.peers S M L XL               every engine at the sizes that it can do
    python -m benchmarks.peers M --only polars bt     those whose names have a word

Before anything is timed every engine runs size S once, and all must agree on trades and P&L to the cent; figures of larger sizes are judged
too. The table is written anew after every engine, so that a command which is stopped leaves what it has. Environments, data, logs and by default the
table are kept in BT_BENCH or a temporary folder. Exit code 1: engines disagree.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.peers.chart import svg
from benchmarks.peers.engines import SIZES, Engine, chosen
from benchmarks.peers.environments import Environment, environment
from benchmarks.peers.judge import refusal, verdict
from benchmarks.peers.running import Often, Outcome, measured
from benchmarks.peers.table import document, markdown
from benchmarks.pinned import FOLDER, data, machine, say

CHECKED = "S"
"""The size that all engines must agree at first."""


def each_measured(
    engines: Sequence[Engine], environments: Mapping[str, Environment], size: str, often: Often
) -> Iterator[Outcome]:
    """Every engine at a size, one after another."""
    given = data(size)
    for engine in engines:
        found = measured(engine, environments[engine.environment], size, given, often)
        figures = found.figures
        say(f"{size} {engine.name}: {verdict(found).words}{f', {figures.cpu:.2f} CPU s' if figures else ''}")
        yield found


def written(outcomes: Sequence[Outcome], heading: str, out: Path) -> str:
    """Write table and chart; the table."""
    rows = {size: data(size).rows for size in dict.fromkeys(outcome.size for outcome in outcomes)}
    out.mkdir(parents=True, exist_ok=True)
    table = markdown(outcomes, rows, heading)
    (out / "table.md").write_text(table)
    (out / "table.json").write_text(document(outcomes, rows, heading))
    (out / "chart.svg").write_text(svg(outcomes, rows, heading))
    return table


def main() -> int:
    """Check, measure, write; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sizes", nargs="+", choices=SIZES, metavar="SIZE", help="S, M, L or XL")
    parser.add_argument("--only", nargs="+", default=[], metavar="WORD", help="engines whose name has a word")
    parser.add_argument("--runs", type=int, default=3, help="of which the medians are taken")
    parser.add_argument("--long", type=float, default=60.0, help="wall seconds after which a run is not repeated")
    parser.add_argument("--limit", type=float, default=300.0, help="wall seconds after which a run is stopped")
    parser.add_argument(
        "--out", type=Path, default=FOLDER / "peers", help="where table.md, table.json and chart.svg go"
    )
    given = parser.parse_args()
    engines, often = chosen(given.only), Often(given.runs, given.long, given.limit)
    environments = {name: environment(name) for name in dict.fromkeys(engine.environment for engine in engines)}
    told = refusal(list(each_measured(engines, environments, CHECKED, replace(often, runs=1))))
    if told:
        print(told, file=sys.stderr)
        return 1
    outcomes: list[Outcome] = []
    heading, table = f"{machine()}; {often}", ""
    for size in dict.fromkeys(given.sizes):
        for outcome in each_measured(engines, environments, size, often):
            outcomes.append(outcome)
            table = written(outcomes, heading, given.out)
    print(table)
    say(f"written to {given.out}")
    told = refusal(outcomes)
    print(told, file=sys.stderr, end="\n" if told else "")
    return 1 if told else 0


if __name__ == "__main__":
    sys.exit(main())
