"""Compiling inner loops to machine code: the only home of Numba. Loops are written where they belong; here is what makes them fast, and how they are kept."""

from bt.jit.ahead import Ahead
from bt.jit.arrays import BoolArray, ByteArray, FloatArray, IntArray, IntCube, IntTable, ReadFloats, SmallTable
from bt.jit.compiling import allocating, compiled, inner, prefetch, saying

__all__ = [
    "Ahead", "BoolArray", "ByteArray", "FloatArray", "IntArray", "IntCube", "IntTable", "ReadFloats", "SmallTable", "allocating", "compiled", "inner", "prefetch", "saying",
]  # fmt: skip
