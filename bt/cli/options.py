"""Options that several commands share, as the rooms below want them."""

from __future__ import annotations

from collections.abc import Sequence

from bt.errors import ConfigError


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
