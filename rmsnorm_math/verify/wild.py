"""Wrong gradients of RMSNorm that were read in public code or in its documentation.

Each is what the derivation becomes by one change, with a sentence for the reports. Where each was
read is said on the site, in `docs/seen.py`; the point is the test that would have caught it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from sympy import Eq, Expr, IndexedBase, Piecewise, S

from rmsnorm_math.layers import rms
from rmsnorm_math.notation import b, epsilon, gamma, i, j, x, ybar
from rmsnorm_math.verify.faults import ALONG_COLUMNS, NOT_SUMMED
from rmsnorm_math.verify.formulas import parts_of

#: What makes the wrong outputs from the right ones, ``{"dx": ..., "dgamma": ...}``.
Change = Callable[[Mapping[str, Expr]], dict[str, Expr]]
R = IndexedBase("r")
X = {x[b, i]: Piecewise((0, Eq(gamma[i], 0)), (x[b, i], True)) for i in (i, j)}
WITHOUT_EPS = rms(b).xreplace({epsilon: S.Zero})


@dataclass(frozen=True)
class Seen:
    """A wrong gradient: its name, what a report says of it, and the change.

    A mistake with arrays has no change: it is the one of `faults` that is called what `says` says.
    """

    name: str
    says: str
    change: Change | None = field(repr=False)


def _terms(change: Callable[[Expr, Expr], Expr]) -> Change:
    """Return the change of dx that `change` makes of its first and its second term."""

    def changed(right: Mapping[str, Expr]) -> dict[str, Expr]:
        first, second, *rest = parts_of(right["dx"])
        return {"dx": change(first, second) + sum(rest, S.Zero)}

    return changed


def _without_gamma(expr: Expr) -> Expr:
    return expr.replace(lambda e: getattr(e, "base", None) == gamma, lambda _: S.One)


def _each(change: Callable[[Expr], Expr]) -> Change:
    return lambda right: {name: change(expr) for name, expr in right.items()}


def _offset(expr: Expr) -> Expr:
    return expr.replace(lambda e: getattr(e, "base", None) == gamma, lambda e: 1 + e)


WILD: tuple[Seen, ...] = (
    Seen(
        "gamma outside the sum",
        "gamma stands outside the sum: that is the Jacobian times dy, not its transpose; "
        "the sum is over gamma * dy * x",
        lambda right: {"dx": gamma[j] * _without_gamma(right["dx"])},
    ),
    Seen(
        "gamma twice in the second term",
        "gamma is applied twice in the second term: it belongs inside the sum only",
        _terms(lambda first, second: first + gamma[j] * second),
    ),
    Seen(
        "r² for r³",
        "the second term is divided by r**2 where r**3 is right",
        _terms(lambda first, second: first + second * R[b]),
    ),
    Seen(
        "r⁴ for r³",
        "the second term is divided by r**4 where r**3 is right",
        _terms(lambda first, second: first + second / R[b]),
    ),
    Seen(
        "rms as a constant",
        "the second term is missing: the rms was taken for a constant, but it depends on x",
        _terms(lambda first, _: first),
    ),
    Seen(
        "eps placed in two ways",
        "eps is added outside the root in the first term and inside in the second",
        _terms(
            lambda first, second: (
                first.xreplace({R[b]: WITHOUT_EPS + epsilon}) + second * R[b] / WITHOUT_EPS
            )
        ),
    ),
    Seen(
        "the mean square for 1/r",
        "the mean square stands where 1/r is right",
        _each(lambda expr: expr.xreplace({R[b]: WITHOUT_EPS**-2})),
    ),
    Seen(
        "1 + gamma in the backward only",
        "1 + gamma stands where gamma is asked for; if that is meant, say offset=1",
        _each(_offset),
    ),
    Seen(
        "dgamma not summed",
        NOT_SUMMED,
        None,
    ),
    Seen(
        "eps missing",
        "eps is missing",
        _each(lambda expr: expr.xreplace({R[b]: WITHOUT_EPS})),
    ),
    Seen(
        "a parenthesis",
        "dy multiplies the second term as well: a parenthesis is misplaced",
        _terms(lambda first, second: first + ybar[b, j] * second),
    ),
    Seen(
        "gamma not in the sum",
        "gamma is forgotten inside the sum, which is over gamma * dy * x",
        _terms(lambda first, second: first + _without_gamma(second)),
    ),
    Seen(
        "divided by gamma",
        "x counts as 0 where gamma is 0, as if it were recomputed from the output by dividing by "
        "gamma, clamped",
        _each(lambda expr: expr.xreplace(X)),
    ),
    Seen(
        "row sums laid along columns",
        ALONG_COLUMNS,
        None,
    ),
)
