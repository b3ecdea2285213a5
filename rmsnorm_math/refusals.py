"""What would silently be wrong is refused here, with what to write instead."""

from sympy import (
    Basic,
    Expr,
    Idx,
    Indexed,
    IndexedBase,
    Lambda,
    Limit,
    MatrixBase,
    MatrixExpr,
    MatrixSymbol,
    Number,
    Order,
    Symbol,
    Tuple,
    srepr,
)
from sympy.concrete.expr_with_limits import ExprWithLimits
from sympy.core.function import AppliedUndef
from sympy.matrices.expressions.matexpr import MatrixElement

from rmsnorm_math.errors import Refused
from rmsnorm_math.index.walk import (
    BINDERS,
    declared,
    depends,
    free_symbols,
    index_symbols,
    limits_of,
    name,
    nodes,
)


def refuse_expression(expr: Expr) -> None:
    """Raise if `expr` holds what SymPy loses, or what is no expression of elements."""
    for node in nodes(expr):
        if isinstance(node, MatrixExpr | MatrixElement | MatrixBase):
            symbols = ", ".join(sorted(map(str, node.atoms(MatrixSymbol)))) or node
            raise Refused(
                f"the expression holds the matrix {symbols}, and SymPy loses terms when it "
                f"differentiates a norm of one. "
                f"Write the norm with an IndexedBase: Sum(x[k]**2, (k, 1, n))."
            )
        if isinstance(node, Lambda | Limit | Order) or (
            isinstance(node, ExprWithLimits) and not isinstance(node, BINDERS)
        ):
            raise Refused(
                f"{node} is of type {type(node).__name__}: only sums, products and functions of "
                f"elements are differentiated. Call .doit() on it first, or write it as a Sum."
            )
        if isinstance(node, BINDERS) and any(len(limit) != 3 for limit in node.limits):
            raise Refused(f"{node} has no range. Write (k, 1, n) for its limits.")
        ends = (
            [end for _, *ends in node.limits for end in ends] if isinstance(node, BINDERS) else []
        )
        if broken := [e for e in ends if e.is_Float or (e.is_integer is False and e.is_finite)]:
            raise Refused(f"{node} has the limit {broken[0]}, which is no whole number.")
        if isinstance(node, Indexed):
            _refuse_places(node)
        if not isinstance(node, Tuple) and any(
            isinstance(arg, Number) and arg.is_infinite for arg in node.args
        ):
            raise Refused(f"{node} holds an infinite number: only a sum may go to infinity.")
    _refuse_bare_bases(expr)


def refuse_escaped(result: Basic, *given: Basic) -> None:
    """Raise if `result` depends on what is not in what was `given`: the last guard of a door."""
    if escaped := free_symbols(result) - free_symbols(*given) - declared(*given):
        raise Refused(
            f"the result would depend on {', '.join(sorted(map(str, escaped)))}, which is not in "
            f"what was given: this is a mistake of this package. Please report the expression."
        )


def refuse_variable(expr: Expr, wrt: Expr) -> None:
    """Raise if a derivative of `expr` by `wrt` does not exist or would be misleading."""
    if isinstance(wrt, IndexedBase):
        raise Refused(f"{wrt} is the whole vector. Differentiate by one element of it: {wrt}[j].")
    if isinstance(wrt, MatrixElement):
        raise Refused(
            f"{wrt} is an entry of a matrix. Use an IndexedBase and differentiate by x[j]."
        )
    if isinstance(wrt, AppliedUndef) and not wrt.has(Idx):
        raise Refused(
            f"{wrt} is the value of a function: differentiate by what it is a function of."
        )
    if isinstance(wrt, AppliedUndef):
        raise Refused(
            f"{wrt} is a function of an index, and SymPy takes its values for unrelated. "
            f"Use {wrt.func} = IndexedBase('{wrt.func}') and differentiate by {wrt.func}[j]."
        )
    if not isinstance(wrt, Indexed | Idx | Symbol):
        raise Refused(
            f"cannot differentiate by {wrt}: give an element such as x[j], or a plain symbol."
        )
    if isinstance(wrt, Idx) or wrt in index_symbols(expr):
        raise Refused(f"{wrt} is an index: it counts elements, and there is no derivative by it.")
    if wrt in {index for index, _, _ in limits_of(expr)}:
        raise Refused(
            f"{wrt} is the dummy of a sum: outside the sum it does not exist, so SymPy's "
            f"derivative by it is 0. Make the vector an IndexedBase and give the sum an index: "
            f"{wrt} = IndexedBase('{wrt}'), Sum({wrt}[k], (k, 1, n)). "
            f"Then differentiate by {wrt}[j]."
        )
    if any(depends(end, wrt) for _, *ends in limits_of(expr) for end in ends):
        raise Refused(
            f"{wrt} is in the limits of a sum: it counts elements, so there is no derivative by it."
        )
    if isinstance(wrt, Indexed):
        _refuse_places(wrt)
    _refuse_rank(expr, wrt)


def _refuse_places(element: Indexed) -> None:
    for index in element.indices:
        if index.is_Float or index.is_integer is False:
            raise Refused(f"{element} has the index {index}, which is no whole number.")


def _refuse_rank(expr: Expr, wrt: Expr) -> None:
    if not isinstance(wrt, Indexed):
        return
    for node in nodes(expr):
        if (
            isinstance(node, Indexed)
            and node.base == wrt.base
            and len(node.indices) != len(wrt.indices)
        ):
            raise Refused(
                f"{node} has {len(node.indices)} index(es) and {wrt} has {len(wrt.indices)}: "
                f"{wrt.base} needs the same number everywhere."
            )
        if isinstance(node, Indexed) and any(depends(index, wrt) for index in node.indices):
            raise Refused(
                f"{node} takes an index from {wrt.base}: there is no derivative by an index."
            )


def refuse_lookalikes(*exprs: Basic) -> None:
    """Raise `ValueError` if two different free objects print alike."""
    seen: dict[str, Basic] = {}
    for node in nodes(Basic(*exprs)):
        label = name(node)
        if label is None:
            continue
        other = seen.setdefault(label, node)
        same = other.func == node.func if isinstance(node, AppliedUndef) else other == node
        if not same:
            raise Refused(
                f"two different objects print as {label}: {srepr(other)} and {srepr(node)}. "
                f"SymPy takes them for unrelated, and the result would silently be wrong. "
                f"Create {label} once and use that object everywhere" + _advice(other, node)
            )


def _advice(*pair: Basic) -> str:
    if any(isinstance(node, IndexedBase) for node in pair):
        base = next(str(node) for node in pair if isinstance(node, IndexedBase))
        if not all(isinstance(node, IndexedBase) for node in pair):
            return f", with its index: {base}[i]."
        return "; shape and assumptions are part of an IndexedBase's identity."
    return "."


def _refuse_bare_bases(expr: Expr) -> None:
    """Raise `ValueError` if an `IndexedBase` stands in `expr` without an index."""
    for node in nodes(Basic(expr)):
        for arg in node.args if not isinstance(node, Indexed | IndexedBase) else ():
            if isinstance(arg, IndexedBase):
                raise Refused(
                    f"{arg} stands in the expression without an index, so it is not "
                    f"the vector's element. Write {arg}[i] for its i-th element."
                )
