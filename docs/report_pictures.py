"""The README's pictures of a report: of the first command's strategy, in Chromium. `just report-pictures` draws them again.

They are pixels of one browser and its fonts, so no test compares them.
"""
# ruff: noqa: INP001 - a script, no package

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

import bt

ROOT = Path(__file__).resolve().parents[1]
HERE = Path(__file__).resolve().parent
WIDTH, TOP, TRADES = 1160, 1440, 850
SYMBOL, SESSION = "QUIL", "2024-11-12"
"""A session of one symbol with a fill on each side."""
START = "2024-11-04"
"""Some sessions after the sample's first, so that the means are known from the first minute on."""


def main() -> None:
    """Replay, write the report, take `report.png` (its top) and `report-trades.png` (a session's candles and fills)."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        raise SystemExit("report-pictures: a Chromium must be on the path; apt-get install chromium")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as started:
        run = bt.replay(
            ROOT / "data" / "configs" / "sma_cross.toml", set={"session.start": START}, out=Path(folder, "run")
        )
        page_file = run.report()
        root = hasattr(os, "geteuid") and os.geteuid() == 0
        browser = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"] if root else [])
        page = browser.new_context(
            viewport={"width": WIDTH, "height": TOP}, offline=True, color_scheme="light"
        ).new_page()
        page.goto(page_file.as_uri())
        page.screenshot(path=HERE / "report.png", clip={"x": 0, "y": 0, "width": WIDTH, "height": TOP})
        page.locator("#trades").scroll_into_view_if_needed()
        page.locator("select").nth(0).select_option(SYMBOL)
        page.locator("select").nth(1).select_option(SESSION)
        page.wait_for_timeout(500)
        box = page.locator("#trades").bounding_box()
        whole = {"x": 0, "y": box["y"] + page.evaluate("window.scrollY"), "width": WIDTH, "height": TRADES}
        page.screenshot(path=HERE / "report-trades.png", clip=whole, full_page=True)
        browser.close()


if __name__ == "__main__":
    main()
