"""What a strategy prints and logs while it plays: passed on, and kept in the run's table `log`."""

from __future__ import annotations

import contextlib
import json
import logging
import sys
import threading
from collections.abc import Iterator
from typing import Any

import polars as pl

from bt.book import Spoken
from bt.engine.players import Player
from bt.engine.playing import Engine
from bt.execution.layout import EVERY

LINES = 1000
"""Lines of a strategy that are kept of one session, the first by time and symbol; the rest is counted."""
LENGTH = 2000
"""Characters of a line that are kept."""

LAST = 1 << 31
"""The code of a row that comes after those of every symbol."""


def first_lines(log: pl.DataFrame, now: int) -> pl.DataFrame:
    """A session's log of one strategy (the columns of `Spoken`) by time and symbol, with `LINES` of its lines; how many more there
    were is told at `now`, UTC microseconds."""
    rows = log.filter(pl.col("heard") >= 0).sort("time", "code", maintain_order=True)
    kept = rows.filter((pl.col("heard") == 0) | (pl.col("heard").cum_sum() <= LINES))
    more = rows.height - kept.height - int(log["heard"].clip(upper_bound=0).sum())
    if more:
        last = Spoken(now, f"{more} more lines were not kept", "{}", LAST)
        kept = pl.concat([kept, pl.DataFrame([last], schema=kept.schema, orient="row")])
    return kept


class _Talk:
    """How much a strategy has said in a session.

    Kept are its first `LINES` lines, and what is said in the last one's moment: of those the first by symbol are chosen when all is
    known (`first_lines`), by whichever process.
    """

    def __init__(self) -> None:
        self._lines = self._moment = 0
        self._of: dict[int, int] = {}  # in the moment, by symbol
        self.more: dict[int, int] = {}

    def keeps(self, now: int, code: int) -> bool:
        """Whether a line that is said `now` about a symbol is kept."""
        if now != self._moment and self._lines < LINES:
            self._moment, self._of = now, {}
        self._lines += 1
        here = self._of[code] = self._of.get(code, 0) + 1
        if self._lines <= LINES or (now == self._moment and here <= LINES):
            return True
        self.more[code] = self.more.get(code, 0) + 1
        return False

    def rest(self, now: int) -> Iterator[Spoken]:
        """How many lines were not kept: of symbols, and of no symbol."""
        for code, of in ((EVERY, [EVERY]), (LAST, [c for c in self.more if c != EVERY])):
            if count := sum(self.more.get(c, 0) for c in of):
                yield Spoken(now, "", "{}", code, -count)


class Ear:
    """Keeps what the strategy that is playing says on the engine's thread, line by line with the time."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._thread = threading.get_ident()
        self._begun: dict[tuple[str, int], str] = {}  # by strategy and symbol, a line without its end
        self._talk: dict[str, _Talk] = {}

    @property
    def speaker(self) -> Player | None:
        """Who is playing on this thread."""
        return self._engine.teller.speaking if threading.get_ident() == self._thread else None

    def printed(self, text: str) -> None:
        """Text written to standard output."""
        if (player := self.speaker) is None:
            return
        key = player.declaration.name, player.book.teller
        *lines, rest = (self._begun.pop(key, "") + text).split("\n")
        if rest:
            self._begun[key] = rest
        for line in lines:
            self.keep(player, line, key[1], stream="stdout")

    def keep(self, player: Player, line: str, code: int, **fields: str) -> None:
        """One row of the log, unless the session has had many."""
        now = self._engine.market.now
        if self._talk.setdefault(player.declaration.name, _Talk()).keeps(now, code):
            told = line if len(line) <= LENGTH else line[:LENGTH] + "..."
            player.account.log.append(Spoken(now, told, json.dumps(fields, sort_keys=True), code, 1))

    def end_session(self) -> None:
        """The session is over: lines without an end are kept too, and how many were not."""
        for player in self._engine.players:
            name = player.declaration.name
            for key in sorted(key for key in self._begun if key[0] == name):
                self.keep(player, self._begun.pop(key), key[1], stream="stdout")
            if (talk := self._talk.pop(name, None)) is not None:
                player.account.log.extend(talk.rest(self._engine.market.now))


class _Printing:
    """Standard output while strategies play; all but what is written is the stream's that it stands for."""

    def __init__(self, stream: Any, ear: Ear) -> None:
        self._stream, self._ear = stream, ear

    def write(self, text: str) -> int:
        """Pass on and keep."""
        self._ear.printed(text)
        self._stream.write(text)
        return len(text)

    def writelines(self, lines: Any) -> None:
        """Pass on and keep."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _Logging(logging.Handler):
    """Records of any logger; where nobody else handles them, they are passed on as Python does without any handler."""

    def __init__(self, ear: Ear) -> None:
        super().__init__()
        self._ear = ear

    def emit(self, record: logging.LogRecord) -> None:
        """Keep and pass on."""
        if (player := self._ear.speaker) is not None:
            try:
                line = self.format(record)
            except Exception:  # noqa: BLE001 - a wrong format is told as by any handler, and stops nobody
                self.handleError(record)
                return
            self._ear.keep(player, line, player.book.teller, level=record.levelname, logger=record.name)
        last = logging.lastResort
        if logging.getLogger().handlers == [self] and last is not None and record.levelno >= last.level:
            last.handle(record)


@contextlib.contextmanager
def hearing(engine: Engine) -> Iterator[None]:
    """Until the end, what the engine's strategies print and log is kept; once for a run, not for every call."""
    ear = engine.ear = Ear(engine)
    stream, printing, handler = sys.stdout, None, _Logging(ear)
    if stream is not None:
        sys.stdout = printing = _Printing(stream, ear)
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
        if sys.stdout is printing:
            sys.stdout = stream
        engine.ear = None
