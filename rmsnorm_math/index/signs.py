"""What is known of signs: elements are real, and so a sum of squares is never negative."""

from sympy import Dummy, Expr, Indexed, Mul, Pow, sign

from rmsnorm_math.index.inner import BoundSum
from rmsnorm_math.index.rebuild import rebuilt


def sign_of(expr: Expr) -> Expr:
    """Return the sign of `expr`, without the factors that are never negative."""
    return sign(Mul(*(f for f in Mul.make_args(expr) if not is_nonnegative(f))))


def without_positive(expr: Expr) -> Expr:
    """Return `expr` without the factors that are positive wherever they have a value."""
    return Mul(*(f for f in Mul.make_args(expr) if not _is_positive(f)))


def is_nonnegative(expr: Expr) -> bool:
    """Return whether `expr` is never negative."""
    return bool(_with_real_elements(expr).is_nonnegative) or _is_positive(expr)


def _is_positive(expr: Expr) -> bool:
    if isinstance(expr, Pow) and expr.exp.is_negative:
        return is_nonnegative(expr.base**-expr.exp)
    return bool(_with_real_elements(expr).is_positive)


def _with_real_elements(expr: Expr) -> Expr:
    def known(node: Expr) -> Expr | None:
        if isinstance(node, Indexed):
            return Dummy(real=True)
        if isinstance(node, BoundSum):
            return Dummy(nonnegative=True) if is_nonnegative(node.args[1]) else Dummy(real=True)
        return None

    return rebuilt(expr, known)
