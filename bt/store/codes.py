"""Symbols become codes without their strings ever leaving DuckDB.

DuckDB hashes a dictionary-encoded column once per dictionary entry. Some bits of that hash that differ for all symbols
of the store index a table of codes: a perfect hash, found once when the store is opened. A join inside DuckDB costs as
little but does not keep the rows' order; casting the strings afterwards costs 20 ns a row more.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

UNWANTED = 65535
"""The code of rows of symbols that were not asked for."""

UInt16Array = npt.NDArray[np.uint16]

_MOST_BITS = 24
"""A table of 32 MB: enough for some ten thousand symbols."""


class SymbolCodes:
    """Codes of the symbols of a store's files.

    Parameters
    ----------
    names : sequence of str
        Every symbol of the files, sorted.
    hashes : array of uint64
        What DuckDB's ``hash`` gives for each.
    codes : array of uint16
        The code of each, or UNWANTED.
    """

    def __init__(self, names: Sequence[str], hashes: npt.NDArray[np.uint64], codes: UInt16Array) -> None:
        self._names = pl.Series(names, dtype=pl.String)
        self._codes = codes
        self._bits = _perfect_bits(hashes)
        if self._bits is not None:
            bits, shift = self._bits
            self._slots = _slots(hashes, bits, shift)

    def sql(self, column: str) -> str:
        """The SQL of what `decode` takes, from the SQL of the symbol column."""
        if self._bits is None:
            return column
        bits, shift = self._bits
        return f"((hash({column}) >> {shift}) & {(1 << bits) - 1})::UINTEGER"

    def decode(self, column: pl.Series, wanted: Sequence[int] | None) -> UInt16Array:
        """The code of each row of a column read by `sql`; UNWANTED where it is not in `wanted` (None: any)."""
        codes: UInt16Array = self._codes
        if wanted is not None:
            codes = np.where(np.isin(codes, np.asarray(wanted)), codes, np.uint16(UNWANTED))
        if self._bits is None:
            return np.take(codes, column.cast(pl.Enum(self._names)).to_physical().to_numpy())
        table = np.full(1 << self._bits[0], UNWANTED, np.uint16)
        table[self._slots] = codes
        return np.take(table, column.to_numpy())


def _slots(hashes: npt.NDArray[np.uint64], bits: int, shift: int) -> npt.NDArray[np.int64]:
    return ((hashes >> np.uint64(shift)) & np.uint64((1 << bits) - 1)).astype(np.int64)


def _perfect_bits(hashes: npt.NDArray[np.uint64]) -> tuple[int, int] | None:
    """How many bits of the hashes, from which on, differ for all of them; None if that would take too large a table.

    With n hashes and b bits a try succeeds with probability exp(-n^2 / 2^(b + 1)); about 40 shifts are tried.
    """
    fewest = max(1, (len(hashes) ** 2 // 16).bit_length())
    for bits in range(fewest, _MOST_BITS + 1):
        for shift in range(65 - bits):
            slots = np.sort(_slots(hashes, bits, shift))
            if (slots[1:] != slots[:-1]).all():
                return bits, shift
    return None
