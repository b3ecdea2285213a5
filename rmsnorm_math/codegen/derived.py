"""What a layer's file is printed from: the gradients and the tangent of its output."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sympy import Expr, Idx, Indexed, IndexedBase, KroneckerDelta, S, Symbol
from sympy.core.relational import Relational

from rmsnorm_math.codegen.build import label_of
from rmsnorm_math.codegen.nodes import element
from rmsnorm_math.errors import Refused
from rmsnorm_math.gradients import jvp, vjp
from rmsnorm_math.index.enter import enter
from rmsnorm_math.index.ranges import span_of
from rmsnorm_math.index.survey import survey
from rmsnorm_math.index.walk import Ranges, base_of, free_indices, limits_of


@dataclass(frozen=True)
class Derived:
    """What a layer's file is printed from; names are those of the code."""

    label: str  # of the output
    element: Expr  # of the output
    differentiated: tuple[str, ...]
    output: dict[str | Expr, Expr]
    gradients: dict[str | Expr, Expr]
    tangent: dict[str | Expr, Expr]  # what each argument's tangent adds to the output's
    cotangent: dict[Expr, str]
    dots: dict[Expr, str]  # the tangents
    alike: tuple[Expr, ...]  # each argument beside its tangent, the output beside its cotangent
    added: bool  # whether what one tangent adds has all axes, so that others need not
    vectors: bool  # whether several arrays have one axis, and so no rows


def derive(
    output: Mapping[str | Expr, Expr],
    arguments: Mapping[Expr, str],
    wrt: Iterable[Expr] | None,
    stated: Ranges,
) -> Derived:
    """Return the gradients and the tangent of one output, which is brought into form."""
    if len(output) != 1:
        raise Refused(f"a layer has one output, not {len(output)}: give one, as in {{'y': y}}.")
    ((key, y),) = output.items()
    out = _indices_of(key, y)
    label = label_of(key)
    elements = elements_of(y, arguments)
    chosen = list(elements) if wrt is None else list(wrt)
    for key in arguments if wrt is None else ():
        if isinstance(key, Indexed) and elements_of(y, [key.base]):
            raise Refused(
                f"{key} is an element, and a layer is differentiated by arrays: write "
                f"{{{key.base}: '{arguments[key]}'}}, or say in wrt what it is differentiated by."
            )
    if not chosen:
        raise Refused(
            f"{label} changes with no array among the arguments: name one, as in {{x: 'x'}}, or "
            f"say what it is differentiated by, as in wrt=[tau]."
        )
    if unknown := [w for w in chosen if w not in arguments]:
        raise Refused(f"{unknown[0]} is no argument: differentiate by {list(arguments)}.")
    vectors = len(elements) > 1 and max(len(e.indices) for e in elements.values()) < 2
    if vectors and out:
        raise Refused(
            f"which of {', '.join(arguments[e] for e in elements)} all rows share is not clear: "
            f"write what belongs to a row with its index, as in x[b, i] beside gamma[i], and all "
            f"arrays so where none is shared."
        )
    by = {w: elements.get(w, w) for w in chosen}
    ranges = ranges_of([y, *by.values()], stated)
    cotangent = element(f"d{label}", out)
    gradients = {
        _key(f"d{arguments[w]}", at): vjp(y, at, cotangent, ranges) for w, at in by.items()
    }
    tangents = {w: element(f"{arguments[w]}_dot", _indices(e)) for w, e in by.items()}
    moved = {w: jvp(y, at, tangents[w], ranges) for w, at in by.items()}
    axes = {w: _trailing(out, expr) for w, expr in moved.items()}
    if out not in axes.values():
        axes = dict.fromkeys(moved, out)
    tangent = {
        _key(f"by_{arguments[w]}", element(label, axes[w])): expr for w, expr in moved.items()
    }
    return Derived(
        label,
        element(label, out),
        tuple(arguments[w] for w in chosen),
        {_key(label, element(label, out)): y},
        gradients,
        tangent,
        {base_of(cotangent): f"d{label}"},
        {base_of(tangents[w]): f"{arguments[w]}_dot" for w in by},
        (*(by[w] * tangents[w] for w in by), element(label, out) * cotangent),
        any({*out} <= {*free_indices(expr)} for expr in moved.values()),
        vectors,
    )


def _trailing(out: tuple[Expr, ...], expr: Expr) -> tuple[Expr, ...]:
    """Return the indices of the output without the first ones that `expr` lacks."""
    free = {*free_indices(expr)}
    return out[next((at for at, index in enumerate(out) if index in free), len(out)) :]


def _indices(node: Expr) -> tuple[Expr, ...]:
    return tuple(getattr(node, "indices", ()))


def _key(name: str, like: Expr) -> str | Expr:
    """Return the key of a result: a name, or an element where its axes have an order."""
    return element(name, _indices(like)) if len(_indices(like)) > 1 else name


def _indices_of(key: str | Expr, y: Expr) -> tuple[Expr, ...]:
    """Return the free indices of the output, in the order of its key or of an array like it."""
    if not isinstance(key, str):
        return _indices(key)
    free = free_indices(y)
    orders = {n.indices for n in y.atoms(Indexed) if {*n.indices} == {*free}}
    if len(free) > 1 and len(orders) != 1:
        raise Refused(
            f"the order of the axes of {key} is not clear: write it as an element, "
            f"as in {key}[{', '.join(map(str, free))}]."
        )
    return tuple(orders.pop()) if len(free) > 1 else tuple(free)


def elements_of(expr: Expr, arguments: Iterable[Expr]) -> dict[Expr, Expr]:
    """Return, for each array that `expr` can be differentiated by, the element to do it with.

    What stands in a `KroneckerDelta` or a condition alone, as a label does, is none of them.
    """
    found: dict[Expr, Expr] = {}
    for base in arguments:
        if not isinstance(base, IndexedBase):
            continue
        here = [node for node in _valued(expr) if isinstance(node, Indexed) and node.base == base]
        free = set(free_indices(expr))
        here = [n for n in here if len(set(n.indices)) == len(n.indices)] or here
        if here:
            first = max(here, key=lambda node: len(free & {*node.indices}))
            plain = all(isinstance(s, Idx | Symbol) for s in first.indices)
            distinct = plain and len(set(first.indices)) == len(first.indices)
            names = [Idx(f"i_{at}") for at, _ in enumerate(first.indices, 1)]
            found[base] = first if distinct else base[tuple(names)]
    return found


def ranges_of(exprs: list[Expr], stated: Ranges) -> Ranges:
    """Return the ranges of the free indices: a length of its own where no sum runs over an axis."""
    ranges = dict(stated)
    free = {s for expr in exprs for s in (*free_indices(expr), *_indices(expr))}
    for index in sorted(free, key=str):
        shown = survey(map(enter, exprs), ranges)
        on_its_axes = set().union(*(at for at in shown.places.values() if index in at))
        if span := span_of(index, shown):
            ranges[index] = span
        elif not on_its_axes & {*shown.limits}:
            alike = [ranges[s] for s in ranges if s in on_its_axes]
            alike = alike if on_its_axes else _compared(index, exprs)
            length = S.One, Symbol(f"n_{index}", integer=True, positive=True)
            ranges[index] = alike[0] if alike else length
    return ranges


def _compared(index: Expr, exprs: list[Expr]) -> list[tuple[Expr, Expr]]:
    """Return the ranges of the indices of sums that begin at an index, or are compared with it."""
    beside = [r.free_symbols for e in exprs for r in e.atoms(Relational) if index in r.free_symbols]
    found = []
    for k, lower, upper in (limit for expr in exprs for limit in limits_of(expr)):
        if index in lower.free_symbols and index not in upper.free_symbols:
            found.append((S.One, upper))
        elif any(k in seen for seen in beside):
            found.append((lower, upper))
    return found


def _valued(expr: Expr) -> list[Expr]:
    """Return the nodes of `expr` whose values it changes with smoothly."""
    nodes, todo = [], [expr]
    while todo:
        node = todo.pop()
        nodes.append(node)
        if not isinstance(node, KroneckerDelta | Relational | Indexed):
            todo += node.args
    return nodes
