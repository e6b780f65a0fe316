"""What a run is made of: its strategies declared, its data opened, its sessions prepared, who plays."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bt.book import Market
from bt.engine import Player
from bt.errors import BtError, ConfigError, StrategyError
from bt.features import Feature
from bt.model import Instruments, Progress, RunSpec, StrategySpec
from bt.prepare import (
    Actions,
    Liquidity,
    OpenedActions,
    OpenedInstruments,
    OpenedTable,
    Plan,
    Preparer,
    Reading,
    former_names,
    indicator_features,
    open_actions,
    open_instruments,
    open_outside,
    plan,
    reading_along,
)
from bt.run.dates import check_dates, resolved
from bt.run.players import make_players
from bt.run.span import Range, session_range
from bt.run.warming import set_starts, warm_sessions
from bt.schema import QUOTES
from bt.sessions import TimeManager
from bt.store import Store
from bt.strategy import Declaration, Source, TableColumns, build, check_timers, declare
from bt.universe import agreed


class Share(NamedTuple):
    """A part of a run: strategies by number, and symbols (None: all)."""

    strategies: Sequence[int]
    symbols: Sequence[str] | None


@dataclass(frozen=True)
class Made:
    """Everything of a run before it is played.

    `spec` has its dates and universe resolved; `span` are its sessions, before which `warm` more are shown; `market` is what is
    known to who begins first.
    """

    spec: RunSpec
    declarations: Sequence[Declaration]
    tables: Mapping[str, OpenedTable]
    time: TimeManager
    store: Store
    plan: Plan
    span: Range
    warm: int
    source: Preparer
    market: Market
    players: Sequence[Player]
    actions: OpenedActions | None = None
    acts: Actions = Actions()  # noqa: RUF009 - it is frozen
    instruments: OpenedInstruments | None = None
    terms: Instruments | None = None


@contextmanager
def made(
    spec: RunSpec,
    *,
    check: Callable[[Sequence[Declaration]], None] | None = None,
    checking: Progress | None = None,
    now: datetime | None = None,
    runs: Sequence[RunSpec] = (),
    share: Share | None = None,
) -> Iterator[Made]:
    """A run, ready to be played; its store is open meanwhile.

    `check` may refuse the declarations before any file of bars is read; `checking` is called while files of unknown content are checked; `now` is what
    ``session.end = "previous"`` starts from. `runs` are those that are played together over one pass of the data, each with its own accounts: then `spec`
    has the strategies of all of them, in their order. With a `share` only a part of the run is played, as it would be in the whole.

    Raises
    ------
    UsageError
        The strategy, calendar, symbols or dates cannot be used.
    DataError
        A file fault.
    """
    tables, actions = open_outside(spec.tables), open_actions(spec.data)
    instruments = open_instruments(spec.data)
    columns = {name: table.columns for name, table in tables.items()}
    indicators = indicator_features(spec.indicators)
    sources: dict[type, Source] = {}
    declarations = [_declared(given, indicators, columns, sources) for given in spec.strategies]
    if check is not None:
        check(declarations)
    universe = agreed(spec.universe, [(d.name, d.universe) for d in declarations if d.universe is not None])
    time = TimeManager(spec.data.calendar)
    check_dates(spec.session, time)
    store = Store.open(spec.data, threads=spec.threads, progress=checking)
    try:
        spec = replace(spec, session=resolved(spec.session, time, store, now), universe=universe)
        planned = plan(
            declarations, spec.intervals, store.extra_columns, time.zone, quotes=_quoted(runs or (spec,), store)
        )
        before = former_names(actions, store, spec.data.adjust)
        with reading_along(store, sorted({*planned[0].also_read, *before}), threads=spec.threads) as wider:
            data = _Data(store, wider, *planned, runs or (spec,), share, actions, instruments)
            yield _made(spec, declarations, tables, time, data)
    finally:
        store.close()


class _Data(NamedTuple):
    """A run's store, the same with the symbols that are read along, what is planned, the column behind each field, whose
    accounts they are, what part of it is played (None: all), and its tables of corporate actions and instruments."""

    store: Store
    wider: Store
    plan: Plan
    ids: list[list[dict[str, str]]]
    runs: Sequence[RunSpec]
    share: Share | None
    actions: OpenedActions | None
    instruments: OpenedInstruments | None


def _made(
    spec: RunSpec,
    declarations: Sequence[Declaration],
    tables: Mapping[str, OpenedTable],
    time: TimeManager,
    data: _Data,
) -> Made:
    store, wider, made_plan, ids, runs, share, opened, listed = data
    rebalance = "1d" if spec.universe is None else spec.universe.rebalance
    span = session_range(time, store, *spec.session.dates, rebalance, wider=wider)
    for declared in declarations:
        check_timers(declared.timers, span.schedule, f"strategy {declared.name}")
    players: list[Player] = []
    longest = max((declared.warm_up for declared in declarations), default=0)
    warm = warm_sessions(span.schedule, span.first, store, longest)
    actions = Actions()
    if opened is not None:
        opened.check_names(
            store.symbols, store.every, (span.schedule.names[span.first], span.schedule.names[span.last])
        )
        actions = opened.of(wider.symbols, span.schedule)
    terms = None if listed is None else listed.of(store.symbols, span.schedule, store.decimals, actions.every)
    source = Preparer(
        spec, made_plan, Reading(wider, time, span.schedule, span.first - warm, span.last, _part(share, store), actions),
        tables=tables, held=lambda: {code for p in players for code in p.account.held_codes()},
    )  # fmt: skip
    markets = {sessions: Market(store.symbols) for sessions in (longest, *(d.warm_up for d in declarations))}
    apart = spec.universe is not None and len(declarations) > 1  # then what each holds decides what it is shown
    own = [Market(store.symbols) if apart else markets[declared.warm_up] for declared in declarations]
    begin = 0
    for run in runs:
        lot = slice(begin, begin := begin + len(run.strategies))
        players += make_players(run, declarations[lot], ids[lot], own[lot], terms)
    for number, player in enumerate(players):
        player.number = number
    if share is not None:
        players[:] = [players[number] for number in share.strategies]
        if (mine := _part(share, store)) is not None:
            for player in players:
                player.account.desk.others = np.setdiff1d(np.arange(len(store.symbols)), mine)
    set_starts(players, span.schedule, span.first, store)
    _tell_liquidity(players, source, store)
    for player in players:
        if "at_open" in player.declaration.callbacks:
            player.past = source.past()
    return Made(
        spec,
        declarations,
        tables,
        time,
        store,
        made_plan,
        span,
        warm,
        source,
        markets[longest],
        players,
        opened,
        actions,
        listed,
        terms,
    )


def _tell_liquidity(players: Sequence[Player], source: Preparer, store: Store) -> None:
    """Where volume is to move prices, tell desks by how much."""
    moving = [player.account for player in players if player.account.execution.impact]
    if moving:
        liquidity = Liquidity(source.past(), store.symbols)
        for account in moving:
            account.desk.liquidity = liquidity


def _quoted(runs: Sequence[RunSpec], store: Store) -> bool:
    """Whether any run's fills are to be at quotes.

    Raises
    ------
    ConfigError
        The data has none.
    """
    found = [run for run in runs if run.execution.spread == "quotes"]
    missing = [name for name in QUOTES if name not in store.extra_columns]
    if found and missing:
        raise ConfigError(
            f'{found[0].source}: execution.spread must be "assumed" where the data has no quotes, was "quotes"; name the columns of bids and asks at a '
            f'minute\'s open, data.columns.{missing[0]} = "..."'
        )
    return bool(found)


def _part(share: Share | None, store: Store) -> npt.NDArray[np.int64] | None:
    """The codes of a part's symbols, None for all."""
    if share is None or share.symbols is None:
        return None
    code = {symbol: number for number, symbol in enumerate(store.symbols)}
    return np.array(sorted(code[symbol] for symbol in share.symbols), dtype=np.int64)


def _declared(
    given: StrategySpec,
    indicators: Mapping[str, Feature],
    tables: Mapping[str, TableColumns],
    sources: dict[type, Source],
) -> Declaration:
    """A strategy made and declared; what its own code raises meanwhile is a StrategyError with that as its cause.

    `sources` are those of the classes declared so far: many strategies may be of one class.
    """
    try:
        instance = build(given.use, given.params)
        declared = declare(given.name, instance, indicators, tables, source=sources.get(type(instance)))
        sources[type(instance)] = declared.source
        return declared  # noqa: TRY300 - what raises is in the middle
    except BtError:
        raise
    except (Exception, SystemExit) as error:
        raise StrategyError(
            f"strategy {given.name}: it must load, be made and declare its features without raising, was stopped by "
            f"{type(error).__name__}: {error}; mend it, or its strategy.params"
        ) from error
