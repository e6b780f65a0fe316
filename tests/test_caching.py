"""Where bt keeps what it can make again."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from bt import caching
from bt.caching import user_cache


def test_the_platforms_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert user_cache() == Path(os.environ["BT_CACHE"])
    monkeypatch.delenv("BT_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    for platform, folder in (("linux", ".cache/bt"), ("darwin", "Library/Caches/bt")):
        monkeypatch.setattr(caching.sys, "platform", platform)
        assert user_cache() == tmp_path / folder
    monkeypatch.setattr(caching.sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert user_cache() == tmp_path / "local" / "bt"


def nobody() -> Path:
    raise RuntimeError("Could not determine home directory.")


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The temporary folder of a user without a home."""
    monkeypatch.delenv("BT_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(caching.Path, "home", nobody)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_user_without_a_home_has_a_folder_that_others_may_not_write(homeless: Path) -> None:
    folder = user_cache()
    assert folder.parent == homeless
    assert folder.stat().st_mode & 0o777 == 0o700
    assert user_cache() == folder
    folder.chmod(0o777)
    assert user_cache() != folder


def test_a_link_that_somebody_made_is_not_followed(homeless: Path, tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir(mode=0o700)
    (homeless / f"bt-cache-{os.getuid()}").symlink_to(tmp_path / "theirs")
    folder = user_cache()
    assert folder.parent == homeless
    assert folder.resolve() != (tmp_path / "theirs")


def test_a_chosen_folder_needs_no_home(homeless: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(homeless / "chosen"))
    assert user_cache() == homeless / "chosen" / "bt"
