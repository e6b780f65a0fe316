"""How many threads Polars may use, said before it is imported: afterwards it no longer listens."""

from __future__ import annotations

import os
import sys
import tomllib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

VARIABLE = "POLARS_MAX_THREADS"
KEY = "engine.threads"


def limit_polars(config: Path, threads: int | None, settings: Sequence[str]) -> None:
    """Set POLARS_MAX_THREADS to the engine.threads of a replay, by the precedence of `bt.config`.

    Nothing is judged here: a wrong value is told when the configuration is loaded. 0 leaves the variable alone.
    """
    if "polars" in sys.modules:
        return
    number = _number(threads)
    for given in (_setting(settings), os.environ.get("BT_ENGINE__THREADS"), _in_file(config)):
        number = _number(given) if number is None else number
    if number is not None and number > 0:
        os.environ[VARIABLE] = str(number)


def _number(value: Any) -> int | None:
    with suppress(TypeError, ValueError):
        return int(value)
    return None


def _setting(settings: Sequence[str]) -> str | None:
    found = [value.strip() for key, _, value in (s.partition("=") for s in settings) if key.strip() == KEY]
    return found[-1] if found else None


def _in_file(config: Path) -> Any:
    with suppress(OSError, ValueError):  # TOMLDecodeError and UnicodeDecodeError are ValueErrors
        engine = tomllib.loads(config.read_bytes().decode("utf-8")).get("engine")
        return engine.get("threads") if isinstance(engine, dict) else None
    return None
