"""Inputs for a forward and backward pass, the right answer to them, and the distance from it."""

import hashlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

Arrays = tuple[Any, ...]  # y, dx, dgamma
Implementation = Callable[[Any, Any, Any, float | None], Arrays]  # of dy, x, gamma, eps

ROOT = Path(__file__).parents[2]
SNIPPETS = sorted((ROOT / "docs/snippets").glob("*.py"))
RECORD = ROOT / "docs/data/peers.json"
NAMES = ("y", "dx", "dgamma")
LONG = ((1, 10**7), (3, 10**6), (10**6, 3), (10**6, 1))
SCALES = (1e-30, 1e-20, 1e-14, 1e-6, 1.0, 1e6, 1e14, 1e20)

# One rounding to the type, and next to nothing before it.
ROUNDING = {"float64": 5e-15, "float32": 1e-6, "bfloat16": 2**-8 + 1e-6, "float16": 2**-11 + 1e-6}


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)  # torch.compile looks
    spec.loader.exec_module(module)
    return module


def reference(dy: Any, x: Any, gamma: Any, eps: float) -> Arrays:
    """Return y, dx and dgamma through the explicit Jacobian, in the longest float there is."""
    dy, x, gamma = (np.asarray(a).astype(np.float64).astype(np.longdouble) for a in (dy, x, gamma))
    n = x.shape[-1]
    r = np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + np.longdouble(eps))
    outer = x[..., :, None] * x[..., None, :] / (n * r[..., None] ** 2)
    jacobian = gamma[:, None] * (np.eye(n, dtype=x.dtype) - outer) / r[..., None]
    dx = np.einsum("...i,...ij->...j", dy, jacobian)
    return gamma * x / r, dx, np.sum((dy * x / r).reshape(-1, n), axis=0)


def of_length(dy: Any, x: Any, gamma: Any, eps: float) -> Arrays:
    """Return the same as reference without the Jacobian, which long rows have no room for."""
    dy, x, gamma = (np.asarray(a).astype(np.float64).astype(np.longdouble) for a in (dy, x, gamma))
    rstd = 1 / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + np.longdouble(eps))
    xhat, weighted = x * rstd, gamma * dy
    dx = rstd * (weighted - xhat * np.mean(weighted * xhat, axis=-1, keepdims=True))
    return gamma * xhat, dx, np.sum((dy * xhat).reshape(-1, x.shape[-1]), axis=0)


def long_case(shape: tuple[int, int]) -> Arrays:
    """Return dy, x and gamma in float32; dy goes with x, so that the sums do not vanish."""
    rng = np.random.default_rng(20191016)
    x, gamma = rng.standard_normal(shape, np.float32), rng.random(shape[-1], np.float32) + 0.5
    return x + rng.standard_normal(shape, np.float32), x, gamma.astype(np.float32)


def cases(dtype: Any, scale: float = 1.0) -> Iterator[tuple[Any, Any, Any, float]]:
    """Yield dy, x, gamma and eps: gamma uneven and once 0, rms far from 1, several batch shapes."""
    rng = np.random.default_rng(20191016)
    for shape in ((1, 3), (7, 33), (2, 3, 129), (3000, 5)):
        for eps in (0.0, 1e-6, 0.1):
            x = rng.standard_normal(shape) * scale * (0.2 + rng.random((*shape[:-1], 1)) * 5)
            gamma = rng.standard_normal(shape[-1]) * 2
            gamma[1] = 0
            dy = rng.standard_normal(shape)
            yield dy.astype(dtype), x.astype(dtype), gamma.astype(dtype), eps


def distance(got: Any, want: Any) -> float:
    """Return the largest error relative to the largest element, inf where it is not finite."""
    assert np.shape(got) == want.shape, f"shape {np.shape(got)}, not {want.shape}"
    error = np.max(np.abs(np.asarray(got).astype(np.float64) - want)) / np.max(np.abs(want))
    return float(error) if np.isfinite(error) else np.inf


def errors(
    implementation: Implementation, dtype: Any, *, scale: float = 1.0, offset: float = 0.0
) -> dict[str, float]:
    """Return the largest distances over all cases; what multiplies is gamma + offset."""
    worst = dict.fromkeys(NAMES, 0.0)
    for dy, x, gamma, eps in cases(dtype, scale):
        want = reference(dy, x, gamma.astype(np.float64) + offset, eps)
        got = implementation(dy, x, gamma, eps)
        for name, g, w in zip(NAMES, got, want, strict=True):
            worst[name] = max(worst[name], distance(g, w))
    return worst


def recorded_sources() -> dict[str, str]:
    """Return a hash of each file that the record in docs/data/peers.json follows from."""
    paths = [*SNIPPETS, Path(__file__), ROOT / "tests/peers/implementations.py"]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest()[:16] for path in paths}
