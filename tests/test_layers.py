"""The picture of the layers is that of the contract, and says where each engine lives."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "concepts" / "layers.md").read_text()
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]


def test_every_room_is_in_the_picture_in_the_contracts_order():
    (layers,) = (contract["layers"] for contract in CONTRACTS if contract["type"] == "layers")
    place = {room: number for number, layer in enumerate(layers) for room in re.findall(r"\w+", layer)}
    block = re.search(r"```text\n(.*?)```", PAGE, re.DOTALL)
    assert block is not None
    drawn = [room for line in block[1].splitlines() for room in re.split(r"\s{2,}", line)[0].split(" | ")]
    assert sorted([*drawn, "__main__"]) == sorted(place)
    order = [place[room] for room in drawn]
    assert order == sorted(order)


def test_the_homes_of_engines_are_the_contracts():
    told = {
        name.strip(): set(re.findall(r"`(\w+)`", rooms))
        for names, rooms in re.findall(r"^\| ([\w, ]+?) \| (`[^|]+`) \|", PAGE, re.MULTILINE)
        for name in names.lower().split(",")
    }
    for contract in CONTRACTS:
        if contract["type"] == "protected":
            for engine in contract["protected_modules"]:
                if engine != "llvmlite":  # Numba's
                    assert told[engine] == {room.removeprefix("bt.") for room in contract["allowed_importers"]}
