"""Expressions in index notation that nobody chose, drawn by Hypothesis."""

from dataclasses import dataclass, field
from typing import Any

from hypothesis import assume
from hypothesis import strategies as st
from sympy import (
    Abs,
    And,
    Eq,
    Expr,
    Function,
    Idx,
    IndexedBase,
    KroneckerDelta,
    Max,
    Min,
    Mod,
    Ne,
    Not,
    Or,
    Piecewise,
    Product,
    Rational,
    Sum,
    Symbol,
    exp,
    log,
    sin,
    sqrt,
    tanh,
)

n, m = (Symbol(letter, integer=True, positive=True) for letter in "nm")
t = Symbol("t", real=True)
f, g = Function("f"), Function("g")
Draw = st.DrawFn


@dataclass(frozen=True)
class World:
    """The objects that one case is written with: each name stands for one object throughout."""

    indices: tuple[Expr, ...]
    bases: tuple[IndexedBase, ...]
    first: int
    long: Expr | None = None

    @property
    def whole(self) -> tuple[Expr, Expr]:
        """The range of an axis."""
        return (self.first, n + self.first - 1)


@dataclass(frozen=True)
class Case:
    """An expression, what it is differentiated by, and the ranges that are stated."""

    world: World
    expr: Expr
    wrt: tuple[Expr, ...] = ()
    ranges: dict[Expr, tuple[Expr, Expr]] = field(default_factory=dict)

    def __repr__(self) -> str:  # noqa: D105
        kinds = ", ".join(f"{s} = {s!r} {type(s).__name__} {s.args}" for s in self.world.indices)
        shapes = {b: b.shape for b in self.world.bases if b.shape}
        return f"{self.expr}  by {self.wrt}, ranges {self.ranges}  [{kinds}; shapes {shapes}]"


def one_of(draw: Draw, *choices: Any) -> Any:
    return draw(st.sampled_from(choices))


def chance(draw: Draw, percent: int) -> bool:
    return draw(st.integers(0, 99)) >= 100 - percent


@st.composite
def worlds(draw: Draw) -> World:
    names = draw(st.sampled_from([("i", "j", "k"), ("i", "j", "k"), ("_0", "k", "j")]))
    first = 0 if chance(draw, 20) else 1
    kinds = {
        "plain": Idx,
        "symbol": lambda s: Symbol(s, integer=True),
        "length": lambda s: Idx(s, n),
        "range": lambda s: Idx(s, (1, n)),
    }
    drawn = [one_of(draw, *kinds) if chance(draw, 25) else "plain" for _ in names]
    shape = chance(draw, 8)
    bases = tuple(
        IndexedBase(letter, shape=(n,) * rank if shape else None)
        for letter, rank in zip("acAT", (1, 1, 2, 3), strict=True)
    )
    indices = tuple(kinds[kind](s) for kind, s in zip(drawn, names, strict=True))
    return World(indices, bases, first, m if chance(draw, 15) else None)


def rank(base: IndexedBase) -> int:
    return {"A": 2, "T": 3, "B": 2}.get(str(base), 1)


def place(draw: Draw, world: World, bound: tuple[Expr, ...]) -> Expr:
    """Draw what stands in an index: mostly a bound index, at times shifted or reflected."""
    s = one_of(draw, *bound) if bound and chance(draw, 85) else one_of(draw, *world.indices)
    if chance(draw, 18):
        low, high = world.whole
        return one_of(draw, s + 1, low + high - s, s - 1, 2 * s, low, low + 1, high)
    return s


def element(draw: Draw, world: World, bound: tuple[Expr, ...]) -> Expr:
    base = one_of(draw, *world.bases[:2], *world.bases)
    return base[tuple(place(draw, world, bound) for _ in range(rank(base)))]


def limits(draw: Draw, world: World, outer: tuple[Expr, ...]) -> Any:
    low, high = world.whole
    if chance(draw, 55):
        return (low, high)
    if outer and chance(draw, 60):
        u = one_of(draw, *outer)
        return one_of(draw, (low, u), (u, high), (u + 1, high), (low, u - 1), (u, u + 1))
    others = [(low + 1, high), (low, high - 1), (1, 2), (2, 3), (low, high + 1), (2, high - 1)]
    return one_of(draw, *others, *([(1, world.long)] if world.long else []))


def condition(draw: Draw, world: World, bound: tuple[Expr, ...]) -> object:
    s, u = (one_of(draw, *(bound or world.indices), *world.indices) for _ in range(2))
    simple = [s < u, s <= u, s > u, s >= u + 1, Eq(s, u), Ne(s, u), s < 3, s >= 2, s <= n - 1]
    simple += [Eq(Mod(s, 2), 0), Ne(Mod(s, 2), 1), Ne(s, n), Eq(s, 1), s + u <= n + 1]
    picked = [one_of(draw, *simple) for _ in range(2)]
    if chance(draw, 15):
        return element(draw, world, bound) > one_of(draw, 0, Rational(1, 3))
    return one_of(draw, picked[0], picked[0], And(*picked), Or(*picked), Not(And(*picked)))


def expression(draw: Draw, world: World, depth: int, bound: tuple[Expr, ...] = ()) -> Expr:
    """Draw an expression; `bound` are the indices of the sums that it stands in."""
    if depth == 0:
        return element(draw, world, bound) if chance(draw, 88) else one_of(draw, t, 2, n)

    def smaller() -> Expr:
        return expression(draw, world, depth - 1, bound)

    kind = draw(st.sampled_from(["sum"] * 5 + ["times"] * 4 + ["plus"] * 2 + list(OTHERS)))
    if kind == "sum":
        return total(draw, world, depth, bound)
    if kind == "times":
        return smaller() * smaller()
    if kind == "plus":
        return smaller() + smaller()
    if kind == "condition":
        part = smaller()
        rest = one_of(draw, 0, 0, part / 3)
        return Piecewise((part, condition(draw, world, bound)), (rest, True))
    if kind == "delta":
        delta = KroneckerDelta(place(draw, world, bound), place(draw, world, bound))
        return one_of(draw, delta, delta, 1 - delta) * smaller()
    if kind in {"Max", "Min", "g"}:
        return {"Max": Max, "Min": Min, "g": g}[kind](smaller(), smaller())
    return OTHERS[kind](smaller())


OTHERS = {
    "condition": None,
    "delta": None,
    "square": lambda e: e**2,
    "root": lambda e: sqrt(1 + e**2),
    "inverse": lambda e: 1 / (2 + sin(e)),
    "sin": sin,
    "tanh": tanh,
    "exp": lambda e: exp(sin(e)),
    "log": lambda e: log(1 + e**2),
    "Abs": Abs,
    "Max": None,
    "Min": None,
    "f": f,
    "g": None,
}


def total(draw: Draw, world: World, depth: int, bound: tuple[Expr, ...]) -> Expr:
    """Draw a sum or a product of one or two indices; a name may occur twice."""
    kind = Product if chance(draw, 10) else Sum
    s = one_of(draw, *world.indices)
    outer = limits(draw, world, bound)
    if chance(draw, 25):
        u = one_of(draw, *(index for index in world.indices if index != s))
        inner = limits(draw, world, (s, *bound))
        body = expression(draw, world, depth - 1, (u, s, *bound))
        return kind(body, (u, *inner), (s, *outer))
    return kind(expression(draw, world, depth - 1, (s, *bound)), (s, *outer))


@st.composite
def cases(draw: Draw, depth: int = 3, orders: int = 1, known: int = 25, plain: int = 70) -> Case:
    """Draw an expression, variables, and ranges for `known` per cent of the indices."""
    world = draw(worlds())
    try:
        expr = expression(draw, world, one_of(draw, *range(1, depth + 1), depth, depth))
        wrt = tuple(variable(draw, world, expr, plain) for _ in range(orders))
    except (TypeError, ValueError, AttributeError, NotImplementedError):
        assume(False)  # SymPy itself cannot write it
    assume(isinstance(expr, Expr))
    stated = [s for s in world.indices if chance(draw, known)]
    return Case(world, expr, wrt, {s: stated_range(draw, world) for s in stated})


def variable(draw: Draw, world: World, expr: Expr, plain: int) -> Expr:
    if chance(draw, 6):
        return t
    inside = [base for base in world.bases if base in expr.atoms(IndexedBase)]
    base = one_of(draw, *(inside if inside and chance(draw, 95) else world.bases))
    low, high = world.whole
    odd = [low, low + 1, high, world.indices[0] + 1]
    if chance(draw, plain):
        return base[tuple(draw(st.permutations(world.indices))[: rank(base)])]
    places = [
        one_of(draw, *odd) if chance(draw, 40) else one_of(draw, *world.indices)
        for _ in range(rank(base))
    ]
    return base[tuple(places)]


def stated_range(draw: Draw, world: World) -> Any:
    low, high = world.whole
    if chance(draw, 70):
        return (low, high)
    return one_of(draw, (low + 1, high), (low, high - 1), (low - 1, high), (1, 2), (low, high + 1))
