"""Each reduction and each matrix product gets a line of its own."""

from collections.abc import Iterable, Sequence

from sympy import Add, Basic, Expr, Indexed, Integer, Mul, Symbol, Tuple
from sympy.core.relational import Relational

from rmsnorm_math.codegen import contract
from rmsnorm_math.codegen.means import scaled
from rmsnorm_math.codegen.names import fresh
from rmsnorm_math.codegen.nodes import (
    Axes,
    Contraction,
    Largest,
    Line,
    Mean,
    Position,
    Reduction,
    Total,
    another,
    axes_of,
    canonical,
    element,
    family,
    first_names,
    rebuilt,
    rename,
    renamings,
)
from rmsnorm_math.codegen.order import Lowered
from rmsnorm_math.codegen.running import places

STEMS = {Total: "total", Mean: "mean", Largest: "largest", Contraction: "product"}


class Hoister:
    """Gives each reduction and each matrix product a line of its own.

    An array may have as many axes as those that are passed, returned and compared, with the batch
    and without; what needs more is multiplied out, where that helps.
    """

    def __init__(self, lowered: Lowered) -> None:
        self.sort, self.taken, self.batch = lowered.sort, lowered.taken, lowered.batch
        shapes = [axes for _, axes, _, _ in lowered.parameters]
        shapes += [axes for _, axes, _ in lowered.outputs]
        lines = (*lowered.definitions, *lowered.outputs)
        shapes += [tuple(axes_of(c)) for _, _, expr in lines for c in expr.atoms(Relational)]
        self.limits = (
            max(len(axes) for axes in shapes),
            max(len({*axes} - {self.batch}) for axes in shapes),
        )
        self.lengths, self.exact = lowered.sizes, lowered.batch is None
        self.lines, self.notes = list[Line](), lowered.notes
        self.names: dict[str, dict[Symbol, Symbol]] = {}  # the axes of each line that is given

    def add(self, name: str, axes: Axes, expr: Expr) -> None:
        """Add a line; where it is one reduction, that has no other."""
        before = len(self.lines)
        value = self.flat(expr)
        if len(self.lines) > before and value == element(self.lines[-1][0], axes):
            _, own, value = self.lines.pop()
            value = rename(value, dict(zip(own, axes, strict=True)))
        new = first_names(axes)
        self.names[name] = new
        value = canonical(rename(value, new))
        self.lines.append((name, tuple(new[axis] for axis in axes), value))

    def flat(self, node: Basic) -> Basic:
        """Return `node` with a name for each reduction in it."""
        if isinstance(node, Indexed | Position):
            return node
        if isinstance(node, Total | Mean):
            return self._sum(node)
        if isinstance(node, Reduction):
            return self._named(node.func(self.flat(node.body), *node.over))
        return rebuilt(node, (self.flat(arg) for arg in node.args))

    def excess(self, exprs: Iterable[Expr]) -> int:
        """Return by how many axes the largest array is too large that is needed."""
        found = [contract.largest(expr, self.batch) for expr in exprs]
        return max(n - most for pair in found for n, most in zip(pair, self.limits, strict=True))

    def _sum(self, node: Reduction) -> Expr:
        """Name a sum, its body as it is or, where that needs too large an array, multiplied out."""
        lines = [*self.lines]
        value, need = self._attempt(node)
        if need <= 0:
            return value
        scale = Integer(1)
        if isinstance(node, Mean):
            scale = Mul(*(1 / self.lengths[family(axis)] for axis in node.over))
        factors, over = self._network(node.body, {*node.over}, {*node.over} | axes_of(node.body))
        terms = Add.make_args(contract.expanded(factors))
        if len(terms) > 1:
            other, self.lines = self.lines, lines
            tries = [self._attempt(Total(term, *self.sort(over))) for term in terms]
            if max(n for _, n in tries) < need:
                contract.note(self.notes, factors)
                return scale * Add(*(v for v, _ in tries))
            self.lines = other
        return value

    def _attempt(self, node: Reduction) -> tuple[Expr, int]:
        """Return the value of a sum, and the number of axes of the largest array for it."""
        before = len(self.lines)
        scale, over = Integer(1), {*node.over}
        if isinstance(node, Mean):
            factors = [self.flat(f) for f in Mul.make_args(node.body)]
            if contract.spanning(factors):
                value = self._named(Mean(Mul(*factors), *node.over))
                return value, self.excess([value, *(x for _, _, x in self.lines[before:])])
            scale = Mul(*(1 / self.lengths[family(axis)] for axis in node.over))
        factors, over = self._network(node.body, over, {*node.over} | axes_of(node.body))
        factors = [self.flat(f) for f in factors]
        outside = [f for f in factors if not axes_of(f) & over]
        value = scale * Mul(*outside)
        for group in contract.components([f for f in factors if axes_of(f) & over], over):
            value *= self._contract(group, over & set().union(*map(axes_of, group)))
        made = [x for _, _, x in self.lines[before:]]
        return value, self.excess([value, *made])

    def _network(
        self, body: Expr, over: set[Symbol], taken: set[Symbol]
    ) -> tuple[list[Expr], set[Symbol]]:
        """Return the factors of a product, those of sums in it among them, and what is summed."""
        factors: list[Expr] = []
        for factor in Mul.make_args(body):
            if isinstance(factor, Total):
                names: dict[Symbol, Symbol] = {}
                for axis in factor.over:
                    names[axis] = another(axis, taken)
                    taken |= {names[axis]}
                inner, bound = self._network(rename(factor.body, names), {*names.values()}, taken)
                factors += inner
                over = over | bound
            else:
                factors.append(factor)
        return factors, over

    def _contract(self, factors: list[Expr], over: set[Symbol]) -> Expr:
        if contract.spanning(factors) and not (self.exact and contract.has_vector(factors, over)):
            return self._named(Total(Mul(*factors), *self.sort(over)))
        alike: dict[frozenset[Symbol], Expr] = {}
        for factor in factors:
            key = frozenset(axes_of(factor))
            alike[key] = alike.get(key, 1) * factor
        return self._tree([*alike.values()], over)

    def _tree(self, factors: Sequence[Expr], over: set[Symbol]) -> Expr:
        """Contract two by two."""
        best = contract.pairs(factors, over)

        def build(subset: int) -> Expr:
            _, result, (one, other) = best[subset]
            if one:
                value = self._pair(build(one), build(other), result)
            else:
                value = factors[subset.bit_length() - 1]
            gone = self.sort(axes_of(value) - result)
            return self._named(Total(value, *gone)) if gone else value

        return build((1 << len(factors)) - 1)

    def _pair(self, one: Expr, other: Expr, result: frozenset[Symbol]) -> Expr:
        left, right = axes_of(one), axes_of(other)
        gone = self.sort((left | right) - result)
        if not gone or left == right or (not self.exact and (left <= right or right <= left)):
            return one * other
        return self._named(Contraction(Tuple(*gone), self._whole(one), self._whole(other)))

    def _whole(self, factor: Expr) -> Expr:
        """Return an operand as one array, which others may have, too."""
        axes = self.sort(axes_of(factor))
        first = tuple(map(family, axes))
        if isinstance(factor, Indexed) or len({*first}) < len(first) or places(factor):
            return factor
        value = rename(factor, dict(zip(axes, first, strict=True)))
        name = next((n for n, a, e in self.lines if e == value and a == first), None)
        if name is None:
            name = fresh("t", self.taken)
            self.lines.append((name, first, value))
        return element(name, axes)

    def _named(self, value: Expr) -> Expr:
        """Return the array that holds a reduction, with a line of its own unless there is one."""
        value = canonical(value)
        axes = self.sort(axes_of(value))
        scale, alike = scaled(value, self.lengths)
        for name, known, expr in self.lines:
            if type(expr) in (type(value), type(alike)) and len(known) == len(axes):
                for names in renamings(known, axes):
                    if (same := canonical(rename(expr, names))) in (value, alike):
                        there = element(name, tuple(names[axis] for axis in known))
                        return there if same == value else scale * there
        dot, names = isinstance(value, Total | Mean) and value.body.is_Mul, first_names(axes)
        name = fresh("dot" if dot else STEMS[type(value)], self.taken)
        self.lines.append((name, (*names.values(),), canonical(rename(value, names))))
        return element(name, axes)
