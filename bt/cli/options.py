"""Options that several commands share, as the rooms below want them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from bt.errors import BtError, ConfigError

SAID = (
    (r'data\.columns\.(\w+) = "(.*?)"', r"--column \1=\2"),
    (r'data\.timezone = "(.*?)"', r"--tz \1"),
    (r'data\.stamp = "(.*?)"', r"--stamp \1"),
    (r"session\.(start|end)", r"--\1"),
    (r"^(start|end): it", r"--\1: it"),
    (r"^[^:]+: start must be <= end", r"--start: it must be on or before the end"),
    (r"^intervals: each", r"--interval: it"),
    (r"data\.symbols", r"--symbols"),
)
"""How a hint that names a configuration's key reads where there is no configuration."""


def columns_given(texts: Sequence[str]) -> dict[str, str]:
    """Our names to the files', of every ``--column open=o``.

    Raises
    ------
    ConfigError
        One that is not two names with ``=`` between them, or a name of ours given twice.
    """
    columns: dict[str, str] = {}
    for text in texts:
        ours, equals, theirs = (part.strip() for part in text.partition("="))
        if not (ours and equals and theirs):
            raise ConfigError(f"--column: it must be OURS=THEIRS, was {text!r}; for example --column open_time=ts")
        if ours in columns:
            raise ConfigError(f"--column: {ours} must be given once, was {columns[ours]!r} and {theirs!r}; drop one")
        columns[ours] = theirs
    return columns


def symbols_given(texts: Sequence[str]) -> str | list[str]:
    """What ``--symbols`` means to the configuration: a list, "all", or the name of a file."""
    if len(texts) == 1 and (texts[0] == "all" or texts[0].endswith(".txt")):
        return texts[0]
    return [symbol.strip() for text in texts for symbol in text.split(",")]


@contextmanager
def in_options() -> Iterator[None]:
    """Errors from inside name options instead of a configuration's keys."""
    try:
        yield
    except BtError as error:
        message = str(error)
        for key, option in SAID:
            message = re.sub(key, option, message)
        raise type(error)(message) from error
