"""Two slips at once are named as well: the name is of the very formula that was planted."""

import random
from itertools import product

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
    for suspect in (*found.one(), *found.two()):
        yield suspect.says, suspect.terms, suspect.values
    every = lambda totals: np.ones(len(totals), dtype=bool)  # noqa: E731
    for suspect in found.crossed(every):
        yield suspect.says, suspect.terms, suspect.values


def sample(count, seed=0):
    chance = random.Random(seed)
    for name, key in product(LAYERS, ("dx", "dgamma")):
        two = [f for f in formulas(name, key, 0) if len(f[0]) == 2]
        for says, terms, _ in chance.sample(two, count):
            yield pytest.param(name, key, says, terms, id=f"{name} {key}: {' & '.join(says)}")


@pytest.mark.parametrize(("name", "key", "says", "terms"), list(sample(3)))
def test_two_slips_are_named(name, key, says, terms):
    report = check(planted(name, key, terms()), *LAYERS[name])
    values = {says: values for says, _, values in formulas(name, key, 1)}
    right = sum(suspects(name, key, 1).right)
    if np.allclose(values[says], right, rtol=1e-10):
        assert report.ok, "two slips that cancel are none"
        return
    said = report.diagnosis.removeprefix(f"{key}: ")
    named = tuple(said.split("; and ")) if said else None
    assert named in values, f"{report}\nplanted: {says}"
    assert np.allclose(values[named], values[says], rtol=1e-9, equal_nan=True), (named, says)
