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
import tomllib
from pathlib import Path

import jupytext
import nbformat
import pytest

from bt.config.tables import KEYS
from bt.metrics import Metrics
from bt.results.tables import SCHEMAS
from bt.schema import FAULT_REASONS, OUTSIDE_REASONS

ROOT = Path(__file__).resolve().parents[1]
BT = "import sys; from bt.cli import main; sys.exit(main())"
PAGES = [
    "README.md",
    *sorted(
        p.relative_to(ROOT).as_posix()
        for p in (ROOT / "docs").rglob("*.md")
        if p.parent.name not in ("decisions", "peers")  # half a page each, and a table that a script writes
    ),
]
LANGUAGES = {"python", "console", "text", "toml", "sh"}
THEIRS = re.compile(r'python title="[^"]+, not run here"')
OURS = ' title="bt"'
"""Of a block that stands beside another's."""
MARK = "-- end of block --"


def blocks(page: str, language: str) -> list[str]:
    """Fenced blocks of one language, in order."""
    return re.findall(
        rf"^```{language}(?:{OURS})?\n(.*?)^```$", (ROOT / page).read_text(), flags=re.MULTILINE | re.DOTALL
    )


def commands(page: str) -> list[tuple[str, str]]:
    """The lines after `$ ` in console blocks, continued lines joined, each with the output that is shown below it ("": none is)."""
    text = "\n".join(blocks(page, "console")).replace("\\\n", " ")
    parts = re.split(r"^\$ (.*)\n?", text, flags=re.MULTILINE)
    return [(command, shown.strip("\n")) for command, shown in zip(parts[1::2], parts[2::2], strict=True)]


def scripts(page: str) -> list[tuple[str, str]]:
    """Python blocks in order, each with the text block that follows it at once: what it prints ("": nothing is shown)."""
    found = re.findall(
        rf"^```python(?:{OURS})?\n(.*?)^```$(?:\n\n^```text\n(.*?)^```$)?",
        (ROOT / page).read_text(),
        flags=re.MULTILINE | re.DOTALL,
    )
    return [(code, shown.strip("\n")) for code, shown in found]


@pytest.fixture
def workplace(tmp_path: Path) -> Path:
    """A folder with copies of data/ and examples/, as in a checkout."""
    for folder in ("data", "examples"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("runs"))
    return tmp_path


def run(arguments: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k == "BT_CACHE" or not k.startswith("BT_")}
    environment |= {"PYTHONPATH": str(ROOT), "COLUMNS": "100", "TERM": "dumb"}
    return subprocess.run(
        arguments, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.mark.parametrize("page", [p for p in PAGES if commands(p) or blocks(p, "python")])
def test_a_page_runs(page: str, workplace: Path):
    for command, shown in commands(page):
        program, *arguments = shlex.split(command)
        assert program == "bt", f"{page}: {command}: only bt is run here"
        done = run([sys.executable, "-c", BT, *arguments], workplace)
        assert done.returncode == 0, f"{page}: {command}\n{done.stdout}\n{done.stderr}"
        assert not shown or plain(done.stdout) == shown, f"{page}: {command}"
    script = workplace / "page.py"
    script.write_text("".join(f"{code}\nprint({MARK!r})\n" for code, _ in scripts(page)))
    done = run([sys.executable, str(script)], workplace)
    assert done.returncode == 0, f"{page}: its Python, top to bottom\n{done.stdout}\n{done.stderr}"
    for (code, shown), printed in zip(scripts(page), done.stdout.split(MARK), strict=False):
        assert not shown or plain(printed) == shown, f"{page}: what this prints\n{code}"


def plain(output: str) -> str:
    """Output without spaces at the ends of lines, and without empty lines around it."""
    return "\n".join(line.rstrip() for line in output.splitlines()).strip("\n")


@pytest.mark.parametrize("page", PAGES)
def test_every_block_is_of_a_kind_that_a_test_runs_or_says_that_none_does(page: str):
    openings = re.findall(r"^```(.*)\n(?:.*\n)*?^```$", (ROOT / page).read_text(), flags=re.MULTILINE)
    for opening in openings:
        assert opening.removesuffix(OURS) in LANGUAGES or (
            page.startswith("docs/coming-from/") and THEIRS.fullmatch(opening)
        ), opening


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "toml")])
def test_tables_of_a_configuration_have_keys_that_there_are(page: str):
    for block in blocks(page, "toml"):
        given = leaves(tomllib.loads(block))
        unknown = [parts for parts in given if not any(matches(parts, known) for known in KEYS)]
        assert unknown == [], block


def leaves(node: object, above: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The keys of a configuration that have a value; those of `[[strategies]]` once an entry."""
    if isinstance(node, dict) and node:
        return [key for name, value in node.items() for key in leaves(value, (*above, name))]
    if isinstance(node, list) and node and all(isinstance(one, dict) for one in node):
        return [key for one in node for key in leaves(one, (*above, "*"))]
    return [above]


def matches(parts: tuple[str, ...], known: tuple[str, ...]) -> bool:
    """Whether a key is `known` or below one whose names are the user's (`strategy.params`, `sweep.grid`)."""
    if len(parts) < len(known):
        return False
    head = all(k in ("*", part) for part, k in zip(parts, known, strict=False))
    return head and (len(parts) == len(known) or known[-1] in ("params", "grid", "columns"))


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


@pytest.mark.parametrize("text", sorted((ROOT / "notebooks").glob("*.py")), ids=lambda p: p.name)
def test_notebooks_are_what_their_text_says(text: Path):
    def cells(notebook: nbformat.NotebookNode) -> list[tuple[str, str]]:
        return [(cell.cell_type, cell.source) for cell in notebook.cells]

    paired = nbformat.read(text.with_suffix(".ipynb"), as_version=4)
    assert cells(jupytext.read(text)) == cells(paired), "just pair"


def test_every_notebook_has_its_text():
    folder = ROOT / "notebooks"
    assert {p.stem for p in folder.glob("*.ipynb")} == {p.stem for p in folder.glob("*.py")}


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
