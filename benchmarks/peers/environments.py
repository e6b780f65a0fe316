"""A virtual environment for each list of requirements, made when it is missing or the list has changed."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.pinned import FOLDER, say

LISTS = Path(__file__).resolve().with_name("requirements")
FOLDERS = FOLDER / "peers" / "environments"
NEEDS = {"nautilus": (3, 12)}
"""Environments whose pinned versions need a newer Python than 3.11."""


@dataclass(frozen=True)
class Environment:
    """The Python to run with, or why there is none."""

    python: Path
    missing: str = ""


def version(python: str) -> tuple[int, int] | None:
    """Major and minor version of an interpreter, None if it does not run."""
    command = [python, "-c", "import sys; print(*sys.version_info[:2])"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return None if done.returncode else (int(done.stdout.split()[0]), int(done.stdout.split()[1]))


def interpreter(least: tuple[int, int]) -> str | None:
    """The Python to make an environment with: this one where it is new enough, else one of PATH or of pyenv that is."""
    names = [sys.executable, *(f"python3.{minor}" for minor in range(least[1], 15))]
    found = [path for name in names if (path := shutil.which(name)) is not None]
    kept = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    found += sorted(str(path) for path in kept.glob("versions/3.*/bin/python"))
    return next((path for path in found if (version(path) or (0, 0)) >= least), None)


def environment(name: str) -> Environment:
    """The environment of a list of requirements, "" the one this runs in; made unless it is there with just this list."""
    if not name:
        return Environment(Path(sys.executable))
    wanted = (LISTS / f"{name}.txt").read_text()
    folder = FOLDERS / name
    python, stamp = folder / "bin" / "python", folder / "made-from"
    content = hashlib.sha256(wanted.encode()).hexdigest()
    if stamp.is_file() and stamp.read_text() == content:
        return Environment(python)
    least = NEEDS.get(name, (3, 11))
    made_with = interpreter(least)
    if made_with is None:
        return Environment(python, f"needs Python {least[0]}.{least[1]} or newer, on PATH or in pyenv")
    say(f"making the environment {name}")
    shutil.rmtree(folder, ignore_errors=True)
    install = [
        str(python),
        "-m",
        "pip",
        "install",
        "-q",
        "--disable-pip-version-check",
        "-r",
        str(LISTS / f"{name}.txt"),
    ]
    for command in ([made_with, "-m", "venv", str(folder)], install):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            said = (done.stderr or done.stdout).strip().splitlines() or [f"exit code {done.returncode}"]
            return Environment(python, f"could not be installed: {said[-1]}")
    stamp.write_text(content)
    return Environment(python)
