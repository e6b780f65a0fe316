"""The stored baseline: every figure as a ratio to a calibration loop, so that machines may be compared; and the verdict on new ones.

A ratio is CPU seconds of a stage over CPU seconds of a fixed loop of plain Python and NumPy, taken in the same sitting: a slower
machine, or a busy neighbour, slows both. What changed the ratio is the code, or the versions under it, which are stored beside it.
"""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import numpy as np

BASELINE = Path(__file__).resolve().with_name("baseline.json")
TOLERANCE = 0.15
"""A ratio may be so much above the baseline, as a fraction of it, before it counts as slower."""

LIBRARIES = ("numpy", "polars", "duckdb", "pyarrow", "msgspec")
Change = Literal["slower", "faster", "same", "new", "gone"]


@dataclass(frozen=True)
class Baseline:
    """Ratios by figure, of some `size`, and the versions that they were taken with."""

    size: str
    ratios: dict[str, float]
    versions: dict[str, str]


@dataclass(frozen=True)
class Verdict:
    """What became of one figure; a ratio is None where there is none."""

    name: str
    before: float | None
    now: float | None
    change: Change

    @property
    def of_before(self) -> float | None:
        """The new ratio over the stored one: 1.2 is a fifth slower."""
        return None if self.before is None or self.now is None else self.now / self.before


def calibration() -> float:
    """CPU seconds of the loop: a dict and small objects, sums along columns, a sort, a gather out of order."""
    rng = np.random.default_rng(1)
    values, places = rng.random((500, 4000)), rng.permutation(2_000_000)
    began = time.process_time()
    held: dict[int, list[float]] = {}
    for number in range(600_000):
        last = held.setdefault(number % 500, [0.0, 0.0])
        last[0] += number * 0.5
        last[1] = max(last[0], last[1])
    for _ in range(3):
        sums = np.cumsum(values, axis=1)
        gathered = sums.ravel()[places]
        np.argsort(gathered[:500_000], kind="stable")
    return time.process_time() - began


def versions() -> dict[str, str]:
    """Python's and the libraries'."""
    return {"python": platform.python_version(), **{name: version(name) for name in LIBRARIES}}


def stored(path: Path = BASELINE) -> Baseline:
    """The baseline of a file.

    Raises
    ------
    SystemExit
        There is none, or it is damaged.
    """
    try:
        return Baseline(**json.loads(path.read_text()))
    except FileNotFoundError:
        raise SystemExit(f"{path}: the baseline must be there, was not; `just bench-baseline` writes it") from None
    except (ValueError, TypeError) as error:
        raise SystemExit(
            f"{path}: a baseline must have size, ratios and versions, was {error}; `just bench-baseline` writes it"
        ) from error


def store(baseline: Baseline, path: Path = BASELINE) -> None:
    """Written so that a change of one figure changes one line."""
    path.write_text(json.dumps(asdict(baseline), indent=2) + "\n")


def compared(before: Mapping[str, float], now: Mapping[str, float], tolerance: float = TOLERANCE) -> list[Verdict]:
    """A verdict for every figure of either, those of `now` first."""
    found = []
    for name in [*now, *(n for n in before if n not in now)]:
        old, new = before.get(name), now.get(name)
        change: Change = "same"
        if old is None:
            change = "new"
        elif new is None:
            change = "gone"
        elif new > old * (1 + tolerance):
            change = "slower"
        elif new < old * (1 - tolerance):
            change = "faster"
        found.append(Verdict(name, old, new, change))
    return found


def table(verdicts: Sequence[Verdict]) -> str:
    """The verdicts as Markdown: ratios before and now, and how they compare."""
    lines = ["| | baseline | now | now / baseline | |", "| --- | --: | --: | --: | --- |"]
    for v in verdicts:
        before, now, of = ("" if x is None else f"{x:.2f}" for x in (v.before, v.now, v.of_before))
        lines.append(f"| {v.name} | {before} | {now} | {of} | {'' if v.change == 'same' else v.change} |")
    return "\n".join(lines)


def failure(verdicts: Sequence[Verdict], tolerance: float = TOLERANCE) -> str:
    """Why the gate is shut: what got slower, or cannot be judged; nothing if it is open."""
    reasons = []
    slower = [f"{v.name} ({v.of_before:.2f} x)" for v in verdicts if v.change == "slower"]
    if slower:
        reasons.append(
            f"bench-check: figures must be at most {1 + tolerance:.2f} x the baseline, were more: {', '.join(slower)}; "
            "what is slower for a good reason is stored by `just bench-baseline`"
        )
    unknown = [v.name for v in verdicts if v.change in {"new", "gone"}]
    if unknown:
        reasons.append(
            f"bench-check: figures and baseline must name the same, only one of them has: {', '.join(unknown)}; "
            "`just bench-baseline` stores them"
        )
    return "\n".join(reasons)
