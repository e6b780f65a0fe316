"""What replaying costs: prepared sessions shown to callbacks that do nothing.

    python -m benchmarks.bench_replay                500 symbols x 60 sessions, ingested

CPU seconds of the engine alone: no reading, no preparing, no results. Orders are `benchmarks.bench_fills`.
"""

from __future__ import annotations

from benchmarks.figures import Figure, report

CASES = {
    "rows": "rows, one call a bar",
    "cross": "cross-sections, one call a minute",
    "timer": "cross-sections, one call a quarter of an hour",
    "intervals": "cross-sections of six intervals",
}
FIGURES = tuple(Figure(f"replay: {name}", "benchmarks.stages", case, ("replay",)) for case, name in CASES.items())

if __name__ == "__main__":
    report(__doc__, FIGURES)
