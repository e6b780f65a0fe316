"""Features of other features: another symbol's, across the universe, relative volume, scores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from small import HALF_DAY, THURSDAY, TUESDAY, WEDNESDAY, Price, Script, bars, play, store

import bt
from bt.errors import DataError, FeatureError, StrategyError
from bt.model import Column
from bt.prepare.scored import is_sampled
from bt.prepare.universal import across

WALK: list[Price] = [10.0, 11.0, 13.0, 12.0]


def column(where: Path, features: dict[str, bt.Feature], *, symbol: str = "A", day: str = TUESDAY) -> list[object]:
    """The first feature's values on a symbol's rows of one session."""
    frame = bt.load_bars(where, "XNYS", day, day, features=features)["1m"]
    return frame.filter(frame["symbol"] == symbol)[next(iter(features))].to_list()


# ------------------------------------------------------------------------------------------------------------------ of


def test_another_symbols_feature_is_known_at_its_last_bar(tmp_path: Path):
    where = store(tmp_path, bars("A", [5.0] * 4), bars("B", [None, 7.0, None, 9.0]), bars("A", [5.0] * 2, day=THURSDAY))
    assert column(where, {"f": bt.of("B", bt.lag("close", 0))}) == [None, 7.0, 7.0, 9.0]
    assert column(where, {"f": bt.of("B", bt.lag("close", 0))}, day=THURSDAY) == [9.0, 9.0]
    assert column(where, {"f": bt.of("B", bt.lag("close", 0), within="session")}, day=THURSDAY) == [None, None]
    assert column(where, {"f": bt.of("B", bt.prior("close", 2))}, day=THURSDAY) == [9.0, 9.0]
    assert column(where, {"f": bt.of("B", bt.so_far("sum", "volume"))}) == [None, 100, 100, 200]


def test_another_symbols_coarser_feature(tmp_path: Path):
    where = store(tmp_path, bars("A", [5.0] * 11), bars("B", [float(p) for p in range(1, 12)]))
    feature = {"f": bt.of("B", bt.sma("close", 1, interval="5m"))}
    assert column(where, feature) == [*[None] * 4, *[5.0] * 5, *[10.0] * 2]


def test_a_symbol_that_is_not_there_is_named(tmp_path: Path):
    where = store(tmp_path, bars("ABC", WALK))
    with pytest.raises(StrategyError, match=r"of: symbol must be one of the 1 .* was 'ABX'; the nearest is 'ABC'"):
        column(where, {"f": bt.of("ABX", bt.sma("close", 1))})


# --------------------------------------------------------------------------------------------------------------- cross


def test_across_the_universe_at_one_minute(tmp_path: Path):
    prices = {"A": 1.0, "B": 3.0, "C": 3.0, "D": 9.0}
    where = store(tmp_path, *(bars(s, [p]) for s, p in prices.items()), bars("A", [5.0], first=7))

    def found(feature: bt.Feature) -> list[object]:
        return [column(where, {"f": feature}, symbol=s)[0] for s in prices]

    close = bt.lag("close", 0)
    assert found(bt.cross_rank(close)) == [0.0, 0.5, 0.5, 1.0]
    assert found(bt.cross_demean(close)) == [-3.0, -1.0, -1.0, 5.0]
    assert found(bt.cross_zscore(close)) == [-1.0, -1 / 3, -1 / 3, 5 / 3]
    assert column(where, {"f": bt.cross_rank(close)}) == [0.0, 0.5]
    assert column(where, {"f": bt.cross_demean(close)}) == [-3.0, 0.0]
    assert column(where, {"f": bt.cross_zscore(close)}) == [-1.0, None]


def test_unknown_values_and_strangers_are_left_out():
    values = Column(np.array([1.0, np.nan, 3.0, 5.0, 7.0]))
    counted = np.array([True, False, True, False, True])
    ranks = across("rank", values, np.zeros(5, dtype=np.int64), counted)
    assert ranks.null is not None
    assert ranks.null.tolist() == [False, True, False, True, False]
    assert ranks.values[counted].tolist() == [0.0, 0.5, 1.0]


def test_a_value_that_is_no_number_is_unknown(tmp_path: Path):
    """0 / 0 of B is not the highest of all."""
    where = store(tmp_path, bars("A", [1.0]), bars("B", [3.0]), bars("C", [5.0]))
    odd = bt.feature((pl.col("close") - 3) / (pl.col("close") - 3), 0)
    assert [column(where, {"f": bt.cross_rank(odd)}, symbol=s) for s in "ABC"] == [[0.5], [None], [0.5]]
    assert [column(where, {"f": bt.score(first, [odd])}, symbol=s) for s in "ABC"] == [[1.0], [None], [1.0]]


def first(table: Any) -> Any:
    return table[:, 0]


# ----------------------------------------------------------------------------------------------------- relative volume


def test_relative_volume_is_by_minute_of_session(tmp_path: Path):
    first = [bars("A", [1.0, 1.0, 1.0], volume=100), bars("A", [1.0, None, 1.0], day=WEDNESDAY, volume=300)]
    where = store(tmp_path, *first, bars("A", [1.0, 1.0, 1.0], day=THURSDAY, volume=100))
    assert column(where, {"f": bt.relative_volume("5d")}, day=THURSDAY) == [100 / 200, 200 / 250, 300 / 450]
    each = bt.relative_volume("5d", cumulative=False)
    assert column(where, {"f": each}, day=THURSDAY) == [100 / 200, 1.0, 100 / 200]
    assert column(where, {"f": bt.relative_volume("5d")}) == [None] * 3
    assert column(where, {"f": bt.relative_volume("5d", min_sessions=3)}, day=THURSDAY) == [None] * 3


def test_a_half_day_is_not_used_after_its_close(tmp_path: Path):
    """3 July 2024 closes after 210 minutes, 2 July after 390; minute 300 of 5 July looks at 2 July alone."""
    half, before, after = HALF_DAY, "2024-07-02", "2024-07-05"
    where = store(
        tmp_path, bars("A", [1.0], day=before, volume=100), bars("A", [1.0], day=half, volume=500),
        bars("A", [1.0], day=after, volume=60), bars("A", [1.0], day=after, first=300, volume=60),
    )  # fmt: skip
    assert column(where, {"f": bt.relative_volume("2d")}, day=after) == [60 / 300, 120 / 100]


def test_relative_volume_of_a_minute_is_for_minute_rows(tmp_path: Path):
    where = store(tmp_path, bars("A", WALK))
    with pytest.raises(StrategyError, match=r"feature 'f' must be on 1-minute rows"):
        bt.load_bars(
            where,
            "XNYS",
            TUESDAY,
            TUESDAY,
            intervals=["5m"],
            features={"f": bt.relative_volume("5d", cumulative=False)},
        )


# -------------------------------------------------------------------------------------------------------------- scores


def difference(table: Any) -> Any:
    return table[:, 0] - table[:, 1]


def test_a_score_is_of_known_inputs(tmp_path: Path):
    where = store(tmp_path, bars("A", WALK), bars("B", [1.0]))
    features = {"f": bt.score(difference, ["c", bt.lag("close", 1)]), "c": bt.lag("close", 0)}
    assert column(where, features) == [None, 1.0, 2.0, -1.0]
    assert column(where, {"f": bt.cross_rank("s"), "s": features["f"], "c": features["c"]}) == [None, 0.5, 0.5, 0.5]


@pytest.mark.parametrize(
    "predict",
    [
        lambda table: table[:, 0] - table[:, 0].mean(),
        lambda table: np.argsort(np.argsort(table[:, 0])),
        lambda table: table[::-1, 0],
        lambda table: np.full(len(table), len(table) * table[0, 0]),
        lambda table: np.cumsum(table[:, 0]),
    ],
)
def test_a_score_that_looks_at_other_rows_is_named(tmp_path: Path, predict):
    where = store(tmp_path, bars("A", WALK))
    with pytest.raises(FeatureError, match="score 'f': predict must judge each row by itself"):
        column(where, {"f": bt.score(predict, [bt.lag("close", 0)])})


def test_a_score_that_looks_at_other_rows_of_some_symbols_only_is_named(tmp_path: Path):
    """The first symbol's are judged row by row, another's are not."""
    where = store(tmp_path, *(bars(s, [p * (1 + i // 2) for p in WALK]) for i, s in enumerate("ABCD")))  # type: ignore[operator]

    def predict(table: Any) -> Any:
        return table[:, 0] if table[:, 0].max() < 20 else table[:, 0] - table[:, 0].mean()

    with pytest.raises(FeatureError, match="score 'f': predict must judge each row by itself"):
        column(where, {"f": bt.score(predict, [bt.lag("close", 0)])})


def test_groups_are_sampled_ever_more_rarely() -> None:
    picked = [n for n in range(1 << 12) if is_sampled(n)]
    assert [n.bit_length() for n in picked] == list(range(1, 13))


def test_a_score_of_the_wrong_shape_is_named(tmp_path: Path):
    where = store(tmp_path, bars("A", WALK))
    with pytest.raises(FeatureError, match=r"score 'f': predict must give one number a row, was shape \(\) for 4 rows"):
        column(where, {"f": bt.score(lambda table: 1.0, [bt.lag("close", 0)])})


class Scored(bt.Row):
    symbol: str
    minute: int
    f: float | None


class Scoring(Script):
    row = Scored

    def features(self) -> dict[str, bt.Feature]:
        return {"f": bt.score(self.dear, [bt.lag("close", 0)])}

    @staticmethod
    def dear(table: Any) -> Any:
        if (table > 50).any() and (table < 100).all():
            raise ValueError("too dear")
        return table[:, 0]


def test_a_score_that_raises_drops_the_symbol_for_the_session(tmp_path: Path):
    where = store(tmp_path, bars("A", WALK), bars("B", [60.0]), bars("B", [6.0], day=WEDNESDAY))
    script = Scoring()
    run = play(where, script, end=WEDNESDAY)
    assert [h[1:] for h in script.happened if h[0] == "bar"] == [*(("A", m) for m in range(4)), ("B", 0)]
    assert "too dear" in run.summary["failed"]["B"]
    with pytest.raises(DataError, match="score 'f': predict must not raise"):
        play(where, Scoring(), run={"on_data_error": "raise"})


# --------------------------------------------------------------------------------------------------------------- names


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ({"f": bt.cross_rank("g")}, "feature 'f' must be made from features of the strategy, was given 'g'"),
        (
            {"f": bt.feature(pl.when(pl.col("close") > 1).then(pl.lit("up")).otherwise(pl.lit("down")), 0)},
            "feature 'f' must be a number or a boolean a bar, was String",
        ),
        ({"f": bt.cross_rank(bt.feature(pl.col("close").cast(pl.String), 0))}, "feature 'f' must be .* was String"),
        ({"f": bt.feature(pl.concat_list("open", "close"), 0)}, r"feature 'f' must be .* was List"),
        ({"f": bt.cross_rank("f")}, "a feature must not need itself, was f -> f"),
        ({"f": bt.cross_rank("g"), "g": bt.of("A", "f")}, "a feature must not need itself, was f -> g -> f"),
        ({"f": bt.of("A", bt.cross_rank(bt.lag("close", 0)))}, "of must be given a feature over a symbol's bars"),
    ],
)
def test_what_cannot_be_linked_is_named(tmp_path: Path, features: dict[str, bt.Feature], message: str):
    where = store(tmp_path, bars("A", WALK))
    with pytest.raises(StrategyError, match=message):
        column(where, features)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: bt.cross_rank(3), "cross_rank: it must be given a feature or the name of one, was 3"),
        (lambda: bt.of("", "f"), "of: symbol must be the name of one, was ''"),
        (lambda: bt.of("A", "f", within="day"), "of: within must be None or"),
        (lambda: bt.score(3, ["f"]), "score: predict must be callable, was 3"),
        (lambda: bt.score(difference, []), "score: inputs must be at least one feature, was none"),
        (lambda: bt.relative_volume("10"), "relative_volume: period must be like"),
    ],
)
def test_what_is_no_feature_is_named(make, message):
    with pytest.raises(StrategyError, match=message):
        make()


def test_two_strategies_may_give_different_scores_one_name(tmp_path: Path):
    """Each is checked."""

    class Peeks(Scoring):
        def features(self) -> dict[str, bt.Feature]:
            return {"f": bt.score(lambda table: table[:, 0] - table[:, 0].mean(), [bt.lag("close", 0)])}

    where = store(tmp_path, bars("A", WALK))
    with pytest.raises(FeatureError, match="score 'f': predict must judge each row by itself"):
        bt.replay(
            bars=where, calendar="XNYS", start=TUESDAY, end=TUESDAY, save=False,
            strategies=[{"name": "one", "use": Scoring()}, {"name": "two", "use": Peeks()}],
        )  # fmt: skip
