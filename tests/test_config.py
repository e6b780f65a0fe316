"""Configuration: precedence, paths, and an error that names file, line, key, value and hint for whatever is wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from bt.config import from_mapping, load, parse_set, spec_hash, to_dict
from bt.errors import ConfigError
from bt.model import ExecutionSpec, IndicatorSpec, QualitySpec, RunSpec

SMALL = """\
[data]
bars = "store/"
[session]
start = 2024-11-25
end = 2024-12-06
[strategy]
use = "strategies/cross.py:SmaCross"
[strategy.params]
fast = 5
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a strategy file; the working directory is another one."""
    (tmp_path / "conf" / "strategies").mkdir(parents=True)
    (tmp_path / "conf" / "strategies" / "cross.py").write_text("class SmaCross: ...\n")
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    return tmp_path / "conf"


def write(folder: Path, text: str) -> Path:
    path = folder / "run.toml"
    path.write_text(text)
    return path


def read(folder: Path, text: str = SMALL, overrides: dict | None = None, environ: dict | None = None) -> RunSpec:
    return load(write(folder, text), overrides=overrides or {}, environ=environ or {})


def problem(folder: Path, text: str = SMALL, overrides: dict | None = None, environ: dict | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        read(folder, text, overrides, environ)
    return str(caught.value)


def test_defaults_and_paths_relative_to_the_file(folder: Path) -> None:
    spec = read(folder)
    assert spec.data.bars == str(folder / "store")
    assert spec.output_dir == str(folder / "runs")
    (strategy,) = spec.strategies
    assert strategy.name == "SmaCross"
    assert strategy.use == f"{folder / 'strategies' / 'cross.py'}:SmaCross"
    assert strategy.params == {"fast": 5}
    assert strategy.cash is None
    assert (spec.session.start, spec.session.end) == (date(2024, 11, 25), date(2024, 12, 6))
    assert (spec.session.prefetch_days, spec.session.speed) == (5, 0.0)
    assert spec.data.symbols is None
    assert spec.execution == ExecutionSpec()
    assert spec.account.cash == 1_000_000.0
    assert spec.source == str(folder / "run.toml")


def test_every_key_of_this_issue(folder: Path) -> None:
    spec = read(
        folder,
        """
        strategies = [
            { name = "a", use = "strategies/cross.py:SmaCross", cash = 5000, params = { fast = 2 } },
            { name = "b", use = "package.module:Other" },
        ]
        [data]
        bars = "s/*.parquet"
        calendar = "XHKG"
        symbols = ["B", "A", "B"]
        stamp = "end"
        timezone = "Asia/Hong_Kong"
        price_decimals = 3
        columns = { open_time = "ts", open = "o" }
        [session]
        start = "2024-01-02"
        end = "2024-01-02"
        prefetch_days = 30
        speed = 60
        [streams]
        intervals = ["1d", "1h", "5m"]
        [indicators.adv]
        aggregate = "avg"
        of = "close*volume"
        period = "2w"
        at = "minute"
        min_sessions = 3
        [quality]
        minimum = 90
        gate = "completeness"
        after_minutes = 0
        [execution]
        fill = "next_open"
        time_in_force = "gtc"
        slippage_bps = 2
        commission_per_share = 0.005
        close_price = "closing_print"
        at_end = "close"
        [account]
        cash = 1000
        leverage = 0
        [run]
        seed = 7
        name = "n"
        tolerate_failed = 0.5
        on_data_error = "raise"
        on_strategy_error = "isolate"
        [engine]
        threads = 2
        [output]
        dir = "../out"
        """,
    )
    assert spec.data.symbols == ("A", "B")
    assert spec.data.bars == str(folder / "s" / "*.parquet")
    assert spec.data.columns == {"open_time": "ts", "open": "o"}
    assert spec.intervals == ("5m", "1h", "1d")
    assert spec.indicators == {"adv": IndicatorSpec("avg", "close*volume", "2w", "minute", 3)}
    assert [(s.name, s.cash, s.params) for s in spec.strategies] == [("a", 5000.0, {"fast": 2}), ("b", None, {})]
    assert spec.quality == QualitySpec(90.0, "completeness", 0)
    assert spec.strategies[1].use == "package.module:Other"
    assert spec.output_dir == str(folder.parent / "out")
    assert isinstance(spec.session.speed, float)
    told = to_dict(spec)
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    assert told["session"] == {"start": "2024-01-02", "end": "2024-01-02", "prefetch_days": 30, "speed": 60.0}


def test_precedence_and_paths_of_flags_and_environment(folder: Path) -> None:
    environ = {
        "BT_SESSION__PREFETCH_DAYS": "10",
        "BT_SESSION__START": "2024-11-26",
        "BT_DATA__BARS": "env/",
        "BT_STRATEGY__PARAMS__FAST": "6",
        "BT_CACHE": "/anywhere",
        "HOME": "/",
    }
    spec = read(folder, overrides={"session.prefetch_days": 20, "output.dir": "mine"}, environ=environ)
    assert spec.session.prefetch_days == 20
    assert spec.session.start == date(2024, 11, 26)
    assert spec.data.bars == str(Path.cwd() / "env")
    assert spec.output_dir == str(Path.cwd() / "mine")
    assert spec.strategies[0].params == {"fast": 6}


def test_the_process_environment_is_read_by_default(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BT_RUN__SEED", "11")
    assert load(write(folder, SMALL)).run.seed == 11


def test_tables_merge_and_strategies_are_reached_by_position_or_name(folder: Path) -> None:
    text = SMALL.partition("[strategy]")[0] + (
        '[[strategies]]\nname = "x"\nuse = "a:B"\nparams = {fast = 1, slow = 2}\n[[strategies]]\nuse = "a:C"\n'
    )
    sets = {"strategies.0.params.fast": 9, "strategies.C.params": {"slow": 3}, "execution": {"slippage_bps": 1}}
    spec = read(folder, text, sets)
    assert [s.params for s in spec.strategies] == [{"fast": 9, "slow": 2}, {"slow": 3}]
    assert spec.execution.slippage_bps == 1.0
    assert "position or name" in problem(folder, text, {"strategies.zz.params.fast": 1})


def test_symbols_from_a_file(folder: Path) -> None:
    (folder / "pool.txt").write_text("# pool\nSPY\n\n AAPL \nSPY\n")
    spec = read(folder, SMALL.replace('"store/"', '"store/"\nsymbols = "pool.txt"'))
    assert spec.data.symbols == ("AAPL", "SPY")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("session.prefetch_days=10", ("session.prefetch_days", 10)),
        ("session.start=2024-01-02", ("session.start", date(2024, 1, 2))),
        ("data.symbols=[\"A\", 'B']", ("data.symbols", ["A", "B"])),
        ("run.name=two words # kept", ("run.name", "two words # kept")),
        ("run.name=", ("run.name", "")),
        ("strategy.params.text=a=b", ("strategy.params.text", "a=b")),
        ("strategy.params.on=true", ("strategy.params.on", True)),
        ("run.name=1\nseed = 2", ("run.name", "1\nseed = 2")),
    ],
)
def test_set(text: str, expected: tuple) -> None:
    assert parse_set(text) == expected


@pytest.mark.parametrize("text", ["session.start", "=3", "a..b=3", "a b=3"])
def test_set_that_is_none(text: str) -> None:
    with pytest.raises(ConfigError, match=r"--set: it must be key=value, was .*; for example"):
        parse_set(text)


@pytest.mark.parametrize(
    ("old", "new", "line", "parts"),
    [
        (
            "2024-11-25",
            '"-60 days"',
            4,
            ['session.start must be a date like 2024-11-25 or "-60 sessions", was', "'-60 days'"],
        ),
        ("2024-11-25", "2024-11-25T10:00:00", 4, ["session.start must be a date", "leave the time of day out"]),
        ("2024-12-06", "2024-02-30", 0, ["it must be TOML"]),
        ("2024-11-25", "2025-01-01", 4, ["session.start must be on or before session.end 2024-12-06, was 2025-01-01"]),
        ("start = 2024-11-25\n", "", 3, ['session.start must be a date like 2024-11-25 or "-60 sessions", was absent']),
        ("start =", "strt =", 4, ["session.strt must be a known key", "did you mean session.start?"]),
        ("[session]", "[sesion]", 3, ["sesion must be a known key", "did you mean session?"]),
        ("[session]", "[univers]\ntop = 3\n[session]", 3, ["univers must be a known key", "did you mean universe"]),
        ("[session]", "[universe]\ntop = 3\n[session]", 3, ["universe.by must be there beside top", "was absent"]),
        ("[session]", '[universe]\nby = "prior(close)"\n[session]', 3, ["universe.top must be there beside by"]),
        (
            "[session]",
            '[universe]\ntop = 3\nby = "avg(close*volme, 10d)"\n[session]',
            5,
            ["universe.by must be", "character 11", "'volme, 10d)'", "open, high, low, close, volume"],
        ),
        (
            "[session]",
            '[universe]\nwhere = "close > 5"\n[session]',
            4,
            ["universe.where", "stands inside prior(close)"],
        ),
        ("[session]", '[universe]\nleavers = "sell"\n[session]', 4, ["universe.leavers must be 'hold' or 'exit'"]),
        ("[session]", '[session]\nhours = "extended"', 4, ['session.hours must be "regular"', "'extended'"]),
        ("[session]", "[session]\nprefetch_days = 0", 4, ["session.prefetch_days must be a whole number >= 1, was 0"]),
        ("[session]", "[session]\nprefetch_days = 1.5", 4, ["a whole number >= 1, was 1.5"]),
        ("[session]", "[session]\nspeed = inf", 4, ["session.speed must be a finite number >= 0, was inf"]),
        ("[session]", "[session]\nspeed = -1", 4, ["session.speed must be a finite number >= 0, was -1"]),
        ("[session]", "[account]\ncash = 0\n[session]", 4, ["account.cash must be a finite number > 0, was 0"]),
        ("[session]", "[account]\ncash = true\n[session]", 4, ["account.cash must be a finite number > 0, was True"]),
        (
            "[session]",
            "[account]\ncash_per_symbol = -1\n[session]",
            4,
            ["account.cash_per_symbol must be a finite number >= 0"],
        ),
        ("[session]", "[account]\nshared = 1\n[session]", 4, ["account.shared must be true or false, was 1"]),
        ("[session]", "[account]\nleverage = -0.1\n[session]", 4, ["account.leverage must be a finite number >= 0"]),
        (
            "[session]",
            '[execution]\nfill = "this_open"\n[session]',
            4,
            ["execution.fill must be 'next_open' or 'next_close' or 'same_close'"],
        ),
        ("[session]", "[execution]\nslippage_bps = nan\n[session]", 4, ["execution.slippage_bps must be", "was nan"]),
        ("[session]", "[execution]\ncommission_per_share = -1\n[session]", 4, ["commission_per_share must be"]),
        ("[session]", '[execution]\ntime_in_force = "ioc"\n[session]', 4, ["must be 'day' or 'gtc', was 'ioc'"]),
        (
            "[session]",
            "[quality]\nminimum = 100.5\n[session]",
            4,
            ["quality.minimum must be a percentage from 0 to 100"],
        ),
        ("[session]", '[quality]\ngates = "completeness"\n[session]', 4, ["quality.gates must be a known key"]),
        (
            "[session]",
            '[quality]\ngate = "coverage"\n[session]',
            4,
            ["quality.gate must be 'quality' or 'completeness', was 'coverage'"],
        ),
        ("[session]", "[run]\ntolerate_failed = 2\n[session]", 4, ["run.tolerate_failed must be a fraction"]),
        ("[session]", "[run]\nseed = -1\n[session]", 4, ["run.seed must be a whole number >= 0"]),
        ("[session]", "[run]\nname = 3\n[session]", 4, ["run.name must be text, was 3; write it in quotes"]),
        ("[session]", "[engine]\nworkers = 0\n[session]", 4, ["engine.workers must be a whole number >= 1"]),
        ("[session]", "[engine]\nthreads = -1\n[session]", 4, ["engine.threads must be a whole number >= 0"]),
        ("[session]", '[streams]\nintervals = ["7x"]\n[session]', 4, ["'7x' is no interval"]),
        ("[session]", '[streams]\nintervals = ["2d"]\n[session]', 4, ["'2d' is no interval"]),
        ("[session]", '[streams]\nintervals = ["1m"]\n[session]', 4, ["leave 1m out"]),
        ("[session]", '[streams]\nintervals = ["1h", "60m"]\n[session]', 4, ["'60m' is given twice"]),
        ("[session]", '[streams]\nintervals = "5m"\n[session]', 4, ['write a list, such as ["5m"]']),
        (
            "[session]",
            '[indicators.a]\naggregate = "mean"\nof = "volume"\nperiod = "1d"\n[session]',
            4,
            ["a.aggregate must"],
        ),
        ("[session]", '[indicators.a]\naggregate = "avg"\nof = "volume"\nperiod = "1q"\n[session]', 6, ["such as 10d"]),
        (
            "[session]",
            '[indicators.close]\naggregate = "avg"\nof = "volume"\nperiod = "1d"\n[session]',
            3,
            ["new field"],
        ),
        ('"store/"', '"s3://bucket/x"', 2, ["data.bars must be a local", "copy it to this machine"]),
        ('"store/"', '"s"\nsymbols = []', 3, ["name at least one symbol"]),
        ('"store/"', '"s"\nsymbols = "SPY"', 3, ["No such file", '["SPY"]']),
        ('"store/"', '"s"\nsymbols = ["A", 3]', 3, ["write a list of texts"]),
        ('"store/"', '"s"\nstamp = "middle"', 3, ["data.stamp must be 'start' or 'end', was 'middle'"]),
        ('"store/"', '"s"\ntimezone = "America/New_Yrk"', 3, ["did you mean America/New_York?"]),
        (
            '"store/"',
            '"s"\nprice_decimals = 9',
            3,
            ['data.price_decimals must be "auto" or a whole number from 0 to 8'],
        ),
        ('"store/"', '"s"\ncolumns = { opn = "o" }', 3, ["'opn' is none of", "nearest open"]),
        ('"store/"', '"s"\ncolumns = { open = "o", high = "o" }', 3, ["one column of the files"]),
        ("cross.py:SmaCross", "cross.py", 7, ["strategy.use must be file.py:Class", "after a colon"]),
        ("cross.py", "missing.py", 7, ["strategy.use must be", "there is no file"]),
        ('use = "strategies/cross.py:SmaCross"', "cash = 3", 7, ["strategy.cash must be a known key"]),
        ("[strategy]", '[[strategies]]\nuse="a:B"\n[strategy]', 6, ["must be absent beside [strategy]"]),
    ],
)
def test_every_problem_names_line_key_value_and_hint(
    folder: Path, old: str, new: str, line: int, parts: list[str]
) -> None:
    assert old in SMALL
    message = problem(folder, SMALL.replace(old, new))
    for part in parts:
        assert part in message
    if line:
        assert f"run.toml:{line}: " in message


def test_all_problems_are_told_at_once(folder: Path) -> None:
    message = problem(folder, SMALL.replace("2024-11-25", "3").replace("bars", "brs"))
    assert message.count("must be") == 3  # start, the unknown key, the missing one


def test_where_a_value_came_from(folder: Path) -> None:
    assert problem(folder, environ={"BT_SESSION__STRT": "3"}).startswith("environment variable BT_SESSION__STRT: ")
    assert "environment variable BT_FOO: foo must be a known key" in problem(folder, environ={"BT_FOO": "1"})
    assert problem(folder, overrides={"account.cash": -1}).startswith("command line: account.cash must be ")
    message = problem(folder, overrides={"session.start.x": 1})
    assert message.startswith("command line: session.start must be a table, was ")
    assert message.endswith("session.start.x cannot be set")


def test_strategies_need_distinct_names_and_there_must_be_one(folder: Path) -> None:
    rest = SMALL.partition("[strategy]")[0]
    twice = '[[strategies]]\nuse = "a:B"\n[[strategies]]\nuse = "c:B"\n'
    message = problem(folder, rest + twice)
    assert "run.toml:8: strategies.1.name must be used once, was 'B'; give each of [[strategies]] a name" in message
    assert "a run needs a strategy" in problem(folder, rest)
    assert "strategies.0.fill" in problem(folder, rest + '[[strategies]]\nuse = "a:B"\nfill = 1\n')


def test_files_that_cannot_be_read(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.toml: it must be a readable TOML file, was not: No such file"):
        load(folder / "absent.toml", environ={})
    (folder / "momentum.toml").write_text("")
    with pytest.raises(ConfigError, match=r"No such file or directory; did you mean .*momentum\.toml\?"):
        load(folder / "momentun.toml", environ={})
    with pytest.raises(ConfigError, match="it must be a readable TOML file"):
        load(folder, environ={})
    (folder / "latin.toml").write_bytes(b'[run]\nname = "\xe9"\n')
    with pytest.raises(ConfigError, match="it must be TOML in UTF-8"):
        load(folder / "latin.toml", environ={})
    assert "at line 1" in problem(folder, "[data\n")


class Cross:
    """A strategy made in Python."""

    def __init__(self, fast: int = 5, weights: object = None) -> None:
        self.fast = fast
        self.weights = np.arange(3) if weights is None else weights


def keywords(use: object, **tables: object) -> RunSpec:
    base = {"data": {"bars": Path("x")}, "session": {"start": "2024-01-02", "end": date(2024, 1, 5)}}
    return from_mapping({**base, "strategy": {"use": use}, **tables}, base=Path.cwd(), source="bt.replay()")


def test_classes_and_instances_in_memory() -> None:
    spec = keywords(Cross)
    assert spec.strategies[0].use is Cross
    assert spec.strategies[0].name == "Cross"
    assert spec.data.bars == str(Path.cwd() / "x")
    instance = Cross(7)
    spec = keywords(instance)
    assert spec.strategies[0].use is instance
    told = to_dict(spec)["strategies"][0]
    assert told["use"] == f"{__name__}:Cross"
    assert told["params"]["fast"] == 7
    json.dumps(told, allow_nan=False)
    assert spec_hash(keywords(Cross(7))) == spec_hash(spec) != spec_hash(keywords(Cross(8)))
    assert spec_hash(keywords(Cross(7, np.ones(3)))) != spec_hash(spec)
    with pytest.raises(ConfigError, match=r"bt\.replay\(\): strategy\.use must be .*, was 3"):
        keywords(3)


def test_the_hash_leaves_out_what_changes_no_result() -> None:
    spec = keywords(Cross)
    same = replace(
        spec,
        output_dir="/elsewhere",
        threads=3,
        session=replace(spec.session, prefetch_days=9, speed=2.0),
        run=replace(spec.run, name="n"),
        source="another",
    )
    assert spec_hash(same) == spec_hash(spec)
    assert len(spec_hash(spec)) == 64
    for other in (
        replace(spec, run=replace(spec.run, seed=1)),
        replace(spec, account=replace(spec.account, leverage=2.0)),
        replace(spec, session=replace(spec.session, end=date(2024, 1, 4))),
        replace(spec, intervals=("5m",)),
        replace(spec, data=replace(spec.data, symbols=("A",))),
    ):
        assert spec_hash(other) != spec_hash(spec)


def test_values_without_a_plain_form_are_told_by_class_name() -> None:
    spec = keywords(
        Cross, strategy={"use": Cross, "params": {"a": object(), "b": float("nan"), "c": {2, 1}, "d": np.int64(3)}}
    )
    assert to_dict(spec)["strategies"][0]["params"] == {"a": "builtins:object", "b": "nan", "c": [1, 2], "d": 3}


def test_the_hash_is_the_same_in_every_process(folder: Path) -> None:
    path = write(folder, SMALL)
    code = f"from bt.config import *; print(spec_hash(load({str(path)!r}, environ={{}})))"
    found = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": seed},
            cwd=Path(__file__).parents[1],
        ).stdout.strip()
        for seed in ("1", "2")
    }  # fmt: skip
    assert found == {spec_hash(load(path, environ={}))}
