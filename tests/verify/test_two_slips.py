"""Two slips at once are named as well: the name is of the very formula that was planted."""

import random
from functools import cache

import numpy as np
import pytest

from rmsnorm_math import layer_norm, rmsnorm
from rmsnorm_math.notation import b
from rmsnorm_math.verify import check
from tests.verify.planted import NAMES, gradients, planted, suspects, values_of_terms

LAYERS = {"RMSNorm": gradients(rmsnorm(b)), "LayerNorm": gradients(layer_norm(b))}
SHAPES = [(5, 7), (3, 6), (1, 4), (2, 3, 5), (0, 8), (4, 64)]


@cache
def formulas(name, key):
    """Return the terms of every formula with one or two slips, by what is said of it."""
    found = suspects(name, key)
    every = lambda totals: np.ones(len(totals), dtype=bool)  # noqa: E731
    ones, more = found.one(), (*found.two(), *found.crossed(every), *found.doubled())
    return {suspect.says: suspect.terms for suspect in (*ones, *more)}


def said_of(report, key):
    """Return the names of the slips that a report has."""
    line = next((s for s in report.diagnosis.splitlines() if s.startswith(f"{key}: ")), "")
    return tuple(line.removeprefix(f"{key}: ").partition(" (r is ")[0].split("; and "))


@pytest.mark.parametrize("key", ["dx", "dgamma"])
@pytest.mark.parametrize("name", LAYERS)
def test_two_slips_are_named(name, key):
    known = formulas(name, key)
    two = sorted(says for says in known if len(says) == 2)
    for says in random.Random(0).sample(two, 3):
        terms = known[says]()
        report = check(planted(name, key, terms), LAYERS[name], NAMES, shapes=SHAPES)
        values, right = values_of_terms(name, key, terms)
        if np.allclose(values, right, rtol=1e-10):  # there; elsewhere it may differ
            assert report.ok or report.diagnosis
            continue
        named = said_of(report, key)
        assert named in known, f"{report}\nplanted: {says}"
        again, _ = values_of_terms(name, key, known[named]())
        assert np.allclose(again, values, rtol=1e-9, equal_nan=True), (named, says)


def test_the_set_of_formulas_is_large():
    assert len(formulas("RMSNorm", "dx")) > 10_000
    assert len(formulas("RMSNorm", "dgamma")) > 1_000
