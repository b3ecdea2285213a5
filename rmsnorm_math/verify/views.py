"""The arrays of a case as an output has them, and as a convention sees them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sympy import Expr, Indexed

from rmsnorm_math.index.walk import base_of
from rmsnorm_math.verify.arrays import Array, Arrays
from rmsnorm_math.verify.conventions import Convention


def laid(
    arrays: Arrays, value: Any, indices: Sequence[Expr], shape: tuple[int, ...]
) -> Array | None:
    """Return values with the axes of `indices` alone, or None where they have others."""
    array = np.asarray(value, dtype=float)
    slots = {arrays.slot[index.name] for index in indices}
    if any(length != 1 for at, length in enumerate(array.shape) if at not in slots):
        return None
    return np.broadcast_to(arrays.laid(array, indices), shape)


def seen_by(convention: Convention, arrays: Arrays) -> Arrays:
    """Return the arrays of a case, those that the convention changes under their usual names."""
    values = dict(arrays.values)
    for key, definition in arrays.definitions.values():
        base = base_of(key)
        if "~" not in str(base):
            values[base] = _natural(arrays, key, definition)
    for old, new in convention.renamed.items():
        if new in arrays.definitions:
            values[old] = _natural(arrays, *arrays.definitions[new])
            if old in arrays.values and isinstance(values[old], np.ndarray):
                values[old] = np.broadcast_to(values[old], np.shape(arrays.values[old]))
        else:
            values[old] = arrays.values[new] if new in arrays.values else arrays.value(new)
    return Arrays(arrays.slot, values, {})


def _natural(arrays: Arrays, key: Expr, definition: Expr) -> Any:
    value = arrays.value(definition)
    if isinstance(key, Indexed):
        return arrays.laid(value, key.indices)
    return float(np.ravel(value)[0])
