"""The two commands of the README, with nothing but Python and pip.

    python3 tasks.py main     set up, then replay a strategy over the embedded sample market
    python3 tasks.py test     set up with the developers' tools, then run the tests
    python3 tasks.py setup    only set up, with the developers' tools

Setting up makes a virtual environment in .venv beside this file and installs the project into it. It is done once and
again only after pyproject.toml has changed. Arguments after the task go to what it runs:
`python3 tasks.py test -k clock`, `python3 tasks.py main --set strategy.params.fast=5`.
"""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
STAMP = VENV / "installed.txt"
OLDEST = (3, 11)
SAMPLE_RUN = ("replay", str(Path("data", "configs", "sma_cross.toml")))


def install(extra: str) -> None:
    """Make .venv if it is missing and install the project, editable, with `extra` ("" or "[dev]") unless it is there."""
    wanted = hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest() + sys.version
    done = STAMP.read_text().split("\n", 1) if STAMP.is_file() else ["", ""]
    if done[-1] == wanted and extra in ("", done[0]):
        return
    print(f"setting up {VENV} (once; a few minutes)", file=sys.stderr, flush=True)
    python = BIN / ("python.exe" if os.name == "nt" else "python")
    if not python.is_file():
        subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True)
    subprocess.run([str(python), "-m", "pip", "install", "--quiet", "--editable", f"{ROOT}{extra}"], check=True)
    STAMP.write_text(extra + "\n" + wanted)


def run(program: str, *arguments: str) -> int:
    """Run a program of the environment in the project's folder, after saying so; its exit code."""
    print("$", " ".join([str(Path(BIN.relative_to(ROOT), program)), *arguments]), file=sys.stderr, flush=True)
    environment = dict(os.environ, PATH=str(BIN) + os.pathsep + os.environ.get("PATH", ""))
    try:
        return subprocess.run([str(BIN / program), *arguments], cwd=ROOT, env=environment, check=False).returncode
    except KeyboardInterrupt:  # the program has had it too, and has said what there is to say
        return 130


def main(arguments: list) -> int:
    """Do the task that the first argument names; the exit code."""
    task, rest = (arguments[0] if arguments else "", arguments[1:])
    if task not in ("main", "test", "setup"):
        print(__doc__, file=sys.stderr)
        return 2
    if sys.version_info < OLDEST:
        print(
            "tasks.py: Python must be %d.%d or newer, was %d.%d; run it with another, such as python3.12 tasks.py %s"
            % (*OLDEST, *sys.version_info[:2], task),
            file=sys.stderr,
        )
        return 2
    try:
        install("" if task == "main" else "[dev]")
    except subprocess.CalledProcessError as error:
        print(f"tasks.py: setting up must succeed, was exit code {error.returncode}; see above", file=sys.stderr)
        return 1
    if task == "setup":
        return 0
    workers = str(min(os.cpu_count() or 1, 8))
    return run("bt", *SAMPLE_RUN, *rest) if task == "main" else run("pytest", "-q", "-n", workers, *rest)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
