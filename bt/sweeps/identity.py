"""What a sweep is known by: specification, code, data and sets, as sweep.json tells them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

from bt.config import ACTIONS_TABLE, INSTRUMENTS_TABLE, UNIVERSE_TABLE, Identity
from bt.model import Progress, RunSpec
from bt.prepare import members_content, open_actions, open_instruments, open_outside
from bt.results import versions
from bt.run import check_dates, resolved, session_range
from bt.sessions import TimeManager
from bt.store import Store
from bt.strategy import files_hash, load_class, source_of, told, universe_of
from bt.sweeps.playing import written
from bt.sweeps.sets import ParameterSet


@dataclass(frozen=True)
class Ground:
    """What sets stand on: the specification with its dates resolved, the calendar, the fingerprint of the bars, and the sessions that
    they reach; `now` is what dates were resolved by."""

    spec: RunSpec
    time: TimeManager
    fingerprint: str
    sessions: Sequence[date]
    now: datetime | None = None


def grounded(spec: RunSpec, *, checking: Progress | None = None, now: datetime | None = None) -> Ground:
    """Open the data of a specification once, to resolve its dates and know its content.

    Raises
    ------
    UsageError
        Calendar, symbols or dates cannot be used.
    DataError
        A file fault.
    """
    time = TimeManager(spec.data.calendar)
    check_dates(spec.session, time)
    store = Store.open(spec.data, threads=spec.threads, progress=checking)
    try:
        spec = replace(spec, session=resolved(spec.session, time, store, now))
        span = session_range(time, store, *spec.session.dates)
        begins = min(store.first.values())
        reached = [i for i in range(span.first, span.last + 1) if int(span.schedule.close[i]) > begins]
        return Ground(spec, time, store.fingerprint, [span.schedule.names[i] for i in reached], now)
    finally:
        store.close()


def document(
    ground: Ground, sets: Sequence[ParameterSet], known_by: Mapping[str, Any] | None = None, **more: Any
) -> dict[str, Any]:
    """sweep.json: what is swept, on what, with what. No wall-clock figure.

    What the sweep is, is known by its sets and by the entries `known_by`; `more` are further ones.
    """
    spec = ground.spec
    tables = {name: table.hash for name, table in open_outside(spec.tables).items()}
    if spec.universe is not None and spec.universe.table:
        tables[UNIVERSE_TABLE] = members_content(spec.universe.table)
    if (actions := open_actions(spec.data)) is not None:
        tables[ACTIONS_TABLE] = actions.hash
    if (instruments := open_instruments(spec.data)) is not None:
        tables[INSTRUMENTS_TABLE] = instruments.hash
    identity = Identity.of(spec, [source_of(_class(s.use)) for s in spec.strategies], tables)
    fingerprints = [
        identity.fingerprint(ground.fingerprint),
        *_calendar(ground),
        *_declared(spec),
        *_others(ground, sets),
    ]
    fingerprint = fingerprints[0] if len(fingerprints) == 1 else _hash(fingerprints)
    tried = [told(dict(one.settings)) for one in sets]
    code = _tried_code(ground.spec, sets)
    known = told(dict(known_by or {}))
    whole = _hash([identity.hash, fingerprint, tried, code, *([known] if known else [])])
    return {
        "sweep_hash": whole,
        "spec_hash": identity.hash,
        "spec": dict(identity.spec),
        **known,
        **told(more),
        "trials": len(sets),
        "sets": [told(dict(one.values)) for one in sets],
        "strategy_hashes": {**identity.code, **code},
        "data_fingerprint": fingerprint,
        "versions": versions(),
    }


def _calendar(ground: Ground) -> Iterable[str]:
    """What a calendar that is a file has."""
    if ground.spec.data.calendar.lower().endswith(".parquet"):
        yield ground.time.identity


def _declared(spec: RunSpec) -> Iterable[str]:
    """What the tables of members have that strategies declare, as far as their classes say it."""
    for given in spec.strategies:
        use = load_class(given.use) if isinstance(given.use, str) else given.use
        universe = universe_of(use, f"strategy {given.name}")
        if universe is not None and universe.table:
            yield members_content(universe.table)


def code_of(spec: RunSpec, sets: Sequence[ParameterSet]) -> dict[str, str]:
    """What the files of every strategy say that is loaded from one (`bt.sweeps.playing.written`), by where it is: what its code sets meanwhile is no change."""
    uses = [s.use for s in spec.strategies]
    uses += [value for one in sets for key, value in one.settings.items() if key.endswith(".use")]
    return {use: written(load_class(use)) for use in dict.fromkeys(u for u in uses if isinstance(u, str))}


def _class(use: Any) -> type:
    found: type = load_class(use) if isinstance(use, str) else use if isinstance(use, type) else type(use)
    return found


def _tried_code(spec: RunSpec, sets: Sequence[ParameterSet]) -> dict[str, str]:
    """The code of the strategies that a grid tries, by set and strategy, where it tries several or several files of one."""
    if not any(key.endswith((".use", ".files")) for key in sets[0].settings):
        return {}
    known: dict[int | str, str] = {}
    code = {}
    for one in sets:
        for strategy in one.applied(spec).strategies:
            use = strategy.use if isinstance(strategy.use, str) else _class(strategy.use)
            key = use if isinstance(use, str) else id(use)
            if key not in known:
                known[key] = source_of(_class(use)).hash
            code[f"{one.number}.{strategy.name}"] = files_hash(known[key], strategy.files)
    return code


def _others(ground: Ground, sets: Sequence[ParameterSet]) -> Iterable[str]:
    """The fingerprints of other data that sets read."""
    if not any(key.startswith(("data.", "tables.", "universe.", "session.")) for key in sets[0].settings):
        return
    known: set[str] = set()
    for one in sets:
        run = one.applied(ground.spec)
        plain = replace(
            run.data,
            bars=str(told(run.data.bars)),
            actions=str(told(run.data.actions)),
            instruments=str(told(run.data.instruments)),
        )
        members = "" if run.universe is None else run.universe.table
        data = json.dumps([told(plain), told(run.tables), members, told(run.session)], sort_keys=True)
        if data not in known:
            known.add(data)
            own = grounded(run, now=ground.now)
            yield own.fingerprint
            yield from _calendar(own)
            if own.spec.session != run.session:
                yield f"{own.spec.session.start} {own.spec.session.end}"
            if members:
                yield members_content(members)
            yield from (table.hash for table in open_outside(run.tables).values())
            if (actions := open_actions(run.data)) is not None:
                yield actions.hash
            if (instruments := open_instruments(run.data)) is not None:
                yield instruments.hash


def _hash(thing: Any) -> str:
    return hashlib.sha256(json.dumps(thing, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
