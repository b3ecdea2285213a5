"""What a formula is made of: powers of sums, numbers, terms, factors that are linear."""

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from sympy import Add, Expr, Indexed, IndexedBase, Mul, Pow, Sum, Symbol, exp

from rmsnorm_math.index.names import anonymous
from rmsnorm_math.index.walk import free_indices


def compound_powers(exprs: Sequence[Expr]) -> dict[Expr, Expr]:
    """Return what is divided by or has a root, and has a sum in it: base and the power to name."""
    found: dict[Expr, Expr] = {}
    for expr in exprs:
        for node in sorted(expr.atoms(Pow), key=lambda p: p.count_ops()):
            if node.base.has(Sum) and (node.exp.is_negative or not node.exp.is_integer):
                part = Pow(2, -1) if node.exp.is_integer is False else Pow(1, 1)
                known = next((b for b in found if _same(b, node.base)), node.base)
                found[known] = min(found.get(known, part), part)
    return found


def numbers_in(expr: Expr) -> set[Expr]:
    """Return the symbols in `expr` that are no indices."""
    indices = {s for node in expr.atoms(Indexed) for i in node.indices for s in i.free_symbols}
    bases = {s for base in expr.atoms(IndexedBase) for s in base.free_symbols}
    return {s for s in expr.free_symbols if isinstance(s, Symbol)} - indices - bases


def _same(left: Expr, right: Expr) -> bool:
    a, b = free_indices(left), free_indices(right)
    names = dict(zip(b, a, strict=False))
    return len(a) == len(b) and anonymous(left) == anonymous(right).xreplace(names)


def is_linear(expr: Expr, base: Expr) -> bool:
    """Whether `expr` is linear in the array `base`, where it depends on it."""
    if not expr.has(base):
        return True
    if isinstance(expr, Add):
        return all(is_linear(arg, base) for arg in expr.args)
    if isinstance(expr, Mul):
        with_base = [arg for arg in expr.args if arg.has(base)]
        return len(with_base) == 1 and is_linear(with_base[0], base)
    if isinstance(expr, Sum):
        return is_linear(expr.function, base)
    return isinstance(expr, Indexed) and expr.base == base


@lru_cache(64)
def _exponents(*exprs: Expr) -> list[Expr]:
    powers = {node.args[0] for expr in exprs for node in expr.atoms(exp)}
    return sorted(powers, key=str)


def steepness(exprs: Iterable[Expr], value: Callable[[Expr], Any]) -> float:
    """Return how much a rounding error counts for where there are exponentials, 1 if there is none.

    They may be written in many ways: ``1 - s`` for ``exp(-z) * s`` is off by units of 1, not of it,
    and z is a factor of it.
    """
    found = [abs(np.ravel(value(power))) for power in _exponents(*exprs)]
    return 1 + float(max((v[np.isfinite(v)].max(initial=0) for v in found), default=0))


@lru_cache(256)
def parts_of(expr: Expr) -> tuple[Expr, ...]:
    """Return the terms of `expr`, those without a sum first."""
    signs = {t: bool(t.could_extract_minus_sign()) for t in Add.make_args(expr)}
    return tuple(sorted(signs, key=lambda t: (t.has(Sum), signs[t], t.count_ops(), str(t))))
