"""A run's report.html: its figures are the run's, its text is escaped, its size is bounded, and equal runs give equal bytes."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
from datetime import date
from pathlib import Path

import empyrical
import numpy as np
import polars as pl
import pytest
from cli_runs import ROOT, call, market
from report_pages import Page, made_run, unpacked

import bt
from bt.errors import ResultsError, UsageError
from bt.figures import account, drawdown, session_returns
from bt.report import MOST_BYTES, run_page
from bt.report.page import as_json
from bt.report.series import _percent_digits
from bt.run.bars import CHANGED


def text_of(run: bt.Run, **more) -> str:
    return run.report(**more).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    for name in ("sample", "strategies", "configs"):
        shutil.copytree(ROOT / "data" / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def run(place: Path) -> bt.Run:
    """Three strategies with costs, two weeks with a half day."""
    return bt.replay(place / "configs" / "compare.toml", start="2024-11-18", out=place / "run")


@pytest.fixture(scope="module")
def page(run: bt.Run) -> Page:
    return Page(text_of(run))


# ------------------------------------------------------------------------------------------------------------ figures


def test_the_headline_is_that_of_metrics_json(run, page):
    told = json.loads((run.path / "metrics.json").read_text())
    metrics, summary = told["account"], told["summary"]
    rows = {row[0]: row[1:] for row in page.table("Metrics")}
    assert rows["Sharpe"][0] == f"{metrics['sharpe']:.2f}"
    assert rows["Max drawdown (by minute)"][0] == f"{metrics['max_drawdown']:.2%}"
    assert rows["Trades won"] == [f"{m['hit_rate']:.2%}" for m in (metrics, *told["strategies"].values())]
    assert rows["Turnover a session"][0] == f"{metrics['turnover']:.2%}"
    for text in (f"{summary['net_pnl']:+,.2f}", f"{summary['trades']:,}", "2024-11-18 to 2024-12-06"):
        assert text in page.said


def test_every_metric_that_is_there_is_told(run, page):
    blank = {row[0] for row in page.table("Metrics") if row[1] == "\u2013"}
    assert blank == set()
    told = {name for name, value in run.metrics.to_dict().items() if value is not None}
    assert len(page.table("Metrics")) == len(told - {"sessions"}) + 1  # and the drawdown by closes


def test_curves_keep_the_extremes_of_the_parquet(run, page):
    minutes = account(pl.read_parquet(run.path / "equity.parquet"))
    worth = minutes["equity"].to_numpy()
    curves = page.data["curves"]
    drawn = np.array(curves["equity"]["equity"])
    assert (drawn.max(), drawn.min()) == (round(worth.max(), 2), round(worth.min(), 2))
    assert drawn.tolist() == np.round(worth, 2)[curves["equity"]["x"]].tolist()
    assert len(drawn) <= 2000
    assert min(curves["equity"]["drawdown"]) == pytest.approx(100 * run.metrics.max_drawdown, abs=1e-4)
    times = minutes["time"].dt.epoch("s").to_numpy()[curves["equity"]["x"]] // 60
    assert curves["equity"]["t"] == times.tolist()
    gross = np.array(curves["exposure"]["gross"])
    assert gross.max() == pytest.approx(100 * (minutes["gross"] / minutes["equity"]).max(), abs=1e-3)


def test_returns_are_empyricals(run, page):
    returns = run.to_pandas().returns
    months = empyrical.aggregate_returns(returns, "monthly")
    told = page.table("Returns by month")[0]
    assert told[:3] == ["2024", *(f"{r:+.2%}" for r in months)]
    closes = {row[0]: row[1] for row in page.table("Metrics")}["Max drawdown (by session closes)"]
    assert closes == f"{empyrical.max_drawdown(returns):.2%}"
    assert run.metrics.max_drawdown <= empyrical.max_drawdown(returns)


def test_returns_by_minute_are_means_over_sessions(run, page):
    minutes, last = account(run.equity), run.summary["equity_start"]
    sums, counts = {}, {}
    for session in minutes.partition_by("session", maintain_order=True):
        for n, worth in enumerate(session["equity"].to_list()):
            sums[n // 3] = sums.get(n // 3, 0.0) + (worth / last - 1)
            counts.setdefault(n // 3, set()).add(session["session"][0])
            last = worth
    told = page.data["curves"]["minutes"]
    assert told["first"] == [3 * n for n in sums]
    assert told["bp"] == pytest.approx([1e4 * sums[n] / len(counts[n]) for n in sums], abs=1e-4)
    assert told["label"][:2] == ["09:30", "09:33"]
    assert (len(counts[0]), len(counts[100])) == (14, 13)  # a half day


def test_profit_by_symbol_and_session_adds_up_to_the_account(run, page):
    from bt.figures import by_symbol_and_session

    earned = by_symbol_and_session(run.positions, run.fills, run.cash, run.by_session)
    assert earned["pnl"].sum() == pytest.approx(run.summary["net_pnl"], abs=1e-6)
    days = earned.group_by("session").agg(pl.col("pnl").sum()).sort("session")
    assert days["pnl"].to_list() == pytest.approx(run.by_session["net_pnl"].to_list(), abs=1e-6)
    rows = {row[0]: row[2] for row in page.table("Net P&L by symbol")}
    per = earned.group_by("symbol").agg(pl.col("pnl").sum())
    assert rows == {symbol: f"{pnl:+,.2f}" for symbol, pnl in per.iter_rows()}
    assert earned["fills"].sum() == run.fills.height


def test_costs_are_told(run, page):
    rows = dict(page.table("Costs of the run"))
    assert rows["Commission"] == f"{run.fills['commission'].sum():,.2f}"
    assert "Costs assumed commission_per_share = 0.005" in page.said


def test_a_run_without_costs_warns(place, tmp_path):
    free = bt.replay(
        place / "configs" / "sma_cross.toml", start="2024-12-05", set={"execution.commission_per_share": 0}, save=False
    )
    said = Page(free.report(tmp_path / "free.html").read_text()).said
    assert "Warning. No costs were assumed" in said
    assert "Costs assumed none" in said


def test_quality_and_guards_are_the_tables(run, page):
    told = page.data["quality"]
    cells = np.frombuffer(base64.b64decode(told["cells"]), np.uint8).reshape(len(told["rows"]), len(told["columns"]))
    table = run.quality.filter(pl.col("interval") == "1m")
    for symbol, session, value in table.select("symbol", "session", "quality").sample(50, seed=1).iter_rows():
        cell = cells[told["rows"].index([symbol]), told["columns"].index([f"{session}"])]
        assert cell == round(value * 2)
    assert [told["columns"][i] for i in told["early"]] == [["2024-11-29"]]
    assert [told["columns"][i] for i in told["out"]] == [[f"{day}"] for day in run.outages["session"].unique().sort()]
    reasons = dict(run.guards.group_by("reason").agg(pl.col("rows").sum()).iter_rows())
    assert {row[0]: row[1] for row in page.table("Rows withheld")} == {k: f"{v:,}" for k, v in reasons.items()}


# ------------------------------------------------------------------------------------------------------------ candles


def test_candles_are_the_bars_and_fills_the_parquets(run, page, place):
    candles = page.data["candles"]
    days = run.by_session
    bars = bt.load_bars(place / "sample", "XNYS", "2024-11-18", "2024-12-06")["1m"]
    fills = run.fills.join(
        run.orders.select("strategy", "symbol", pl.col("id").alias("order_id"), "type"),
        on=["strategy", "symbol", "order_id"],
    )
    assert len(candles["charts"]) > 100
    for one in candles["charts"][::29]:
        told, shown = unpacked(one["data"])
        day = date.fromisoformat(one["session"])
        mine = (pl.col("session") == day) & (pl.col("symbol") == one["symbol"])
        opens = days.filter(pl.col("session") == day)["open"][0]
        stored = bars.filter(mine).with_columns(((pl.col("open_time") - opens).dt.total_minutes()).alias("minute"))
        for name in ("minute", "open", "high", "low", "close", "volume"):
            assert shown[name].to_list() == pytest.approx(stored[name].to_list(), abs=1e-9)
        own = fills.filter(mine).sort("time", "strategy", "order_id")
        assert len(told["f"]) == own.height == one["fills"]
        names = candles["fill"]
        for fill, f in zip(
            (dict(zip(names, values, strict=True)) for values in told["f"]), own.iter_rows(named=True), strict=True
        ):
            assert (fill["price"], fill["shares"], fill["side"], fill["position"]) == (
                f["price"],
                f["shares"],
                f["side"],
                f["position_after"],
            )
            assert candles["strategies"][fill["strategy"]] == f["strategy"]
            assert shown["minute"][fill["bar"]] == fill["minute"] == (f["time"] - opens).total_seconds() / 60
            assert shown["open"][fill["bar"]] == pytest.approx(
                f["reference_price"]
            )  # next_open: at the open of its bar
    early = candles["sessions"]["2024-11-29"]
    assert (early["early"], early["segments"]) == (True, [[0, 210]])


def test_what_is_asked_for_comes_first(run):
    traded = run.fills.select("symbol", "session").unique().sort("symbol", "session")
    symbol, session = traded.row(17)
    page = Page(text_of(run, symbol=symbol, session=session))
    assert page.data["candles"]["first"] == [symbol, f"{session}"]
    with pytest.raises(UsageError, match="session: it must be a date"):
        run.report(session="soon")


def test_what_the_run_has_not_cannot_be_asked_for(run, tmp_path):
    page = tmp_path / "page.html"
    with pytest.raises(
        UsageError, match="symbol: it must be one of the 20 of the run, was 'ASHBY'; the nearest is ASHB"
    ):
        run.report(page, symbol="ASHBY")
    for day in ("2020-01-01", "2024-11-28", "2024-12-09"):  # before, a holiday, after
        told = f"session: it must be one of the run's, was {day}; they are 2024-11-18 to 2024-12-06"
        with pytest.raises(UsageError, match=told):
            run.report(page, session=day)
        with pytest.raises(UsageError, match=told):
            run.report(page, symbol="ASHB", session=day)
    assert not page.exists()


def test_a_page_replaces_no_file_of_a_run(run, tmp_path, monkeypatch, capsys):
    copy = shutil.copytree(run.path, tmp_path / "run")
    before = {file.name: file.read_bytes() for file in copy.iterdir()}
    monkeypatch.chdir(copy)
    for name in ("fills.parquet", "manifest.json", "../run/metrics.json", str(copy / "log.parquet")):
        refused = call(capsys, "report", "../run", "--out", name)
        assert (refused.code, "the page must not replace a file of a run" in refused.err) == (2, True)
        assert call(capsys, "report", "../run", "../run", "--out", name).code == 2
    assert {file.name: file.read_bytes() for file in copy.iterdir()} == before
    assert call(capsys, "report", ".", "--out", "other.html").code == 0


def test_a_damaged_table_is_named(run, tmp_path, capsys):
    copy = shutil.copytree(run.path, tmp_path / "run")
    whole = (copy / "fills.parquet").read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"<html></html>"):
        (copy / "fills.parquet").write_bytes(content)
        told = call(capsys, "report", str(copy), "--json")
        assert (told.code, told.json["error"]["type"]) == (2, "DataError")
        assert f"{copy / 'fills.parquet'}: it must be the table that a run leaves, was not (" in told.err
        assert told.err.rstrip().endswith("; replay again")
        assert "Traceback" not in told.err


def test_a_symbol_and_session_without_a_trade_may_be_asked_for(place, tmp_path):
    idle = bt.replay(
        place / "configs" / "sma_cross.toml",
        start="2024-12-05",
        symbols=["DUNE", "THIN"],
        save=False,
        set={"strategy.params.slow": 5000},
    )
    page = Page(idle.report(tmp_path / "idle.html", symbol="DUNE", session="2024-12-06").read_text())
    assert ("DUNE", "2024-12-06", 0) in [
        (c["symbol"], c["session"], c["fills"]) for c in page.data["candles"]["charts"]
    ]
    assert page.data["candles"]["first"] == ["DUNE", "2024-12-06"]


def test_a_store_that_is_gone_is_told(run, place, tmp_path):
    shutil.copytree(run.path, tmp_path / "run")
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    manifest["spec"]["data"]["bars"] = str(tmp_path / "nowhere")
    (tmp_path / "run" / "manifest.json").write_text(json.dumps(manifest))
    page = Page(text_of(bt.open_run(tmp_path / "run")))
    assert "No candle charts: " in page.said
    assert "nowhere" in page.said
    assert "candles" not in page.data
    assert page.data["curves"]["zone"] == Page(text_of(run)).data["curves"]["zone"] == "America/New_York"
    assert page.table("Metrics")


@pytest.mark.parametrize(("deepest", "digits"), [(0.0, 4), (-0.3, 4), (-0.01, 4), (-0.0099, 5), (-2.1e-6, 8)])
def test_small_drawdowns_are_no_stairs(deepest: float, digits: int):
    assert _percent_digits(np.array([0.0, deepest, deepest / 3])) == digits


def test_a_store_that_has_changed_is_told(run, tmp_path):
    assert CHANGED not in text_of(run)
    shutil.copytree(run.path, tmp_path / "run")
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    (tmp_path / "run" / "manifest.json").write_text(json.dumps({**manifest, "data_fingerprint": "0" * 40}))
    assert CHANGED in text_of(bt.open_run(tmp_path / "run"))


# ----------------------------------------------------------------------------------------------- escaping, size, bytes

EVIL = "<script>alert(1)</script>\"'&"


class Tags:
    """Buys and sells, with tags that are code."""

    class Minute(bt.Row):
        symbol: str
        minute: int

    row = Minute

    def on_bar(self, row: Minute, book: bt.Book) -> None:
        if row.minute in (3, 9):
            book.order(row.symbol, 10 if row.minute == 3 else -10, tag=f"</script>{EVIL}")


def evil_bars() -> pl.DataFrame:
    start = pl.datetime(2024, 3, 4, 14, 30, time_unit="us", time_zone="UTC")
    times = pl.select(pl.datetime_range(start, start.dt.offset_by("389m"), "1m")).to_series()
    price = np.round(50 + np.sin(np.arange(390) / 20), 2)
    columns = {
        "open_time": times,
        "open": price,
        "high": price + 0.05,
        "low": price - 0.05,
        "close": price,
        "volume": np.full(390, 1000),
    }
    return pl.concat([pl.DataFrame({"symbol": [symbol] * 390, **columns}) for symbol in (EVIL, "PLAIN")])


def test_text_of_data_and_configuration_is_escaped(tmp_path):
    run = bt.replay(
        bars=evil_bars(), strategy=Tags(), calendar="XNYS", start="2024-03-04", end="2024-03-04", name=EVIL, save=False,
        execution={"commission_per_share": 0.01},
    )  # fmt: skip
    text = run.report(tmp_path / "evil.html").read_text(encoding="utf-8")
    assert "<script>alert" not in text
    page = Page(text)
    assert len(page.scripts) == 2
    assert EVIL in page.said  # the title
    assert EVIL in [row[0] for row in page.table("Net P&L by symbol")]
    chart = next(c for c in page.data["candles"]["charts"] if c["symbol"] == EVIL)
    assert unpacked(chart["data"])[0]["f"][0][page.data["candles"]["fill"].index("tag")] == f"</script>{EVIL}"


def test_json_in_a_page_ends_no_element():
    text = as_json({"a": f"</script><!--{EVIL}\u2028"})
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == {"a": f"</script><!--{EVIL}\u2028"}


def test_only_our_scripts_may_run_and_nothing_may_be_fetched(page):
    for script in page.scripts:
        assert base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() in page.policy
    assert "default-src 'none'" in page.policy
    assert "script-src 'sha256-" in page.policy
    assert "script-src 'unsafe" not in page.policy


def test_a_large_run_stays_under_its_size():
    told = made_run(250, 500)
    text = run_page(told)
    assert len(text.encode()) <= MOST_BYTES
    page = Page(text)
    assert f"{len(page.data['candles']['charts']):,} of 125,000 traded symbols and sessions" in page.said
    assert len(page.data["candles"]["charts"]) > 200
    assert len(page.data["quality"]["rows"]) <= 100
    assert len({c["session"] for c in page.data["candles"]["charts"]}) > 100  # spread over the run
    assert "each shows the worst of its bin" in page.said


def test_equal_runs_give_equal_bytes(run, place, tmp_path):
    again = bt.replay(place / "configs" / "compare.toml", start="2024-11-18", out=tmp_path / "again")
    assert text_of(again) == text_of(run) == text_of(bt.open_run(run.path))


def test_a_report_appears_whole_or_not_at_all(run, tmp_path):
    with pytest.raises(ResultsError, match="page must be written whole"):
        run.report(tmp_path / "missing" / "report.html")
    with pytest.raises(UsageError, match="path must be given"):
        bt.replay(
            bars=evil_bars(), strategy=Tags(), calendar="XNYS", start="2024-03-04", end="2024-03-04", save=False
        ).report()
    assert not list(tmp_path.iterdir())


def test_a_run_without_a_session_of_trades_has_a_report(tmp_path):
    class Idle(Tags):
        def on_bar(self, row, book):
            pass

    run = bt.replay(
        bars=evil_bars(), strategy=Idle(), calendar="XNYS", start="2024-03-04", end="2024-03-04", save=False
    )
    page = Page(run.report(tmp_path / "idle.html").read_text())
    assert "No candle charts: nothing was traded." in page.said


def test_a_run_that_was_stopped_before_its_first_minute_has_a_report(tmp_path):
    class Stops(Tags):
        def on_session_start(self, session, book):
            book.stop("at once")

    run = bt.replay(
        bars=evil_bars(), strategy=Stops(), calendar="XNYS", start="2024-03-04", end="2024-03-04", save=False
    )
    assert run.equity.is_empty()
    assert (
        "The run was stopped before its end: at once." in Page(run.report(tmp_path / "stopped.html").read_text()).said
    )
    assert "at once" in run._repr_html_()


# -------------------------------------------------------------------------------------------------------- command line


def test_the_command_line_writes_reports(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(market(tmp_path))
    replayed = call(
        capsys, "replay", "configs/sma_cross.toml", "--start", "2024-12-03", "--out", "run", "--html", "--json"
    )
    assert Path(replayed.json["report"]) == tmp_path / "run" / "report.html"
    first = (tmp_path / "run" / "report.html").read_bytes()
    again = call(capsys, "report", "run", "--json")
    assert again.json == {"report": str(tmp_path / "run" / "report.html"), "bytes": len(first)}
    assert (tmp_path / "run" / "report.html").read_bytes() == first
    other = call(capsys, "report", "run", "--symbol", "JUNO", "--session", "2024-12-04", "--out", "other.html")
    assert other.code == 0
    assert "report  " in other.out
    assert Page((tmp_path / "other.html").read_text()).data["candles"]["first"] == ["JUNO", "2024-12-04"]
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    assert call(capsys, "report", "run", "--open").code == 0
    assert opened == [(tmp_path / "run" / "report.html").as_uri()]
    wrong = call(capsys, "report", "run", "--session", "tomorrow")
    assert (wrong.code, "session: it must be a date" in wrong.err) == (2, True)
    assert call(capsys, "report", "configs").code == 2
    side = call(capsys, "report", "run", "run", "--json")
    assert side.json["report"] == str(tmp_path / "compared.html")
    assert Page((tmp_path / "compared.html").read_text()).table("Side by side")
    absent = call(capsys, "report", "run", "--symbol", "JUMO")
    assert (absent.code, "was 'JUMO'; the nearest is JUNO" in absent.err) == (2, True)
    several = call(capsys, "report", "run", "run", "--symbol", "JUNO")
    assert (several.code, "must be of one run" in several.err) == (2, True)


def test_html_changes_no_result(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(market(tmp_path))
    common = ("replay", "run.toml", "--json", "--out")
    plain, html = (call(capsys, *common, "plain").json, call(capsys, *common, "html", "--set", "output.html=true").json)
    assert (plain.get("report"), Path(html["report"]).name) == (None, "report.html")
    hashes = [json.loads((tmp_path / name / "manifest.json").read_text())["spec_hash"] for name in ("plain", "html")]
    assert hashes[0] == hashes[1]
    assert not (tmp_path / "plain" / "report.html").exists()


def test_a_sweep_has_a_page_and_its_surface_in_a_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(market(tmp_path))
    sweep = bt.sweep(
        "configs/sma_cross.toml",
        {"fast": [5, 10], "slow": [20, 30, 60]},
        set={"session.start": "2024-12-03"},
        out="grid",
    )
    assert call(capsys, "report", "grid").code == 0
    alone = call(capsys, "report", "grid", "--symbol", "JUNO")
    assert (alone.code, "must be of one run, were with a sweep" in alone.err) == (2, True)
    page = Page((tmp_path / "grid" / "report.html").read_text())
    surface = page.table("sharpe by fast and slow")
    assert [row[0] for row in surface] == ["5", "10"]
    at = {(row["fast"], row["slow"]): row["sharpe"] for row in sweep.frame.iter_rows(named=True)}
    assert surface[0][1:] == [f"{at[5, slow]:.4g}" for slow in (20, 30, 60)]
    assert len(page.table("Sets by sharpe")) == 6
    best = sweep.run(sweep.chosen(), out=tmp_path / "best")
    assert call(capsys, "report", "best", "--sweep", "grid").code == 0
    assert Page((best.path / "report.html").read_text()).table("sharpe by fast and slow") == surface


# -------------------------------------------------------------------------------------------------------------- colours


def luminance(color: str) -> float:
    """Relative luminance. Source: W3C, Web Content Accessibility Guidelines 2.2."""
    shares = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", [0, 1, 2])
def test_text_stands_out_from_what_is_behind_it(theme):
    css = (ROOT / "bt" / "report" / "assets" / "page.css").read_text()
    blocks = re.findall(r"--bg:.*?--warn-line: #[0-9a-f]{6}", css, flags=re.DOTALL)
    assert len(blocks) == 3
    assert blocks[1].split() == blocks[2].split()  # chosen, or the system's
    colors = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", blocks[theme]))
    for text in ("text", "muted", "accent", "up", "down"):
        for behind in ("bg", "panel"):
            light, dark = sorted((luminance(colors[text]), luminance(colors[behind])), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= 4.5, (text, behind)
    light, dark = sorted((luminance(colors["text"]), luminance(colors["warn"])), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 4.5


# ------------------------------------------------------------------------------------------------------------ notebook


def test_a_notebook_shows_headline_equity_and_drawdown(run):
    html = run._repr_html_()
    assert "<svg role='img'" in html
    assert "net P&amp;L" in html
    assert f"{run.metrics.max_drawdown:.2%}" in html
    assert len(html) < 60_000


def test_drawdown_is_measured_from_the_starting_cash():
    assert drawdown(np.array([90.0, 120.0, 60.0]), 100.0).tolist() == [-0.1, 0.0, -0.5]
    frame = pl.DataFrame({"session": [date(2024, 1, 2)], "equity": [90.0]})
    assert session_returns(frame, 100.0)["return"].to_list() == pytest.approx([-0.1])
