"""Two slips at once are named as well: the name is of the very formula that was planted."""

import random
from functools import cache

import numpy as np
import pytest
from sympy import IndexedBase

from rmsnorm_math import layer_norm, rms, rmsnorm
from rmsnorm_math.notation import b
from rmsnorm_math.verify import check
from tests.verify.planted import NAMES, gradients, planted, suspects

LAYERS = {
    "RMSNorm": (gradients(rmsnorm(b)), NAMES, {IndexedBase("r")[b]: rms(b)}),
    "LayerNorm": (gradients(layer_norm(b)), NAMES, None),
}


def formulas(name, key, seed):
    """Yield the sentences, terms and values of every formula with one or two slips, at a point."""
    found = suspects(name, key, seed)
    for suspect in (*found.one(), *found.two(), *found.doubled()):
        yield suspect.says, suspect.terms, suspect.values
    every = lambda totals: np.ones(len(totals), dtype=bool)  # noqa: E731
    for suspect in found.crossed(every):
        yield suspect.says, suspect.terms, suspect.values


@cache
def sample(name, key, count=3):
    two = [formula for formula in formulas(name, key, 0) if len(formula[0]) == 2]
    return random.Random(0).sample(two, count)


@pytest.mark.parametrize("number", range(3))
@pytest.mark.parametrize("key", ["dx", "dgamma"])
@pytest.mark.parametrize("name", LAYERS)
def test_two_slips_are_named(name, key, number):
    says, terms, _ = sample(name, key)[number]
    report = check(planted(name, key, terms()), *LAYERS[name])
    values = {says: values for says, _, values in formulas(name, key, 1)}
    right = sum(suspects(name, key, 1).right)
    if np.allclose(values[says], right, rtol=1e-10):  # there; elsewhere it may differ
        assert report.ok or report.diagnosis
        return
    said = report.diagnosis.removeprefix(f"{key}: ").partition(" (r is ")[0]
    named = tuple(said.split("; and ")) if said else None
    assert named in values, f"{report}\nplanted: {says}"
    assert np.allclose(values[named], values[says], rtol=1e-9, equal_nan=True), (named, says)
