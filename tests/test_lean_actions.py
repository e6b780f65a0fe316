"""Corporate actions from LEAN's factor and map files, and back: `bt actions lean`."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Iterator
from datetime import date, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from cli_runs import call
from hypothesis import given
from hypothesis import strategies as st
from test_laws import law

from bt.errors import DataError, UsageError
from bt.ingest import lean_actions

LAST = "20501231"

FACTORS = f"""\
20100104,0.4858570,0.1428571,1
20120808,0.4858570,0.1428571,619.86
20140606,0.4879434,0.1428571,645.57
20141105,0.4879434,1,108.86
{LAST},1,1,0
"""


def folder(where: Path, name: str, **files: str) -> Path:
    made = where / name
    made.mkdir()
    for stem, text in files.items():
        (made / f"{stem}.csv").write_text(text)
    return made


def rows(frame: pl.DataFrame) -> list[tuple[Any, ...]]:
    return frame.select("symbol", "session", "kind", "ratio", "amount", "to").rows()


def test_what_lies_between_lines(tmp_path: Path) -> None:
    """A dividend is close x (1 - factor / next factor); a split on the same day would come first."""
    factors = folder(tmp_path, "factor_files", aapl=FACTORS)
    maps = folder(tmp_path, "map_files", aapl=f"19980102,aapl,Q\n{LAST},aapl,Q\n")
    assert rows(lean_actions([factors], [maps])) == [
        ("AAPL", date(2012, 8, 9), "dividend", None, 2.6505, None),
        ("AAPL", date(2014, 6, 7), "split", 7.0, None, None),
        ("AAPL", date(2014, 11, 6), "dividend", None, 55.74248, None),
    ]


def test_names_change_and_end(tmp_path: Path) -> None:
    """A security's actions are under the ticker of their day: of the new one where both are of one day."""
    factors = folder(tmp_path, "factor_files", tfcfa=f"20130308,0.8,1,30\n20130628,0.8,1,32.60\n{LAST},1,1,0\n")
    maps = folder(tmp_path, "map_files", tfcfa="20041112,nwsa,Q\n20130628,nwsa,Q\n20190318,foxa,Q\n20190320,tfcfa,Q\n")
    assert rows(lean_actions([factors], [maps])) == [
        ("FOXA", date(2013, 6, 29), "dividend", None, 6.52, None),
        ("NWSA", date(2013, 6, 29), "rename", None, None, "FOXA"),
        ("FOXA", date(2019, 3, 19), "rename", None, None, "TFCFA"),
        ("TFCFA", date(2019, 3, 21), "delisting", None, None, None),
    ]


def test_many_securities_in_one_file(tmp_path: Path) -> None:
    (tmp_path / "f.csv").write_text(
        "security,date,price_factor,split_factor,ref_close\nA,2014-06-06,1,0.5,10\nA,2050-12-31,1,1,0\n"
    )
    (tmp_path / "m.csv").write_text("security,last_date,ticker,exchange\nA,2050-12-31,AAA,Q\n")
    assert rows(lean_actions([tmp_path / "f.csv"], [tmp_path / "m.csv"])) == [
        ("AAA", date(2014, 6, 7), "split", 2.0, None, None)
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("20140606,0.5,x,1\n", "line 1: a factor must be a number, was 'x'"),
        ("2014-06-0,0.5,1,1\n", "line 1: a date must be as 20140606, was '2014-06-0'"),
        (f"{LAST},1,1,0\n20140606,0.5\n", "line 2: it must have 4 fields at least, was '20140606,0.5'"),
        ("20140606,0,1,1\n", "line 1: a factor must be more than 0, was 0"),
    ],
)
def test_lines_that_are_none_are_refused(tmp_path: Path, text: str, message: str) -> None:
    factors = folder(tmp_path, "factor_files", a=text)
    with pytest.raises(DataError) as error:
        lean_actions([factors], [])
    assert message in str(error.value)
    with pytest.raises(UsageError, match="name LEAN's factor_files and map_files"):
        lean_actions([tmp_path / "nowhere"], [])


actions = st.lists(
    st.tuples(
        st.integers(1, 400),
        st.sampled_from((None, Fraction(2), Fraction(7), Fraction(3, 2), Fraction(1, 10), Fraction(21, 20))),
        st.sampled_from((None, None, 5, 47, 83, 265)),
        st.integers(1500, 60_000),
    ),
    min_size=1, max_size=8, unique_by=lambda a: a[0],
)  # fmt: skip


@law(60)
@given(actions)
def test_what_lean_would_write_comes_back(made: list[tuple[int, Fraction | None, int | None, int]]) -> None:
    """Its factors have seven decimals of prices and six digits of splits; dividends of whole cents are told from them again."""
    price, split, lines, expected = Fraction(1), Fraction(1), [(date(2050, 12, 31), 1.0, "1", 0.0)], []
    for days, ratio, cents, close in sorted(made, key=lambda a: -a[0]):
        before = date(2015, 1, 1) + timedelta(days=days)
        left = 1 - Fraction(cents or 0, close)
        price, split = round(price * left, 7), split / (ratio or 1)
        lines.append((before, float(price), f"{float(split):.6g}", close / 100))
        after = before + timedelta(days=1)
        if ratio:
            expected.append((after, "split", float(ratio)))
        if cents:
            expected.append((after, "dividend", float(Fraction(cents, 100) / (ratio or 1))))
    text = "".join(f"{day:%Y%m%d},{p:.7f},{s},{close}\n" for day, p, s, close in reversed(lines))
    with _folder(text) as where:
        found = lean_actions([where], []).select("session", "kind", pl.coalesce("ratio", "amount")).rows()
    assert [(d, k) for d, k, _ in found] == [(d, k) for d, k, _ in sorted(expected, key=lambda e: (e[0], e[1]))]
    for (_, kind, value), (_, _, true) in zip(found, sorted(expected, key=lambda e: (e[0], e[1])), strict=True):
        assert value == pytest.approx(true, rel=1e-4 if kind == "split" else 0, abs=0 if kind == "split" else 0.004)


@contextlib.contextmanager
def _folder(text: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="lean-") as where:
        Path(where, "a.csv").write_text(text)
        yield Path(where)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    factors = folder(tmp_path, "factor_files", aapl=FACTORS)
    maps = folder(tmp_path, "map_files", aapl=f"19980102,aapl,Q\n{LAST},aapl,Q\n")
    out = tmp_path / "store" / "actions.parquet"
    done = call(capsys, "actions", "lean", str(factors), str(maps), "--out", str(out), "--json")
    told = json.loads(done.out)
    assert (done.code, told["split"], told["dividend"], told["symbols"]) == (0, 1, 2, 1)
    assert pl.read_parquet(out).height == 3
    again = call(capsys, "actions", "lean", str(factors), str(maps), "--out", str(out))
    assert "1 split, 2 dividends" in again.out + again.err
    wrong = call(capsys, "actions", "lean", str(tmp_path / "no"), str(maps), "--out", str(out))
    assert wrong.code == 2
