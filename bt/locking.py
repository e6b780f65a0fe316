"""One process at a time writes into a folder."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bt.errors import LockedError

if sys.platform != "win32":
    import fcntl


class Lock:
    """A folder that this process alone writes into, until `release`; the system lets go of it when a process dies. Windows cannot lock a folder: there nothing is held.

    Raises
    ------
    LockedError
        Another process holds it; `refusal` is what that says.
    """

    def __init__(self, folder: Path, refusal: str) -> None:
        self._descriptor: int | None = None
        if sys.platform == "win32":
            return
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise LockedError(refusal) from None
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor

    def release(self) -> None:
        """Let others have it; a second time nothing happens."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


@contextmanager
def alone(folder: Path, refusal: str) -> Iterator[None]:
    """Hold a folder, as `Lock`."""
    lock = Lock(folder, refusal)
    try:
        yield
    finally:
        lock.release()
