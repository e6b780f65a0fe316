"""Every planted bug still applies; ``just mutants`` shows that each is caught."""

from __future__ import annotations

import ast
import re

import pytest
from mutants import ROOT, Mutant, mutants


@pytest.mark.parametrize("mutant", mutants(), ids=lambda m: m.name.replace(" ", "-"))
def test_a_mutant_applies_and_names_its_tests(mutant: Mutant):
    source = (ROOT / mutant.file).read_text(encoding="utf-8")
    planted = mutant.planted(source)
    assert planted != source
    ast.parse(planted)
    assert mutant.why
    assert mutant.tests
    for test in mutant.tests:
        path, _, function = test.partition("::")
        text = (ROOT / path).read_text(encoding="utf-8")
        assert not function or re.search(rf"^ *def {re.escape(function.partition('[')[0])}\(", text, re.MULTILINE)


def test_names_are_unique():
    names = [m.name for m in mutants()]
    assert len(set(names)) == len(names)
