"""RMSNorm over 8 host devices against one; records docs/data/sharded.json."""

import json
import os
import re
import subprocess
import sys
from math import prod
from pathlib import Path
from typing import Any

import pytest

from tests.peers.pages import digits, record

SNIPPETS = Path(__file__).parents[2] / "docs/snippets/sharded"
MESHES = [(1, 8), (2, 4), (8, 1)]
PROGRAM = """\
import json, sys
import jax, jax.numpy as jnp, numpy as np
from rmsnorm_jax import on_mesh

rng = np.random.default_rng(3)
x, dy = (jnp.asarray(a, jnp.float32) for a in rng.normal(size=(2, 16, 8192)))
gamma, eps = jnp.asarray(rng.normal(size=8192), jnp.float32), 1e-6

def one_device(x, gamma):
    return gamma * x / jnp.sqrt(jnp.mean(x**2, axis=-1, keepdims=True) + eps)

y, pull = jax.vjp(one_device, x, gamma)
expected = dict(zip(("y", "dx", "dgamma"), (y, *pull(dy))))
results = {}
for shape in json.loads(sys.argv[1]):
    mesh = jax.sharding.Mesh(np.reshape(jax.devices(), shape), ("rows", "hidden"))
    forward, backward = map(jax.jit, on_mesh(mesh))
    y, r = forward(x, gamma, eps)
    got = dict(zip(("y", "dx", "dgamma"), (y, *backward(dy, x, gamma, r))))
    results[str(tuple(shape))] = {
        "devices": len({d for a in got.values() for d in a.sharding.device_set}),
        "differences": {
            k: float(jnp.abs(got[k] - e).max() / jnp.abs(e).max()) for k, e in expected.items()
        },
        "forward": forward.lower(x, gamma, eps).compile().as_text(),
        "backward": backward.lower(dy, x, gamma, r).compile().as_text(),
    }
print(json.dumps(results))
"""


@pytest.fixture(scope="module")
def runs() -> dict[str, Any]:
    """Return what a process with 8 host devices finds on each mesh."""
    env = os.environ | {
        "XLA_FLAGS": "--xla_force_host_platform_device_count=8",
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": str(SNIPPETS),
    }
    command = [sys.executable, "-c", PROGRAM, json.dumps(MESHES)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def numbers_summed(hlo: str, how: str = "add") -> list[int]:
    """Return how many numbers a device gives to each all-reduce over two devices or more."""
    region, regions = "", set()
    for line in hlo.splitlines():
        region = line.split()[0] if line.startswith("%") else region
        regions |= {region} if line.startswith("  ROOT") and f" {how}(" in line else set()
    calls = [line for line in hlo.splitlines() if re.search(r"\ball-reduce(-start)?\(", line)]
    applied = [(line, re.search(r"to_apply=(%[\w.]+)", line)) for line in calls]
    assert all(m for _, m in applied), f"an all-reduce that this test cannot read: {calls}"
    calls = [line for line, m in applied if m and m[1] in regions]
    found = [re.search(r"= f32\[([\d,]+)\].*replica_groups=\{\{([\d,]+)\}", line) for line in calls]
    assert all(found), f"an all-reduce that this test cannot read: {calls}"
    return [prod(map(int, m[1].split(","))) for m in found if m and "," in m[2]]


def test_it_agrees_with_one_device(runs: dict[str, Any]) -> None:
    for mesh, run in runs.items():
        assert run["devices"] == 8, mesh
        assert max(run["differences"].values()) < 1e-6, (mesh, run["differences"])


def test_a_row_needs_one_sum_in_each_pass_and_gamma_one_over_the_rows(runs: dict[str, Any]) -> None:
    for rows, hidden in MESHES:
        run = runs[str((rows, hidden))]
        per_row = [16 // rows] if hidden > 1 else []
        per_column = [8192 // hidden] if rows > 1 else []
        assert numbers_summed(run["forward"]) == per_row, run["forward"]
        assert numbers_summed(run["forward"], "maximum") == per_row, run["forward"]
        assert sorted(numbers_summed(run["backward"])) == sorted(per_row + per_column)


ENDS = """\
import jax, jax.numpy as jnp, numpy as np
from rmsnorm_jax import on_mesh
from tests.snippets.cases import distance, of_length

rng = np.random.default_rng(0)
for shape in ((1, 8), (2, 4), (8, 1)):
    mesh = jax.sharding.Mesh(np.reshape(jax.devices(), shape), ("rows", "hidden"))
    forward, backward = map(jax.jit, on_mesh(mesh))
    for scale in (1e-30, 1.0, 1e20, 3e38):
        x = (rng.uniform(0.3, 1, (8, 64)) * scale).astype("f")
        dy = (rng.normal(size=(8, 64)) * (1e12 if scale > 1 else 1)).astype("f")
        gamma = rng.uniform(0.5, 1, 64).astype("f")
        y, r = forward(x, gamma, 0.0)
        got = y, *backward(dy, x, gamma, r)
        for a, b in zip(got, of_length(dy, x, gamma, 0.0)):
            assert distance(a, b) < 1e-6, (shape, scale, distance(a, b))
    x, gamma = (jnp.asarray(rng.normal(size=s), jnp.bfloat16) for s in ((8, 4096), 4096))
    y, r = forward(x, gamma, 1e-6)
    got = y, *backward(x, x, gamma, r)
    for a, b in zip(got, of_length(x, x, gamma, 1e-6)):
        assert a.dtype == jnp.bfloat16
        assert distance(a, b) < 2**-8 + 1e-6, (shape, distance(a, b))
"""


def test_range_and_half_precision_are_those_of_one_device() -> None:
    env = os.environ | {
        "XLA_FLAGS": "--xla_force_host_platform_device_count=8",
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": f"{SNIPPETS}{os.pathsep}{SNIPPETS.parents[2]}",
    }
    subprocess.run([sys.executable, "-c", ENDS], env=env, check=True)


def test_it_is_recorded(runs: dict[str, Any]) -> None:
    measured = {
        mesh: {
            "differences": {k: digits(d) for k, d in run["differences"].items()},
            "summed": {k: sum(numbers_summed(run[k])) for k in ("forward", "backward")},
        }
        for mesh, run in runs.items()
    }
    about = "float32, x of 16 by 8192; meshes are (rows, hidden)"
    record("sharded", "jax", about=about, meshes=measured)
