"""What can set the failing cases apart, as it reads after "exactly those where"."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from rmsnorm_math.verify.cases import Case

Trait = tuple[str, Callable[[Case], bool]]


OF_SHAPE: tuple[Trait, ...] = (
    ("n = 1", lambda c: c.shape[-1] == 1),
    ("n > 1", lambda c: c.shape[-1] > 1),
    ("n is even", lambda c: c.shape[-1] % 2 == 0),
    ("n is odd", lambda c: c.shape[-1] % 2 == 1),
    *(
        (f"n is a multiple of {k}", lambda c, k=k: c.shape[-1] % k == 0)
        for k in (4, 8, 16, 32, 64, 128)
    ),
    ("n is no multiple of 8", lambda c: c.shape[-1] % 8 > 0),
    ("n is no power of two", lambda c: c.shape[-1].bit_count() != 1),
    *((f"n > {k}", lambda c, k=k: c.shape[-1] > k) for k in (64, 128, 256, 512, 1024, 2048, 4096)),
    ("there is no row", lambda c: c.rows == 0),
    ("there is more than one row", lambda c: c.rows > 1),
    *(
        (f"there are more than {k} rows", lambda c, k=k: c.rows > k)
        for k in (4, 8, 32, 64, 128, 256)
    ),
    ("there is a row of zeros", lambda c: c.zero_row),
    ("the values are large", lambda c: c.scale > 1),
    ("the values are small", lambda c: c.scale < 1),
    ("the values are far from 1", lambda c: c.scale != 1),
)


def facts(case: Case) -> dict[str, bool]:
    """Return which trait a case has: of its shape, its numbers and its arrays."""
    return {says: bool(holds(case)) for says, holds in (*OF_SHAPE, *_of_values(case))}


def _of_values(case: Case) -> Iterator[Trait]:
    for name, value in case.scalars.items():
        yield f"{name} = {value:g}", lambda _: True
        yield f"{name} > 0", partial(_true, value > 0)
    yield f"{case.widest} has no batch axis", lambda c: len(c.shape) == 1
    yield f"{case.widest} has a batch axis", lambda c: len(c.shape) > 1
    for count, text in enumerate(("two batch axes", "three batch axes"), 2):
        yield f"{case.widest} has {text}", partial(_true, len(case.shape) == count + 1)
    yield f"{case.widest} has more than one batch axis", lambda c: len(c.shape) > 2
    for at, name in enumerate(case.layer.arguments.values()):
        if isinstance(case.arguments[at], np.ndarray):
            yield from _of_array(name, at)


def _true(holds: bool, _: Case) -> bool:
    return holds


def _of_array(name: str, at: int) -> Iterator[Trait]:
    def having(says: str, holds: Callable[[Any], Any]) -> Trait:
        return f"{name} {says}", lambda c: bool(c.arguments[at].size and holds(c.arguments[at]))

    yield having("has a zero", lambda v: not v.all())
    yield having("is all ones", lambda v: (v == 1).all())
    yield having("is constant", lambda v: (v == v.flat[0]).all())
    yield having("exceeds 2", lambda v: abs(v).max() > 2)
    yield having("is a broadcast of one number", lambda v: 0 in v.strides)
    yield having("is not contiguous", lambda v: not v.flags.c_contiguous)
    yield having("is large", lambda v: abs(v).max() > 100)
    yield having("is small", lambda v: abs(v).max() < 0.1)
