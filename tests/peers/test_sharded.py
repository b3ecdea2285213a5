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


def numbers_summed(hlo: str) -> list[int]:
    """Return how many numbers a device gives to each all-reduce over two devices or more."""
    calls = [line for line in hlo.splitlines() if re.search(r"\ball-reduce(-start)?\(", line)]
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
        assert sorted(numbers_summed(run["backward"])) == sorted(per_row + per_column)


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
