"""What a strategy asks for, read off its class and refused before anything is replayed if it cannot be had."""

from __future__ import annotations

import inspect
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bt.errors import StrategyError
from bt.features import Feature, linked
from bt.model import UniverseSpec
from bt.strategy.fields import TAKEN, Own, RowType, read_row
from bt.strategy.independence import looks_across, read_independent
from bt.strategy.labels import ForwardReturn
from bt.strategy.loading import nearest
from bt.strategy.outside import TableColumns
from bt.strategy.reach import Reach, read_history, read_warm_up
from bt.strategy.signals import Signals, read_signals
from bt.strategy.sources import Source, source_of
from bt.strategy.timers import Timer, timers_of
from bt.universe import located

TAKES: Mapping[str, str] = {
    "on_session_start": "session, book", "on_session_end": "session, book", "on_bar": "row, book", "on_minute": "rows, book",
    "on_fill": "fill, book", "on_order": "order, book", "at_open": "session, past",
}  # fmt: skip
CALLBACKS = tuple(name for name in TAKES if name.startswith("on_"))


@dataclass(frozen=True, slots=True)
class Declaration:
    """What one strategy asks for. `rows` is finest first; `features` are by field name; `across` is why its symbols cannot be played
    apart, "" where nothing but its account is in the way; `universe` None leaves it to the run."""

    name: str
    instance: Any
    rows: tuple[RowType, ...]
    features: Mapping[str, Feature]
    callbacks: frozenset[str]
    source: Source
    timers: tuple[Timer, ...] = ()
    warm_up: int = 0
    history: Mapping[int, Reach] = field(default_factory=dict)
    independent: bool = False
    across: str = ""
    universe: UniverseSpec | None = None
    signals: Signals | None = None

    @property
    def reading(self) -> tuple[RowType, ...]:
        """Whatever reads columns: its row types, and its signals."""
        return self.rows if self.signals is None else (*self.rows, self.signals.reads)

    @property
    def may_rest(self) -> bool:
        """Whether it may give orders that wait for a price: to a book in a callback, or as the legs of a signal's entries."""
        signalled = self.signals is not None and self.signals.has_legs
        return bool(self.callbacks - {"at_open"} or self.timers or signalled)

    @property
    def timers_alone(self) -> bool:
        """Whether rows are shown at timers only."""
        return bool(self.timers) and not {"on_bar", "on_minute"} & self.callbacks


def _check_takes(instance: Any, method: str, owner: str) -> None:
    """Refuse a callback or a timer that cannot be called with what it is called with."""
    try:
        takes = inspect.signature(getattr(instance, method))
    except ValueError:  # compiled without one
        return
    wanted = TAKES.get(method, "rows, book")
    try:
        takes.bind(*wanted.split(", "))
    except TypeError:
        raise StrategyError(
            f"{owner}: {method} must take ({wanted}), was ({', '.join(takes.parameters)}); write `def {method}(self, {wanted})`"
        ) from None


def _check_plain(method: Any, name: str, owner: str) -> None:
    """Refuse a method whose call does nothing: `async`, or with a `yield`."""
    if inspect.iscoroutinefunction(method):
        raise StrategyError(f"{owner}: {name} must be a plain function, was async; write `def {name}`")
    if inspect.isgeneratorfunction(method) or inspect.isasyncgenfunction(method):
        raise StrategyError(
            f"{owner}: {name} must be a plain function, was a generator; take the `yield` out, a call of it runs nothing"
        )


def _callbacks(instance: Any, owner: str) -> frozenset[str]:
    named = [n for n in dir(instance) if n.startswith("on_") and callable(getattr(instance, n))]
    for callback in named:
        if callback not in CALLBACKS:
            hint = nearest(callback, CALLBACKS) or f"known callbacks are {', '.join(CALLBACKS)}"
            raise StrategyError(f"{owner}: callback must be known, was {callback!r}; {hint}")
        _check_plain(getattr(instance, callback), callback, owner)
        _check_takes(instance, callback, owner)
    for timer in timers_of(type(instance)):
        _check_plain(getattr(instance, timer.method), timer.method, owner)
        _check_takes(instance, timer.method, owner)
    if not named and not timers_of(type(instance)) and not hasattr(instance, "signals"):
        raise StrategyError(
            f"{owner} must have a callback; write on_bar(self, row, book), on_minute(self, rows, book), a timer or signals(self)"
        )
    opens = getattr(instance, "at_open", None)
    if opens is None:
        return frozenset(named)
    if not callable(opens):
        raise StrategyError(f"{owner}: at_open must be a plain method (self, session, past), was {opens!r}")
    _check_plain(opens, "at_open", owner)
    _check_takes(instance, "at_open", owner)
    return frozenset((*named, "at_open"))


def _features(instance: Any, owner: str, indicators: Mapping[str, Feature]) -> dict[str, Feature]:
    """The strategy's own features."""
    own = instance.features() if hasattr(instance, "features") else {}
    return checked_features(own, f"{owner}: features()", owner, taken={*indicators, *TAKEN})


def checked_features(given: object, what: str, owner: str, *, taken: Container[str]) -> dict[str, Feature]:
    """Features by their names, none of which is `taken`; `what` they are called.

    Raises
    ------
    StrategyError
        They are no dict of features, or a name means something else.
    """
    if not isinstance(given, Mapping):
        raise StrategyError(f"{what} must be a dict of features, was {given!r}")
    for key, made in given.items():
        if isinstance(made, ForwardReturn):
            raise StrategyError(
                f"{owner}: feature {key!r} must not be a label: it tells what comes after a row; labels are for "
                f"bt.load_rows(..., label={{{key!r}: ...}}), which gives the same rows to train on"
            )
        if not isinstance(made, Feature):
            raise StrategyError(
                f"{owner}: feature {key!r} must be made by bt.feature, bt.sma, bt.trailing and the like, was {made!r}"
            )
        if key in taken:
            raise StrategyError(f"{owner}: feature {key!r} must have a name of its own; that one is taken")
    return dict(given)


def _rows(
    instance: Any, owner: str, features: Mapping[str, Feature], tables: Mapping[str, TableColumns], *, opens: bool
) -> tuple[RowType, ...]:
    """Its row types, finest first."""
    declared = getattr(instance, "row", None)
    several = isinstance(declared, tuple) and not hasattr(declared, "_fields")
    classes = () if declared is None else declared if several else (declared,)
    for cls in classes:
        if not isinstance(cls, type):
            raise StrategyError(f"{owner}: row must be a row type or a tuple of them, was {declared!r}")
    rows = sorted((read_row(c, features, owner, tables, opens=opens) for c in classes), key=lambda r: r.interval)
    if len({r.interval for r in rows}) < len(rows):
        raise StrategyError(f"{owner}: row types must have different intervals, were {[r.label for r in rows]}")
    return tuple(rows)


def universe_of(given: Any, owner: str) -> UniverseSpec | None:
    """The universe that a strategy, or its class, declares; its table's path starts from the strategy's file, in a notebook from the working folder.

    Raises
    ------
    StrategyError
        It is none.
    """
    declared = getattr(given, "universe", None)
    if declared is None:
        return None
    if not isinstance(declared, UniverseSpec):
        raise StrategyError(f"{owner}: universe must be made by bt.top or bt.members, was {declared!r}")
    try:
        folder = Path(inspect.getfile(given if isinstance(given, type) else type(given))).resolve().parent
    except (TypeError, OSError):
        folder = Path.cwd()
    return located(declared, folder if folder.is_dir() else Path.cwd())


def declare(
    name: str,
    instance: Any,
    indicators: Mapping[str, Feature],
    tables: Mapping[str, TableColumns] | None = None,
    *,
    source: Source | None = None,
) -> Declaration:
    """Read a strategy instance: row types, features, callbacks and signals.

    `indicators` and `tables` are those of the configuration; the strategy's own features may not repeat their names. `source` is that of its class,
    where it is known already.

    Raises
    ------
    StrategyError
        Something it declares is unknown, contradictory or wrongly typed.
    """
    owner = f"strategy {name} ({type(instance).__name__})"
    callbacks = _callbacks(instance, owner)
    features = linked({**indicators, **_features(instance, owner, indicators)}, owner)
    rows = _rows(instance, owner, features, tables or {}, opens="at_open" in callbacks)
    if not rows and {"on_bar", "on_minute"} & callbacks:
        raise StrategyError(f"{owner}: on_bar and on_minute need `row`; set row = YourRowType on the class")
    timers = timers_of(type(instance))
    own = Own(features, tables or {}, opens=False, hint="declare it in features() or [indicators]")
    signals = read_signals(instance, owner, own, acts=bool(callbacks or timers))
    fields = [f.name for r in (*rows, *([signals.reads] if signals else [])) for f in r.fields]
    used = {name.removesuffix("_sessions") for name in fields} | {*fields}
    wanted = {key: made for key, made in features.items() if key in used}
    across = looks_across(instance, callbacks, timers, wanted)
    independent = read_independent(instance, owner, across)
    return Declaration(
        name,
        instance,
        rows,
        wanted,
        callbacks,
        source_of(type(instance)) if source is None else source,
        timers,
        independent=independent,
        across=across,
        universe=universe_of(instance, owner),
        warm_up=read_warm_up(instance, owner),
        history=read_history(instance, owner),
        signals=signals,
    )
