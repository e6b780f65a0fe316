"""Outside tables: joined as of what was known, against the oracle; and everything about them that is refused."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import oracle as o
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small import WEDNESDAY, Script, at, bars, play, store
from test_laws import law
from watchers import Watcher, judged, replayed
from worlds import World, stored, worlds

import bt
from bt.errors import BtError, ConfigError, DataError, StrategyError

KINDS = {"eps": float, "rank": int, "flag": bool, "note": str, "day": date, "when": datetime}
TYPES = {"eps": pl.Float64, "rank": pl.Int32, "flag": pl.Boolean, "note": pl.String, "day": pl.Date}


@dataclass(frozen=True, repr=False)
class Facts:
    """A table: its rows, and how it is written."""

    rows: tuple[dict[str, Any], ...]
    dated: bool
    by: str | None

    def __repr__(self) -> str:
        return f"Facts(dated={self.dated}, by={self.by}, {[tuple(r.values()) for r in self.rows]})"

    def frame(self, unit: str = "us", zone: str = "UTC") -> pl.DataFrame:
        when = pl.Datetime("us", "UTC")
        known = pl.Date() if self.dated else when
        schema = {"known": known, "who": pl.String(), **TYPES, "when": when}
        frame = pl.DataFrame(self.rows, schema=schema, orient="row")  # type: ignore[arg-type]
        if self.dated:
            return frame
        return frame.with_columns(pl.col("known").dt.cast_time_unit(unit).dt.convert_time_zone(zone))  # type: ignore[arg-type]


@st.composite
def facts(draw: st.DrawFn, world: World) -> Facts:
    """Up to a dozen rows around the sessions; many become known together, at an open, a minute's end or a close."""
    dated = draw(st.booleans())
    by = draw(st.sampled_from(("who", None)))
    days = world.days
    rows = []
    for _ in range(draw(st.integers(0, 12))):
        day = draw(st.sampled_from(days))
        minute = draw(st.sampled_from(day.minutes))
        offsets = (0, 0, o.MINUTE, 1, -1, o.MINUTE // 2, 3600 * 1_000_000 * 20, -3600 * 1_000_000 * 20)
        us = draw(st.sampled_from((day.open, day.close, minute, minute))) + draw(st.sampled_from(offsets))
        known: Any = o.instant(us)
        if dated:
            known = day.name + timedelta(days=draw(st.integers(-3, 3)))
        rows.append({
            "known": known, "who": draw(st.sampled_from((*world.symbols, "ZZZ"))),
            "eps": draw(st.sampled_from((None, 0.1, -2.5))), "rank": draw(st.sampled_from((None, 1, 7))),
            "flag": draw(st.sampled_from((None, True, False))), "note": draw(st.sampled_from((None, "", "Ä b"))),
            "day": draw(st.sampled_from((None, day.name))), "when": draw(st.sampled_from((None, o.instant(us)))),
        })  # fmt: skip
    return Facts(tuple(rows), dated, by)


def kind(label: str, needed: frozenset[str]) -> type:
    """A row type that shows every column, those in `needed` not before they are known."""
    fields = [(f"f_{n}", t if n in needed else t | None) for n, t in KINDS.items()]
    own = [("symbol", str), ("close_time", int)]
    return msgspec.defstruct(f"Row{label}", own + fields, bases=(bt.Row,), namespace={"interval": label})


@law(50)
@given(st.data(), worlds(sessions=3), st.sampled_from((1, 2, 30)))
def test_rows_show_what_was_known(data: st.DataObject, world: World, prefetch: int) -> None:
    table = data.draw(facts(world))
    needed = frozenset(data.draw(st.sets(st.sampled_from(sorted(KINDS)), max_size=1)))
    rows = [kind("1m", needed), kind("5m", frozenset())]
    ours, theirs = Watcher(rows, {}), Watcher(rows, {})
    unit, zone = data.draw(st.sampled_from(("us", "ns"))), data.draw(st.sampled_from(("UTC", "Asia/Tokyo")))
    given: dict[str, Any] = {"known_at": "known"} | ({"by": table.by} if table.by else {})
    with stored(world) as folder:
        path = folder.parent / f"{folder.name}.facts"
        table.frame(unit, zone).write_parquet(path)
        how = data.draw(st.sampled_from((path, table.frame(unit, zone))))
        run = replayed(world, folder, ours, tables={"f": {"path": how, **given}}, prefetch_days=prefetch)
        path.unlink()
    features = {f"f_{n}": o.Outside(table.rows, n, "known", table.by) for n in KINDS}
    result = judged(world, o.Strategy("watcher", theirs, [o.RowType.of(r, features) for r in rows]))
    assert ours.seen == theirs.seen
    hidden = run.guards.filter(pl.col("reason").str.starts_with("warming_up"))["rows"].sum()
    assert hidden == sum(n for (_, _, why), n in result.guards.items() if why.startswith("warming_up"))


# ------------------------------------------------------------------------------------------------------------ by hand


class Eps(bt.Row):
    symbol: str
    minute: int
    earnings_eps: float | None


class Watch(Script):
    row: Any = Eps

    def __init__(self, row: type = Eps) -> None:
        super().__init__()
        self.row = row
        self.seen: list[tuple[Any, ...]] = []

    def on_bar(self, row: Any, book: bt.Book) -> None:
        self.seen.append(msgspec.structs.astuple(row))


def market(tmp_path: Path) -> Path:
    return store(
        tmp_path, bars("A", [1.0] * 4), bars("B", [1.0] * 2), bars("A", [1.0] * 2, day=WEDNESDAY)
    )  # fmt: skip


EARNINGS = pl.DataFrame(
    {
        "symbol": ["A", "A", "A", "B"],
        "published": [at(0), at(2), at(2), at(1)],
        "eps": [1.0, 2.0, 3.0, 9.0],
        "flag": [True, False, True, False],
        "sector": ["x", "y", "z", "x"],
    }
)
BY = {"by": "symbol", "known_at": "published"}


def test_a_row_is_visible_from_known_at_and_the_later_of_two_wins(tmp_path: Path) -> None:
    watch = Watch()
    play(market(tmp_path), watch, end=WEDNESDAY, tables={"earnings": {"path": EARNINGS, **BY}})
    # a bar of minute m is shown at m + 1: what is known at minute 2 is seen in the bar of minute 1
    assert watch.seen == [
        ("A", 0, 1.0), ("B", 0, 9.0), ("A", 1, 3.0), ("B", 1, 9.0), ("A", 2, 3.0), ("A", 3, 3.0), ("A", 0, 3.0),
        ("A", 1, 3.0),
    ]  # fmt: skip


def test_not_a_nanosecond_too_early(tmp_path: Path) -> None:
    late = EARNINGS.with_columns(pl.col("published").dt.cast_time_unit("ns") + pl.duration(nanoseconds=1))
    watch = Watch()
    play(market(tmp_path), watch, tables={"earnings": {"path": late, **BY}})
    assert [eps for symbol, _, eps in watch.seen if symbol == "A"] == [1.0, 1.0, 3.0, 3.0]


def test_a_date_is_known_from_the_next_session(tmp_path: Path) -> None:
    dated = pl.DataFrame({"published": [date(2023, 12, 30), date(2024, 1, 2)], "eps": [1, 2]})  # a Saturday, Tuesday
    watch = Watch()
    play(market(tmp_path), watch, end=WEDNESDAY, tables={"earnings": {"path": dated, "known_at": "published"}})
    assert [eps for *_, eps in watch.seen] == [1.0] * 6 + [2.0] * 2
    assert all(isinstance(eps, float) for *_, eps in watch.seen)


def test_a_field_that_must_be_known_withholds_the_row(tmp_path: Path) -> None:
    class Sure(bt.Row):
        symbol: str
        earnings_eps: float

    watch = Watch(Sure)
    late = EARNINGS.with_columns(pl.lit(at(3)).alias("published"))
    run = play(market(tmp_path), watch, tables={"earnings": {"path": late, **BY}})
    assert watch.seen == [("A", 3.0), ("A", 3.0)]
    assert run.guards.select("symbol", "reason", "rows").rows() == [
        ("A", "warming_up: earnings_eps", 2), ("B", "warming_up: earnings_eps", 2),
    ]  # fmt: skip


def test_the_cross_section_has_the_numbers(tmp_path: Path) -> None:
    class Wide(bt.Row):
        symbol: str
        earnings_eps: float | None
        earnings_flag: bool | None
        earnings_sector: str | None

    class Cross:
        row = Wide

        def on_minute(self, rows: bt.Rows, book: bt.Book) -> None:
            seen.append((rows.earnings_eps.tolist(), rows.earnings_flag.tolist()))

    seen: list[Any] = []
    play(market(tmp_path), Cross(), tables={"earnings": {"path": EARNINGS, **BY}})
    assert seen[:2] == [([1.0, 9.0], [1.0, 0.0]), ([3.0, 9.0], [1.0, 0.0])]
    assert np.isnan(seen[2][0][1])  # B has no bar


def test_the_content_is_part_of_the_run(tmp_path: Path) -> None:
    where = market(tmp_path)
    one, other = tmp_path / "one.parquet", tmp_path / "other.parquet"
    EARNINGS.write_parquet(one)
    EARNINGS.write_parquet(other)
    told = []
    for number, path in enumerate((one, other, one, EARNINGS)):
        if number == 2:
            EARNINGS.with_columns(pl.col("eps") + 1).write_parquet(one)
        out = tmp_path / f"run{number}"
        play(where, Watch(), tables={"earnings": {"path": path, **BY}}, save=True, out=out)
        told.append(json.loads((out / "manifest.json").read_text()))
    assert told[0]["spec"]["tables"] == {"earnings": {"path": str(one), **BY}}
    assert told[3]["spec"]["tables"]["earnings"]["path"].startswith("memory:")
    assert set(told[0]["tables"]) == {"earnings"}
    for key in ("spec_hash", "data_fingerprint"):
        assert told[0][key] == told[1][key] != told[2][key], key
    play(where, Script(), save=True, out=tmp_path / "without")
    without = json.loads((tmp_path / "without" / "manifest.json").read_text())
    assert without["data_fingerprint"] != told[0]["data_fingerprint"]


def test_paths_are_relative_to_the_configuration(tmp_path: Path) -> None:
    market(tmp_path)
    EARNINGS.write_parquet(tmp_path / "earnings.parquet")
    (tmp_path / "run.toml").write_text(
        '[data]\nbars = "bars"\n[session]\nstart = 2024-01-02\nend = 2024-01-02\n[strategy]\nuse = "s.py:S"\n'
        '[tables.earnings]\npath = "earnings.parquet"\nby = "symbol"\nknown_at = "published"\n'
    )
    (tmp_path / "s.py").write_text(
        "import bt\nclass Eps(bt.Row):\n    symbol: str\n    earnings_eps: float | None\n"
        "class S:\n    row = Eps\n    def on_bar(self, row, book):\n        book.record(eps=row.earnings_eps)\n"
    )
    run = bt.replay(tmp_path / "run.toml", save=False)
    assert run.records["value"].to_list() == [1.0, 9.0, 3.0, 9.0, 3.0, 3.0]


# ------------------------------------------------------------------------------------------------------------ refusals

NAIVE = EARNINGS.with_columns(pl.col("published").dt.replace_time_zone(None))


def refused(tmp_path: Path, table: Any, row: type = Eps, **given: Any) -> str:
    """What is said before anything is replayed."""
    watch = Watch(row)
    with pytest.raises(BtError) as caught:
        play(market(tmp_path), watch, tables={"earnings": {"path": table, **given}})
    assert not watch.happened
    assert not watch.seen
    assert isinstance(caught.value, ConfigError | DataError | StrategyError)
    return str(caught.value)


def test_a_table_without_known_at_is_refused(tmp_path: Path) -> None:
    said = refused(tmp_path, EARNINGS, by="symbol")
    assert "tables.earnings.known_at must be the column that says when each row became known, was absent" in said
    path = tmp_path / "earnings.parquet"
    EARNINGS.drop("published").write_parquet(path)
    said = refused(tmp_path, path, **BY)
    assert said == (
        f"{path}: column 'published' (tables.earnings.known_at) must be there to say when each row became known, was missing "
        "among symbol, eps, flag, sector; add it, or name the column that does"
    )


@pytest.mark.parametrize(
    ("table", "given", "parts"),
    [
        (NAIVE, BY, ["column 'published' (tables.earnings.known_at) must be a timestamp with a time zone, or a date, was a timestamp without a time zone", "dt.replace_time_zone"]),
        (EARNINGS.with_columns(pl.lit("2024-01-02").alias("published")), BY, ["must be a timestamp with a time zone, or a date, was str"]),
        (EARNINGS, BY | {"by": "ticker"}, ["column 'ticker' (tables.earnings.by) must be there to say of which symbol a row is"]),
        (EARNINGS, BY | {"by": "eps"}, ["column 'eps' (tables.earnings.by) must be text, was Float64"]),
        (EARNINGS.with_columns(pl.lit(None, pl.Datetime("us", "UTC")).alias("published")), BY, ["column 'published' must have a value in every row, was empty in 4 of 4"]),
        (EARNINGS.with_columns(pl.lit(None, pl.String).alias("symbol")), BY, ["column 'symbol' must have a value in every row"]),
        (EARNINGS.rename({"eps": "epss"}), BY, ["field 'earnings_eps' must be a column of the table earnings", "has no 'eps'", "earnings_epss"]),
        (EARNINGS.with_columns(pl.lit("1").alias("eps")), BY, ["field 'earnings_eps' must be annotated str, was float"]),
        (EARNINGS.with_columns(pl.lit([1.0]).alias("eps")), BY, ["but 'eps' of tables.earnings is List", "cast it"]),
        (EARNINGS, BY | {"knwon_at": "x"}, ["tables.earnings.knwon_at must be a known key", "known_at"]),
        ("nowhere.parquet", BY, ["tables.earnings.path must be a Parquet file", "there is no such file"]),
        ({"a": 1}, BY, ["tables.earnings.path must be a Parquet file"]),
    ],
)  # fmt: skip
def test_what_cannot_be_joined_is_refused(tmp_path: Path, table: Any, given: dict[str, str], parts: list[str]) -> None:
    said = refused(tmp_path, table, **given)
    assert all(part in said for part in parts), said


def test_a_misspelt_table_is_told(tmp_path: Path) -> None:
    class Misspelt(bt.Row):
        symbol: str
        earnigs_eps: float | None

    assert "did you mean 'earnings_eps'" in refused(tmp_path, EARNINGS, Misspelt, **BY)


def test_files_that_are_no_parquet(tmp_path: Path) -> None:
    text = tmp_path / "earnings.csv"
    text.write_text("symbol,published\n")
    said = refused(tmp_path, text, **BY)
    assert said.startswith(f"{text}: tables.earnings.path must be a readable Parquet file, was not: ")
    assert said.endswith("; write it as Parquet")


def test_whole_numbers_beyond_64_bits(tmp_path: Path) -> None:
    class Rank(bt.Row):
        symbol: str
        earnings_rank: int | None

    big = EARNINGS.with_columns(pl.lit(2**63, pl.UInt64).alias("rank"))
    assert "column 'rank' must fit whole numbers of 64 bits" in refused(tmp_path, big, Rank, **BY)


def test_a_name_means_one_thing(tmp_path: Path) -> None:
    class Two(bt.Row):
        symbol: str
        n_trades: int | None

    table = {"path": EARNINGS.with_columns(pl.lit(1).alias("trades")), **BY}
    with pytest.raises(StrategyError, match="field 'n_trades' must mean one thing, was a table's column too"):
        play(market(tmp_path), Watch(Two), tables={"n": table})

    class Either(bt.Row):
        symbol: str
        a_b_c: int | None

    tables = {
        "a": {"path": EARNINGS.with_columns(pl.lit(1).alias("b_c")), **BY},
        "a_b": {"path": EARNINGS.with_columns(pl.lit(1).alias("c")), **BY},
    }
    with pytest.raises(StrategyError, match="field 'a_b_c' must be of one table, was of a and a_b"):
        play(market(tmp_path), Watch(Either), tables=tables)
    with pytest.raises(ConfigError, match="tables.my-table must be named as fields of a row begin, was 'my-table'"):
        play(market(tmp_path), Watch(), tables={"my-table": table})


def test_the_oracle_picks_the_last_of_what_was_known_together() -> None:
    day = o.regular_day(date(2024, 1, 2), "America/New_York", "09:30-16:00")
    rows = [{"k": datetime(2024, 1, 2, 15, tzinfo=UTC), "v": v} for v in (1, 2)]
    feature = o.Outside(rows, "v", "k")
    feature.prepare(o.History([day], {day.name: {}}))
    assert feature.value("A", day, 29, o.micros(rows[0]["k"]) - 1) is None
    assert feature.value("A", day, 29, o.micros(rows[0]["k"])) == 2
    assert replace(feature, rows=rows[::-1]).value("A", day, 29, o.micros(rows[0]["k"])) == 1
