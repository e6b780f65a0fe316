"""The benchmark: a symbol of the store that metrics compare with. It is read here alone and shown to nobody."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta

import numpy as np

from bt.errors import ConfigError, UsageError
from bt.execution import to_units
from bt.model import RunSpec
from bt.prepare import Preparer, Reading, plan
from bt.run.span import Range
from bt.sessions import TimeManager
from bt.store import Store
from bt.strategy import Declaration, Source

BEFORE = 5
"""Sessions before the first in which its last close is looked for."""


def benchmark_returns(spec: RunSpec, time: TimeManager, span: Range) -> Mapping[date, float]:
    """Return of `spec.run.benchmark` in each session: its last close over the last one before, less 1; empty without a benchmark.

    A session without a bar has return 0; one before which there is no close in the run and the sessions before it has none.

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
    last = 0
    for name, close in closes.items():
        now = close or last
        if last and name >= span.schedule.names[span.first]:
            returns[name] = (now - last) / last  # exact integers: one correctly rounded division
        last = now
    return returns


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
    for window in source.windows():
        for prepared in window.sessions:
            bars = prepared.minutes
            values = bars.columns["close"].values
            closes[prepared.session.name] = to_units(float(values[int(np.argmax(bars.begin))])) if len(values) else 0
    return closes
