"""From what the caller writes to lines over arrays with named axes, sums still inside them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from sympy import Basic, Expr, Idx, Indexed, Symbol

from rmsnorm_math.codegen.axes import Axes as Known
from rmsnorm_math.codegen.contract import Line, element
from rmsnorm_math.codegen.lower import ROWS, Reader, in_place, settle
from rmsnorm_math.codegen.names import fresh, identifier
from rmsnorm_math.codegen.nodes import Axes, Position, another, axes_of, family, parts
from rmsnorm_math.errors import Refused
from rmsnorm_math.indices import free_indices, limits_of, nodes

Key = str | Expr


@dataclass
class Lowered:
    """Lines and what belongs to them; see `program.Program`."""

    parameters: list[tuple[str, Axes, bool, Expr]] = field(default_factory=list)
    definitions: list[Line] = field(default_factory=list)
    outputs: list[Line] = field(default_factory=list)
    sizes: dict[Symbol, Symbol] = field(default_factory=dict)  # axis: its length
    batch: Symbol | None = None
    order: list[Symbol] = field(default_factory=list)
    taken: set[str] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)

    def sort(self, axes: Iterable[Symbol]) -> Axes:
        """Return axes in the order that arrays show."""

        def place(axis: Symbol) -> tuple[int, str]:
            known = axis if axis in self.order else family(axis)
            return self.order.index(known) if known in self.order else 99, axis.name

        return tuple(sorted(axes, key=place))


def array_of(key: Expr) -> Expr:
    """Return what is one array in the code: the base of an element, or a symbol."""
    return getattr(key, "base", key)


def label_of(key: Key) -> str:
    """Return the name of a result."""
    return key if isinstance(key, str) else str(array_of(key))


def lower(
    outputs: Mapping[Key, Expr],
    arguments: Mapping[Expr, str],
    where: Mapping[Expr, Expr],
    whole: Mapping[Key, Expr],
) -> Lowered:
    """Return the lines of `outputs` and of the definitions `where`, in terms of those before each.

    The expressions `whole`, of outputs and definitions before they were abbreviated, show lengths.
    """
    every = [*outputs.values(), *where.values(), *whole.values()]
    elements = [n for e in (*every, *arguments, *where) for n in nodes(e) if isinstance(n, Indexed)]
    result = Lowered(taken={*arguments.values(), *map(label_of, outputs)})
    names = {array_of(key): text for key, text in arguments.items()}
    for key in where:
        names[array_of(key)] = fresh(identifier(str(array_of(key)), "value"), result.taken)
    ends = {s for e in every for _, *pair in limits_of(e) for end in pair for s in end.free_symbols}
    shapes = {s for n in elements for size in n.base.shape or () for s in size.free_symbols}
    lengths = {s for s in ends | shapes if not isinstance(s, Idx)} - {*arguments}
    reader = Reader(names, lengths, rows=all(len(n.indices) < 2 for n in elements))
    reader.numbers = {k: _number(k, t) for k, t in arguments.items() if isinstance(k, Symbol)}

    scopes = {key: _scope(key, expr, reader) for key, expr in outputs.items()}
    defined = []
    for key, expr in where.items():
        scope = _scope(key, expr, reader)
        read = reader.read(expr, scope)
        for place, index in enumerate(getattr(key, "indices", ())):
            reader.groups.join((key.base, place), scope[index])
            reader.ranks[key.base] = len(key.indices)
        front = (ROWS,) if reader.rows and _has_rows(read) else ()
        if isinstance(key, Symbol):
            axes = front
            reader.numbers[key] = element(names[key], axes)
        defined.append((names[array_of(key)], front, scope, read))
    read_outputs = {key: reader.read(expr, scopes[key]) for key, expr in outputs.items()}
    reader.lenient = True
    for key, expr in whole.items():
        scope = scopes.get(key) or _scope(key, expr, reader)
        reader.read(expr, {**_scope(None, expr, reader), **scope})
    given = {*arguments} | {*reader.numbers.values()}
    known = Known(reader.groups, reader.limits, reader.shapes, given, reader.order)

    for name, front, scope, read in defined:
        expr, axes = _named(settle(read, reader, known), [*scope.values()], known)
        result.definitions.append((name, front + axes, expr))
    for key, read in read_outputs.items():
        expr = settle(read, reader, known)
        free = [*scopes[key].values()]
        if isinstance(key, str):
            free = _ordered(key, free, expr, reader, [*arguments])
        expr, axes = _named(expr, free, known)
        front = (ROWS,) if ROWS in axes_of(expr) else ()
        result.outputs.append((label_of(key), front + axes, expr))
    for key, text in arguments.items():
        base = array_of(key)
        result.parameters.append((text, _axes_of_base(base, reader, known), key != base, key))
    _measure(result, known, reader)
    _find_batch(result, arguments, reader)
    _find_order(result)
    return result


def _number(key: Symbol, text: str) -> Symbol:
    return Symbol(text, positive=key.is_positive or None, nonnegative=key.is_nonnegative or None)


def _scope(key: Key | None, expr: Expr, reader: Reader) -> dict[Expr, Expr]:
    """Return a dummy for each free index, those of the key first."""
    indices = list(getattr(key, "indices", ()))
    free = free_indices(expr)
    if isinstance(key, Indexed) or isinstance(key, Symbol):
        if not all(isinstance(s, Idx | Symbol) for s in indices) or len({*indices}) < len(indices):
            raise Refused(f"the indices of {key} must be different symbols, such as dW[o, i].")
        if missing := [s for s in free if s not in indices]:
            raise Refused(
                f"{key} lacks the free index {', '.join(map(str, missing))} of what it stands for: "
                f"write {array_of(key)}[{', '.join(map(str, [*indices, *missing]))}]."
            )
    return {index: reader.dummy(str(index)) for index in dict.fromkeys([*indices, *free])}


def _has_rows(read: Basic) -> bool:
    return ROWS in axes_of(read)


def _named(expr: Expr, free: Sequence[Expr], known: Known) -> tuple[Expr, Axes]:
    """Return an expression with its free axes named, and their names in order."""
    axes: list[Symbol] = []
    for dummy in free:
        clash = {a for p in parts(expr) if hasattr(p, "over") and dummy in axes_of(p) for a in p.over}
        axis = another(known.name(dummy), {*axes} | clash)
        expr = expr.xreplace({dummy: axis})
        axes.append(axis)
    return expr, tuple(axes)


def _ordered(
    key: str, free: list[Expr], expr: Expr, reader: Reader, arguments: list[Expr]
) -> list[Expr]:
    """Return the free axes of a result with a text for its key, in the order that is shown."""
    if len(free) < 2:
        return free
    shown = [n.indices for n in parts(expr) if isinstance(n, Indexed)]
    places = [
        [reader.groups.find((base, at)) for at in range(reader.ranks.get(base, 0))]
        for base in map(array_of, arguments)
    ]
    met = [group for axes in places for group in axes]

    def before(p: Expr, q: Expr) -> bool:
        both = [axes.index(p) < axes.index(q) for axes in shown if p in axes and q in axes]
        if not both:
            one, other = map(reader.groups.find, (p, q))
            both = [a.index(one) < a.index(other) for a in places if one in a and other in a]
            if one == other or not both:
                both = [str(p) < str(q)]
                if one in met and other in met and one != other:
                    both.append(met.index(one) < met.index(other))
                else:
                    both.append(not both[0])
        if len({*both}) > 1:
            indices = sorted(s.name for s in free)
            raise Refused(
                f"{key} has the free indices [{', '.join(indices)}], and nothing shows the order "
                f"of its axes: key it by an element, as in {key}[{', '.join(indices)}]. For the "
                f"gradient, which is as long as its input, Print a VJP instead of a Jacobian."
            )
        return both[0]

    order = {p: sum(before(q, p) for q in free if q != p) for p in free}
    return sorted(free, key=lambda p: order[p])


def _axes_of_base(base: Expr, reader: Reader, known: Known) -> Axes:
    rank = reader.ranks.get(base, 0)
    axes: list[Symbol] = [ROWS] if reader.rows and rank else []
    for at in range(rank):
        axes.append(another(known.name((base, at)), axes))
    return tuple(axes)


def _measure(result: Lowered, known: Known, reader: Reader) -> None:
    """Give each length that is used the name it has in the code."""
    lines = [*result.definitions, *result.outputs]
    used = set().union(*(expr.free_symbols for _, _, expr in lines)) & reader.lengths
    held = {family(axis) for _, axes, _, _ in result.parameters for axis in axes}
    codes: dict[Symbol, Symbol] = {}
    for group, length in known.lengths.items():
        if group in known.names and known.names[group] in held:
            if length not in codes:
                name = fresh(identifier(length.name, "n"), result.taken)
                codes[length] = Symbol(name, integer=True, positive=True)
            result.sizes[known.names[group]] = codes[length]
    if lost := used - {*codes}:
        length = min(map(str, lost))
        raise Refused(
            f"the length {length} has no value: no argument has an axis that a sum shows to be "
            f"{length} long. Add the array to the arguments, or {{{length}: '{length}'}}."
        )
    result.definitions = [(n, a, e.xreplace(codes)) for n, a, e in result.definitions]
    result.outputs = [(n, a, e.xreplace(codes)) for n, a, e in result.outputs]


def _find_batch(result: Lowered, arguments: Mapping[Expr, str], reader: Reader) -> None:
    """Find the index that only stands before one other: it is any number of leading axes."""
    if reader.rows:
        result.batch = ROWS
        return
    columns = {text for text, _, column, _ in result.parameters if column}
    columns |= {name for name, _, _ in result.definitions}
    arrays = [(text, axes) for text, axes, _, _ in result.parameters]
    arrays += [(name, axes) for name, axes, _ in result.definitions]
    lines = [*result.definitions, *result.outputs]
    seen = [n.indices for _, _, e in lines for n in parts(e) if isinstance(n, Indexed)]
    first = {axes[0] for _, axes in arrays if len(axes) == 2}
    candidates = [
        axis
        for axis in first
        if all(family(a) != axis or at == 0 for axes in seen for at, a in enumerate(axes))
        and all(
            axis not in axes or axes[1:] and len(axes) == 2 or name in columns
            for name, axes in arrays
        )
        and all(axis not in axes[1:] for _, axes, _ in result.outputs)
        and not any(
            another(axis, {axis}) in p.free_symbols or isinstance(p, Position) and axis in p.args
            for _, _, e in lines
            for p in parts(e)
        )
    ]
    if len(candidates) == 1:
        result.batch = candidates[0]


def _find_order(result: Lowered) -> None:
    """Put the axes in an order that agrees with as many arrays as can be."""
    lines = [*result.definitions, *result.outputs]
    rows = [axes for _, axes, _ in result.outputs] + [axes for _, axes, _, _ in result.parameters]
    rows += [axes for _, axes, _ in result.definitions]
    rows += [n.indices for _, _, e in lines for n in parts(e) if isinstance(n, Indexed)]
    after: dict[Symbol, set[Symbol]] = {axis: set() for axes in rows for axis in axes}

    def reaches(start: Symbol, goal: Symbol) -> bool:
        return start == goal or any(reaches(axis, goal) for axis in after[start])

    for axes in rows:
        for one, other in pairwise(axes):
            if not reaches(other, one):
                after[one].add(other)
    if result.batch in after:
        for axis in after:
            if axis != result.batch and not reaches(axis, result.batch):
                after[result.batch].add(axis)
    left = list(after)
    while left:
        axis = next(a for a in left if not any(a in after[b] for b in left if b != a))
        result.order.append(axis)
        left.remove(axis)
