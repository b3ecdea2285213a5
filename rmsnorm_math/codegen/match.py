"""Which axes are the same where no array shows it, but a name or a condition does."""

from collections.abc import Iterable, Mapping

from sympy import Expr, Indexed

from rmsnorm_math.codegen.read import Reader
from rmsnorm_math.codegen.record import Key
from rmsnorm_math.index.walk import base_of, nodes


def join_lost(
    reader: Reader, arguments: Iterable[Expr], scopes: Mapping[Key, Mapping[Expr, Expr]]
) -> None:
    """Take a result's axis that no argument has for the one that its index runs over elsewhere.

    Else it is the one that an index runs over that is compared with the same labels.
    """
    find = reader.groups.find
    places = [(base_of(key), at) for key in arguments for at in range(9)]
    held = {find(place) for place in places if place[1] < reader.ranks.get(place[0], 0)}
    for scope in scopes.values():
        for dummy in scope.values():
            if find(dummy) not in held:
                own = reader.labels.get(dummy, set())
                named = {find(d) for d in reader.order if d.name == dummy.name} & held
                chosen = {find(d) for d, seen in reader.labels.items() if seen & own} & held
                for alike in (named & chosen, named, chosen):
                    if len(alike) == 1:
                        reader.groups.join(alike.pop(), dummy)
                        break


def join_compared(expr: Expr, scope: Mapping[Expr, Expr], reader: Reader) -> None:
    """Take the axis of an index at no array for that of the sum whose index it is compared with.

    A cumulative sum is as long as what is summed.
    """
    shown = {index for node in nodes(expr) if isinstance(node, Indexed) for index in node.indices}
    for index, dummy in scope.items():
        beside = {d for pair in reader.compared if dummy in pair for d in pair - {dummy}}
        if index not in shown and len({*map(reader.groups.find, beside)}) == 1:
            reader.groups.join(beside.pop(), dummy)
