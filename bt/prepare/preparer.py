"""Windows of prepared sessions, one after another, the next one made while the last one replays."""

from __future__ import annotations

import time as wall
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from functools import partial
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import polars as pl

from bt.errors import DataError
from bt.guards import report
from bt.model import Action, PreparedBars, PreparedSession, RunSpec, Schedule, Traded, slot_times
from bt.prepare.actions import Actions
from bt.prepare.ahead import one_ahead
from bt.prepare.along import candidates
from bt.prepare.assembly import Extremes, PreparedWindow, extremes_of, prepared_session, present_so_far, quality_frames
from bt.prepare.checks import PROOF_SESSIONS, check_stamps, faults
from bt.prepare.computing import Computer
from bt.prepare.cutting import ample, breadth_of, sessions_of_a_window
from bt.prepare.decided import Decider
from bt.prepare.derived import Deriver
from bt.prepare.history import Trailing, warm_up
from bt.prepare.past import PastBars
from bt.prepare.plan import EXTREMES, Plan
from bt.prepare.presence import presence_of
from bt.prepare.quantities import Past
from bt.prepare.remembering import Memory
from bt.prepare.shortness import Shortness, told
from bt.prepare.tables import OpenedTable, Tables
from bt.prepare.terms import Terms, adjusting
from bt.prepare.universe import Attendance, Membership, Roster, membership
from bt.prepare.window import Loaded, Loader
from bt.sessions import TimeManager
from bt.store import DailyCache, Store
from bt.universe import rules


@dataclass
class _Timer:
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        began = wall.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + wall.perf_counter() - began


@dataclass(frozen=True)
class Reading:
    """What is read, and when: the sessions `first` to `last` (numbers in `schedule`, both included) of a store; with `part`, sorted codes,
    only these symbols are shown."""

    store: Store
    time: TimeManager
    schedule: Schedule
    first: int
    last: int
    part: npt.NDArray[np.int64] | None = None
    actions: Actions = Actions()  # noqa: RUF009 - it is frozen
    begun: bool = False
    """Earlier sessions of the run were read already."""


class Preparer:
    """Prepares the sessions of a run.

    Parameters
    ----------
    reading : Reading
        Which sessions, from where.
    held : callable
        The codes that any strategy holds now; asked between windows, on the thread that plays them.
    """

    def __init__(
        self,
        spec: RunSpec,
        plan: Plan,
        reading: Reading,
        *,
        tables: Mapping[str, OpenedTable] | None = None,
        held: Callable[[], Iterable[int]] = tuple,
    ) -> None:
        store, time, schedule = reading.store, reading.time, reading.schedule
        self._spec, self._plan, self._reading, self._given = spec, plan, reading, tables
        self._store, self._schedule, self._time = store, schedule, time
        self._first, self._last, self._part = reading.first, reading.last, reading.part
        self._actions = reading.actions
        self._along = self._read_along()
        decimals = [store.decimals[s] for s in store.symbols]
        self._scale = np.array([0 if k is None else 10**k for k in decimals], dtype=np.int64)
        read = plan.read
        self._loader = Loader(store, time, schedule, read)
        adjusted = adjusting(reading.actions, spec.data.adjust)
        self._terms = Terms(adjusted, store, schedule, self._loader) if adjusted.every else None
        if self._terms is not None:
            self._scale *= self._terms.grain
        self._tables = Tables(tables or {}, plan.tables_on, store.symbols, schedule)
        cache = DailyCache(store, time.identity)
        self._breadth = breadth_of(store, schedule, self._first, self._last)
        chunk = ample(spec.session, self._breadth)
        self._presence = presence_of(
            plan, spec.quality, schedule, len(store.symbols),
            loader=self._loader, cache=cache, first=self._first, last=self._last, chunk=chunk,
        )  # fmt: skip
        self._past = Past(store, self._loader, schedule, self._scale, cache, chunk, self._terms)
        apart = None if spec.universe is None else reading.last
        self._trailing = Trailing({w.id: w.feature for w in plan.trailing}, self._past, last=apart)
        self.memory = Memory(plan.history, self._past)
        self._held = held
        self._membership: Membership | None = None
        self._roster = Roster(None)
        codes = {s: i for i, s in enumerate(store.symbols)}
        self._shortness = Shortness(plan, self._past, codes)
        isolate = spec.run.on_data_error == "isolate"
        self._codes, self._isolate = codes, isolate
        self._traded = plan.traded
        self._computer = Computer(plan, self._scale, {}, codes=codes, isolate=isolate)
        self._deriver = Deriver(plan, codes, isolate=isolate)
        self._decider = Decider(plan, store.symbols, isolate=isolate)
        self.history_seconds: dict[str, float] = {}

    def past(self) -> PastBars:
        """Bars of past sessions for one strategy's at_open."""
        return PastBars(self._past, self._last)

    def short_history(self, until: date | None) -> dict[str, dict[str, str | None]]:
        """By interval, the symbols of which less was there at the first open than `book.bars` may reach back to: the session in
        which all of it was, None if in none up to `until`, the last that was played.
        """
        found: dict[str, dict[int, date | None]] = {}
        for (interval, code), whole in sorted(self.memory.short.items()):
            found.setdefault(self._plan.labels.get(interval, f"{interval}m"), {})[code] = whole
        return told(found, self._store.symbols, until)

    def short_features(self, until: date | None) -> dict[str, dict[str, str | None]]:
        """The same by field, of the bars and sessions that its feature reads back to."""
        return told(self._shortness.fields(), self._store.symbols, until)

    @property
    def short_settled(self) -> date:
        """The session from whose end on `short_history` and `short_features` say the same for good; never while somebody's history is waited for."""
        histories = [date.max if whole is None else whole for whole in tuple(self.memory.short.values())]
        return max([self._shortness.settled, *histories])

    def traded(self, first: int, last: int) -> Traded:
        """The minute bars of sessions `first` to `last` of the schedule, of every symbol, whoever is in the universe: in the terms of the last, by the
        symbols that they were in the first."""
        names = self._store.symbols[: self._store.candidates] if self._store.along else None
        minutes = self._past.history(last, first, last, ("open", "close"), names)
        code = minutes.code if self._terms is None else self._terms.names_at(first, last)[minutes.code]
        order = np.argsort(code, kind="stable")
        order = order[code[order] >= 0]
        offset = np.concatenate([[0], np.cumsum([s.minutes for s in minutes.sessions])[:-1]]).astype(np.int64)
        times = np.concatenate([slot_times(s) for s in minutes.sessions])
        opens, closes = (minutes.frame[c].to_numpy()[order] for c in ("open", "close"))
        return Traded(code[order], times[offset[minutes.session] + minutes.slot][order], opens, closes)

    def start(self) -> None:
        """Find the members of every session, and bring history up to the first session's open: trailing windows, then warm-up bars."""
        timer = _Timer()
        with timer("indicators"):
            self._opening = self._attendance()
            self._trailing.start(self._first, self._opening.codes)
        with timer("quality"):
            if self._presence is not None:
                self._presence.start(self._first, self._opening.codes)
        with timer("history_load"):
            judged = self._judged(self._first, self._first)
            first = None if judged is None else np.flatnonzero(judged[0])
            if self._plan.history:
                self.memory.start(self._first, self._opening.codes, first)
            tails = warm_up(self._plan, self._past, self._first, self._opening.codes) if self._plan.features else {}
            self._shortness.start(self._first, tails, first)
            if self._plan.features:
                self._computer = Computer(self._plan, self._scale, tails, codes=self._codes, isolate=self._isolate)
        self.history_seconds = timer.seconds

    def _attendance(self) -> Attendance:
        """The members of the run, and who is read in its first window."""
        if self._spec.universe is not None:
            read = rules(self._spec.universe, self._spec.source)
            self._membership = membership(read, self._past, self._first, self._last)
        self._roster = Roster(self._membership, (self._codes[s] for s in self._plan.also_read), self._part)
        first, last = self._edges[0]
        return self._roster.window(first, last, self._holding(first, last))

    @property
    def _edges(self) -> list[tuple[int, int]]:
        """First and last session of every window. Within one nothing changes the terms in which past bars are told."""
        days, cuts = self._days(), [] if self._terms is None else self._terms.cuts
        borders = [self._first, *(cut for cut in cuts if self._first < cut <= self._last), self._last + 1]
        return [(a, min(a + days, stop) - 1) for begin, stop in pairwise(borders) for a in range(begin, stop, days)]

    def windows(self) -> Generator[PreparedWindow, None, None]:
        """Every window in order. One more is prepared ahead, on a thread of its own; in turn where there is one thread, or one core.

        Raises
        ------
        DataError
            A session cannot be prepared; those before it have been given.
        """
        edges = self._edges
        with one_ahead(self._spec.threads) as begin:
            opening = replace(self._opening, new=self._opening.new[:0])  # their history is there
            waiting = begin(self._window, *edges[0], opening, self._traded)
            for edge, following in zip(edges, [*edges[1:], None], strict=True):
                try:
                    done: PreparedWindow = waiting()
                except DataError:
                    yield from self._one_by_one(*edge)
                    raise
                if following is not None:
                    attendance = self._roster.window(*following, self._holding(edge[0], following[1]))
                    waiting = begin(self._window, *following, attendance, self._traded)
                yield done
                del done  # a window's memory is free before the next one is waited for

    def _one_by_one(self, first: int, last: int) -> Iterator[PreparedWindow]:
        """The sessions of a window that could not be prepared, up to the one that cannot: as a run has them that begins with the first."""
        if first < last:
            session = replace(self._spec.session, prefetch_days=1, prefetch_given=True)
            reading = replace(self._reading, first=first, last=last, begun=first > self._first or self._reading.begun)
            spec = replace(self._spec, session=session)
            apart = Preparer(spec, self._plan, reading, tables=self._given, held=self._held)
            apart.start()
            yield from apart.windows()

    def _holding(self, since: int, last: int) -> set[int]:
        """What is held now, or may be because it is renamed to in the sessions `since` to `last`, both included."""
        renamed = {a.to for a in self._actions.every if a.kind == "rename" and since <= a.session <= last and a.to >= 0}
        return {*self._held(), *renamed}

    def _days(self) -> int:
        """Sessions of a window."""
        share = 1.0
        if self._membership is not None:  # the others are not read
            share *= self._membership.most / len(self._store.symbols)
        if self._part is not None:
            share *= len(self._part) / self._store.candidates
        return sessions_of_a_window(self._spec.session, self._breadth._replace(bars=self._breadth.bars * share))

    # ------------------------------------------------------------------------------------------------------ one window

    def _window(self, first: int, last: int, attendance: Attendance, traded: tuple[str, ...]) -> PreparedWindow:
        timer = _Timer()
        with timer("history_load"):
            self._join(first, attendance)
        with timer("load"):
            names = self._loader.names(attendance.codes)
            loaded = self._loader.window(first, last, names, traded)
            if first == self._first and not self._reading.begun and not (loaded.minutes.slot == 0).any():
                self._doubt_stamps()
            members = self._judged(first, last)
            if members is not None:
                loaded = loaded.of(members.ravel())
        minutes = loaded.minutes
        with timer("features"):
            computed = self._computer.window(minutes)
            histories = self.memory.window(minutes, computed.bars, members)
            self._shortness.window(minutes, computed.bars, members)
        with timer("indicators"):
            trailed = self._trailing.add(minutes, [self._plan.slots(s) for s in minutes.sessions])
        numbers = range(len(minutes.sessions))
        with timer("features"):
            kept = self._deriver.window(computed.kept(self._along), trailed, members)
            failed = {**computed.failed, **kept.failed}
            shown = kept.kept()
        with timer("quality"):
            usual = None if self._presence is None else self._presence.add(minutes)
            quality = quality_frames(computed.bars, minutes, usual) if self._plan.judged and usual else []
            present = present_so_far(self._plan, shown.shown, minutes)
        with timer("features"):
            sessions = [
                prepared_session(
                    self._plan, shown, minutes.sessions[i], i,
                    present=present, usual=usual[i] if usual else None, tables=self._tables,
                    closing=self._closing(loaded, i), traded=traded,
                )
                for i in numbers
            ]  # fmt: skip
            if self._plan.signals:
                sessions, undecided = self._decider.decide(sessions)
                failed |= {i * minutes.symbols + code: why for (i, code), why in undecided.items()}
        if members is not None and quality:
            quality = [q.filter(pl.Series(m[q["code"]])) for q, m in zip(quality, members, strict=True)]
        guards = report(loaded.withheld)
        late = Extremes(partial(self._extremes, names=names), first, last)
        return PreparedWindow(
            [
                replace(
                    self._ranked(p, first + i),
                    histories=histories,
                    actions=self._applied(first + i),
                    extremes=partial(late.of, i) if self._plan.may_rest else None,
                )
                for i, p in enumerate(sessions)
            ],
            quality,
            _by_session(guards, len(numbers)),
            {
                (g // minutes.symbols, g % minutes.symbols): why
                for g, why in failed.items()
                if self._along is None or not self._along[g % minutes.symbols]
            },
            faults(loaded, str(self._spec.data.bars), self._store.symbols),
            timer.seconds,
        )

    def _extremes(self, first: int, last: int, names: Sequence[str] | None) -> list[PreparedBars]:
        """The highs and lows of sessions of which the first is played: an order needs them. Those of sessions that are prepared from now on are there."""
        self._traded = tuple(dict.fromkeys((*self._traded, *EXTREMES)))
        only = Loader(self._store, self._time, self._schedule, EXTREMES)
        return extremes_of(only.window(first, last, names).minutes)

    def _read_along(self) -> npt.NDArray[np.bool_] | None:
        """Marks the symbols that are read for features of others alone, and nobody is shown; None where there are none."""
        if not self._store.along and self._part is None:
            return None
        codes = np.arange(len(self._store.symbols))
        along = codes >= self._store.candidates
        return along if self._part is None else along | ~np.isin(codes, self._part)

    def _judged(self, first: int, last: int) -> npt.NDArray[np.bool_] | None:
        """Who may be shown in each of some sessions (sessions, symbols); None means everybody."""
        if self._membership is None:
            made = candidates(self._store, last - first + 1)
        else:
            made = self._membership.mask(first, last, len(self._store.symbols))
        if self._part is None:
            return made
        assert self._along is not None
        return np.tile(~self._along, (last - first + 1, 1)) if made is None else made & ~self._along

    def _join(self, first: int, attendance: Attendance) -> None:
        """Symbols that the window before lacked get the history they need at session number `first`, and those whose past is told in other terms."""
        changed = self._changed(first)
        if attendance.codes is None and not len(changed):
            return
        codes = np.arange(len(self._store.symbols)) if attendance.codes is None else attendance.codes
        new = np.union1d(attendance.new, np.intersect1d(changed, codes))
        if len(new):
            self._trailing.join(first, new)
        if len(attendance.new) and self._presence is not None:
            self._presence.join(first, attendance.new)
        if self._plan.history:
            self.memory.attend(first, codes, new)
        if self._plan.features:
            tails = warm_up(self._plan, self._past, first, new)
            self._computer.attend(codes, new, tails)
            self._shortness.attend(new, tails)

    def _changed(self, first: int) -> npt.NDArray[np.int64]:
        """The symbols whose past is told in other terms from session number `first` on: where history was read for it, none."""
        if self._terms is None or first == self._first:
            return np.zeros(0, dtype=np.int64)
        return self._terms.affected(first - 1, first)

    def _ranked(self, prepared: PreparedSession, session: int) -> PreparedSession:
        """A session with its members."""
        if self._membership is None:
            return prepared
        ranking = self._membership.ranking(session)
        return replace(prepared, members=np.sort(ranking), ranking=ranking)

    def _applied(self, session: int) -> tuple[Action, ...]:
        """What is applied at a session's open, to symbols that may be traded."""
        return tuple(a for a in self._actions.at(session) if a.code < self._store.candidates)

    def _doubt_stamps(self) -> None:
        """Nothing of the first window begins with a session: the stamps may be ends, as every symbol tells."""
        opening = Loader(self._store, self._time, self._schedule, ())
        few = opening.window(self._first, min(self._first + PROOF_SESSIONS - 1, self._last))
        check_stamps(few, str(self._spec.data.bars))

    def _closing(self, loaded: Loaded, number: int) -> dict[int, float]:
        if self._spec.execution.close_price != "closing_print":
            return {}
        return {code: price for (session, code), price in loaded.closing.items() if session == number}


def _by_session(guards: pl.DataFrame, sessions: int) -> list[pl.DataFrame]:
    """The rows of each of some sessions."""
    found = guards.partition_by("session", as_dict=True, include_key=False)
    none = guards.clear().drop("session")
    return [found.get((number,), none) for number in range(sessions)]
