"""Plants each bug of mutants.toml in a copy of the project and shows which test catches it: ``just mutants``.

    python tests/mutants.py             all of them
    python tests/mutants.py commission  those whose name contains all words

The tests are first run on the unchanged copy; then for each mutant until the first failure. The exit code is 1 if a mutant
survives.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COPIED = ("bt", "tests", "benchmarks", "data", "docs", "examples", "pyproject.toml")
SECONDS = 600
"""A mutant whose tests take longer than this is caught too: it hangs."""


@dataclass(frozen=True)
class Mutant:
    """One planted bug: `old` becomes `new` in `file`; `tests` are files or node ids of pytest."""

    name: str
    file: str
    old: str
    new: str
    why: str
    tests: tuple[str, ...]

    def planted(self, source: str) -> str:
        """The file's text with the bug in it.

        Raises
        ------
        ValueError
            `old` is not there exactly once.
        """
        if source.count(self.old) != 1:
            raise ValueError(f"{self.file}: mutant {self.name!r} must apply once, was {source.count(self.old)} times")
        return source.replace(self.old, self.new)


def mutants() -> list[Mutant]:
    """All of mutants.toml, in order."""
    with (ROOT / "tests" / "mutants.toml").open("rb") as file:
        return [Mutant(**{**m, "tests": tuple(m["tests"])}) for m in tomllib.load(file)["mutant"]]


def verdict(
    folder: Path, tests: tuple[str, ...], *, seconds: int | None = SECONDS, workers: int = 0
) -> tuple[bool, str]:
    """Whether the tests pass in `folder`, and the one that failed first; longer than `seconds` is a failure."""
    options = ["-x", "-q", "-n", str(workers), "-p", "no:cacheprovider", "--hypothesis-seed=0"]
    command = [sys.executable, "-m", "pytest", *options, *tests]
    environment = dict(os.environ, PYTHONDONTWRITEBYTECODE="1", BT_PROPS_SHRINK="0")
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        return False, f"no end after {seconds} s"
    named = [line.split(" - ")[0] for line in done.stdout.splitlines() if line.startswith(("FAILED ", "ERROR "))]
    told = (
        named[0].split(" ", 1)[1] if named else f"exit code {done.returncode}: {done.stdout[-300:]}{done.stderr[-300:]}"
    )
    return done.returncode == 0, told


def main(words: list[str]) -> int:
    """Print the table; the exit code."""
    chosen = [m for m in mutants() if all(w in m.name for w in words)]
    if not chosen:
        print(f"a mutant's name must have all of {words}; none has", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="mutants-") as name:
        folder = Path(name)
        for part in COPIED:
            source = ROOT / part
            ignored = shutil.ignore_patterns("__pycache__", "runs")
            shutil.copytree(source, folder / part, ignore=ignored) if source.is_dir() else shutil.copy(source, folder)
        every = tuple(dict.fromkeys(test for m in chosen for test in m.tests))
        sound, told = verdict(folder, every, seconds=None, workers=2)
        if not sound:
            print(f"without any mutant the tests must pass, was {told}", file=sys.stderr)
            return 1
        survived = 0
        for mutant in chosen:
            path, began = folder / mutant.file, time.monotonic()
            before = path.read_text(encoding="utf-8")
            path.write_text(mutant.planted(before), encoding="utf-8")
            alive, told = verdict(folder, mutant.tests)
            path.write_text(before, encoding="utf-8")
            survived += alive
            state = "SURVIVED" if alive else "killed"
            print(f"{state:8} {time.monotonic() - began:5.0f} s  {mutant.name:52} {'' if alive else told}", flush=True)
    print(f"{len(chosen) - survived} of {len(chosen)} killed")
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
