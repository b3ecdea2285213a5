"""The inner form: sums whose indices have no name, and conditions that stand as factors.

A bound index is its distance to its sum, counted in sums (de Bruijn 1972, "Lambda calculus
notation with nameless dummies"). A sum is `opened` with an index that exists nowhere else and
`closed` again; in between, whatever is put into its body cannot be captured. SymPy's own `Sum`
and `Piecewise` carry conditions out of the sum that binds their index
(https://github.com/sympy/sympy/issues/27359); these nodes do nothing by themselves.
"""

from typing import Any, Self

from sympy import (
    Basic,
    Expr,
    S,
    false,
    true,
)
from sympy.core.expr import AtomicExpr
from sympy.logic.boolalg import Boolean, Not, to_nnf


class Bound(AtomicExpr):  # type: ignore[misc]
    """A bound index: how many sums stand between it and its own."""

    __slots__ = ("distance",)
    is_integer = True
    is_commutative = True

    def __new__(cls, distance: int) -> Self:  # noqa: D102
        self = AtomicExpr.__new__(cls)
        self.distance = distance
        return self  # type: ignore[no-any-return]

    def __getnewargs__(self) -> tuple[int]:  # noqa: D105
        return (self.distance,)

    def _hashable_content(self) -> tuple[int]:
        return (self.distance,)

    def _sympystr(self, _: Any) -> str:
        return f"<{self.distance}>"


class Inner(Expr):  # type: ignore[misc]
    """A node that does nothing by itself. Elements are real, and so is what is made of them."""

    is_commutative = True
    is_real = True

    def __new__(cls, *args: Basic) -> Self:  # noqa: D102
        return Expr.__new__(cls, *args)  # type: ignore[no-any-return]


class Binder(Inner):
    """`BoundSum(hint, body, lower, upper)`: one nameless index; the hint is for readers."""


class BoundSum(Binder):
    """The sum of the body over its index."""


class BoundProduct(Binder):
    """The product of the body over its index."""


class Bracket(Inner):
    """The Iverson bracket: 1 where the condition holds, else 0."""

    is_integer = True
    is_nonnegative = True

    def _eval_power(self, exponent: Expr) -> Expr | None:
        return self if exponent.is_positive else None


class Choice(Inner):
    """`Choice(e1, c1, e2, c2, ...)`: the first whose condition holds."""


class Partial(Inner):
    """`Partial(f(u, v), p, q)`: f differentiated p times by its first place, q by its second."""


def bracket(condition: Boolean) -> Expr:
    """Return the factor that is 1 where `condition` holds, and 0 elsewhere."""
    if condition in (true, false):
        return S.One if condition else S.Zero
    return Bracket(condition)


def pairs(choice: Choice) -> list[tuple[Expr, Boolean]]:
    """Return each value of a choice with its condition."""
    return list(zip(choice.args[::2], choice.args[1::2], strict=True))


def choice(*cases: tuple[Expr, Boolean]) -> Expr:
    """Return the choice between `cases`, or what it comes to."""
    kept = []
    for value, condition in cases:
        if condition != false:
            kept.append((value, condition))
        if condition == true:
            break
    if kept and kept[-1][1] == true and len({value for value, _ in kept}) == 1:
        return kept[0][0]
    if len(kept) == 2 and kept[1] == (0, true):
        return kept[0][0] * bracket(kept[0][1])
    if len(kept) == 2 and kept[0][0] == 0 and kept[1][1] == true:
        return kept[1][0] * bracket(to_nnf(Not(kept[0][1]), simplify=False))
    return Choice(*(part for case in kept for part in case)) if kept else S.NaN
