"""A quantity that occurs again and again becomes one symbol, and the symbol the quantity again."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

from sympy import Add, Basic, Expr, Indexed, Mul, S

from rmsnorm_math.definitions import (
    Definition,
    definitions_of,
    divided_by,
    guarded,
    parts_of,
    tidy,
)
from rmsnorm_math.errors import Refused
from rmsnorm_math.index.names import freshen
from rmsnorm_math.index.rebuild import rebuilt
from rmsnorm_math.index.walk import depends, dummies_of
from rmsnorm_math.inputs import as_expression, as_expressions
from rmsnorm_math.matching import Meanings, assignments, how_often, matches, power_of


def abbreviate(expr: Expr, definitions: Mapping[Any, Expr]) -> Expr:
    """Return `expr` with each defined quantity written as its symbol.

    A definition that is a root, such as ``{r: rms()}``, is found in all its
    powers, and a product among the factors of another. The names of dummies do
    not matter. `substitute` undoes it.

    Parameters
    ----------
    expr
        An expression in index notation.
    definitions
        ``{symbol: expression}``, applied in order, to the later definitions,
        too. An element as the key holds for each value of its indices:
        ``{xhat[i]: x[i]/r}`` puts ``r*xhat[k]`` for ``x[k]``.

    Raises
    ------
    Refused
        If `expr` or a definition is no expression; if a key is a bare base, has
        an index that its definition lacks, is the name of an index, or occurs
        in the expression with another meaning.

    Examples
    --------
    >>> from rmsnorm_math import abbreviate, rms, rmsnorm, vjp
    >>> from rmsnorm_math.notation import i, j, r, x, xhat, ybar
    >>> dx = vjp(rmsnorm(), x[j], ybar[i])
    >>> abbreviate(dx, {r: rms(), xhat[i]: x[i]/r})
    gamma[j]*ybar[j]/r - xhat[j]*Sum(gamma[i]*xhat[i]*ybar[i], (i, 1, n))/(n*r)
    """
    expr = as_expression(expr)
    entries = as_expressions(definitions, "the definitions", "{r: rms()}")
    return _abbreviate(expr, tuple(entries.items()))


@lru_cache(64)  # printing, a check and a page ask for the same again
def _abbreviate(expr: Expr, entries: tuple[tuple[Any, Expr], ...]) -> Expr:
    definitions = dict(entries)
    given = definitions_of(expr, definitions)
    there, wholes = parts_of(divided_by(expr, *(d.value for d in given))), set[Expr]()
    while True:
        result = _abbreviated(expr, definitions, given, wholes)
        divided = divided_by(result)
        for _ in given:
            divided = [_insert(base, given) for base in divided]
        new = parts_of(divided) - there
        risky = {key for key, d in zip(definitions, given, strict=True) if d.risks & new}
        if not risky - wholes:
            return guarded(result, expr, given)
        wholes |= risky


def _abbreviated(
    expr: Expr,
    definitions: Mapping[Any, Expr],
    given: Sequence[Definition],
    wholes: Collection[Expr],
) -> Expr:
    """Return `expr` abbreviated, by the definitions in `wholes` as a whole alone."""
    candidates, result = dummies_of(expr), freshen(expr)
    known: list[Definition] = []
    for key, definition in zip(definitions, given, strict=True):
        value = definition.value
        for earlier in known:
            value = _write(value, earlier)
        known.append(Definition(definition.key, value, key in wholes))
    for _ in range(2):  # as it stands, and in the form in which alike quantities look alike
        for key, definition in zip(definitions, known, strict=True):
            short = _write(_write(result, replace(definition, whole=True)), definition)
            if short != result and depends(expr, key):
                raise Refused(
                    f"{key} occurs in the expression already, and would come to mean two things: "
                    f"take another name for {definitions[key]}."
                )
            result = short
        result = freshen(tidy(result, candidates))
    return tidy(result, candidates)


def substitute(expr: Expr, definitions: Mapping[Any, Expr]) -> Expr:
    """Return `expr` with what each symbol stands for in its place: it undoes `abbreviate`.

    Unlike ``expr.subs``, it reaches every element of a defined base, in sums,
    too, and no index is captured.

    Parameters
    ----------
    expr, definitions
        As in `abbreviate`; a definition may use any other one.

    Raises
    ------
    Refused
        As `abbreviate`, or if definitions use each other in a circle.

    Examples
    --------
    >>> from rmsnorm_math import substitute
    >>> from rmsnorm_math.notation import i, k, n, r, x, xhat
    >>> from sympy import Sum
    >>> substitute(Sum(k*xhat[k], (k, 1, n)), {xhat[i]: x[i]/r})
    Sum(k*x[k], (k, 1, n))/r
    """
    expr = as_expression(expr)
    result = freshen(expr)
    known = definitions_of(expr, definitions)
    for _ in range(len(known) + 1):
        replaced = _insert(result, known)
        if replaced == result:
            return guarded(tidy(result, dummies_of(expr, *definitions.values())), expr, known)
        result = freshen(replaced)
    raise Refused(f"the definitions {[*definitions]} use each other in a circle.")


def _write(expr: Expr, known: Definition) -> Expr:
    """Return `expr` with the key of a definition wherever its core occurs."""

    def written(node: Basic) -> Basic | None:
        found = _found(node, known)
        return node if found is None and isinstance(node, Indexed) else found

    return rebuilt(expr, written)


def _found(node: Basic, known: Definition) -> Expr | None:
    """Return what stands for `node`, if the core is a part of its factors."""
    if not isinstance(node, Expr):
        return None
    factors = [power_of(f) for f in Mul.make_args(node)]
    bases = [base for base, _ in factors]
    if not {type(base) for base, _ in known.core} <= set(map(type, bases)):
        return None
    forms = [(base, -base) if base.is_Add else (base,) for base, _ in known.core]
    for meant, places in assignments(forms, bases, dict.fromkeys(known.indices), {}):
        power = how_often([factors[at] for at, _ in places], [e for _, e in known.core])
        found = list(zip(places, known.core, strict=True))
        turned = [e * power for (_, form), (base, e) in found if form != base]
        if power == 0 or not all(e.is_integer for e in turned):
            continue
        used = {at: e * power for (at, _), (_, e) in found}
        rest = Mul(*(base ** (e - used.get(at, 0)) for at, (base, e) in enumerate(factors)))
        if lacking := [s.name for s, value in meant.items() if value is None]:
            raise Refused(
                f"{known.key.base} has the index {', '.join(lacking)}, and what it stands for "
                f"has not."
            )
        short = known.short.xreplace(meant) ** power * S.NegativeOne ** Add(*turned)
        return short * _write(rest, known)
    return None


def _insert(expr: Expr, known: list[Definition]) -> Expr:
    """Return `expr` with what each key stands for, its bound indices different from all there."""

    def inserted(node: Basic) -> Basic | None:
        for definition in known:
            if (meant := _meant(node, definition.key)) is not None:
                return freshen(definition.value).xreplace(meant)
        return node if isinstance(node, Indexed) else None

    return rebuilt(expr, inserted)


def _meant(node: Basic, key: Expr) -> Meanings | None:
    """Return what the indices of `key` are in `node`, if that is the key at some place."""
    if not isinstance(key, Indexed):
        return {} if node == key else None
    if not isinstance(node, Indexed) or node.base != key.base:
        return None
    open_indices = dict.fromkeys(s for s in key.indices if not s.is_Integer)
    return next(matches(key, node, open_indices, {}), None)
