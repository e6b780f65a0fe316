"""Fixtures shared by every test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from conservation import Audit

SHARED = Path(__file__).resolve().parents[1].parent / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real market data beside the checkout; tests that need it are skipped where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("the private market data (../shared/data) is not on this machine")
    return SHARED


@pytest.fixture(scope="session", autouse=True)
def no_keys() -> Iterator[None]:
    """What tells the tests how thorough to be is no key of a configuration; it has been read by now."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("BT_PROPS", "BT_PROPS_SHRINK"):
            patch.delenv(name, raising=False)
        yield


@pytest.fixture(autouse=True)
def private_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test has its own cache folder, shared within a worker so that schedules are built once."""
    monkeypatch.setenv("BT_CACHE", str(tmp_path_factory.getbasetemp() / "bt-cache"))


@pytest.fixture(autouse=True)
def lawful(monkeypatch: pytest.MonkeyPatch) -> Iterator[Audit]:
    """Every run that a test makes in its own process obeys the laws of conservation."""
    audit = Audit()
    audit.install(monkeypatch)
    yield audit
    assert not audit.broken, audit.broken[0]
