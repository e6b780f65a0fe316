"""A membership table: which symbols were members of something (an index, a list) from when to when."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from bt.errors import DataError

IntArray = npt.NDArray[np.int64]
Masks = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Listed:
    """A membership table: a row of each membership, `begin` included, `end` not, as days since the epoch."""

    code: IntArray
    begin: IntArray
    end: IntArray
    symbols: int

    def at(self, day: date) -> Masks:
        """Who is a member on a day."""
        number = (day - date(1970, 1, 1)).days
        made = np.zeros(self.symbols, dtype=bool)
        made[self.code[(self.begin <= number) & (number < self.end)]] = True
        return made

    @staticmethod
    def read(path: str, symbols: Sequence[str]) -> Listed:
        """From Parquet; symbols that are no candidates are left out.

        Raises
        ------
        DataError
        """
        frame = _read(path)
        codes = pl.DataFrame({"symbol": symbols}, {"symbol": pl.String}).with_row_index("code")
        kept = frame.join(codes, on="symbol", maintain_order="left")
        if not kept.height:
            raise DataError(
                f"{path}: column symbol must name some of the {len(symbols)} candidates, was {frame['symbol'].head(3).to_list()} "
                "and the like; spell them as the bars do"
            )
        begin, end = (kept[c].to_physical().cast(pl.Int64) for c in ("from", "to"))
        forever = int(np.iinfo(np.int64).max)
        return Listed(
            kept["code"].cast(pl.Int64).to_numpy(), begin.to_numpy(), end.fill_null(forever).to_numpy(), len(symbols)
        )


def content(path: str) -> str:
    """The SHA-256 of a membership table's file, which can be used.

    Raises
    ------
    DataError
    """
    _read(path)
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read(path: str) -> pl.DataFrame:
    """The columns from, to and symbol of a table, checked."""
    if not Path(path).is_file():
        raise DataError(f"{path}: the membership table must be a Parquet file, was not there; mend universe.table")
    try:
        frame = pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{path}: the membership table must be Parquet, was refused ({reason})") from error
    for column in ("from", "to", "symbol"):
        if column not in frame.columns:
            raise DataError(f"{path}: column {column} must be there, was not among {', '.join(frame.columns)}")
        kind = frame[column].dtype
        text = isinstance(kind, pl.String | pl.Categorical | pl.Enum)
        if column == "symbol" and not text:
            raise DataError(f"{path}: column symbol must be text, was {kind}")
        if column != "symbol" and kind != pl.Date and not (column == "to" and kind == pl.Null):
            raise DataError(f"{path}: column {column} must be dates, was {kind}; cast it to Date")
        if column != "to" and frame[column].null_count():
            raise DataError(f"{path}: column {column} must have no null, was null in {frame[column].null_count()} rows")
    made = frame.select("from", pl.col("to").cast(pl.Date), pl.col("symbol").cast(pl.String))
    for begin, end, symbol in made.filter(pl.col("to") < pl.col("from")).head(1).iter_rows():
        raise DataError(
            f"{path}: column to must be on or after from, was {end} with from {begin} of {symbol}; mend the row"
        )
    return made
