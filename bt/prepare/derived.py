"""Features made from other features, on the rows that show them: past sessions, of, ratio, cross, score.

They come after the columns over bars, over a whole window at once, each after what it is made from. Rows are in canonical
order (session, symbol, end): a symbol's session is a slice, and the rows of a minute are in symbol order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from bt.features import Feature
from bt.indicators import Trailed
from bt.model import Column
from bt.prepare.columns import Grouped
from bt.prepare.computing import Computed
from bt.prepare.plan import Plan, Wanted
from bt.prepare.scored import Scorer
from bt.prepare.universal import across, known

Mask = npt.NDArray[np.bool_]


class Deriver:
    """Adds to each window's columns those of past sessions and those made from others.

    Parameters
    ----------
    codes : mapping of str to int
        Each symbol's.
    isolate : bool
        A score that raises drops the symbols and sessions it raises for; otherwise DataError.
    """

    def __init__(self, plan: Plan, codes: Mapping[str, int], *, isolate: bool) -> None:
        self._plan = plan
        self._codes = codes
        self._scorer = Scorer(isolate=isolate)

    def window(
        self, computed: Computed, trailed: Sequence[Mapping[str, Trailed]], members: Mask | None = None
    ) -> Computed:
        """The window with every column; `failed` are the groups that a score raised for.

        `trailed` are the indicators of each session, `members` the symbols of each session's universe (sessions, symbols);
        None means all.
        """
        failed: dict[int, str] = {}
        columns = {}
        for interval, rows in computed.shown.items():
            made = dict(computed.columns[interval])
            for wanted in self._plan.trailing:
                if interval in wanted.on:
                    made |= _trailing(wanted, trailed, rows)
            for wanted in self._plan.derived:
                if interval in wanted.on and wanted.id not in made:
                    made[wanted.id], raised = self._one(wanted, rows, made, trailed, members)
                    failed |= raised
            columns[interval] = made
        return replace(computed, columns=columns, failed=failed)

    def _one(
        self,
        wanted: Wanted,
        rows: Grouped,
        made: Mapping[str, Column],
        trailed: Sequence[Mapping[str, Trailed]],
        members: Mask | None,
    ) -> tuple[Column, dict[int, str]]:
        feature = wanted.feature
        if feature.kind == "of":
            inner = self._plan.ids[feature.needs[0].key]
            return _other(inner, feature.needs[0], self._codes[feature.symbol], trailed, rows), {}
        inputs = [made[self._plan.ids[f.key]] for f in feature.needs]
        if feature.kind == "ratio":
            return _ratio(*inputs), {}
        if feature.kind == "score":
            assert feature.predict is not None
            return self._scorer.column(wanted.name, feature.predict, inputs, rows.group)
        counted = known(inputs[0])
        if members is not None:
            counted &= members[rows.session, rows.code]
        moment = rows.session * (int(rows.end.max(initial=0)) + 1) + rows.end
        return across(feature.aggregate, inputs[0], moment, counted), {}


def _trailing(wanted: Wanted, trailed: Sequence[Mapping[str, Trailed]], rows: Grouped) -> dict[str, Column]:
    """An indicator and its sessions used, on the rows of a window."""
    n = len(rows.code)
    values, null, used = np.empty(n), np.empty(n, dtype=bool), np.empty(n, dtype=np.int64)
    for part, at, now in _sessions(wanted.id, wanted.feature, trailed, rows, None):
        values[part], null[part], used[part] = now.values[at], now.null[at], now.used[at]
    return {
        wanted.id: Column(values, null if null.any() else None),
        f"{wanted.id}_sessions": Column(used),
    }


def _other(id_: str, feature: Feature, code: int, trailed: Sequence[Mapping[str, Trailed]], rows: Grouped) -> Column:
    """Another symbol's indicator, on the rows of a window."""
    values, null = np.empty(len(rows.code)), np.empty(len(rows.code), dtype=bool)
    for part, at, now in _sessions(id_, feature, trailed, rows, code):
        values[part], null[part] = now.values[at], now.null[at]
    return Column(values, null if null.any() else None)


def _sessions(
    id_: str, feature: Feature, trailed: Sequence[Mapping[str, Trailed]], rows: Grouped, code: int | None
) -> list[tuple[slice, Any, Trailed]]:
    """For each session its rows, where an indicator's arrays have their values (of one `code`, or of each row's), and those."""
    edges = rows.grouping.edges(len(trailed))
    found: list[tuple[slice, Any, Trailed]] = []
    for number, now in enumerate(trailed):
        part = slice(int(edges[number]), int(edges[number + 1]))
        whose = rows.code[part] if code is None else code
        at = (whose,) if feature.at == "session" else (now[id_].rows(rows.end[part] - 1), whose)
        found.append((part, at, now[id_]))
    return found


def _ratio(above: Column, below: Column) -> Column:
    """above / below; null where either is, or below is 0."""
    there = known(above) & known(below) & (below.values != 0)
    values = np.divide(above.values, below.values, out=np.full(len(there), np.nan), where=there)
    return Column(values, None if there.all() else ~there)
