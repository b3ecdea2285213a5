"""The inputs on which `rmsnorm_math.verify` tries a function, and how exact its results must be."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

#: The unit roundoff of each dtype that can be asked for.
UNIT = {"float64": 2.0**-53, "float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-8}

#: One axis, batches of one and of several, two batch axes; odd, even, square, and beyond a block.
SHAPES = (
    (3,),
    (1, 4),
    (2, 3),
    (3, 6),
    (5, 5),
    (4, 1),
    (1,),
    (2, 3, 5),
    (2, 2, 4),
    (37, 7),
    (3, 130),
)
EPS = (0.0, 1e-6, 0.1)


@dataclass(frozen=True, eq=False)
class Case:
    """One set of inputs: arrays in the dtype asked for, and eps."""

    dy: Array
    x: Array
    gamma: Array
    eps: float
    scale: float

    def __str__(self) -> str:
        """Describe the case as in "wrong in the case with ..."."""
        return f"x of shape {self.x.shape}, rms about {self.scale:g}, eps = {self.eps:g}"


#: What can set the failing cases apart, as it reads after "exactly those where".
TRAITS: dict[str, Callable[[Case], bool]] = {
    **{f"eps = {eps:g}": lambda c, eps=eps: c.eps == eps for eps in EPS},  # type: ignore[misc]
    "eps > 0": lambda c: c.eps > 0,
    "gamma has a zero": lambda c: not c.gamma.all(),
    "x has a row of zeros": lambda c: not c.x.any(-1).all(),
    "n = 1": lambda c: c.x.shape[-1] == 1,
    "n > 1": lambda c: c.x.shape[-1] > 1,
    "n is even": lambda c: c.x.shape[-1] % 2 == 0,
    "n is odd": lambda c: c.x.shape[-1] % 2 == 1,
    "n is no power of two": lambda c: c.x.shape[-1].bit_count() != 1,
    "n > 128": lambda c: c.x.shape[-1] > 128,
    "x has no batch axis": lambda c: c.x.ndim == 1,
    "x has a batch axis": lambda c: c.x.ndim > 1,
    "x has two batch axes": lambda c: c.x.ndim == 3,
    "there is more than one row": lambda c: c.x.size > c.x.shape[-1],
    "there are more than 32 rows": lambda c: c.x.size > 32 * c.x.shape[-1],
    "the rms is large": lambda c: c.scale > 1,
    "the rms is small": lambda c: c.scale < 1,
    "the rms is far from 1": lambda c: c.scale != 1,
}


def rounded(values: Array, dtype: str) -> Array:
    """Round `values` to `dtype`; bfloat16, which NumPy lacks, as float32 that bfloat16 can hold."""
    if dtype != "bfloat16":
        return values.astype(dtype)
    bits = values.astype(np.float32).view(np.uint32).astype(np.uint64)
    bits += 0x7FFF + ((bits >> 16) & 1)
    return (bits & 0xFFFF0000).astype(np.uint32).view(np.float32)


def grid(dtype: str) -> Iterator[Case]:
    """Yield the designed inputs, the same at every call.

    gamma is never constant; every second case has a zero in it. One row of zeros is tried where
    eps > 0: at eps = 0 its gradient does not exist.
    """
    large = 300.0 if dtype == "float16" else 1e3
    for seed, (shape, scale, eps) in enumerate(product(SHAPES, (1.0, 1e-3, large), EPS)):
        yield _case(seed, shape, scale, eps, dtype)
    for seed, eps in enumerate(EPS[1:]):
        case = _case(1000 + seed, (3, 4), 1.0, eps, dtype)
        case.x[1] = 0
        yield case


def _case(seed: int, shape: tuple[int, ...], scale: float, eps: float, dtype: str) -> Case:
    random = np.random.default_rng(seed)
    n = shape[-1]
    gamma = random.uniform(0.5, 1.5, n)
    gamma[-1] *= -1
    if n > 2 and seed % 2:
        gamma[0] = 0
    dy, x = random.standard_normal((2, *shape))
    return Case(rounded(dy, dtype), rounded(scale * x, dtype), rounded(gamma, dtype), eps, scale)


def tolerance(scale: Array, case: Case, dtype: str) -> Array:
    """Return the largest error that rounding explains, for results whose terms add up to `scale`.

    A sum of N rounded terms is off by about sqrt(N) units; half precisions are expected to sum in
    float32, so that only the few roundings of the inputs to the result count.
    """
    n = case.x.shape[-1]
    terms = 0 if dtype in ("float16", "bfloat16") else n + case.x.size // n
    smallest = np.finfo(np.float32 if dtype == "bfloat16" else dtype).smallest_subnormal
    units: Array = 4 * (2 + np.sqrt(terms)) * UNIT[dtype] * scale
    return units + 4 * float(smallest)
