"""What a process imports: `bt --help` and a replay start fast because of what they leave alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOADED = "import sys; print(*sorted(sys.modules))"


def loaded(code: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{LOADED}"], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return set(done.stdout.splitlines()[-1].split())


def test_the_command_line_starts_without_the_libraries_that_compute():
    assert not loaded("import bt.cli") & {"polars", "duckdb", "pyarrow", "numpy", "pandas", "exchange_calendars"}


def test_a_replay_does_without_pandas_once_the_schedule_is_cached():
    replay = 'import bt; bt.replay("data/configs/sma_cross.toml", start="2024-11-25", save=False)'
    assert "polars" in loaded(replay)
    assert not loaded(replay) & {"pandas", "exchange_calendars"}


def test_a_replay_does_without_what_compiling_takes_once_the_rules_are_compiled():
    replay = 'import bt; bt.replay("data/configs/sma_cross.toml", start="2024-11-25", save=False)'
    loaded(replay)  # compiles what is not
    assert "numba" in loaded(replay)
    assert not loaded(replay) & {"numba.np.linalg", "scipy.linalg"}


def test_the_collector_hardly_looks_while_modules_are_imported():
    """It would look 290 times, a tenth of the time, and has its own habits back at the end."""
    code = "import gc; looks = []; gc.callbacks.append(lambda phase, _: looks.append(phase)); before = gc.get_threshold(); import bt; bt.replay"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; print(len(looks) // 2, gc.get_threshold() == before)"],
        capture_output=True, text=True, check=True, cwd=ROOT,
    )  # fmt: skip
    looks, same = done.stdout.split()
    assert int(looks) < 100
    assert same == "True"
