"""Schedules on disk, so that a run does not pay for importing exchange_calendars (1-2 s) again.

A file is one line of JSON (zone, bounds, SHA-256 of the rest) and an Arrow IPC file. Its name holds everything the
content depends on: calendar, pinned bounds, version of exchange_calendars, version of the overlays.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tempfile
from contextlib import suppress
from datetime import date
from importlib.metadata import version
from pathlib import Path
from urllib.parse import quote

import polars as pl

from bt.model import Schedule
from bt.sessions.overlays import OVERLAY_VERSION
from bt.sessions.window import SCHEMA, Window


def identity(name: str) -> str:
    """A calendar's name with the versions that its sessions depend on."""
    return f"{quote(name, safe='')}_xc{version('exchange_calendars')}_o{OVERLAY_VERSION}"


def schedule_file(folder: Path, name: str, first: date, last: date) -> Path:
    """Where the schedule of calendar `name` from `first` to `last` is kept."""
    return folder / "schedules" / f"{identity(name)}_{first}_{last}.schedule"


def read_window(path: Path, first: date, last: date) -> Window | None:
    """The window kept in `path`, or None when there is none or the file is damaged."""
    try:
        head, _, body = path.read_bytes().partition(b"\n")
        told = json.loads(head)
        if hashlib.sha256(body).hexdigest() != told["sha256"]:
            return None
        frame = pl.read_ipc(io.BytesIO(body))
        if dict(frame.schema) != SCHEMA:
            return None
        days = {key: date.fromisoformat(told[key]) for key in ("first", "last", "earliest", "latest")}
        schedule = Schedule(str(told["calendar"]), str(told["zone"]), frame)
    except (OSError, ValueError, KeyError, TypeError, pl.exceptions.PolarsError):
        return None
    return Window(schedule=schedule, asked_first=first, asked_last=last, **days)


def write_window(path: Path, window: Window) -> None:
    """Keep `window` in `path`: whole or not at all. A folder that cannot be written is no error."""
    buffer = io.BytesIO()
    window.schedule.frame.write_ipc(buffer)
    body = buffer.getvalue()
    told = {key: str(getattr(window, key)) for key in ("first", "last", "earliest", "latest")}
    told |= {"calendar": window.schedule.calendar, "zone": window.schedule.zone}
    told["sha256"] = hashlib.sha256(body).hexdigest()
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=".", suffix=".part", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(json.dumps(told, sort_keys=True).encode() + b"\n" + body)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(path)
        except OSError:
            with suppress(OSError):
                Path(temporary).unlink()
            raise
