"""bt's market, limit and stop orders beside those of other engines, fill by fill on the same bars.

    python -m benchmarks.peers.orders                 size S, one symbol x 252 sessions

bt counts a limit as reached by a touch here, as the others do. Exit code 1: a fill differs.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.peers.environments import environment
from benchmarks.peers.running import ONE_THREAD
from benchmarks.pinned import data, process, say

RUNNERS = Path(__file__).resolve().with_name("runners")
BT = ("bt, limits reached by a touch", "", "bt", "touch")
STRICT = ("bt, limits reached by trading through", "", "bt", "trade_through")
OTHERS = (("backtrader", "backtrader", "backtrader", ""), ("backtesting.py", "backtesting", "backtesting", ""))

Fill = tuple[int, int, float]
"""Open_time of the bar, UTC microseconds; signed shares; price."""


def first_difference(one: Sequence[Fill], other: Sequence[Fill]) -> str:
    """Where two lists of fills part; nothing if they are equal."""
    for number, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            return f"fill {number + 1}: {told(a)}, the other {told(b)}"
    if len(one) != len(other):
        return f"{len(one):,} fills, the other has {len(other):,}"
    return ""


def told(fill: Fill) -> str:
    """A fill in words."""
    return f"{fill[1]:+} at {fill[2]} in the bar of {fill[0]}"


def fills(runner: tuple[str, str, str, str], found: Path) -> tuple[str, list[Fill]]:
    """The version of an engine, and its fills; raises SystemExit where it does not run."""
    name, needs, script, mode = runner
    made = environment(needs)
    if made.missing:
        raise SystemExit(f"peers: {name}: {made.missing}")
    variables = {k: v for k, v in os.environ.items() if not k.startswith("BT_")} | dict.fromkeys(ONE_THREAD, "1")
    done = process([str(made.python), str(RUNNERS / f"orders_{script}.py"), str(found), mode], variables, limit=600.0)
    if done.code != 0:
        raise SystemExit(f"peers: {name}: exit code must be 0, was {done.code}")
    answer: dict[str, Any] = json.loads(done.printed.splitlines()[-1])
    return answer["version"], [(int(t), int(n), float(p)) for t, n, p in answer["fills"]]


def verdicts(ours: Sequence[Fill], theirs: Mapping[str, Sequence[Fill]]) -> dict[str, str]:
    """By engine where its fills part from ours; nothing where they are equal."""
    return {name: first_difference(ours, found) for name, found in theirs.items()}


def main() -> int:
    """Run, compare, tell; the exit code."""
    found = data("S").found
    _, ours = fills(BT, found)
    theirs = {}
    for runner in OTHERS:
        version, made = fills(runner, found)
        theirs[f"{runner[0]} {version}"] = made
    differs = verdicts(ours, theirs)
    for name, where in differs.items():
        print(f"{name}: {where or f'all {len(ours):,} fills are equal: bar, side, shares, price'}")
    _, strict = fills(STRICT, found)
    print(f"{STRICT[0]}: {len(strict):,} fills, the first to part: {first_difference(ours, strict) or 'none'}")
    say("done")
    return 1 if any(differs.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
