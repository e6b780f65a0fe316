"""Targets between the strategy that gives them and the rules that look at them."""

from __future__ import annotations

import numpy as np

from bt.jit import IntArray, read_only


class Waiting:
    """Targets that wait to be looked at, in the order in which they were given, put down where the rules read them; `count` of them."""

    __slots__ = ("_codes", "_levels", "_looks", "_tags", "count")

    def __init__(self, room: int = 16) -> None:
        self.count = 0
        self._make(room)

    def _make(self, room: int) -> None:
        codes, self._levels, self._tags = (np.zeros(room, dtype=np.int64) for _ in range(3))
        self._looks: tuple[memoryview[int], ...] = codes.data, self._levels.data, self._tags.data
        self._codes = read_only(codes)

    def put(self, code: int, level: int, tag: int) -> None:
        """One more: the level is NULL where it cannot be known, the tag is its code."""
        count = self.count
        if count == len(self._codes):
            before = self._codes, self._levels, self._tags
            self._make(2 * count)
            for look, old in zip(self._looks, before, strict=True):
                look[:count] = old.data
        codes, levels, tags = self._looks
        codes[count], levels[count], tags[count] = code, level, tag
        self.count = count + 1

    def taken(self) -> tuple[IntArray, IntArray, IntArray]:
        """All of them, and none waits any more: codes, levels and tags, until the next is put down."""
        count, self.count = self.count, 0
        return self._codes[:count], self._levels[:count], self._tags[:count]
