"""Frames that travel are the same again; that no worker tells one in Polars' own way is seen in `hands.Here`."""

from __future__ import annotations

import pickle

import polars as pl
import pytest
from polars.testing import assert_frame_equal, assert_series_equal

from bt.errors import StrategyError
from bt.frames import packed, unpacked
from bt.strategy import dumps

FRAME = pl.DataFrame(
    {
        "n": [1, 2, None],
        "x": [0.5, float("nan"), float("inf")],
        "word": ["a", None, "b"],
        "kind": pl.Series(["u", "v", "u"], dtype=pl.Enum(["u", "v"])),
        "code": pl.Series(["p", "q", "p"], dtype=pl.Categorical),
        "gaps": [[{"at": 1, "minutes": 2}], [], None],
        "wide": pl.Series([1, 2, 3], dtype=pl.Int128),
    }
)


@pytest.mark.parametrize("frame", [FRAME, FRAME.clear(), FRAME.slice(1, 1), pl.DataFrame()])
def test_a_frame_is_the_same_again(frame: pl.DataFrame):
    assert_frame_equal(unpacked(packed(frame)), frame)
    assert_frame_equal(pickle.loads(dumps({"frame": frame}, "test"))["frame"], frame)  # noqa: S301 - our own


def test_a_series_is_the_same_again():
    series = pl.Series("x", [1.0, None])
    assert_series_equal(pickle.loads(dumps(series, "test")), series)  # noqa: S301 - our own


class Own(pl.DataFrame):
    """A user's class of frames."""


def test_a_frame_of_the_user_s_own_class_stays_one():
    frame = pickle.loads(dumps(Own({"x": [1]}), "test"))  # noqa: S301 - our own
    assert type(frame) is Own
    assert_frame_equal(frame, Own({"x": [1]}))


def test_python_objects_do_not_travel():
    with pytest.raises(StrategyError, match="test: it must pickle, .*Python objects"):
        dumps(pl.DataFrame({"o": pl.Series([object()], dtype=pl.Object)}), "test")
