"""Reports in a real browser: nothing is fetched, nothing fails, and what is clicked is shown. Skipped where no Chromium is installed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Self

import polars as pl
import pytest
from cli_runs import ROOT
from report_pages import Brackets
from test_report import EVIL, Tags, evil_bars

import bt
from bt.report import sweep_page

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed: apt-get install chromium")

WIDTHS = (1440, 400)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> bt.Run:
    """Four sessions, one of them a half day, of a symbol with gaps and two without."""
    return bt.replay(
        bars=ROOT / "data" / "sample", strategy=Brackets(), calendar="XNYS", start="2024-11-26", end="2024-12-02", symbols=["DUNE", "GAPS", "JUNO"],
        execution={"slippage_bps": 1}, out=tmp_path_factory.mktemp("browser") / "run",
    )  # fmt: skip


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        # as root, which a container's user often is, Chromium refuses its sandbox
        root = hasattr(os, "geteuid") and os.geteuid() == 0
        launched = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"] if root else [])
        yield launched
        launched.close()


class Visit:
    """A page that is open, and what it said and asked for."""

    def __init__(self, browser: Any, file: Path, *, width: int = 1440, scheme: str = "light") -> None:
        self._context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True)
        self.page = self._context.new_page()
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.said.append(f"error: {error}"))
        self.page.on("dialog", lambda dialog: (self.said.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(file.as_uri())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._context.close()

    def shown(self, symbol: str, session: str) -> dict[str, Any]:
        """The chart, once it shows this."""
        same = "([s, d]) => window.btReport.candles && btReport.candles.symbol === s && btReport.candles.session === d"
        self.page.wait_for_function(same, arg=[symbol, session])
        return self.page.evaluate(
            """async () => {
                for (let i = 0; i < 3; i += 1) await new Promise(requestAnimationFrame);  // the library lays out in the next frame
                const { bars, fills, gaps, levels, markers, chart } = window.btReport.candles, scale = chart.timeScale();
                const bottom = document.getElementById("candles-chart").clientWidth;
                return { bars, fills, gaps, levels, width: bottom, markers: markers.map((m) => ({ time: m.time, shape: m.shape, x: scale.timeToCoordinate(m.time) })),
                         places: bars.map((bar) => scale.logicalToCoordinate(bar.minute)) };
            }"""
        )


@pytest.fixture
def report(run: bt.Run, tmp_path: Path) -> Path:
    return run.report(tmp_path / "report.html")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_a_report_opens_without_an_error_or_a_request(browser, report, width, scheme):
    with Visit(browser, report, width=width, scheme=scheme) as visit:
        visit.shown(*first(visit))
        assert visit.said == []
        assert [url for url in visit.asked if not url.startswith(("data:", report.as_uri()))] == []
        assert visit.page.evaluate("document.documentElement.scrollWidth") == width
        for element in ("#equity-chart svg", "#minutes-chart svg", "#heat canvas", "#candles-chart canvas"):
            box = visit.page.locator(element).first.bounding_box()
            assert box["width"] > 200
            assert box["x"] + box["width"] <= width


@pytest.mark.parametrize("width", WIDTHS)
def test_runs_side_by_side_are_drawn_over_one_another(browser, run, tmp_path, width):
    page = bt.compare({"<b>one</b>": run, "other": run}).report(tmp_path / "both.html")
    with Visit(browser, page, width=width) as visit:
        assert visit.page.locator("#compared-chart svg path").count() == 4  # growth and drawdown of each
        visit.page.locator("#compared-chart").focus()
        visit.page.keyboard.press("End")
        said = visit.page.locator("#compared-readout").text_content()
        assert said.startswith("2024-12-02: <b>one</b> ")
        assert f"{run.metrics.total_return * 100:.2f} %" in said
        assert visit.page.evaluate("document.documentElement.scrollWidth") == width
        assert visit.said == []
        assert [url for url in visit.asked if not url.startswith(("data:", page.as_uri()))] == []


def first(visit: Visit) -> list[str]:
    return visit.page.evaluate("window.btReport.data.candles.first")


def test_every_symbol_and_session_shows_its_fills_on_the_right_candles(browser, report, run):
    bars = bt.load_bars(ROOT / "data" / "sample", "XNYS", "2024-11-26", "2024-12-02", symbols=["DUNE", "GAPS", "JUNO"])[
        "1m"
    ]
    seen = 0
    with Visit(browser, report) as visit:
        choose_symbol, choose_session = (visit.page.locator(f"#pick-{name}") for name in ("symbol", "session"))
        for symbol in choose_symbol.locator("option").all_text_contents():
            choose_symbol.select_option(symbol)
            for session in choose_session.locator("option").all_text_contents():
                choose_session.select_option(session)
                check(
                    visit.shown(symbol, session),
                    visit,
                    run,
                    bars.filter(symbol=symbol, session=date.fromisoformat(session)),
                )
                seen += 1
        assert visit.said == []
    assert seen == run.fills.select("symbol", "session").unique().height == 12


def check(chart: dict[str, Any], visit: Visit, run: bt.Run, bars: pl.DataFrame) -> None:
    """What is shown, against the store's bars and the run's tables."""
    symbol, session = bars["symbol"][0], bars["session"][0]
    begin = run.by_session.filter(session=session)["open"][0]
    minutes = (bars["open_time"] - begin).dt.total_minutes().to_list()
    assert [bar["minute"] for bar in chart["bars"]] == minutes
    for name in ("open", "high", "low", "close", "volume"):
        assert [bar[name] for bar in chart["bars"]] == pytest.approx(bars[name].to_list())
    fills = run.fills.filter(symbol=symbol, session=session).sort("time", "order_id")
    rows = visit.page.locator("#fills tbody tr").all()
    assert len(rows) == fills.height == len(chart["markers"])
    by_order = dict(run.orders.filter(symbol=symbol).select("id", "type").iter_rows())
    for row, marker, fill in zip(rows, chart["markers"], fills.iter_rows(named=True), strict=True):
        local = fill["time"] - timedelta(hours=5)  # New York in winter
        cells = row.locator("th, td").all_text_contents()
        assert cells[:3] == [f"{local:%H:%M}", fill["side"], by_order[fill["order_id"]]]
        assert float(cells[4].replace(",", "")) == fill["price"]
        place = minutes.index(int((fill["time"] - begin).total_seconds()) // 60)
        assert marker["x"] == pytest.approx(chart["places"][place])  # the same pixel as its candle
        assert 0 <= marker["x"] <= chart["width"]
        assert marker["shape"] == ("arrowUp" if fill["side"] == "buy" else "arrowDown")
        bar = bars.row(place, named=True)
        assert bar["low"] * 0.999 <= fill["price"] <= bar["high"] * 1.001
    lost = 390 - len(minutes) if session != date(2024, 11, 29) else 210 - len(minutes)
    assert sum(b - a for a, b in chart["gaps"]) == lost
    # legs live on over the night with their position
    before = [day for day in run.by_session["session"] if day < session][-1:]
    held = run.positions.filter(pl.col("session").is_in(before), symbol=symbol)
    days = [session, *held["session"]]
    priced = run.orders.filter(pl.col("session").is_in(days), symbol=symbol)
    drawn = {(kind, price) for kind, price, _, _ in chart["levels"]}
    expected = {("stop", s) for s in priced["stop"].drop_nulls()} | {("limit", v) for v in priced["limit"].drop_nulls()}
    assert drawn == expected


def test_the_list_and_the_buttons_choose(browser, report):
    with Visit(browser, report) as visit:
        pairs = [
            (c["symbol"], c["session"])
            for c in visit.page.evaluate(
                "window.btReport.data.candles.charts.map(({symbol, session}) => ({symbol, session}))"
            )
        ]
        listed = visit.page.locator("#pairs")
        assert listed.locator("[role=option]").count() == len(pairs)
        listed.focus()
        visit.page.keyboard.press("Home")
        visit.shown(*pairs[0])
        visit.page.keyboard.press("ArrowDown")
        visit.shown(*pairs[1])
        assert listed.locator('[aria-selected="true"]').count() == 1
        assert listed.get_attribute("aria-activedescendant") == "pair-1"
        visit.page.locator("#pick-previous").click()
        visit.page.locator("#pick-previous").click()
        visit.shown(*pairs[-1])
        listed.locator("[role=option]").nth(2).click()
        visit.shown(*pairs[2])
        visit.page.locator("#pick-order").select_option("worst")
        worst = min(visit.page.evaluate("window.btReport.data.candles.charts.map((c) => [c.pnl, c.symbol, c.session])"))
        visit.shown(*worst[1:])
        assert visit.said == []


def test_curves_and_heat_map_follow_the_keys(browser, report, run):
    with Visit(browser, report) as visit:
        page = visit.page
        page.locator("#equity-chart").focus()
        page.keyboard.press("End")
        last = run.equity.row(-1, named=True)
        assert f"{last['equity']:,.2f}" in page.locator("#equity-readout").text_content()
        assert page.locator("#equity-readout").text_content().startswith("2024-12-02 16:00")
        page.locator("#minutes-chart").focus()
        page.keyboard.press("ArrowRight")
        assert page.locator("#minutes-readout").text_content().startswith("from 09:30: mean ")
        page.locator("#heat").focus()
        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowDown")
        quality = run.quality.filter(symbol="GAPS", session=date(2024, 11, 26), interval="1m")["quality"].item()
        assert page.locator("#heat-readout").text_content() == f"GAPS, 2024-11-26: {round(quality * 2) / 2:.1f} %"


def test_the_theme_is_the_systems_unless_it_is_chosen(browser, report):
    with Visit(browser, report, scheme="dark") as visit:
        background = "getComputedStyle(document.body).backgroundColor"
        assert visit.page.evaluate(background) == "rgb(18, 22, 27)"
        visit.page.locator("#theme").click()
        assert visit.page.locator("#theme").text_content() == "Theme: light"
        assert visit.page.evaluate(background) == "rgb(255, 255, 255)"
        visit.page.reload()
        assert visit.page.locator("#theme").text_content() == "Theme: light"


def test_everything_has_a_name_that_is_read_out(browser, report):
    with Visit(browser, report) as visit:
        nameless = """() => [...document.querySelectorAll('[role="group"], [role="region"], [role="listbox"], [role="img"], button, select, nav, section')]
            .filter((e) => !(e.getAttribute("aria-label") || e.getAttribute("aria-labelledby") || e.getAttribute("aria-describedby")
                             || e.textContent.trim() || e.closest("label"))).map((e) => e.outerHTML.slice(0, 80))"""
        assert visit.page.evaluate(nameless) == []
        visit.shown(*first(visit))
        assert (
            visit.page.evaluate(
                "[...document.querySelectorAll('table:not([role=presentation])')].filter((t) => !t.caption).length"
            )
            == 0
        )
        assert visit.page.evaluate("document.documentElement.lang") == "en"


def test_it_prints_what_is_folded_in_light_colours(browser, report):
    with Visit(browser, report, scheme="dark") as visit:
        visit.shown(*first(visit))
        visit.page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
        assert visit.page.evaluate("document.querySelectorAll('details:not([open])').length") == 0
        assert visit.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        visit.page.evaluate("window.dispatchEvent(new Event('afterprint'))")
        assert visit.page.evaluate("document.querySelectorAll('details[open]').length") == 0
        assert visit.page.locator("#candles-paper").get_attribute("src").startswith("data:image/png")
        assert visit.page.pdf()[:5] == b"%PDF-"
        assert visit.said == []


def test_text_from_data_runs_nowhere(browser, tmp_path):
    run = bt.replay(
        bars=evil_bars(), strategy=Tags(), calendar="XNYS", start="2024-03-04", end="2024-03-04", name=EVIL, save=False
    )
    with Visit(browser, run.report(tmp_path / "evil.html")) as visit:
        chart = visit.shown(EVIL, "2024-03-04")
        assert len(chart["fills"]) == 2
        assert f"</script>{EVIL}" in visit.page.locator("#fills").text_content()
        assert visit.page.locator("h1").text_content() == EVIL
        assert visit.page.locator("#pick-symbol option").all_text_contents() == [EVIL, "PLAIN"]
        # even a script that got in would not run
        visit.page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"alert(1)\">')")
        assert [text for text in visit.said if text.startswith("dialog")] == []


def test_pages_of_sweeps_and_of_quality_open(browser, tmp_path, run):
    sweep = bt.sweep(
        bars=ROOT / "data" / "sample", strategy="data/strategies/sma_cross.py:SmaCross", calendar="XNYS", start="2024-12-05", end="2024-12-06", symbols=["JUNO"],
        grid={"fast": [5, 10], "slow": [20, 30]}, save=False,
    )  # fmt: skip
    (tmp_path / "sweep.html").write_text(sweep_page(sweep.told()), encoding="utf-8")
    from test_quality_html import ASKED

    from bt.cli import main

    assert main([*ASKED, "--html", str(tmp_path / "quality.html")]) == 0
    for name in ("sweep", "quality"):
        for width in WIDTHS:
            with Visit(browser, tmp_path / f"{name}.html", width=width) as visit:
                assert visit.said == []
                assert visit.page.evaluate("document.documentElement.scrollWidth") == width
