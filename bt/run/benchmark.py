"""The benchmark: a symbol of the store that metrics compare with. It is read here alone and shown to nobody."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from datetime import date, timedelta
from fractions import Fraction

import numpy as np

from bt.errors import ConfigError, UsageError
from bt.execution import to_units
from bt.model import UNIT, RunSpec
from bt.prepare import OpenedActions, Preparer, Reading, plan
from bt.run.span import Range
from bt.sessions import TimeManager
from bt.store import Store
from bt.strategy import Declaration, Source

BEFORE = 5
"""Sessions before the first in which its last close is looked for."""


def benchmark_returns(
    spec: RunSpec, time: TimeManager, span: Range, actions: OpenedActions | None = None
) -> Mapping[date, float]:
    """Return of `spec.run.benchmark` in each session: its last close over the last one before, less 1; empty without a benchmark.

    A session without a bar has return 0; one before which there is no close in the run and the sessions before it has none. Splits are
    adjusted for, and dividends, as ``data.adjust`` says.

    Raises
    ------
    ConfigError
        The store has no such symbol.
    """
    symbol = spec.run.benchmark
    if not symbol:
        return {}
    try:
        store = Store.open(replace(spec.data, symbols=(symbol,)), threads=spec.threads)
    except UsageError as error:
        raise ConfigError(
            f"{spec.source}: run.benchmark must be a symbol of the store, was {symbol!r}: {error}"
        ) from None
    try:
        closes = _closes(spec, time, span, store)
    finally:
        store.close()
    returns: dict[date, float] = {}
    last, acts = Fraction(0), _acts(spec, time, closes, actions)
    for name, close in closes.items():
        ratio, amount = acts.get(name, (Fraction(1), Fraction(0)))
        last = last / ratio - amount * UNIT if last else last
        now = close or last
        if last and name >= span.schedule.names[span.first]:
            returns[name] = float((now - last) / last)  # exact: one correctly rounded division
        last = Fraction(now)
    return returns


def _acts(
    spec: RunSpec, time: TimeManager, closes: Mapping[date, int], actions: OpenedActions | None
) -> dict[date, tuple[Fraction, Fraction]]:
    """What the benchmark's company does at opens: by session new shares for an old one, and what is paid a share, in currency."""
    if actions is None or spec.data.adjust == "none":
        return {}
    found: dict[date, tuple[Fraction, Fraction]] = {}
    schedule = time.schedule(min(closes), max(closes))
    for action in actions.of((spec.run.benchmark,), schedule).every:
        name = schedule.names[action.session]
        ratio, amount = found.get(name, (Fraction(1), Fraction(0)))
        found[name] = ratio * action.ratio, amount + (action.amount if spec.data.adjust == "all" else 0)
    return found


def _closes(spec: RunSpec, time: TimeManager, span: Range, store: Store) -> dict[date, int]:
    """The last close of each session in units, 0 in one without a bar; from some sessions before the first."""
    declared = Declaration("benchmark", None, (), {}, frozenset(), Source(""))
    made_plan, _ = plan([declared], (), store.extra_columns, time.zone)
    only = replace(spec, data=store.data, strategies=(), universe=None)
    begin, end = (span.schedule.names[i] for i in (span.first, span.last))
    schedule = time.schedule(max(begin - timedelta(days=10 * BEFORE), time.earliest), end)
    first = max(schedule.index[begin] - BEFORE, 0)
    source = Preparer(only, replace(made_plan, judged=False), Reading(store, time, schedule, first, len(schedule) - 1))
    source.start()
    closes: dict[date, int] = {}
    with closing(source.windows()) as windows:  # before the store is closed: the next one is being read
        for window in windows:
            for prepared in window.sessions:
                bars = prepared.minutes
                values = bars.columns["close"].values
                closes[prepared.session.name] = (
                    to_units(float(values[int(np.argmax(bars.begin))])) if len(values) else 0
                )
    return closes
