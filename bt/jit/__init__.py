"""Compiling inner loops to machine code: the only home of Numba. Loops are written where they belong; here is what makes them fast, and how they are kept."""

from bt.jit.ahead import Ahead
from bt.jit.arrays import (
    BoolArray,
    BoolTable,
    ByteArray,
    FloatArray,
    FloatCube,
    FloatTable,
    IntArray,
    IntCube,
    IntTable,
    ReadCodes,
    ReadFloats,
    ReadInts,
    SmallInts,
    SmallTable,
    read_only,
)
from bt.jit.compiling import LINE, allocating, compiled, inner, prefetch, saying

__all__ = [
    "LINE", "Ahead", "BoolArray", "BoolTable", "ByteArray", "FloatArray", "FloatCube", "FloatTable", "IntArray", "IntCube", "IntTable", "ReadCodes", "ReadFloats", "ReadInts", "SmallInts", "SmallTable",
    "allocating", "compiled", "inner", "prefetch", "read_only", "saying",
]  # fmt: skip
