"""What a run needs: the columns, features, indicators and intervals that its strategies declared, each once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from bt.errors import StrategyError
from bt.features import OVER_BARS, Feature, trailing
from bt.model import IndicatorSpec, Session
from bt.prepare.columns import Need
from bt.schema import BAR_COLUMNS, OPTIONAL_COLUMNS, QUOTES, interval_minutes
from bt.strategy import Declaration, RowType, Signals, Timer, ends_a_minute, slots_ended

TRADED = ("open", "close", "volume")
"""Columns that fills, marks and a fill's share of its bar need, whatever a row type shows."""

EXTREMES = ("high", "low")
"""Columns that orders need besides that wait for a price: read from the start where signals give such orders, and else when the first is given."""


@dataclass(frozen=True)
class Wanted:
    """A column to make: its id, the feature, the intervals (in minutes) of the rows that need it, and a name it was given."""

    id: str
    feature: Feature
    on: tuple[int, ...]
    name: str = ""


class Deciding(NamedTuple):
    """The signals of the strategy called `strategy`, and the column behind each name that they read, where bars have one."""

    strategy: str
    signals: Signals
    ids: Mapping[str, str]


@dataclass(frozen=True)
class Plan:
    """Everything that is computed for a window, and nothing else.

    `read` are the bar columns to load. `features` are over bars, `trailing` over past sessions, `derived` over other features,
    each after what it is made from; `ids` has the column of each by its feature's key. `shown` are the intervals
    that have row types, with the bar columns each shows; `intervals` are all that are resampled, with the columns each needs.
    `tables_on` are the fields of outside tables that each interval shows. `judged` says whether the quality of sessions is asked for.
    `history` is what must be there of an interval before a session, for `book.bars`; `fields` are the features of every strategy's fields, by name. `timers` are those of the intervals of which only the bars that end at a timer are shown, by the exchange's `zone`.
    `signals` are those of strategies by number; `rows_on` are the intervals that rows are shown of, and
    `by_rows` the columns that rows of minutes show: of minutes, what only signals read is not kept. `traded` are the columns that fills need;
    `may_rest` says whether orders may wait for a price, which need `EXTREMES` too.
    """

    read: tuple[str, ...]
    features: tuple[Wanted, ...]
    trailing: tuple[Wanted, ...]
    shown: Mapping[int, tuple[str, ...]]
    intervals: Mapping[int, tuple[str, ...]]
    quality_on: frozenset[int]
    completeness_on: frozenset[int] = frozenset()
    tables_on: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    derived: tuple[Wanted, ...] = ()
    ids: Mapping[object, str] = field(default_factory=dict)
    labels: Mapping[int, str] = field(default_factory=dict)
    judged: bool = True
    timers: Mapping[int, tuple[Timer, ...]] = field(default_factory=dict)
    history: Mapping[int, Need] = field(default_factory=dict)
    fields: Mapping[str, tuple[Feature, ...]] = field(default_factory=dict)
    zone: str = "UTC"
    signals: Mapping[int, Deciding] = field(default_factory=dict)
    by_rows: frozenset[str] = frozenset()
    rows_on: frozenset[int] = frozenset()
    traded: tuple[str, ...] = TRADED
    may_rest: bool = False

    def ends(self, interval: int, session: Session) -> npt.NDArray[np.int64] | None:
        """The slot counts at which bars of `interval` are shown in a session, sorted; None means at all."""
        timers = self.timers.get(interval)
        if timers is None:
            return None
        zone = ZoneInfo(self.zone)
        times = {t for timer in timers for t in timer.instants(session, zone) if ends_a_minute(session, t)}
        return np.array(sorted(slots_ended(session, t) for t in times), dtype=np.int64)

    def slots(self, session: Session) -> npt.NDArray[np.int64] | None:
        """The minutes of a session at whose ends anything is shown, sorted; None means at all."""
        ends = [self.ends(interval, session) for interval in self.shown]
        known = [e for e in ends if e is not None]
        if len(known) < len(ends):
            return None
        every = np.unique(np.concatenate([np.zeros(0, dtype=np.int64), *known]))
        return every[every > 0] - 1

    @property
    def also_read(self) -> tuple[str, ...]:
        """Symbols that features of others look at, sorted: they are read whatever the universe holds."""
        return tuple(sorted({w.feature.symbol for w in self.derived if w.feature.kind == "of"}))

    def on(self, interval: int) -> tuple[Wanted, ...]:
        """The features over bars of `interval`."""
        return tuple(w for w in self.features if w.feature.minutes == interval)

    def inputs(self, interval: int) -> tuple[str, ...]:
        """Bar columns that features over bars of `interval` read."""
        return _ordered({c for w in self.on(interval) for c in w.feature.inputs()})

    def need(self, interval: int, codes: Mapping[str, int]) -> Need:
        """The warm-up of the features over bars of `interval`; `codes` are those of the symbols."""
        over = self.on(interval)
        deep = any(rows % interval for w in over for rows in w.on)  # such a row may end before the session's first bin
        others = {
            w.feature.symbol for w in self.derived if w.feature.kind == "of" and self._crosses(w.feature, interval)
        }
        return Need(
            max((w.feature.bars for w in over), default=0),
            max((w.feature.sessions for w in over), default=0),
            deep,
            () if deep else tuple(sorted(codes[s] for s in others)),
        )

    @staticmethod
    def _crosses(other: Feature, interval: int) -> bool:
        """Whether another symbol's feature is over bars of `interval` and known from one session to the next."""
        inner = other.needs[0]
        over_bars = inner.kind != "trailing" and inner.minutes == interval
        return over_bars and other.within is None and inner.within is None


def indicator_features(specs: Mapping[str, IndicatorSpec]) -> dict[str, Feature]:
    """The configuration's indicators as features."""
    return {
        name: trailing(s.aggregate, s.of, s.period, at=s.at, min_sessions=s.min_sessions) for name, s in specs.items()
    }


def _ordered(columns: set[str]) -> tuple[str, ...]:
    return tuple(c for c in (*BAR_COLUMNS, *OPTIONAL_COLUMNS) if c in columns)


def plan(
    declarations: Sequence[Declaration],
    streams: Sequence[str],
    available: Sequence[str],
    zone: str = "UTC",
    *,
    quotes: bool = False,
) -> tuple[Plan, list[list[dict[str, str]]]]:
    """The union of what strategies declare, and for each strategy and row type the column id behind each field.

    `streams` are further intervals to generate (their quality is reported), `available` the optional columns in the data, `zone`
    the exchange's time zone. With `quotes` fills need bids and asks too.

    Raises
    ------
    StrategyError
        A row type shows a column that the data lacks or that coarser bars do not have.
    """
    made: dict[object, Wanted] = {}
    showing: dict[str, set[int]] = {"quality": set(), "completeness": set()}
    shown: dict[int, set[str]] = {}
    ids: list[list[dict[str, str]]] = []
    for declared in declarations:
        ids.append([])
        for row in declared.reading:
            columns = shown.setdefault(row.interval, set())
            ids[-1].append(_row(declared, row, made, columns, available))
            for item in row.fields:
                if item.source in showing:
                    showing[item.source].add(row.interval)
    wanted = list(made.values())
    over_bars = [w for w in wanted if _over_bars(w.feature)]
    intervals = _intervals(declarations, streams, shown, over_bars)
    shown_or_made = {*(c for w in wanted for c in w.feature.inputs()), *(c for cs in intervals.values() for c in cs)}
    extremes = any(d.signals is not None and d.signals.has_legs for d in declarations) or shown_or_made.issuperset(
        EXTREMES
    )
    traded = TRADED + EXTREMES * extremes + QUOTES * quotes
    signals = {number: d.signals for number, d in enumerate(declarations) if d.signals is not None}
    return Plan(
        read=_ordered({*traded, *shown_or_made}),
        traded=_ordered(set(traded)),
        may_rest=any(d.may_rest for d in declarations),
        features=tuple(over_bars),
        trailing=tuple(w for w in wanted if w.feature.kind == "trailing"),
        derived=tuple(w for w in wanted if w.feature.kind not in OVER_BARS),
        ids={key: w.id for key, w in made.items()},
        shown={k: _ordered(v) for k, v in shown.items()},
        intervals={k: _ordered(v) for k, v in sorted(intervals.items()) if k != 1},
        quality_on=frozenset(showing["quality"]),
        completeness_on=frozenset(showing["completeness"]),
        tables_on=_outside(declarations),
        labels=_labels(declarations, streams, over_bars),
        timers=_timers(declarations),
        history=_remembered(declarations),
        fields=_fields(declarations),
        zone=zone,
        signals={i: Deciding(declarations[i].name, made, ids[i].pop()) for i, made in signals.items()},
        by_rows=frozenset(
            id_
            for declared, own in zip(declarations, ids, strict=True)
            for row, named in zip(declared.rows, own, strict=False)
            for id_ in named.values()
            if row.interval == 1
        ),
        rows_on=frozenset(row.interval for declared in declarations for row in declared.rows),
    ), ids


def _over_bars(feature: Feature) -> bool:
    return feature.kind in OVER_BARS and feature.kind != "trailing"


def _intervals(
    declarations: Sequence[Declaration], streams: Sequence[str], shown: Mapping[int, set[str]], over: Sequence[Wanted]
) -> dict[int, set[str]]:
    """Every interval that is asked for, with the bar columns it needs."""
    found: dict[int, set[str]] = {interval_minutes(s): set() for s in streams}
    for interval, columns in shown.items():
        found.setdefault(interval, set()).update(columns)
    for w in over:
        found.setdefault(w.feature.minutes, set()).update(w.feature.inputs())
    for interval in (i for d in declarations for i in d.history):
        found.setdefault(interval, set()).update(BAR_COLUMNS)
    return found


def _labels(declarations: Sequence[Declaration], streams: Sequence[str], over: Sequence[Wanted]) -> dict[int, str]:
    """What each interval is called: as a feature names it, else a row type, else a stream, else a history."""
    return {
        **{i: reach.label for d in declarations for i, reach in d.history.items()},
        **{interval_minutes(s): s for s in streams},
        **{row.interval: row.label for d in declarations for row in d.reading},
        **{w.feature.minutes: w.feature.interval for w in over},
    }


def _outside(declarations: Sequence[Declaration]) -> dict[int, tuple[str, ...]]:
    """The fields of outside tables by interval."""
    found: dict[int, dict[str, None]] = {}
    for row in (row for declared in declarations for row in declared.reading):
        fields = [item.name for item in row.fields if item.source == "table"]
        found.setdefault(row.interval, {}).update(dict.fromkeys(fields))
    return {interval: tuple(fields) for interval, fields in found.items() if fields}


def _fields(declarations: Sequence[Declaration]) -> dict[str, tuple[Feature, ...]]:
    """The features that row types show and signals read, by the field's name; several strategies may mean several by one name."""
    found: dict[str, tuple[Feature, ...]] = {}
    for declared in declarations:
        for item in (item for row in declared.reading for item in row.fields):
            if item.source == "feature" and (feature := declared.features.get(item.name)) is not None:
                found[item.name] = (*found.get(item.name, ()), feature)
    return found


def _remembered(declarations: Sequence[Declaration]) -> dict[int, Need]:
    """By interval, the most that any strategy's book reaches back to."""
    found: dict[int, Need] = {}
    for declared in declarations:
        for interval, reach in declared.history.items():
            known = found.get(interval, Need(0, 0, deep=False))
            found[interval] = Need(max(known.bars, reach.bars), max(known.sessions, reach.sessions), deep=False)
    return found


def _timers(declarations: Sequence[Declaration]) -> dict[int, tuple[Timer, ...]]:
    """The timers of every interval that nobody sees but at timers."""
    found: dict[int, tuple[Timer, ...]] = {}
    always = {row.interval for d in declarations if not d.timers_alone for row in d.rows}
    always |= {d.signals.reads.interval for d in declarations if d.signals is not None}
    for declared in declarations:
        for row in declared.rows:
            if row.interval not in always:
                found[row.interval] = (*found.get(row.interval, ()), *declared.timers)
    return found


def _want(
    made: dict[object, Wanted], feature: Feature, on: tuple[int, ...], name: str, check: Callable[[Feature], None]
) -> str:
    """The column id of a feature on some intervals; what it is made from is wanted there too, before it."""
    for inner in feature.needs:
        _want(made, inner, () if feature.kind == "of" else on, name, check)
    check(feature)
    known = made.get(feature.key)
    id_ = f"f{len(made)}" if known is None else known.id
    every = tuple(dict.fromkeys((*(known.on if known else ()), *on)))
    made[feature.key] = Wanted(id_, feature, every, known.name if known else name)
    return id_


def _check_inputs(strategy: str, name: str, available: Sequence[str], on: int, feature: Feature) -> None:
    if feature.kind == "ratio" and feature.at == "minute" and on != 1:
        raise StrategyError(
            f"strategy {strategy}: feature {name!r} must be on 1-minute rows, was on coarser ones; "
            "use relative_volume(..., cumulative=True) there"
        )
    for column in feature.inputs():
        if column in OPTIONAL_COLUMNS and column not in available:
            raise StrategyError(
                f"strategy {strategy}: feature {name!r} reads {column}, which the data's files do not have"
            )
        if column in OPTIONAL_COLUMNS and feature.minutes != 1:
            raise StrategyError(
                f"strategy {strategy}: feature {name!r} reads {column}, which a coarser bar does not have; use interval 1m"
            )


def _row(
    declared: Declaration, row: RowType, made: dict[object, Wanted], columns: set[str], available: Sequence[str]
) -> dict[str, str]:
    """Column ids of one row type's fields; what it needs is added to `made` and `columns`."""
    found = {}
    for item in row.fields:
        if item.source == "bar":
            where = f"strategy {declared.name}: {row.title}, field {item.name!r}"
            if item.name in OPTIONAL_COLUMNS and item.name not in available:
                raise StrategyError(f"{where} must be a column of the data; its files have no {item.name}")
            if item.name in OPTIONAL_COLUMNS and row.interval != 1:
                raise StrategyError(f"{where} must be on 1-minute rows; a coarser bar has no {item.name}")
            columns.add(item.name)
            found[item.name] = item.name
        elif item.source == "feature":
            name = item.name if item.name in declared.features else item.name.removesuffix("_sessions")
            feature = declared.features[name]
            if feature.kind != "trailing" and name != item.name:
                raise StrategyError(
                    f"strategy {declared.name}: field {item.name!r} needs a trailing indicator {name!r}"
                )
            check = partial(_check_inputs, declared.name, name, available, row.interval)
            id_ = _want(made, feature, (row.interval,), name, check)
            found[item.name] = id_ if name == item.name else f"{id_}_sessions"
        elif item.source in ("coarse", "quality", "completeness", "table"):
            found[item.name] = item.name
    return found
