"""Whether a stage got slower: ratios to a calibration loop against the stored baseline. Exit code 1 names what did.

    python -m benchmarks.bench_check                  compare with benchmarks/baseline.json (some minutes)
    python -m benchmarks.bench_check --store          write benchmarks/baseline.json instead

Every figure of the benchmarks of stages is taken at a small size, in fresh processes on one core, in rounds, each begun with the
calibration loop. A ratio is the least CPU seconds of the rounds over the least of the calibration.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from benchmarks import bench_fills, bench_prepare, bench_read, bench_replay, bench_whole
from benchmarks.baseline import TOLERANCE, Baseline, calibration, compared, failure, store, stored, table, versions
from benchmarks.figures import Figure, Told, jobs, run
from benchmarks.pinned import Data, data, machine, python, say

SIZE = "500x10"
FIGURES: tuple[Figure, ...] = (
    *(f for f in bench_read.FIGURES if f.case != "duckdb"),  # that one is not ours
    *bench_prepare.FIGURES,
    *bench_replay.FIGURES,
    *bench_fills.FIGURES,
    *bench_whole.FIGURES,
)


def calibrated() -> float:
    """CPU seconds of the calibration loop, in a process of its own on the same core."""
    return float(python("-m", "benchmarks.bench_check", "--child").answer["cpu"])


def one_round(given: Data) -> tuple[float, Told]:
    """CPU seconds of the calibration loop, then what every job told."""
    calibration = calibrated()
    say(f"calibration {calibration:.2f} CPU s")
    return calibration, {job: run(job, given) for job in jobs(FIGURES)}


def ratios(figures: Sequence[Figure], rounds: Sequence[tuple[float, Told]]) -> dict[str, float]:
    """The least CPU seconds of every figure over the least of the calibration: what a neighbour does is only ever added."""
    least = min(calibration for calibration, _ in rounds)
    return {f.name: min(f.seconds(told[f.job]) for _, told in rounds) / least for f in figures}


def main() -> int:
    """Measure, then compare or store; the exit code."""
    if sys.argv[1:2] == ["--child"]:
        calibration()  # the first touches memory and warms up
        print(json.dumps({"cpu": calibration()}))
        return 0
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5, help="rounds")
    parser.add_argument("--tolerance", type=float, default=TOLERANCE, help="a fraction of the baseline")
    parser.add_argument("--store", action="store_true", help="write the baseline instead of comparing with it")
    given = parser.parse_args()
    before = None if given.store else stored()
    size = SIZE if before is None else before.size
    source = data(size)
    now = ratios(FIGURES, [one_round(source) for _ in range(given.runs)])
    if before is None:
        store(Baseline(size, {name: round(ratio, 4) for name, ratio in now.items()}, versions()))
        return 0
    verdicts = compared(before.ratios, now, given.tolerance)
    print(f"CPU seconds over those of the calibration loop, size {size}, {machine()}; least of {given.runs}\n")
    print(table(verdicts))
    for name, was in before.versions.items():
        if versions().get(name) != was:
            print(f"\n{name} is {versions().get(name)}, the baseline was taken with {was}: it may be what changed")
    told = failure(verdicts, given.tolerance)
    if told:
        print(f"\n{told}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
