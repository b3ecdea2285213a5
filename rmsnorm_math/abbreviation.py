"""A quantity that occurs again and again becomes one symbol."""

from collections.abc import Mapping
from itertools import permutations

from sympy import Basic, Expr, Indexed, Mul, S, Symbol, exp

from rmsnorm_math.errors import Refused
from rmsnorm_math.index.contraction import contracted
from rmsnorm_math.index.enter import enter
from rmsnorm_math.index.leave import leave
from rmsnorm_math.index.names import anonymous, freshen
from rmsnorm_math.index.walk import (
    BINDERS,
    depends,
    dummies_of,
    index_symbols,
    limits_of,
)
from rmsnorm_math.inputs import as_expression, as_expressions


def abbreviate(expr: Expr, definitions: Mapping[Expr, Expr]) -> Expr:
    """Return `expr` with each defined quantity written as its symbol.

    A definition that is a root, such as ``{r: rms()}``, is found in all its
    powers. The names of dummies do not matter. To undo it, write
    ``expr.subs(definitions)``.

    Parameters
    ----------
    expr
        An expression in index notation.
    definitions
        ``{symbol: expression}``, applied in order, so that one may use those
        before it. An element as the key holds for each value of its indices:
        ``{xhat[i]: x[i]/r}`` puts ``r*xhat[k]`` for ``x[k]``.

    Raises
    ------
    TypeError
        If `expr` or a definition is no expression.
    ValueError
        If a key is a bare base, or occurs in the expression with another meaning.

    Examples
    --------
    >>> from rmsnorm_math import abbreviate, rms, rmsnorm, vjp
    >>> from rmsnorm_math.notation import i, j, r, x, xhat, ybar
    >>> dx = vjp(rmsnorm(), x[j], ybar[i])
    >>> abbreviate(dx, {r: rms(), xhat[i]: x[i]/r})
    gamma[j]*ybar[j]/r - xhat[j]*Sum(gamma[i]*xhat[i]*ybar[i], (i, 1, n))/(n*r)
    """
    expr = as_expression(expr)
    result = freshen(expr)
    definitions = as_expressions(definitions, "the definitions", "{r: rms()}")
    for symbol, definition in definitions.items():
        if not isinstance(symbol, Symbol | Indexed):
            raise Refused(f"{symbol} is no key: write a symbol, or an element such as xhat[i].")
        indices = getattr(symbol, "indices", ())
        factors = Mul.make_args(anonymous(definition))
        core = [f for f in factors if (all(map(f.has, indices)) if indices else f.has(*BINDERS))]
        scale = Mul(*(f for f in factors if f not in core)) if core else S.One
        short = _abbreviate(result, symbol / scale, indices, *_power(Mul(*(core or factors))))
        if short != result and depends(result, symbol):
            raise Refused(
                f"{symbol} occurs in the expression already, and would come to mean two things: "
                f"take another name for {definition}."
            )
        result = short
    return leave(contracted(enter(result), {}), dummies_of(expr))


def _power(node: Basic) -> tuple[Basic, Expr]:
    """Return base and exponent; those of exp(2*x) are exp(x) and 2."""
    if isinstance(node, exp):
        factor, rest = node.exp.as_coeff_Mul()
        return exp(rest), factor
    return node.as_base_exp() if isinstance(node, Expr) else (node, S.One)


def _abbreviate(
    expr: Expr, short: Expr, indices: tuple[Expr, ...], base: Expr, exponent: Expr
) -> Expr:
    def of(node: Expr) -> Expr | None:
        """Return what stands for `node`, whatever its indices are called."""
        if type(node) is not type(base):
            return None
        free = index_symbols(node) - {index for index, _, _ in limits_of(node)}
        for chosen in permutations(sorted(free, key=str), len(indices)):
            names = dict(zip(indices, chosen, strict=True))
            if anonymous(node) == base.xreplace(names):
                return short.xreplace(names)
        return None

    def walk(node: Expr) -> Expr:
        power, p = _power(node)
        ratio = p / exponent
        if (ratio.is_integer or isinstance(base, exp)) and (found := of(power)) is not None:
            return found**ratio
        return (
            node.func(*map(walk, node.args))
            if node.args and not isinstance(node, Indexed)
            else node
        )

    return walk(expr)
