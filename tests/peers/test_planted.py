"""Faults planted in the JAX files: each is seen by a test that names what it breaks."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from tests.peers import test_jax_snippet as tests
from tests.peers import test_sharded as sharded
from tests.snippets.cases import ROOT, load

FILE = ROOT / "docs/snippets/rmsnorm_jax.py"


def names_shapes() -> None:
    shapes = (jnp.ones((3, 1)), jnp.ones(5)), (jnp.ones((3, 3)), jnp.ones((2, 1, 3)))
    for x, gamma in shapes:
        tests.test_what_does_not_fit_is_named(x, gamma, 0.1, "gamma must have the shape")


def to_the_end() -> None:
    for scale in (1e-30, 1e20, 3.4e38):
        tests.test_float32_is_right_to_its_end(scale)


def derivatives_of_all() -> None:
    tests.test_every_order_and_mode(jax.grad, (0, 1, 2))


FAULTS: dict[str, tuple[str, str, Callable[[], None]]] = {
    "epsilon is read": (
        "eps = jnp.asarray(jnp.finfo(kind).eps if eps is None else eps, kind)",
        "eps = jnp.asarray(jnp.finfo(kind).eps if eps is None else float(eps), kind)",
        tests.test_epsilon_is_traced_mapped_scanned_and_differentiated,
    ),
    "epsilon has no derivative": ("if deps is not None", "if False", derivatives_of_all),
    "x has no derivative": ("if dx is not None", "if False", derivatives_of_all),
    "gamma has no derivative": ("if dgamma is not None", "if False", derivatives_of_all),
    "no projection": ("mean(xhat * dx,", "mean(0 * dx,", derivatives_of_all),
    "any gamma": ("if not x.ndim or gamma.shape != row", "if not x.ndim", names_shapes),
    "no scale": ("scale = 1 / jnp.clip(size, lowest,", "scale = 1 / jnp.clip(1, 1,", to_the_end),
    "the scale vanishes": ("finfo(eps.dtype).max / 256", "finfo(eps.dtype).max", to_the_end),
    "float64 in float32": (
        "x.dtype if jnp.finfo(x.dtype).bits > 32 else jnp.dtype(\"float32\")",
        "jnp.dtype(\"float32\")",
        tests.test_epsilon_is_any_number,
    ),
    "bfloat16 as it is": (
        "return y.astype(x.dtype)",
        "return y",
        tests.test_types_are_kept_weak_ones_too,
    ),
    "what follows is kept": (
        "jax.checkpoint(tangent)(",
        "tangent(",
        tests.test_only_x_gamma_and_two_numbers_a_row_are_kept,
    ),
    "nothing": ("if 0 in x.shape", "if False", lambda: tests.test_nothing_gives_nothing((3, 0))),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_in_the_jax_file_is_seen(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new, test = FAULTS[name]
    text = FILE.read_text("utf-8")
    assert text.count(old) == 1, f"{old} is not in the file once: plant the fault anew"
    (tmp_path / "planted_jax.py").write_text(text.replace(old, new), "utf-8")
    test()
    monkeypatch.setattr(tests, "rms_norm", load(tmp_path / "planted_jax.py").rms_norm)
    with pytest.raises((AssertionError, TypeError, ValueError, pytest.fail.Exception)):
        test()


SHARDED = {
    "a row is one device's part": ('squares = jax.lax.psum(', "squares = (lambda a, _: a)("),
    "the mean is one device's": ('dot = jax.lax.psum(', "dot = (lambda a, _: a)("),
    "gamma's gradient is one device's": ('dgamma = jax.lax.psum(', "dgamma = (lambda a, _: a)("),
    "each device its own scale": ('size = jax.lax.pmax(', "size = (lambda a, _: a)("),
    "no scale": ("scale = 1 / jnp.clip(size,", "scale = 1 / jnp.clip(1 + 0 * size,"),
    "sums in bfloat16": ("jnp.promote_types(x.dtype, jnp.float32)", "x.dtype"),
    "a part's length for n": (' * jax.lax.axis_size("hidden")\n    size', "\n    size"),
}  # fmt: skip


@pytest.mark.parametrize("name", SHARDED)
def test_a_fault_in_the_sharded_file_is_seen(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = SHARDED[name]
    text = (sharded.SNIPPETS / "rmsnorm_jax.py").read_text("utf-8")
    assert text.count(old) == 1, f"{old} is not in the file once: plant the fault anew"
    # the planted file, and the repository, which the program imports from
    folder = tmp_path / "docs/snippets/sharded"
    folder.mkdir(parents=True)
    (tmp_path / "tests").symlink_to(ROOT / "tests")
    (folder / "rmsnorm_jax.py").write_text(text.replace(old, new), "utf-8")
    monkeypatch.setattr(sharded, "SNIPPETS", folder)
    with pytest.raises(subprocess.CalledProcessError):
        sharded.test_range_and_half_precision_are_those_of_one_device()
