"""What a strategy prints and logs while it plays: passed on, and kept in the run's table `log`."""

from __future__ import annotations

import contextlib
import json
import logging
import sys
import threading
from collections.abc import Iterator
from typing import Any

from bt.engine.players import Player
from bt.engine.playing import Engine

LINES = 1000
"""Lines of a strategy that are kept of one session; the rest is counted."""
LENGTH = 2000
"""Characters of a line that are kept."""


class Ear:
    """Keeps what the strategy that is playing says on the engine's thread, line by line with the time."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._thread = threading.get_ident()
        self._begun: dict[str, str] = {}  # by strategy, a line without its end
        self._count: dict[str, int] = {}

    @property
    def speaker(self) -> Player | None:
        """Who is playing on this thread."""
        return self._engine.speaking if threading.get_ident() == self._thread else None

    def printed(self, text: str) -> None:
        """Text written to standard output."""
        if (player := self.speaker) is None:
            return
        name = player.declaration.name
        *lines, rest = (self._begun.pop(name, "") + text).split("\n")
        if rest:
            self._begun[name] = rest
        for line in lines:
            self.keep(player, line, stream="stdout")

    def keep(self, player: Player, line: str, **fields: str) -> None:
        """One row of the log, unless the session has had many."""
        name = player.declaration.name
        count = self._count[name] = self._count.get(name, 0) + 1
        if count <= LINES:
            told = line if len(line) <= LENGTH else line[:LENGTH] + "..."
            player.account.output.log.append((self._engine.market.now, told, json.dumps(fields, sort_keys=True)))

    def end_session(self) -> None:
        """The session is over: lines without an end are kept too, and how many were not."""
        for player in self._engine.players:
            name = player.declaration.name
            if name in self._begun:
                self.keep(player, self._begun.pop(name), stream="stdout")
            if (more := self._count.pop(name, 0) - LINES) > 0:
                player.account.output.log.append((self._engine.market.now, f"{more} more lines were not kept", "{}"))


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
            self._ear.keep(player, line, level=record.levelname, logger=record.name)
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
