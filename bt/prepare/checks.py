"""What must hold before anything is replayed: sound rows, start-stamped times, features that declare enough warm-up."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl

from bt.errors import BtError, DataError, FeatureError
from bt.features import Feature, Ordered, Runs, edges, ranges
from bt.model import instant
from bt.prepare.columns import evaluate
from bt.prepare.peeking import first_difference
from bt.prepare.window import Loaded
from bt.schema import FAULT_REASONS


def faults(loaded: Loaded, source: str, symbols: tuple[str, ...]) -> dict[int, str]:
    """The first row fault of each session (counted from the window's first) that has one, as an error's text."""
    if loaded.withheld.is_empty():
        return {}
    found = loaded.withheld.filter(pl.col("reason").is_in(list(FAULT_REASONS))).sort("session", "time", "code")
    first = found.group_by("session", maintain_order=True).agg(pl.all().first(), pl.len().alias("rows"))
    return {
        session: f"{source}: every row must be sound, but {symbols[code]} at {instant(time):%Y-%m-%d %H:%M:%S} UTC is {reason} "
        f'({rows} such rows in this session); repair the data or set run.on_data_error = "isolate"'
        for session, code, time, reason, rows in first.select("session", "code", "time", "reason", "rows").iter_rows()
    }


def check_stamps(loaded: Loaded, source: str) -> None:
    """Refuse end-stamped data declared as start-stamped, where the calendar proves it.

    Bars labelled by their end have none at any open, one at the second minute, and one at the close of nearly every
    symbol's session; a single such session proves nothing.
    """
    minutes = loaded.minutes
    close = np.array([s.close for s in minutes.sessions], dtype=np.int64)
    outside = loaded.withheld.filter(pl.col("reason").is_in(["closing_print", "after_close"]))
    closes = outside.filter(pl.Series(outside["time"].to_numpy() == close[outside["session"].to_numpy()]))
    sessions = len(np.unique(minutes.group))
    second = len(np.unique(minutes.group[minutes.slot == 1]))
    at_close = closes.select("session", "code").n_unique()
    if sessions >= PROOF and not (minutes.slot == 0).any() and min(at_close, second) >= 0.9 * sessions:
        raise DataError(
            f"{source}: timestamps must be the start of the minute as declared, but {at_close} of {sessions} "
            'symbol-sessions have a bar at the close and none has one at the open; set data.stamp = "end"'
        )


PROOF = 2
"""Symbol-sessions that must agree before timestamps are called end-stamped."""

PROOF_SESSIONS = 5
"""Sessions at the start of a run that are looked at."""


def to_judge(bars: Ordered, since: int) -> int | None:
    """The first session, from number `since` on, that tells how far features look back: a symbol has bars before it, or two in it; None without any."""
    runs = bars.runs
    before = np.append(False, runs.code[1:] == runs.code[:-1])[: len(runs.code)]
    able = (runs.session >= since) & (before | (runs.stop(len(bars)) - runs.start > 1))
    return int(runs.session[able].min()) if able.any() else None


def check_lookback(bars: Ordered, feature: Feature, session: int) -> None:
    """Evaluate an expression feature twice more on a session: with its warm-up, and with twice as much.

    Where no symbol has more bars before that session than the warm-up, its first half stands for what is before. A `lookback` in sessions cannot
    be judged then. A `lookback` of 0 is that of the session so far, unless the expression is found to look back a limited way
    (`_reaches_back`).

    Raises
    ------
    FeatureError
        A value changes when more warm-up is there.
    """
    if feature.kind not in ("expression", "recursive"):
        return
    source = f"feature {feature.aggregate if feature.expr is None else feature.expr}"
    bars = replace(bars, chosen=bars.runs.session == session)
    halves = _halved(bars.only(bars.session == session), session)
    judged = bars if _widens(bars, feature) else halves
    try:
        longer = _reaches_further(judged, feature)
        windowed = _reaches_back(halves, feature)
    except BtError:
        raise
    except Exception:  # noqa: BLE001 - it fails for some symbol; told where symbols are dropped
        return
    if longer is not None:
        declared = f"{feature.sessions}d" if feature.sessions else feature.bars
        raise FeatureError(
            f"{source}: lookback must cover what it reads, was {declared}; with twice the warm-up a value of the first "
            f"session changed from {longer[0]} to {longer[1]}: declare a longer lookback"
        )
    if windowed is not None:
        raise FeatureError(
            f"{source}: lookback must cover what it reads, was 0; with bars of earlier sessions before it a value of the first session changed "
            f'from {windowed[0]} to {windowed[1]}: declare a lookback, or within="session" where each session is to begin afresh'
        )


def _widens(bars: Ordered, feature: Feature) -> bool:
    """Whether some symbol has more bars than the warm-up before the session."""
    return bool((edges(bars, feature, 1)[0] != edges(bars, feature, 2)[0]).any())


def _reaches_further(bars: Ordered, feature: Feature) -> tuple[object, object] | None:
    """Two values of a feature that show it to read more than its warm-up; None where that is not found."""
    if not _widens(bars, feature):
        return None
    once = evaluate(bars, feature)
    double = evaluate(bars, feature, factor=2)
    return first_difference(once.pick(bars.wanted), double.pick(bars.wanted), 1e-9)


def _reaches_back(halves: Ordered, feature: Feature) -> tuple[object, object] | None:
    """Two values of an expression with a lookback of 0 that show it to look back a limited way, in a session whose first half stands for what
    is before; None where that is not found.

    A window sees the bars right before, and not what is beyond them; the session so far sees all there is. So values with some
    bars before differ from those with none, and stay where numbers beyond those bars are a million times larger and smaller (so that what counts large ones counts some).
    A window longer than a quarter of the session is not told from the session so far.
    """
    if feature.kind != "expression" or feature.bars or feature.sessions or feature.within is not None:
        return None
    runs, stop = halves.runs, halves.runs.stop(len(halves))
    before = np.append(runs.code[1:] == runs.code[:-1], False)
    some = int((stop - runs.start)[before].max(initial=0)) // 2
    judged = np.append(False, before[:-1] & ((stop - runs.start)[:-1] > some))
    if not some or not judged.any():
        return None
    far = ranges(runs.start[before], np.maximum(stop[before] - some, runs.start[before]))
    factor = np.ones(len(halves))
    factor[far] = np.where(far % 2, 1e6, 1e-6)
    frame = halves.frame(halves.own.columns)
    scaled = frame.select((pl.col(c) * pl.Series(factor)).cast(t) for c, t in frame.schema.items())
    halves = replace(halves, chosen=judged)
    none = evaluate(halves, feature).pick(halves.wanted)
    near = evaluate(halves, replace(feature, bars=some)).pick(halves.wanted)
    changed = first_difference(none, near, 1e-9)
    if changed is None:
        return None
    beyond = evaluate(halves.made_of(scaled), replace(feature, bars=len(halves)))
    return changed if first_difference(near, beyond.pick(halves.wanted), 1e-9) is None else None


def _halved(bars: Ordered, first: int) -> Ordered:
    """Nothing is before the session `first`: its first half as a session of its own, which the second has for warm-up."""
    runs, stop = bars.runs, bars.runs.stop(len(bars))
    split = (runs.session == first) & (stop - runs.start > 1)
    middle = (runs.start[split] + stop[split]) // 2
    start = np.concatenate([runs.start, middle])
    code = np.concatenate([runs.code, runs.code[split]])
    session = np.concatenate([np.where(split, first - 1, runs.session), np.full(len(middle), first)])
    order = np.argsort(start)
    halves = Runs(start[order], code[order], session[order])
    return replace(bars, runs=halves, chosen=halves.session == first)
