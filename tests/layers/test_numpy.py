"""What is derived and printed for NumPy, against differences of the forward written by hand."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

from tests.layers.everything import TABLE
from tests.layers.record import Layer, printed

STEP = 1e-5


def differences(layer: Layer) -> list[Any]:
    """Return the gradients of sum(dy * y) by each input, by central differences."""
    values, dy = layer.values(), layer.dy()

    def loss(at: int, moved: Any) -> float:
        y = layer.forward(np, *values[:at], moved, *values[at + 1 :])
        return float((y * dy).sum())

    return [slope(partial(loss, at), values[at]) for at in range(len(layer.inputs))]


def slope(f: Callable[[Any], float], at: Any) -> Any:
    at = np.asarray(at, float)
    out = np.zeros_like(at)
    for place in np.ndindex(*at.shape):
        move = np.zeros_like(at)
        move[place] = STEP
        out[place] = (f(at + move) - f(at - move)) / (2 * STEP)
    return out


def run(name: str, kind: type = np.float64) -> tuple[list[Any], ...]:
    """Return what is printed, and what is right, for the arrays in this type."""
    layer = TABLE[name]
    given = [layer.dy(), *layer.values()]
    given = [v.astype(kind) if getattr(v, "dtype", None) == np.float64 else v for v in given]
    got = printed(name, "numpy")(*given)
    return list(got), [layer.forward(np, *layer.values()), *differences(layer)]


@pytest.mark.parametrize("name", TABLE)
def test_in_float64(name: str) -> None:
    for got, want in zip(*run(name), strict=True):
        assert np.shape(got) == np.shape(want)
        np.testing.assert_allclose(got, want, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("name", TABLE)
def test_in_float32(name: str) -> None:
    for got, want in zip(*run(name, np.float32), strict=True):
        assert np.shape(got) == np.shape(want)
        if np.ndim(got):
            assert got.dtype == np.float32
        assert np.max(np.abs(got - want)) <= 3e-6 * max(1, np.max(np.abs(want)))


def test_the_table_is_long_enough() -> None:
    assert len(TABLE) >= 70
