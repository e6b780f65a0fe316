"""What preparing costs: guards and order, features, coarser bars, trailing indicators and quality, before anything is shown.

    python -m benchmarks.bench_prepare                500 symbols x 60 sessions, ingested

CPU seconds of everything between reading and replaying, of strategies that each ask for one thing more.
"""

from __future__ import annotations

from benchmarks.figures import Figure, report

PARTS = ("order", "features", "assembly", "indicators", "quality", "signals")
CASES = {
    "cross": "bars alone",
    "sma": "two means",
    "columns": "two means and signals",
    "timer": "five features at a timer",
    "expression": "rolling_std(20)",
    "trailing": "10-day minute average",
    "intervals": "5 coarser intervals",
}
FIGURES = tuple(Figure(f"prepare: {name}", "benchmarks.stages", case, PARTS) for case, name in CASES.items())

if __name__ == "__main__":
    report(__doc__, FIGURES)
