"""What compiled functions are handed, by the names that tell their types: all lie one element behind another, rows first."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

IntArray: TypeAlias = npt.NDArray[np.int64]
FloatArray: TypeAlias = npt.NDArray[np.float64]
BoolArray: TypeAlias = npt.NDArray[np.bool_]
ByteArray: TypeAlias = npt.NDArray[np.uint8]
ReadFloats: TypeAlias = npt.NDArray[np.float64]
"""Not to be written."""
IntTable: TypeAlias = npt.NDArray[np.int64]
"""Of two dimensions."""
SmallTable: TypeAlias = npt.NDArray[np.int32]
"""Likewise."""
IntCube: TypeAlias = npt.NDArray[np.int64]
"""Of three."""
