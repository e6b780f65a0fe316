"""Progress in a notebook: a bar where a kernel runs the code, nothing elsewhere."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import IPython
import pytest
from cli_runs import ROOT

import bt
from bt import notebook


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a notebook would show, drawing after drawing."""
    drawings: list[str] = []

    def display(html: Any, *, display_id: bool) -> Any:
        assert display_id
        drawings.append(html.data)
        return SimpleNamespace(update=lambda html: drawings.append(html.data))

    monkeypatch.setattr(IPython, "get_ipython", lambda: SimpleNamespace(kernel=object()))
    monkeypatch.setattr("IPython.display.display", display)
    monkeypatch.setattr(notebook, "PAUSE", 0.0)
    return drawings


def replay(**more: Any) -> bt.Run:
    return bt.replay(
        ROOT / "data" / "configs" / "sma_cross.toml", start="2024-12-03", symbols=["DUNE"], save=False, **more
    )


def test_a_replay_shows_a_bar(shown):
    run = replay()
    assert shown[0].startswith('<progress max="4" value="1"></progress> 1 of 4 sessions, ')
    assert shown[-2].startswith('<progress max="4" value="4">')
    assert shown[-1].startswith(f"4 of 4 sessions, {run.summary['bars']:,} bars, ")


def test_a_callable_of_ones_own_stands_for_the_bar(shown):
    told = []
    replay(progress=lambda *numbers: told.append(numbers))
    assert [numbers[:2] for numbers in told] == [(n, 4) for n in range(1, 5)]
    assert shown == []


def test_nothing_is_shown_elsewhere(monkeypatch):
    monkeypatch.setattr(IPython, "get_ipython", SimpleNamespace)  # IPython in a terminal
    assert not notebook.in_notebook()
    code = (
        "import sys, bt; from bt.notebook import in_notebook; bt.replay; print(in_notebook(), 'IPython' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert told.stdout.split() == ["False", "False"]
