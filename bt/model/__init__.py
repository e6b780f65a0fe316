"""The values that pass between rooms: schedule, clock, run specification, orders and fills.

All are frozen but ``Clock``, the only thing here with state. Times are int64 UTC microseconds, money is int64 units of
1e-8 of the currency, sessions are tz-naive dates. Every value that two rooms share has its one home here; none of them does anything.

`times` are sessions, schedules and the clock; `prepared` bars ready to be replayed; `specification` what decides a run;
`orders` what a strategy is told of orders and fills; `actions` what a company does to its shares; `instruments` what is traded.
"""

from collections.abc import Callable

from bt.model.actions import ACTION_KINDS, Action, ActionKind
from bt.model.instruments import INSTRUMENT_KINDS, Instruments
from bt.model.orders import UNIT, Fill, Order
from bt.model.prepared import BarHistory, Column, PreparedBars, PreparedSession, Traded, high_low
from bt.model.specification import (
    IN_MEMORY,
    AccountSpec,
    DataSpec,
    ExecutionSpec,
    ForwardSpec,
    IndicatorSpec,
    MemoryBars,
    QualitySpec,
    RunOptions,
    RunSpec,
    SessionSpec,
    StrategySpec,
    SweepSpec,
    TableSpec,
    UniverseSpec,
)
from bt.model.times import EPOCH, Clock, Int64Array, Schedule, Session, instant, slot_times

Progress = Callable[[int, int, int], None]
"""Called as ``progress(sessions_done, sessions_total, bars_done)``."""

__all__ = [
    "ACTION_KINDS",
    "EPOCH",
    "INSTRUMENT_KINDS",
    "IN_MEMORY",
    "UNIT",
    "AccountSpec",
    "Action",
    "ActionKind",
    "BarHistory",
    "Clock",
    "Column",
    "DataSpec",
    "ExecutionSpec",
    "Fill",
    "ForwardSpec",
    "IndicatorSpec",
    "Instruments",
    "Int64Array",
    "MemoryBars",
    "Order",
    "PreparedBars",
    "PreparedSession",
    "Progress",
    "QualitySpec",
    "RunOptions",
    "RunSpec",
    "Schedule",
    "Session",
    "SessionSpec",
    "StrategySpec",
    "SweepSpec",
    "TableSpec",
    "Traded",
    "UniverseSpec",
    "high_low",
    "instant",
    "slot_times",
]
