"""The site that is made of docs/: it is built with no warning, has every public name, and needs no network."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import bt
from bt.cli.app import actions, app

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site as MkDocs builds it, once for all workers; a link or an anchor that leads nowhere is an error."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "site"
    with alone(folder.with_name("site.lock")):
        if not (folder / "index.html").is_file():
            build(folder)
    return folder


@contextmanager
def alone(lock: Path) -> Iterator[None]:
    """Waits until no other worker is in here."""
    until = time.monotonic() + 400
    while True:
        try:
            lock.touch(exist_ok=False)
            break
        except FileExistsError:
            assert time.monotonic() < until, f"{lock}: another worker must have built the site by now"
            time.sleep(0.2)
    try:
        yield
    finally:
        lock.unlink()


def build(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_public_name_is_in_the_reference(site: Path):
    pages = "".join(path.read_text() for path in (site / "reference").glob("*.html"))
    assert [name for name in bt.__all__ if f'id="bt.{name}"' not in pages] == []


def test_every_command_is_in_the_reference():
    page = (ROOT / "docs" / "reference" / "command-line.md").read_text()
    names = [command.name or command.callback.__name__ for command in app.registered_commands]
    names += [f"actions {command.name or command.callback.__name__}" for command in actions.registered_commands]
    assert [name for name in names if f"$ bt {name} --help\n" not in page] == []


def test_pages_load_nothing_from_a_network(site: Path):
    loaded = re.compile(
        r"<(?:script|link|img|iframe|source|video|form)\b[^>]*\b(?:src|href|action)=\"?(?:https?:)?//[^>]*>"
    )
    styled = re.compile(r"(?:url\(|@import )['\"]?(?:https?:)?//[^)]*")
    found = [hit for path in site.rglob("*.html") for hit in loaded.findall(path.read_text())]
    found += [hit for path in site.rglob("*.css") for hit in styled.findall(path.read_text())]
    assert found == []


def test_every_page_is_reached_from_another(site: Path):
    pages = {path for path in site.rglob("*.html") if path.name != "404.html"}
    reached = {
        (path.parent / target).resolve()
        for path in pages
        for target in re.findall(r'href="?([^"#>\s]+\.html)', path.read_text())
        if "://" not in target
    }
    assert pages - reached == set()


CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed: apt-get install chromium")
def test_pages_opened_from_a_folder_ask_for_nothing_else_fit_their_window_and_can_be_searched(site: Path):
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed: pip install playwright"
    )
    asked: list[str] = []
    failed: list[str] = []
    with playwright.sync_playwright() as started:
        # as root, which a container's user often is, Chromium refuses its sandbox
        root = hasattr(os, "geteuid") and os.geteuid() == 0
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"] if root else [])
        page = browser.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: failed.append(str(error)))
        for width in (1440, 400):
            page.set_viewport_size({"width": width, "height": 1000})
            for name in ("index", "config", "reference/running", "coming-from/index", "how-to/load-csv"):
                page.goto((site / f"{name}.html").as_uri())
                assert page.evaluate("document.documentElement.scrollWidth") <= width, name
            for theirs in ("backtrader", "nautilus", "vectorbt", "zipline"):
                page.goto((site / "coming-from" / f"{theirs}.html").as_uri())
                assert page.evaluate("document.documentElement.scrollWidth") <= width, theirs
                boxes = [side.bounding_box() for side in page.locator(".sides > *").all()]
                assert len(boxes) == 2, theirs
                beside = boxes[0]["y"] == boxes[1]["y"] and boxes[0]["x"] + boxes[0]["width"] <= boxes[1]["x"]
                assert beside == (width == 1440), theirs
        page.set_viewport_size({"width": 1440, "height": 1000})
        page.goto((site / "index.html").as_uri())
        page.click("input.md-search__input")
        page.keyboard.type("completeness")
        page.wait_for_selector(".md-search-result__item a[href*='data.html']")
        browser.close()
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
    assert failed == []
