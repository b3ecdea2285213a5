"""What each function promises, on an expression that nobody chose.

Each promise takes a drawn case and returns at how many points it was compared; a `Refused` goes
through to the caller.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from itertools import product
from typing import Any

import mpmath
from sympy import Expr, Idx, Indexed, IndexedBase, S, Symbol

from rmsnorm_math import (
    abbreviate,
    contract,
    differentiate,
    instantiate,
    jvp,
    matrix_form,
    substitute,
    vjp,
)
from tests.differences import Scope, value
from tests.drawn import Case, m, n
from tests.elements import UNDEFINED, Axes, free_of, touch
from tests.judge import (
    DIGITS,
    SIZES,
    Domain,
    Unjudged,
    assert_close,
    number,
    numbers,
    slope,
    told,
)
from tests.matrix_values import rows

Ranges = Mapping[Expr, Any]
PLACES = range(-4, 13)  # of an element: twice an index beyond its range, or one shifted
ybar, xdot, ubar = (IndexedBase(letter) for letter in ("ybar", "xdot", "ubar"))


def stated(case: Case, *exprs: Expr) -> dict[Expr, Any]:
    """Return the stated ranges of the free indices of `exprs`: no others are of use."""
    free = set().union(*(free_of(expr, case.world.indices) for expr in exprs))
    return {s: span for s, span in case.ranges.items() if s in free}


def no_index_escapes(result: Expr, *given: Expr) -> None:
    def free(expr: Expr) -> set[Expr]:
        return free_of(expr, tuple(expr.atoms(Symbol, Idx)))

    escaped = free(result).difference(*map(free, given), {n, m})
    assert not escaped, f"{escaped} escapes in {result}"


def scopes(*exprs: Expr) -> Iterator[dict[Any, Any]]:
    for size in SIZES:
        with mpmath.workdps(DIGITS):
            yield numbers(size, *exprs)


def compare(
    domain: Domain,
    result: Expr,
    expected: Callable[[Scope], Any],
    what: str,
    meant: Callable[[Scope], Scope] = lambda scope: scope,
) -> int:
    """Compare a result with what is expected at the points of its domain."""
    compared = 0
    for point in domain.points():
        try:
            wanted = expected(point)
        except (*UNDEFINED, Unjudged):
            continue
        where = f"{what} is {result}, at {told(point)}"
        assert_close(number(result, meant(point), where), wanted, where)
        compared += 1
    return compared


def derivative(case: Case) -> int:
    """Judge each derivative in a row by the difference quotients of the one before."""
    expr, compared = case.expr, 0
    for wrt in case.wrt:
        ranges = stated(case, expr, wrt)
        result = differentiate(expr, wrt, ranges)
        no_index_escapes(result, expr, wrt)
        for scope in scopes(expr, wrt, result):
            domain = Domain(case.world, expr, wrt, ranges, scope)
            what = f"the derivative of {expr} by {wrt}"
            compared += compare(domain, result, partial(slope, expr, wrt), what)
        expr = result
    return compared


def same_value(
    case: Case,
    expr: Expr,
    ranges: Ranges,
    result: Expr,
    what: str,
    meant: Callable[[Scope], Scope] = lambda scope: scope,
) -> int:
    compared = 0
    for scope in scopes(expr, result):
        domain = Domain(case.world, expr, S.One, ranges, scope)
        compared += compare(domain, result, lambda p: value(expr, p), what, meant)
    return compared


def contraction(case: Case) -> int:
    ranges = stated(case, case.expr)
    result = contract(case.expr, ranges)
    no_index_escapes(result, case.expr)
    compared = same_value(case, case.expr, ranges, result, f"{case.expr} contracted")
    again = contract(result, ranges)
    assert again == result, f"contract once gives {result}, twice {again}"
    return compared


def backward(case: Case) -> int:
    """Judge a VJP, and the VJP of it, by sums over difference quotients."""
    y, compared = case.expr, 0
    for wrt, name in zip(case.wrt, (ybar, ubar), strict=False):
        outputs = tuple(sorted(free_of(y, case.world.indices), key=str))
        cotangent = name[outputs] if outputs else Symbol(str(name))
        ranges = stated(case, y, wrt)
        result = vjp(y, wrt, cotangent, ranges)
        no_index_escapes(result, wrt, cotangent.base if outputs else cotangent, S(_symbols(y)))
        compared += along(case, y, wrt, cotangent, ranges, result, y)
        y = result
    return compared


def forward(case: Case) -> int:
    """Judge a JVP by a sum over difference quotients."""
    y, wrt = case.expr, case.wrt[0]
    inputs = wrt.indices if isinstance(wrt, Indexed) else ()
    tangent = xdot[inputs] if inputs else Symbol("xdot")
    ranges = stated(case, y, wrt)
    result = jvp(y, wrt, tangent, ranges)
    no_index_escapes(result, y, Symbol("xdot"))
    return along(case, y, wrt, tangent, ranges, result, wrt)


def along(
    case: Case, y: Expr, wrt: Expr, bar: Expr, ranges: Ranges, result: Expr, summed: Expr
) -> int:
    """Compare with the derivative of y by wrt, times `bar` and summed over the indices of it."""
    compared = 0
    for scope in scopes(y, wrt, result, bar):
        of_y = summed is y
        if Domain(case.world, y, wrt, ranges, scope).contradicts_a_shape():
            continue
        whole = Domain(case.world, y, S.One if of_y else wrt, ranges, scope)
        outputs = {*getattr(bar, "indices", ())} - {*whole.known} if of_y else set()
        if of_y:
            whole.beside = Domain(case.world, S.One, wrt, ranges, scope).stated
            touch(wrt, {}, whole.beside)
        at = {s: (wrt.base, axis) for axis, s in enumerate(getattr(wrt, "indices", ()))}
        every = {} if of_y or whole.shaped else {s: at[s] for s in at if s not in whole.known}
        try:
            spans = {s: whole.only(s) for s in getattr(bar, "indices", ()) if s not in every}
        except Unjudged:
            continue

        def expected(
            point: Scope,
            spans: dict[Expr, list[int]] = spans,
            every: Mapping[Expr, Any] = every,
            reach: list[int] | None = whole.whole if outputs and not whole.shaped else None,
        ) -> Any:
            total = mpmath.mpf(0)
            met: Axes = defaultdict(set)
            touch(y, point, met)
            runs = spans | {s: sorted(met[axis]) for s, axis in every.items()}
            for chosen in product(*runs.values()):
                inside = {**point, **dict(zip(runs, chosen, strict=True))}
                of_y, of_wrt = (inside, point) if summed is y else (point, inside)
                target = wrt
                if isinstance(wrt, Indexed):
                    target = wrt.base[tuple(value(s, of_wrt) for s in wrt.indices)]
                    if reach is not None and not {*target.indices} <= {*reach}:
                        raise Unjudged  # beyond what an output without a range is taken to have
                total += value(bar, inside) * slope(y, target, of_y)
            return total

        if summed is y:
            domain = Domain(case.world, y, wrt, ranges, scope, spans)
        else:
            domain = Domain(case.world, y, S.One, ranges, scope)
            for s, values in spans.items():  # the tangent shows the axis
                domain.axes[at[s]] |= {*values}
                domain.shown.add(at[s])
                domain.open.discard(at[s])
        compared += compare(domain, result, expected, f"{y} by {wrt} along {bar}")
    return compared


def there_and_back(drawn: tuple[Case, dict[Expr, Expr]]) -> int:
    """Judge an abbreviated expression where its symbols have their values, and the way back."""
    case, definitions = drawn
    ranges = stated(case, case.expr)
    short = abbreviate(case.expr, definitions)
    no_index_escapes(short, case.expr, *definitions, *definitions.values())
    back = substitute(short, definitions)
    no_index_escapes(back, case.expr, *definitions.values())

    what = f"{case.expr} with {definitions}"
    compared = same_value(
        case, case.expr, ranges, short, what, lambda point: with_meanings(point, definitions)
    )
    return compared + same_value(case, case.expr, ranges, back, f"{what} and back")


def with_meanings(point: Scope, definitions: Mapping[Expr, Expr]) -> dict[Any, Any]:
    """Return the scope in which defined symbols and elements have the value of what they mean."""
    scope = dict(point)
    for key, meaning in definitions.items():
        indices = getattr(key, "indices", ())
        for at in product(PLACES, repeat=len(indices)):
            with suppress(*UNDEFINED):
                inside = {**scope, **dict(zip(indices, at, strict=True))}
                scope[(key.base, *at) if indices else key] = value(meaning, inside)
    return scope


def written_out(case: Case) -> int:
    """Judge what is written out for a size, with its indices fixed."""
    compared = 0
    for scope in scopes(case.expr):
        domain = Domain(case.world, case.expr, S.One, case.ranges, scope)
        for point in domain.points(2):
            names = {str(s): point[s] for s in domain.free}
            has = {str(s) for s in case.expr.free_symbols}
            names |= {str(s): scope[s] for s in (n, m) if str(s) in has}
            try:
                expected = value(case.expr, point)
            except UNDEFINED:
                continue
            result = instantiate(case.expr, **names)
            where = f"{case.expr} for {names} is {result}"
            assert case.world.bases[0].shape or not result.free_symbols & {n, m, *domain.free}, (
                where
            )
            assert_close(number(result, scope, where), expected, where)
            compared += 1
    return compared


def matrix(entry: Expr) -> int:
    """Judge each entry of a matrix in whole vectors."""
    i, j = map(Idx, "ij")
    form = matrix_form(entry, i, j, n)
    compared = 0
    for scope in scopes(entry):
        size = scope[n]
        got = rows(form, scope)
        for p, q in product(range(1, size + 1), repeat=2):
            where = f"the entry {p}, {q} of {form} for {entry}"
            assert_close(got[p - 1][q - 1], value(entry, {**scope, i: p, j: q}), where)
            compared += 1
        assert len(got) == size, f"{form} has {len(got)} rows for {size}"
    return compared


def _symbols(expr: Expr) -> Expr:
    """Return the sum of the symbols of an expression that are no indices."""
    return sum(s for s in expr.free_symbols if isinstance(s, Symbol) and not s.is_integer) + S.Zero
