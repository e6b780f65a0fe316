"""What compiled functions are handed, by the names that tell their types: all lie one element behind another, rows first."""

from __future__ import annotations

from typing import TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

IntArray: TypeAlias = npt.NDArray[np.int64]
FloatArray: TypeAlias = npt.NDArray[np.float64]
BoolArray: TypeAlias = npt.NDArray[np.bool_]
ByteArray: TypeAlias = npt.NDArray[np.uint8]
SmallInts: TypeAlias = npt.NDArray[np.int16]
ReadFloats: TypeAlias = npt.NDArray[np.float64]
"""Not to be written."""
ReadInts: TypeAlias = npt.NDArray[np.int64]
"""Likewise."""
ReadCodes: TypeAlias = npt.NDArray[np.uint16]
"""Likewise."""
IntTable: TypeAlias = npt.NDArray[np.int64]
"""Of two dimensions."""
SmallTable: TypeAlias = npt.NDArray[np.int32]
"""Likewise."""
FloatTable: TypeAlias = npt.NDArray[np.float64]
"""Likewise."""
BoolTable: TypeAlias = npt.NDArray[np.bool_]
"""Likewise."""
IntCube: TypeAlias = npt.NDArray[np.int64]
"""Of three."""
FloatCube: TypeAlias = npt.NDArray[np.float64]
"""Likewise."""

Scalar = TypeVar("Scalar", bound=np.generic)


def read_only(values: npt.NDArray[Scalar]) -> npt.NDArray[Scalar]:
    """The same values, not to be written: what is compiled for one kind of array is compiled anew for the other."""
    if not values.flags.writeable:
        return values
    view = values.view()
    view.setflags(write=False)
    return view
