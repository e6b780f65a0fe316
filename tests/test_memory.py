"""What a process keeps of the memory that it has freed."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from bt import memory


def resident() -> int:
    """Pages in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1])


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc keeps freed blocks on Linux alone")
def test_what_is_free_goes_back_only_beyond_a_limit():
    assert memory.keep_freed_memory()
    some = [np.ones(1 << 16) for _ in range(400)]  # 200 MB in blocks of half a megabyte
    last = np.ones(1 << 16)
    del some
    before = resident()
    assert not memory.give_back_memory(1 << 50)
    assert resident() > 0.9 * before
    assert memory.give_back_memory(0)
    assert resident() < before - 20_000
    assert last.all()


def test_without_the_systems_figure_nothing_is_done(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(memory, "_STATM", tmp_path / "none")
    assert not memory.give_back_memory(0)
