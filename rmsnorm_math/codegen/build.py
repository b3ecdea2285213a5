"""From what the caller writes to lines over arrays with named axes, sums still inside them."""

from collections.abc import Mapping, Sequence

from sympy import Basic, Expr, Idx, Indexed, Symbol

from rmsnorm_math.codegen.axes import KnownAxes
from rmsnorm_math.codegen.match import join_compared, join_lost
from rmsnorm_math.codegen.names import fresh, identifier
from rmsnorm_math.codegen.nodes import Axes, another, axes_of, element, family, parts
from rmsnorm_math.codegen.order import Lowered, find_batch, find_order, ordered
from rmsnorm_math.codegen.read import ROWS, Reader
from rmsnorm_math.codegen.record import Key
from rmsnorm_math.codegen.settle import settle
from rmsnorm_math.errors import Refused
from rmsnorm_math.index.walk import base_of, free_indices, limits_of, nodes


def label_of(key: Key) -> str:
    """Return the name of a result."""
    return key if isinstance(key, str) else str(base_of(key))


def lower(
    outputs: Mapping[Key, Expr],
    arguments: Mapping[Expr, str],
    where: Mapping[Expr, Expr],
    whole: Mapping[Key, Expr],
    rows: bool,
) -> Lowered:
    """Return the lines of `outputs` and of the definitions `where`, in terms of those before each.

    The expressions `whole`, of outputs and definitions before they were abbreviated, show lengths.
    """
    every = [*outputs.values(), *where.values(), *whole.values()]
    elements = [n for e in (*every, *arguments, *where) for n in nodes(e) if isinstance(n, Indexed)]
    result = Lowered(taken={*arguments.values(), *map(label_of, outputs)})
    names = {base_of(key): text for key, text in arguments.items()}
    for key in where:
        names[base_of(key)] = fresh(identifier(str(base_of(key)), "value"), result.taken)
    ends = {s for e in every for _, *pair in limits_of(e) for end in pair for s in end.free_symbols}
    shapes = {s for n in elements for size in n.base.shape or () for s in size.free_symbols}
    lengths = {s for s in ends | shapes if not isinstance(s, Idx)} - {*arguments}
    reader = Reader(names, lengths, leading=rows and all(len(n.indices) < 2 for n in elements))
    reader.numbers = {k: _number(k, t) for k, t in arguments.items() if isinstance(k, Symbol)}

    scopes = {key: _scope(key, expr, reader) for key, expr in outputs.items()}
    defined = []
    for key, expr in where.items():
        scope = _scope(key, expr, reader)
        read = reader.read(expr, scope)
        for place, index in enumerate(getattr(key, "indices", ())):
            reader.groups.join((key.base, place), scope[index])
            reader.ranks[key.base] = len(key.indices)
        front = (ROWS,) if reader.leading and _has_rows(read) else ()
        if isinstance(key, Symbol):
            axes = front
            reader.numbers[key] = element(names[key], axes)
        defined.append((key, names[base_of(key)], front, scope, read))
    read_outputs = {key: reader.read(expr, scopes[key]) for key, expr in outputs.items()}
    for key, scope in scopes.items():
        for place, index in enumerate(getattr(key, "indices", ())):
            reader.groups.join((base_of(key), place), scope[index])
    result.notes += [
        f"The delta function {steep} is 0 but at one point, and is taken as 0."
        for steep in dict.fromkeys(reader.steep)
    ]
    reader.lenient = True
    for key, expr in whole.items():
        scope = scopes.get(key) or _scope(key, expr, reader)
        reader.read(expr, {**_scope(None, expr, reader), **scope})
    join_lost(reader, arguments, scopes)
    shown = [(outputs[key], scope) for key, scope in scopes.items()]
    for expr, scope in [*shown, *((where[key], scope) for key, _, _, scope, _ in defined)]:
        join_compared(expr, scope, reader)
    given = {*arguments} | {*reader.numbers.values()}
    known = KnownAxes(reader.groups, reader.limits, reader.shapes, given, reader.order)

    for _, name, front, scope, read in defined:
        expr, axes = _named(settle(read, reader, known), [*scope.values()], known)
        result.definitions.append((name, front + axes, expr))
    for key, read in read_outputs.items():
        expr = settle(read, reader, known)
        free = [*scopes[key].values()]
        if isinstance(key, str):
            free = ordered(key, free, expr, reader, [*arguments])
        expr, axes = _named(expr, free, known)
        front = (ROWS,) if ROWS in axes_of(expr) or (reader.leading and axes) else ()
        result.outputs.append((label_of(key), front + axes, expr))
    for key, text in arguments.items():
        base = base_of(key)
        column = isinstance(key, Indexed) and _is_column(base, reader)
        result.parameters.append((text, _axes_of_base(base, reader, known), column, key))
    _measure(result, known, reader)
    find_batch(result, reader)
    find_order(result)
    return result


def _number(key: Symbol, text: str) -> Symbol:
    return Symbol(text, positive=key.is_positive or None, nonnegative=key.is_nonnegative or None)


def _scope(key: Key | None, expr: Expr, reader: Reader) -> dict[Expr, Expr]:
    """Return a dummy for each free index, those of the key first."""
    indices = list(getattr(key, "indices", ()))
    free = free_indices(expr)
    if isinstance(key, Indexed | Symbol):
        if not all(isinstance(s, Idx | Symbol) for s in indices) or len({*indices}) < len(indices):
            raise Refused(f"the indices of {key} must be different symbols, such as dW[o, i].")
        if missing := [s for s in free if s not in indices]:
            raise Refused(
                f"{key} lacks the free index {', '.join(map(str, missing))} of what it stands for: "
                f"write {base_of(key)}[{', '.join(map(str, [*indices, *missing]))}]."
            )
    return {index: reader.dummy(str(index)) for index in dict.fromkeys([*indices, *free])}


def _has_rows(read: Basic) -> bool:
    return ROWS in axes_of(read)


def _named(expr: Expr, free: Sequence[Expr], known: KnownAxes) -> tuple[Expr, Axes]:
    """Return an expression with its free axes named, and their names in order."""
    axes: list[Symbol] = []
    for dummy in free:
        clash = {
            a for p in parts(expr) if hasattr(p, "over") and dummy in axes_of(p) for a in p.over
        }
        axis = another(known.name(dummy), {*axes} | clash)
        expr = expr.xreplace({dummy: axis})
        axes.append(axis)
    return expr, tuple(axes)


def _axes_of_base(base: Expr, reader: Reader, known: KnownAxes) -> Axes:
    rank = reader.ranks.get(base, 0)
    axes: list[Symbol] = [ROWS] if reader.leading and rank else []
    for at in range(rank):
        axes.append(another(known.name((base, at)), axes))
    return tuple(axes)


def _is_column(base: Expr, reader: Reader) -> bool:
    """Return whether an array keyed by an element has one value a row: no axis of columns."""
    find, ranks = reader.groups.find, reader.ranks
    own = find((base, ranks.get(base, 1) - 1))
    others = [(b, at, rank) for b, rank in ranks.items() if b != base for at in range(rank)]
    if any(find((b, at)) == own and at < rank - 1 for b, at, rank in others):
        return True
    last = any(find((b, at)) == own and rank > 1 for b, at, rank in others)
    return ranks.get(base, 1) == 1 and not last


def _measure(result: Lowered, known: KnownAxes, reader: Reader) -> None:
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
    spans = {known.names[g]: size for g, size in known.lengths.items() if g in known.names}
    others = {axis: codes[n] for axis, n in spans.items() if n in codes and axis not in held}
    result.sizes = others | result.sizes
    if lost := used - {*codes}:
        length = min(map(str, lost))
        raise Refused(
            f"the length {length} has no value: no argument has an axis that a sum shows to be "
            f"{length} long. Add the array to the arguments, or {{{length}: '{length}'}}."
        )
    result.definitions = [(n, a, e.xreplace(codes)) for n, a, e in result.definitions]
    result.outputs = [(n, a, e.xreplace(codes)) for n, a, e in result.outputs]
