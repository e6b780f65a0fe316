"""Fields of rows that show outside tables, `<table>_<column>`: which there are, and what they may be annotated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from bt.errors import StrategyError
from bt.strategy.loading import nearest

ALLOWED: Mapping[str, tuple[str, ...]] = {
    "float": ("float",),
    "int": ("int", "float"),
    "bool": ("bool",),
    "str": ("str",),
    "date": ("date",),
    "datetime": ("datetime",),
}
"""What a column of each kind may be annotated."""


class TableColumns(NamedTuple):
    """An outside table's columns: each one's kind, a key of `ALLOWED`, or what it is instead; `source` names the file."""

    source: str
    kinds: Mapping[str, str]


def annotated(field: str, tables: Mapping[str, TableColumns], where: str) -> tuple[str, ...]:
    """What a field that is named like a table's may be annotated; empty where it is named like none.

    Raises
    ------
    StrategyError
        The table has no such column, or one that rows cannot show; or two tables have it.
    """
    named = {table: field[len(table) + 1 :] for table in tables if field.startswith(f"{table}_")}
    found = [table for table, column in named.items() if column in tables[table].kinds]
    if len(found) > 1:
        raise StrategyError(f"{where} must be of one table, was of {' and '.join(found)}; give one another name")
    if found:
        kind = tables[found[0]].kinds[named[found[0]]]
        if kind not in ALLOWED:
            raise StrategyError(
                f"{where} must be of a column that holds numbers, text, dates or times with a zone, but "
                f"{named[found[0]]!r} of {tables[found[0]].source} is {kind}; cast it in the file"
            )
        return ALLOWED[kind]
    for table, column in named.items():
        known = [f"{table}_{name}" for name in tables[table].kinds]
        hint = nearest(field, known) or f"it has {', '.join(tables[table].kinds)}"
        raise StrategyError(
            f"{where} must be a column of the table {table}, but {tables[table].source} has no {column!r}; {hint}"
        )
    return ()
