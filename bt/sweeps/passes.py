"""Which sets share a pass of the data, and how many of them at a time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from bt.config import to_dict
from bt.model import RunSpec
from bt.strategy import build, load_class, told
from bt.sweeps.sets import ParameterSet

TOGETHER = 64
"""Sets that are played together at most (docs/decisions/0024)."""

OWN = {
    "execution": ("slippage_bps", "commission_per_share", "time_in_force"),
    "account": ("cash", "leverage", "cash_per_symbol", "shared"),
    "quality": ("minimum", "after_minutes", "gate"),
    "run": ("seed", "name", "tolerate_failed", "on_strategy_error"),
}
"""Keys that are an account's own: sets that differ in these alone share a pass."""


def chunks(
    spec: RunSpec, sets: Sequence[ParameterSet], workers: int = 1, together: int = TOGETHER
) -> list[list[ParameterSet]]:
    """The sets in groups that share a pass each, of at most `together` sets; in order of their first set's number.

    Several workers have about as many groups each. Where there are fewer kinds of passes than workers, who share one then have groups that cost about the same: neighbours in a grid, which
    trade as often, are dealt out among them.
    """
    most = _even(-(-len(sets) // workers), together)
    classes: dict[str, type] = {}
    passes: dict[str, list[ParameterSet]] = {}
    for one in sets:
        passes.setdefault(_pass(one.applied(spec), classes), []).append(one)
    hands = -(-workers // max(1, len(passes)))
    groups = []
    for shared in passes.values():
        block = _even(len(shared), most) * hands
        for begin in range(0, len(shared), block):
            dealt = shared[begin : begin + block]
            groups += [dealt[hand::hands] for hand in range(min(hands, len(dealt)))]
    return sorted(groups, key=lambda group: group[0].number)


def _even(count: int, most: int) -> int:
    """The size of groups of at most `most` that are as equal as can be."""
    groups = max(1, -(-count // most))
    return max(1, -(-count // groups))


def _pass(run: RunSpec, classes: dict[str, type]) -> str:
    """Equal for runs that may share a pass."""
    tables = to_dict(run)
    gate = run.quality.gate == "completeness" and run.quality.minimum > 0
    for table, keys in OWN.items():
        for key in keys:
            del tables[table][key]
    for table in ("strategies", "engine", "output"):
        del tables[table]
    return json.dumps([tables, gate, [_universe(s.use, s.params, classes) for s in run.strategies]], sort_keys=True)


def _universe(use: Any, params: Any, classes: dict[str, type]) -> Any:
    """The universe that a strategy declares. One that cannot be made declares none, and fails when it is played."""
    if isinstance(use, str):
        use = classes[use] if use in classes else classes.setdefault(use, load_class(use))
    try:
        return told(getattr(build(use, params), "universe", None))
    except (Exception, SystemExit):  # noqa: BLE001 - a constructor may raise anything
        return None
