"""What several workers tell of a session, put together as if one process had played it, and recorded as that is.

Strategies that are whole in one part are taken as they are. Of one whose symbols are divided the equity is the sum of its parts', whose
start each counts the cash of all symbols; what it did is what all parts did, and what it says outside any symbol counts once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from datetime import date
from typing import Any

import numpy as np
import polars as pl

from bt.book import Curve
from bt.engine import Left, PlayerOutcome, SessionOutcome
from bt.execution import IntArray
from bt.execution import layout as at
from bt.frames import unpacked
from bt.metrics import Metrics
from bt.recorder import Recorder, Said, Totals
from bt.results import Results
from bt.run.making import Made, Share
from bt.run.slices import Short, Slice
from bt.schema import interval_minutes

MOST = 9.0e18
"""Sums of money beyond it do not fit int64 units."""

COUNTS = ("margin_calls", "at_quotes", "unmoved", "ambiguous_bars", "otherwise")
"""What an account's output counts."""


class Undivided(Exception):  # noqa: N818 - no error: who catches it plays the run again
    """The run has to be played in one process; why."""


class Gathered:
    """Puts sessions together and records them with `bt.recorder.Recorder`, as those of a run in one process.

    Parameters
    ----------
    shares : sequence of Share
        What each worker plays, in the order in which they are told.
    """

    def __init__(self, results: Results, parts: Made, shares: Sequence[Share]) -> None:
        self._parts = parts
        self._strategies = [
            _Strategy(player.name, player.start_cash, [w for w, s in enumerate(shares) if number in s.strategies])
            for number, player in enumerate(parts.players)
        ]
        self._places = [{number: place for place, number in enumerate(share.strategies)} for share in shares]
        self._recorder = Recorder(
            results, self._strategies, parts.store.symbols,
            schedule=parts.span.schedule, sessions_a_year=parts.time.sessions_a_year(), labels=parts.plan.labels,
        )  # fmt: skip
        self._short: list[Short] = [({}, {}) for _ in shares]

    @property
    def totals(self) -> Totals:
        """So far."""
        return self._recorder.totals

    @property
    def last_session(self) -> date | None:
        """The last session that was written, None before the first."""
        return self._recorder.last_session

    def session(self, slices: Sequence[Slice]) -> None:
        """Record one session, of which every worker tells a slice.

        Raises
        ------
        Undivided
            A strategy whose symbols are divided raised, or money does not fit.
        """
        self._check(slices)
        players, spoken = [], []
        for number, strategy in enumerate(self._strategies):
            own = [(slices[w], self._places[w][number]) for w in strategy.workers]
            players.append(
                strategy.together([s.outcome.players[place] for s, place in own], [s.left[place] for s, place in own])
            )
            spoken.append(_heard([s.said[place] for s, place in own]))
        quality = _together([unpacked(s.quality) for s in slices])
        if (
            quality.height and not quality["code"].is_sorted()
        ):  # parts are neighbours, but for symbols that belong together
            quality = quality.sort("code", maintain_order=True)
        guards = _together([unpacked(s.guards) for s in slices])
        failed = {code: why for s in reversed(slices) for code, why in s.failed.items()}
        self._recorder.session(_outcome([s.outcome for s in slices], players), quality, guards, failed, spoken)
        for worker, short in enumerate(s.short for s in slices):
            if short is not None:
                self._short[worker] = short

    def finish(self, benchmark: Mapping[date, float]) -> tuple[Metrics, dict[str, Metrics]]:
        """As `Recorder.finish`."""
        return self._recorder.finish(benchmark)

    @property
    def short(self) -> Short:
        """Whose history was short according to any worker: by interval, and by field."""
        return (
            _union([history for history, _ in self._short], interval_minutes),
            _union([features for _, features in self._short], str),
        )

    def _check(self, slices: Sequence[Slice]) -> None:
        """Refuse what the parts of a strategy cannot tell alone; remember who has failed as a whole."""
        if len(names := {s.outcome.session.name for s in slices}) > 1:
            raise AssertionError(f"workers must tell the same session, were at {sorted(names)}")
        for number, why in ((n, w) for s in slices for n, w in s.strategies_failed.items()):
            if len(self._strategies[number].workers) > 1:
                raise Undivided(why)
            self._parts.players[number].failed = why


class _Strategy:
    """One strategy: who plays it, its tags, by a code of its own for all parts, and what it leaves."""

    def __init__(self, name: str, start_cash: int, workers: Sequence[int]) -> None:
        self.name, self.start_cash, self.workers = name, start_cash, workers
        self._tags: list[str] = []
        self._codes: dict[str, int] = {}
        self._of = [np.zeros(0, dtype=np.int64) for _ in workers]  # by part and its code
        self._left = Left(np.zeros((0, at.RECORD_COLUMNS), dtype=np.int64), 0, {})  # before anything is told

    def left(self, opened: int) -> Left:  # noqa: ARG002 - who played it knew
        """What it leaves if the run ends now."""
        return self._left

    def together(self, parts: Sequence[PlayerOutcome], left: Sequence[Left]) -> PlayerOutcome:
        """What its parts did and leave, as one."""
        outputs = [part.output for part in parts]
        codes = [self._learn(part, output.tags) for part, output in enumerate(outputs)]
        orders = _rows([o.orders for o in outputs], codes, at.R_TAG)
        self._left = Left(
            _rows([one.orders for one in left], codes, at.R_TAG),
            sum(one.positions for one in left),
            {code: ended for one in left for code, ended in one.stale.items()},
        )
        output = replace(
            outputs[0], tags=self._tags, orders=orders,
            fills=_rows([o.fills for o in outputs], codes, at.F_TAG), trades=_rows([o.trades for o in outputs], codes, at.T_TAG),
            cash=[move for o in outputs for move in o.cash],
            **{name: sum(getattr(o, name) for o in outputs) for name in COUNTS},
        )  # fmt: skip
        positions = np.concatenate([part.positions for part in parts])
        return PlayerOutcome(
            output,
            self._curve([part.curve for part in parts]),
            positions[np.argsort(positions[:, 0], kind="stable")],
            [withheld for part in parts for withheld in part.withheld],
            np.concatenate([part.traded for part in parts]),
            sum(part.given for part in parts),
        )

    def _learn(self, part: int, tags: Sequence[str]) -> IntArray:
        """The codes of a part's tags, of which `tags` are new."""
        for word in tags:
            if word not in self._codes:
                self._codes[word] = len(self._tags)
                self._tags.append(word)
        if tags:
            self._of[part] = np.append(self._of[part], [self._codes[word] for word in tags])
        return self._of[part]

    def _curve(self, parts: Sequence[Curve]) -> Curve:
        """The equity of all parts, each of which begins with the cash of all.

        Raises
        ------
        Undivided
            It may not fit int64.
        """
        if len(parts) == 1:
            return parts[0]
        sums = {}
        for name in (field.name for field in fields(Curve)):
            columns = [getattr(part, name) for part in parts]
            if sum(float(np.abs(c).max(initial=0)) for c in columns) > MOST:
                raise Undivided("the account's money does not fit in parts")
            again = self.start_cash * (len(parts) - 1) if name in ("equity", "cash") else 0
            sums[name] = np.add.reduce(columns) - again
        return Curve(**sums)


def _outcome(parts: Sequence[SessionOutcome], players: Sequence[PlayerOutcome]) -> SessionOutcome:
    """The session of all workers."""
    moments = np.unique(np.concatenate([part.moments for part in parts]))
    bars_of = np.maximum.reduce([part.bars_of for part in parts])
    return replace(
        parts[0], players=players, bars=int(bars_of.sum()), iterations=len(moments), moments=moments, bars_of=bars_of, visible=None,
    )  # fmt: skip


def _rows(parts: Sequence[IntArray], codes: Sequence[IntArray], tag: int) -> IntArray:
    """Rows of all parts, whose tags are in a column."""
    for rows, code in zip(parts, codes, strict=True):
        rows[:, tag] = code[rows[:, tag]]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _together(frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """The rows of all frames; those without any may have other columns."""
    return pl.concat([frame for frame in frames if frame.height] or frames[:1])


def _heard(parts: Sequence[tuple[bytes | None, bytes | None]]) -> Said:
    """What the parts of a strategy recorded and said."""
    records, log = (
        _once([None if data is None else unpacked(data) for data in kind]) for kind in zip(*parts, strict=True)
    )
    return Said(records, log)


def _once(frames: Sequence[pl.DataFrame | None]) -> pl.DataFrame | None:
    """What the parts of a strategy said; of what is about no symbol that of the first part which said such."""
    found: list[pl.DataFrame] = []
    general = False
    for frame in (f for f in frames if f is not None):
        found.append(frame.filter(pl.col("code") != at.EVERY) if general else frame)
        general = general or bool((frame["code"] == at.EVERY).any())
    return pl.concat(found) if found else None


def _union(
    short: Sequence[Mapping[str, Mapping[str, str | None]]], order: Callable[[str], Any]
) -> dict[str, dict[str, str | None]]:
    """By name and symbol, in their order, what the workers know: strategies of several may use one name, and all is there when it is for each."""
    known: dict[str, dict[str, str | None]] = {
        name: {} for name in sorted({n for one in short for n in one}, key=order)
    }
    for name, found in known.items():
        for of in (one[name] for one in short if name in one):
            for symbol, since in of.items():
                before = found.get(symbol, since)
                found[symbol] = None if since is None or before is None else max(since, before)
    return {name: dict(sorted(of.items())) for name, of in known.items()}
