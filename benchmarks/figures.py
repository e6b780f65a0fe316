"""Figures of a stage: CPU seconds that a child process tells of, the processes run in turns, their medians as one table.

A benchmark of a stage is a module with `FIGURES` and a `child`. The same figures, of a smaller size, are what
`benchmarks.bench_check` compares with the stored baseline.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.pinned import Data, Used, data, machine, python, say

WHOLE = "whole"
"""The part of a child that is all of its process, start of Python and imports included."""


@dataclass(frozen=True)
class Figure:
    """CPU seconds of some `parts` of what `module` tells of when it runs `case` in a process of its own.

    `per` names a count among what it tells: of what the cost is quoted, bars if none is named.
    """

    name: str
    module: str
    case: str
    parts: tuple[str, ...]
    per: str = ""

    @property
    def job(self) -> tuple[str, str]:
        """Figures of the same job are read off the same process."""
        return self.module, self.case

    def seconds(self, told: Mapping[str, float]) -> float:
        """The sum of the parts; a stage that was not entered took nothing."""
        return sum(told.get(part, 0.0) for part in self.parts)


Told = dict[tuple[str, str], dict[str, float]]
"""What every job told, by job."""


def told(used: Used) -> dict[str, float]:
    """The numbers that a child answered and the CPU seconds of its process."""
    return {**{part: n for part, n in used.answer.items() if isinstance(n, int | float)}, WHOLE: used.cpu}


def jobs(figures: Iterable[Figure]) -> list[tuple[str, str]]:
    """What must be run to read off all the figures, each once."""
    return list(dict.fromkeys(figure.job for figure in figures))


def run(job: tuple[str, str], given: Data) -> dict[str, float]:
    """What a job tells when it is run in a process of its own."""
    module, case = job
    return told(python("-m", module, "--child", case, str(given.ingested), given.first, given.last))


def repeated(figures: Sequence[Figure], given: Data, runs: int) -> list[Told]:
    """All jobs `runs` times, in turns: what the machine does meanwhile falls on every one of them."""
    answers = []
    for number in range(runs):
        answers.append({job: run(job, given) for job in jobs(figures)})
        say(f"round {number + 1} of {runs}")
    return answers


def median(figure: Figure, answers: Iterable[Told]) -> float:
    """Median CPU seconds of a figure."""
    return statistics.median(figure.seconds(answer[figure.job]) for answer in answers)


def row(*cells: object) -> str:
    """A row of a Markdown table."""
    return "| " + " | ".join(str(c) for c in cells) + " |"


def table(figures: Sequence[Figure], answers: Sequence[Told], bars: int) -> str:
    """CPU seconds, million bars a CPU second and nanoseconds of each figure, as Markdown.

    A figure that is quoted `per` something else has microseconds of it in place of nanoseconds a bar.
    """
    lines = [row("", "CPU s", "M bars / CPU s", "each"), row("---", "--:", "--:", "--:")]
    for figure in figures:
        cpu = median(figure, answers)
        speed = f"{bars / cpu / 1e6:.2f}" if cpu else ""
        each = f"{cpu / bars * 1e9:.0f} ns a bar"
        if figure.per:
            count = answers[0][figure.job][figure.per]
            each = f"{cpu / count * 1e6:.2f} us of {count:,.0f} {figure.per}"
        lines.append(row(figure.name, f"{cpu:.2f}", speed, each))
    return "\n".join(lines)


def arguments(doc: str | None) -> argparse.ArgumentParser:
    """The options that all benchmarks have."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="L", help="S, M, L, XL, or SYMBOLSxSESSIONS as 500x10")
    parser.add_argument("--runs", type=int, default=3)
    return parser


def asked_for_child() -> list[str]:
    """The case and what it reads, if this process is to be measured; else nothing."""
    return sys.argv[2:] if sys.argv[1:2] == ["--child"] else []


def report(doc: str | None, figures: Sequence[Figure]) -> None:
    """Measure the figures and print their table."""
    given = arguments(doc).parse_args()
    source = data(given.size)
    answers = repeated(figures, source, given.runs)
    print(f"{source.rows:,} bars, {machine()}; medians of {given.runs}\n")
    print(table(figures, answers, source.rows))
