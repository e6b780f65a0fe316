"""What `book.bars` reaches back to: of each interval asked for, every symbol's last bars, carried from window to window."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

import numpy as np
import numpy.typing as npt
import polars as pl

from bt.features import Runs
from bt.model import BarHistory, slot_times
from bt.prepare.columns import Grouped, Need, grouped_minutes, resampled
from bt.prepare.quantities import Past
from bt.prepare.window import Minutes
from bt.schema import BAR_COLUMNS, MINUTE

IntArray = npt.NDArray[np.int64]
COLUMNS = ("open_time", "close_time", *BAR_COLUMNS)
ROWS_AT_ONCE = 1_000_000
"""About as many minute bars are read back together."""


class Memory:
    """The bars of every interval that strategies remember.

    Parameters
    ----------
    needs : mapping of int to Need
        By interval in minutes, the bars and whole sessions that must be there at an open.

    Attributes
    ----------
    short : dict
        By interval and code, where not all was there at the first open: the session in which it is, None as long as there is none.
        Only members of a session's universe are judged in it: of others not all is read.
    """

    def __init__(self, needs: Mapping[int, Need], past: Past) -> None:
        self._needs = needs
        self._past = past
        self._tails: dict[int, pl.DataFrame] = {}
        self.short: dict[tuple[int, int], date | None] = {}

    def start(self, at: int, codes: IntArray | None, members: IntArray | None = None) -> None:
        """Read back what is there before session number `at`, whose universe are `members`; None means every symbol."""
        self._tails = self._read(at, codes)
        judged = np.arange(len(self._past.store.symbols)) if members is None else np.sort(members)
        for interval, tail in self._tails.items():
            count = np.bincount(tail["code"].to_numpy(), minlength=len(self._past.store.symbols))
            for code in judged.tolist():
                if self._lacks(interval, code, int(count[code]), at):
                    self.short[interval, code] = None

    def _lacks(self, interval: int, code: int, have: int, at: int) -> bool:
        """Whether less than was asked for is known at the open of session number `at`."""
        need, schedule = self._needs[interval], self._past.schedule
        first = at - need.sessions  # below 0 is before all data
        late = need.sessions > 0 and (first < 0 or int(schedule.close[first]) <= int(self._past.begins(at)[code]))
        return have < need.bars or late

    def attend(self, at: int, codes: IntArray, new: IntArray) -> None:
        """Symbols come and go: of the next window's `codes`, those that are `new` are read back."""
        fresh = self._read(at, new) if len(new) else {}
        for interval, tail in self._tails.items():
            stays = np.isin(tail["code"].to_numpy(), np.setdiff1d(codes, new))
            kept = tail.filter(pl.Series(stays))
            self._tails[interval] = pl.concat([kept, fresh[interval]]) if interval in fresh else kept

    def window(
        self, minutes: Minutes, bars: Mapping[int, Grouped], members: npt.NDArray[np.bool_] | None = None
    ) -> dict[int, BarHistory]:
        """What is remembered in the sessions of a window: their own bars too, each known from its end.

        `members` are the symbols of each session's universe (sessions, symbols); None means all.
        """
        made = {}
        for interval, need in self._needs.items():
            mine = _timed(bars[interval], minutes)
            whole = _sorted(pl.concat([self._tails[interval], mine]))
            made[interval] = _history(whole, minutes.symbols)
            self._judge(interval, whole, minutes, members)
            runs = Runs.of(*(whole[c].to_numpy() for c in ("code", "session")))
            kept = need.keep(runs, whole.height, minutes.first + len(minutes.sessions))
            self._tails[interval] = whole[kept]
        return made

    def _judge(
        self, interval: int, bars: pl.DataFrame, minutes: Minutes, members: npt.NDArray[np.bool_] | None
    ) -> None:
        """When what was short becomes whole, by all the bars known until the end of each session."""
        pending = [code for (i, code), since in self.short.items() if i == interval and since is None]
        if not pending:
            return
        code, session = (bars[c].to_numpy() for c in ("code", "session"))
        mine = np.isin(code, pending)
        code, session = code[mine], session[mine]
        for number, day in enumerate(minutes.sessions):
            at = minutes.first + number
            count = np.bincount(code[session <= at], minlength=minutes.symbols)
            here = [c for c in pending if members is None or members[number, c]]
            whole = [c for c in here if not self._lacks(interval, c, int(count[c]), at)]
            self.short.update({(interval, c): day.name for c in whole})
            pending = [c for c in pending if c not in set(whole)]

    def _read(self, at: int, codes: IntArray | None) -> dict[int, pl.DataFrame]:
        """The last bars before session number `at`, session by session back until every symbol has them or its data begins."""
        past, store, schedule = self._past, self._past.store, self._past.schedule
        begins = past.begins(at)
        left = np.ones(len(begins), dtype=bool) if codes is None else np.isin(np.arange(len(begins)), codes)
        pieces: dict[int, list[pl.DataFrame]] = {i: [] for i in self._needs}
        have = {i: np.zeros(len(begins), dtype=np.int64) for i in self._needs}
        most = max(1, ROWS_AT_ONCE * len(schedule) // max(store.rows, 1))
        low, chunk = at, 1
        while low > 0:
            enough = np.ones(len(begins), dtype=bool)
            for interval, need in self._needs.items():
                enough &= (have[interval] >= need.bars) & (low <= at - need.sessions)
            left &= ~enough & (begins < int(schedule.open[low]))
            if not left.any():
                break
            high, low = low - 1, max(low - chunk, 0)
            chunk = min(2 * chunk, most)
            names = None if left.all() else past.loader.names(np.flatnonzero(left))
            minutes = past.history(at, low, high, BAR_COLUMNS, names)
            coarse = resampled(minutes, {i: BAR_COLUMNS for i in self._needs if i != 1})
            for interval in self._needs:
                piece = _timed(coarse.get(interval) or grouped_minutes(minutes), minutes)
                pieces[interval].insert(0, piece)
                have[interval] += np.bincount(piece["code"].to_numpy(), minlength=len(begins))
        return {i: self._cut(pieces[i], at, i) for i in self._needs}

    def _cut(self, pieces: Sequence[pl.DataFrame], at: int, interval: int) -> pl.DataFrame:
        """All pieces by symbol and time, cut to what is needed."""
        if not pieces:
            minutes = self._past.loader.history(0, 0, BAR_COLUMNS)
            coarse = resampled(minutes, {interval: BAR_COLUMNS}) if interval != 1 else {}
            return _timed(coarse.get(interval) or grouped_minutes(minutes), minutes).clear()
        whole = _sorted(pl.concat(pieces))
        runs = Runs.of(*(whole[c].to_numpy() for c in ("code", "session")))
        return whole[self._needs[interval].keep(runs, whole.height, at)]


def _timed(bars: Grouped, minutes: Minutes) -> pl.DataFrame:
    """Bars with code, session (number in the schedule), end (slots), and their times in UTC microseconds."""
    offset = np.concatenate([[0], np.cumsum([s.minutes for s in minutes.sessions])]).astype(np.int64)
    times = np.concatenate([slot_times(s) for s in minutes.sessions])
    at = offset[bars.session]
    return bars.frame.select(
        pl.Series("code", bars.code, dtype=pl.Int64),
        pl.Series("session", bars.session + minutes.first, dtype=pl.Int64),
        pl.Series("end", bars.end, dtype=pl.Int64),
        pl.Series("open_time", times[at + bars.begin], dtype=pl.Int64),
        pl.Series("close_time", times[at + bars.end - 1] + MINUTE, dtype=pl.Int64),
        *BAR_COLUMNS,
    )


def _sorted(bars: pl.DataFrame) -> pl.DataFrame:
    """By symbol, session and time; a symbol's sessions and bars are in order already."""
    return bars[np.argsort(bars["code"].to_numpy(), kind="stable")]


def _history(bars: pl.DataFrame, symbols: int) -> BarHistory:
    code = bars["code"].to_numpy()
    key = bars["session"].to_numpy() * BarHistory.STRIDE + bars["end"].to_numpy()
    edge = np.searchsorted(code, np.arange(symbols + 1))
    return BarHistory(edge, key, {c: bars[c].to_numpy() for c in COLUMNS})
