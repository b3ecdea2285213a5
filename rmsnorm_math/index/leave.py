"""From the inner form back to SymPy's: readable names, and conditions that stay in their sums."""

from collections.abc import Callable, Iterable
from itertools import chain, count

from sympy import (
    Add,
    And,
    Basic,
    Derivative,
    Eq,
    Expr,
    Ge,
    Gt,
    Heaviside,
    Idx,
    Indexed,
    IndexedBase,
    KroneckerDelta,
    Le,
    Lt,
    Mul,
    Ne,
    Or,
    Piecewise,
    Product,
    S,
    Subs,
    Sum,
    Symbol,
)
from sympy.core.symbol import Str
from sympy.logic.boolalg import Boolean

from rmsnorm_math.errors import Refused
from rmsnorm_math.index.conditions import negated
from rmsnorm_math.index.contraction import is_smooth, times
from rmsnorm_math.index.inner import (
    Binder,
    Bound,
    BoundSum,
    Bracket,
    Choice,
    Partial,
    bracket,
    is_count,
    made,
    pairs,
    rebuilt,
    renamed,
    with_leaves,
)
from rmsnorm_math.index.walk import name, nodes

Labels = Callable[[Basic], tuple[Expr, ...]]


def leave(expr: Expr, names: Iterable[Expr]) -> Expr:
    """Return `expr` as SymPy writes it; its bound indices take their names from `names`.

    An index keeps its own name if that is among them, is free nowhere, and stands in no sum
    within; else it takes the first that does not. Sums that differ in names alone become one.
    """
    names = list(names)
    expr = unified(expr, [str(s) for s in names])
    return _written(expr, _labels(expr, names))


def unified(expr: Expr, order: list[str]) -> Expr:
    """Return `expr`, with sums that differ in their hints alone made one; early in `order` wins."""

    def rank(hint: str) -> tuple[int, str]:
        return order.index(hint) if hint in order else len(order), hint

    hints: dict[Basic, str] = {}
    binders = [node for node in nodes(expr) if isinstance(node, Binder)]
    for node in binders:
        key, hint = _without_hints(node), node.args[0].name
        hints[key] = min(hints.get(key, hint), hint, key=rank)
    if len(hints) == len(binders):
        return expr
    memo: dict[Basic, Basic] = {}

    def walk(node: Basic) -> Basic:
        if not node.args or isinstance(node, IndexedBase | Idx | Indexed):
            return node
        if (known := memo.get(node)) is None:
            known = made(node, tuple(map(walk, node.args)))
            if isinstance(known, Binder):
                hint = hints.setdefault(_without_hints(known), known.args[0].name)
                known = known.func(Str(hint), *known.args[1:])
            memo[node] = known
        return known

    return walk(expr)


def _without_hints(node: Basic) -> Basic:
    return with_leaves(node, lambda leaf, _: Str("") if isinstance(leaf, Str) else leaf)


def _labels(expr: Expr, names: list[Expr]) -> Labels:
    """Return a function that gives the names of the bound indices in a node, its own first."""
    taken = {name(node) for node in nodes(expr)}
    pool = [candidate for candidate in names if str(candidate) not in taken]
    letters = chain("klpqstuvw", (f"k_{number}" for number in count(1)))
    spare = (Idx(s) for s in letters if s not in taken and s not in set(map(str, pool)))
    memo: dict[Basic, tuple[Expr, ...]] = {}

    def labels(node: Basic) -> tuple[Expr, ...]:
        if not node.args or isinstance(node, Indexed | IndexedBase | Idx):
            return ()
        if (known := memo.get(node)) is None:
            known = tuple(dict.fromkeys(s for arg in node.args for s in labels(arg)))
            if isinstance(node, Binder):
                known = (pick(node.args[0].name, known), *known)
            memo[node] = known
        return known

    def pick(hint: str, used: tuple[Expr, ...]) -> Expr:
        for candidate in sorted(pool, key=lambda c: str(c) != hint):
            if candidate not in used:
                return candidate
        pool.append(next(spare))
        return pick(hint, used)

    return labels


def _written(expr: Expr, labels: Labels) -> Expr:
    memo: dict[tuple[Basic, tuple[Expr, ...]], Basic] = {}

    def write(node: Basic, names: tuple[Expr, ...]) -> Basic:
        if isinstance(node, Bound):
            return names[node.distance]
        if not node.args or isinstance(node, IndexedBase | Idx):
            return node
        if (known := memo.get((node, names))) is None:
            known = memo[node, names] = convert(node, names)
        return known

    def convert(node: Basic, names: tuple[Expr, ...]) -> Basic:
        if isinstance(node, Binder):
            return binder(node, names)
        if isinstance(node, Bracket) or (
            isinstance(node, Mul) and any(isinstance(f, Bracket) for f in node.args)
        ):
            return conditional(node, names)
        args = tuple(write(arg, names) for arg in node.args)
        if isinstance(node, Choice):
            return Piecewise(*zip(args[::2], args[1::2], strict=True))
        if isinstance(node, Partial):
            return _derivative(*args)
        return renamed(node, args)

    def conditional(node: Expr, names: tuple[Expr, ...]) -> Expr:
        factors = Mul.make_args(node)
        rest = Mul(*(f for f in factors if not isinstance(f, Bracket)))
        smooth, kept, deltas = is_smooth(rest), [], []
        for factor in factors:
            if isinstance(factor, Bracket):
                for part in And.make_args(factor.args[0]):
                    delta = _delta(write(part, names)) if smooth else None
                    kept += [write(part, names)] if delta is None else []
                    deltas += [] if delta is None else [delta]
        return Piecewise((times(*deltas, write(rest, names)), And(*kept)), (0, True))

    def binder(node: Expr, names: tuple[Expr, ...]) -> Expr:
        kind, limits, inner = type(node), [], node
        while isinstance(inner, kind):
            index = labels(inner)[0]
            limits.insert(0, (index, *(write(end, names) for end in inner.args[2:])))
            names, inner = (index, *names), inner.args[1]
        result = (Sum if kind is BoundSum else Product)(write(inner, names), *limits)
        if result.free_symbols.isdisjoint(labels(inner)):
            return result
        return _kept_together(node, lambda other: binder(other, names))

    return write(expr, ())


def _delta(condition: Boolean) -> Expr | None:
    """Return the factor that an equation of indices is, if it has no other form."""
    if isinstance(condition, Eq | Ne) and is_count(condition.lhs) and is_count(condition.rhs):
        delta = KroneckerDelta(*condition.args)
        return delta if isinstance(condition, Eq) else 1 - delta
    return None


def _derivative(applied: Expr, *orders: Expr) -> Expr:
    """Return the derivative of an undefined function by its places, as SymPy writes it.

    Two elements may turn out to be one: then it is the derivative by a place of its own.
    """
    args, by, points = list(applied.args), [], {}
    for place, order in enumerate(orders):
        if order:
            variable = args[place]
            others = [arg for at, arg in enumerate(args) if at != place]
            sought = getattr(variable, "base", variable)
            if not isinstance(variable, Indexed | Symbol) or any(o.has(sought) for o in others):
                args[place] = Symbol(f"xi_{place + 1}", real=True)
                points[args[place]] = variable
            by.append((args[place], order))
    result = Derivative(applied.func(*args), *by)
    return Subs(result, tuple(points), tuple(points.values())) if points else result


def _kept_together(node: Expr, write: Callable[[Expr], Expr]) -> Expr:
    """Write a sum out of which SymPy would carry a condition on the index of a sum within."""
    if (flat := _flattened(node)) is not None:
        return write(flat)
    return write(rebuilt(node, _as_numbers))


def _flattened(node: Expr) -> Expr | None:
    """Return the sum of a product with a sum as one sum over both indices."""
    hint, body, *ends = node.args
    if isinstance(body, BoundSum) and (flat := _flattened(body)) is not None:
        return node.func(hint, flat, *ends)
    for factor in Mul.make_args(body) if isinstance(node, BoundSum) else ():
        if isinstance(factor, BoundSum) and factor is not body:
            rest = Mul(*(f for f in body.args if f is not factor))
            label, inner, *limit = factor.args
            return BoundSum(hint, BoundSum(label, times(_lifted(rest), inner), *limit), *ends)
    return None


def _lifted(expr: Expr) -> Expr:
    """Return `expr` for a place that is one sum further in."""
    return with_leaves(
        expr,
        lambda leaf, depth: (
            Bound(leaf.distance + 1) if isinstance(leaf, Bound) and leaf.distance >= depth else leaf
        ),
    )


def _as_numbers(node: Expr) -> Expr | None:
    """Return a product with its conditions as numbers, 1 or 0; SymPy leaves those in their sums."""
    if isinstance(node, Choice):
        cases, rest = [], S.true
        for value, condition in pairs(node):
            cases.append(times(value, bracket(And(rest, condition))))
            rest = And(rest, negated(condition))
        return rebuilt(Add(*cases), _as_numbers)
    factors = Mul.make_args(node)
    if not any(isinstance(f, Bracket) for f in factors):
        return None
    rest = [f for f in factors if not isinstance(f, Bracket)]
    if not all(map(is_smooth, rest)):
        conditions = ", ".join(str(f.args[0]) for f in factors if isinstance(f, Bracket))
        raise Refused(
            f"the condition {conditions} would leave the sum that binds its index, by SymPy's "
            f"own rules (https://github.com/sympy/sympy/issues/27359), and what it guards may "
            f"have no value where it does not hold. Make that sum the outermost one, or split "
            f"the expression."
        )
    numbers = [_number(f.args[0]) for f in factors if isinstance(f, Bracket)]
    return times(*numbers, *(rebuilt(f, _as_numbers) for f in rest))


def _number(condition: Boolean) -> Expr:
    if isinstance(condition, And):
        return Mul(*map(_number, condition.args))
    if isinstance(condition, Or):
        return 1 - Mul(*(1 - _number(part) for part in condition.args))
    if isinstance(condition, Eq | Ne):
        delta = KroneckerDelta(*condition.args)
        return delta if isinstance(condition, Eq) else 1 - delta
    if isinstance(condition, Lt | Le | Gt | Ge):
        return Heaviside(condition.gts - condition.lts, 0 if isinstance(condition, Lt | Gt) else 1)
    raise Refused(
        f"the condition {condition} stands within nested sums: write it with <, <= or ==."
    )
