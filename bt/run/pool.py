"""Other processes that work for this one.

Each is started afresh and does one job after another (`bt.run.worker`): it is never forked, for DuckDB and Polars would wait for ever for threads that
a fork leaves behind, and it does not run the caller's script again, as `multiprocessing` would. What it is given travels by value
(`bt.strategy.dumps`), and what it tells comes in order; a few messages wait for their reader, then the worker does.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import pickle
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from queue import Empty, Full, Queue, SimpleQueue
from threading import Event, Thread
from types import TracebackType
from typing import IO, Any, Self

from bt.cores import usable_cores
from bt.errors import BtError, WorkerError
from bt.strategy import dumps

Tell = Callable[[Any], None]
Work = Callable[[Any, Tell], Any]
"""A job of a worker's, a function of a module: it is given its argument and how to tell anything meanwhile, and gives a result."""

AHEAD = 4
"""Messages of a worker that wait to be read before it has to wait itself: so memory does not grow with a fast worker."""

PAUSE = 0.02
"""Seconds between two looks at workers that have told nothing."""

BOOT = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from bt.collector import START, seldom
with seldom(START):
    from bt.run.worker import main
    main()
"""
HEAD = struct.Struct(">Q")


@dataclass(frozen=True)
class Result:
    """What a worker's function gave back: the last message of a job."""

    value: Any


class Worker:
    """One process. As a context manager it is gone at the end, whatever it was doing.

    Parameters
    ----------
    threads : int
        Threads that Polars may use there; 0 leaves it alone.
    """

    def __init__(self, *, threads: int = 0) -> None:
        environment = {**os.environ, "POLARS_MAX_THREADS": str(threads)} if threads else dict(os.environ)
        apart: dict[str, Any] = {"process_group": 0}  # Ctrl-C at a terminal is for this process, which ends the others
        if os.name == "nt":
            apart = {"creationflags": getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)}
        self._process: subprocess.Popen[bytes] = subprocess.Popen(  # noqa: S603 - this Python, our own words
            [sys.executable, "-c", BOOT, json.dumps(sys.path)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, **apart,
        )  # fmt: skip
        self._jobs: SimpleQueue[bytes | None] = SimpleQueue()
        self._messages: Queue[tuple[str, Any]] = Queue(AHEAD)
        self._closed = Event()
        self._listener = Thread(target=self._listen, name="bt-worker", daemon=True)
        self._listener.start()

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    def begin(self, work: Work, argument: Any) -> None:
        """Have it do ``work(argument, tell)``, once it has told the `Result` of what it was given before.

        Raises
        ------
        StrategyError
            That cannot be carried there.
        """
        self._jobs.put(dumps((work, argument), "engine.workers: what a worker is given"))

    def take(self, stop: Event | None = None) -> Any:
        """What the worker tells next of a job, its `Result` at last; what it prints meanwhile is printed. None once `stop` is set.

        Raises
        ------
        WorkerError
            It has ended before its time, or its function raised something that is no error of ours.
        BtError, SystemExit
            Its function raised that.
        """
        while stop is None or not stop.is_set():
            if (told := self.poll(0.1)) is not None:
                return told
        return None

    def poll(self, seconds: float = 0.0) -> Any:
        """As `take`; None where the worker has told nothing, waiting so long for it."""
        try:
            kind, value = self._messages.get(timeout=seconds) if seconds else self._messages.get_nowait()
        except Empty:
            return None
        if kind == "said":
            sys.stdout.write(value)
            return None
        if kind == "told":
            return value
        if kind == "done":
            return Result(value)
        if kind == "raised":
            raise _raised(*value)
        raise WorkerError(_death(self._ended()))

    def _ended(self) -> int:
        """The exit code of a process that tells nothing more."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(timeout=5)
        self._process.kill()
        return self._process.wait()

    def close(self) -> None:
        """End the process."""
        self._closed.set()
        self._process.kill()
        self._process.wait()
        self._jobs.put(None)
        self._listener.join()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # ------------------------------------------------------------------------------------------- on a thread of its own

    def _listen(self) -> None:
        """Hand over a job and receive until its last message, again and again until `close` or the process's end."""
        with contextlib.suppress(Exception):  # in the middle of a message, or of ours, or nothing that can be read
            while (job := self._jobs.get()) is not None and self._does(job):
                pass
        self._put(("died", None))  # whoever asks for more is told

    def _does(self, job: bytes) -> bool:
        """Receive all that a job tells; whether the process does another one."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        send(self._process.stdin, job)
        while (data := receive(self._process.stdout)) is not None:
            message = pickle.loads(data)  # noqa: S301 - from our own process
            self._put(message)
            if message[0] in ("done", "raised"):
                return bool(message[0] == "done")
        raise EOFError

    def _put(self, message: tuple[str, Any]) -> None:
        while not self._closed.is_set():
            with contextlib.suppress(Full):
                self._messages.put(message, timeout=0.1)
                return


def send(pipe: IO[bytes], data: bytes) -> None:
    """One message."""
    pipe.write(HEAD.pack(len(data)))
    pipe.write(data)
    pipe.flush()


def receive(pipe: IO[bytes]) -> bytes | None:
    """One message, None at the end.

    Raises
    ------
    EOFError
        The end came in the middle of a message.
    """
    head = pipe.read(HEAD.size)
    if not head:
        return None
    data = pipe.read(HEAD.unpack(head)[0]) if len(head) == HEAD.size else b""
    if len(head) < HEAD.size or len(data) < HEAD.unpack(head)[0]:
        raise EOFError
    return data


def _raised(error: BaseException | None, text: str) -> BaseException:
    if isinstance(error, BtError | SystemExit):
        return error
    return WorkerError(f"engine.workers: a worker must come to its end, was stopped by an error:\n{text}")


def _death(code: int) -> str:
    how = f"ended by itself with exit code {code}"
    if code < 0:
        with contextlib.suppress(ValueError):
            how = f"ended by signal {-code} ({signal.Signals(-code).name})"
    return (
        f"engine.workers: a worker must live until its part is done, was {how}; systems do that when memory is short: "
        "use fewer workers or a smaller session.prefetch_days"
    )


class Crew:
    """Some workers, which begin to start at once. As a context manager all of them are gone at the end."""

    def __init__(self, workers: int, *, threads: int = 0) -> None:
        with contextlib.ExitStack() as stack:
            self.workers = [stack.enter_context(Worker(threads=threads)) for _ in range(workers)]
            self._stack = stack.pop_all()

    def played(
        self, work: Work, arguments: Sequence[Any], heard: Callable[[int, Any], None] | None = None
    ) -> Iterator[tuple[int, Any]]:
        """``work(argument, tell)`` for each of the arguments, by who has nothing to do: each argument's number and result, as they come.

        `heard` is called with the number and what is told. Who leaves the iterator before its end, or after an error, has to end the crew.

        Raises
        ------
        WorkerError, BtError
            As `Worker.take`.
        """
        waiting, idle = iter(enumerate(arguments)), list(self.workers)
        running: dict[int, Worker] = {}
        while True:
            for number, argument in itertools.islice(waiting, len(idle)):
                running[number] = idle.pop()
                running[number].begin(work, argument)
            if not running:
                return
            told = [(number, worker.poll()) for number, worker in running.items()]
            for number, value in told:
                if isinstance(value, Result):
                    idle.append(running.pop(number))
                    yield number, value.value
                elif value is not None and heard is not None:
                    heard(number, value)
            if all(value is None for _, value in told):
                time.sleep(PAUSE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()


def crew_of(workers: int, threads: int) -> contextlib.AbstractContextManager[Crew | None]:
    """So many workers, who share `threads`; none where there is one, which is this process."""
    return contextlib.nullcontext() if workers == 1 else Crew(workers, threads=threads_each(threads, workers))


def threads_each(threads: int, workers: int) -> int:
    """Threads of each of some workers: an equal part of `threads`, or of all that this process may use where that is 0."""
    if not threads:
        threads = usable_cores()
    return max(1, threads // workers)
