"""A run read back from its folder."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from bt.errors import DataError, UsageError
from bt.metrics import Metrics
from bt.results import open_documents, open_tables
from bt.run.result import Run

CLOCK = ("seconds", "bars_per_second", "peak_rss_mb")
"""What the summary takes from timings.json."""


def open_run(path: str | os.PathLike[str]) -> Run:
    """The run in a folder, equal to what `bt.replay` returned; a table is read when it is first asked for.

    Raises
    ------
    UsageError
        `path` is no folder of a finished run.
    DataError
        The folder is damaged.
    """
    given: object = path
    if not isinstance(given, str | os.PathLike):
        raise UsageError(f"open_run: it must be the folder of a finished run, was {given!r}; bt.runs lists them")
    folder = Path(os.path.normpath(Path.cwd() / path))
    documents = open_documents(folder)
    manifest, metrics, timings = documents["manifest"], documents["metrics"], documents["timings"]
    try:
        summary = {"run": str(folder), **metrics["summary"], **{key: timings[key] for key in CLOCK}}
        for day in ("start", "end"):
            summary.setdefault(day, manifest["spec"]["session"][day])  # an earlier version did not tell them
        own = {name: _metrics(told) for name, told in metrics["strategies"].items()}
        return Run(
            folder, summary, _metrics(metrics["account"]), own, manifest["finish_reason"], manifest["stop_reason"],
            open_tables(folder), manifest,
        )  # fmt: skip
    except KeyError as error:
        raise DataError(
            f"{folder}: its documents must have {error}, were without; the folder is damaged or of another version"
        ) from error


def _metrics(told: Mapping[str, Any]) -> Metrics:
    """Metrics as an earlier version may have told them: a figure that it had not is None."""
    return Metrics(**{field.name: told.get(field.name) for field in fields(Metrics)})  # type: ignore[arg-type]
