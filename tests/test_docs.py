"""What the documentation says is true: commands run, Python runs, tables of keys are complete."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from bt.config.tables import KEYS
from bt.metrics import Metrics
from bt.results.tables import SCHEMAS
from bt.schema import FAULT_REASONS, OUTSIDE_REASONS

ROOT = Path(__file__).resolve().parents[1]
BT = "import sys; from bt.cli import main; sys.exit(main())"
PAGES = ["README.md", *sorted(p.relative_to(ROOT).as_posix() for p in (ROOT / "docs").glob("*.md"))]


def blocks(page: str, language: str) -> list[str]:
    """Fenced blocks of one language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", (ROOT / page).read_text(), flags=re.MULTILINE | re.DOTALL)


def commands(page: str) -> list[str]:
    """The lines after `$ ` in console blocks, continued lines joined."""
    text = "\n".join(blocks(page, "console")).replace("\\\n", " ")
    return [line[2:] for line in text.splitlines() if line.startswith("$ ")]


@pytest.fixture
def workplace(tmp_path: Path) -> Path:
    """A folder with copies of data/ and examples/, as in a checkout."""
    for folder in ("data", "examples"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("runs"))
    return tmp_path


def run(arguments: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k == "BT_CACHE" or not k.startswith("BT_")}
    environment["PYTHONPATH"] = str(ROOT)
    return subprocess.run(
        arguments, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.mark.parametrize("page", [p for p in PAGES if commands(p) or blocks(p, "python")])
def test_a_page_runs(page: str, workplace: Path):
    for command in commands(page):
        program, *arguments = shlex.split(command)
        assert program == "bt", f"{page}: {command}: only bt is run here"
        done = run([sys.executable, "-c", BT, *arguments], workplace)
        assert done.returncode == 0, f"{page}: {command}\n{done.stdout}\n{done.stderr}"
    script = workplace / "page.py"
    script.write_text("\n".join(blocks(page, "python")))
    done = run([sys.executable, str(script)], workplace)
    assert done.returncode == 0, f"{page}: its Python, top to bottom\n{done.stdout}\n{done.stderr}"


def test_the_readme_shows_the_strategy_that_its_command_runs():
    def code(text: str) -> list[str]:
        """Lines without docstrings and blank ones."""
        return [line for line in re.sub(r'^ *""".*?"""\n', "", text, flags=re.MULTILINE).splitlines() if line]

    shown = next(b for b in blocks("README.md", "python") if "class SmaCross" in b)
    assert code(shown) == code((ROOT / "data" / "strategies" / "sma_cross.py").read_text())


def test_the_table_of_keys_is_complete():
    page = (ROOT / "docs" / "config.md").read_text()
    told = set(re.findall(r"^\| `([a-z_.<>]+)` \|", page, flags=re.MULTILINE))
    keys = {re.sub(r"\*", "<name>", ".".join(parts)) for parts in KEYS if parts[-1] != "*"}
    parents = {key for key in keys if any(other.startswith(key + ".") for other in keys)}
    assert told == keys - parents


def first_column(text: str) -> list[str]:
    """Names in backticks in the first column of the tables of a text."""
    cells = re.findall(r"^\| ([^|]*) \|", text, flags=re.MULTILINE)
    return [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]


def test_every_column_of_every_table_is_told():
    page = (ROOT / "docs" / "results.md").read_text().partition("## Tables")[2].partition("## Metrics")[0]
    parts = re.split(r"^\*\*(\w+)\*\*", page, flags=re.MULTILINE)
    told = {name: set(first_column(text)) for name, text in zip(parts[1::2], parts[2::2], strict=True)}
    assert told == {name: set(schema) for name, schema in SCHEMAS.items()}


def test_every_metric_is_told():
    page = (ROOT / "docs" / "results.md").read_text().partition("## Metrics")[2]
    assert first_column(page) == [f.name for f in dataclasses.fields(Metrics)]


def test_every_reason_is_told():
    page = (ROOT / "docs" / "data.md").read_text().partition("## Guards")[2]
    assert first_column(page) == [*OUTSIDE_REASONS, *FAULT_REASONS]


@pytest.mark.parametrize("page", PAGES)
def test_links_within_the_project_lead_somewhere(page: str):
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / page).read_text()):
        assert (ROOT / page).parent.joinpath(target).exists(), f"{page}: {target}"


@pytest.mark.parametrize("notebook", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda p: p.name)
def test_notebooks_are_stored_without_outputs(notebook: Path):
    cells = nbformat.read(notebook, as_version=4).cells
    assert [c for c in cells if c.cell_type == "code" and (c.outputs or c.execution_count)] == []


def test_the_picture_is_what_its_script_draws_now():
    spec = importlib.util.spec_from_file_location("picture", ROOT / "docs" / "picture.py")
    picture = importlib.util.module_from_spec(spec)
    sys.modules["picture"] = picture  # where its dataclass looks for its own annotations
    spec.loader.exec_module(picture)
    assert picture.draw() == picture.PICTURE.read_text(), "just picture"


def test_figures_of_the_readme_are_those_of_the_page_on_performance():
    def rows(page: str) -> list[str]:
        return re.findall(r"^\| (?:rows|cross-section|columns),.*$", (ROOT / page).read_text(), flags=re.MULTILINE)

    assert rows("README.md")
    assert set(rows("README.md")) <= set(rows("docs/performance.md"))
