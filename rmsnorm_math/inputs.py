"""What is given to a function is brought into form here, or refused with what to write instead."""

from collections.abc import Mapping
from textwrap import shorten
from typing import Any, TypeAlias

from sympy import (
    Expr,
    FunctionClass,
    I,
    Idx,
    Indexed,
    IndexedBase,
    MatrixBase,
    MatrixExpr,
    NDimArray,
    Piecewise,
    Poly,
    Rational,
    Symbol,
    SympifyError,
    Tuple,
    nan,
    sympify,
    zoo,
)
from sympy.algebras.quaternion import Quaternion
from sympy.core.relational import Relational

from rmsnorm_math.errors import Refused
from rmsnorm_math.index.walk import BINDERS, Ranges, nodes

#: Ranges as a caller states them; the keys of a Mapping would have to be of one type.
Stated: TypeAlias = Mapping[Any, tuple[Expr | int, Expr | int]]

UNDEFINED = {nan, zoo}
FOLDED = (
    "SymPy moves a condition out of nested sums and takes what is left, log(0) too "
    "(https://github.com/sympy/sympy/issues/27359): write the condition as a limit, "
    "Sum(..., (k, 1, i)), or as a factor, KroneckerDelta(i, k) or Heaviside(i - k, 1)."
)
#: What is given where an expression is asked for, and what to do instead.
INSTEAD: tuple[tuple[tuple[type, ...], str], ...] = (
    ((str,), "Build it from SymPy's objects: x = IndexedBase('x'), then x[i]."),
    ((Relational,), "Give one side of it, its .lhs or its .rhs."),
    ((Poly,), "Give its .as_expr()."),
    (
        (list, tuple, Tuple, set, dict, MatrixBase, MatrixExpr, NDimArray),
        "Give one element, with an index for its place: x = IndexedBase('x'), then x[i].",
    ),
    ((FunctionClass,), "Give its value at something: f(x[i])."),
)
EXPRESSION = "Give an expression in index notation, such as Sum(x[k]**2, (k, 1, n))."


def as_expression(given: Any, role: str = "the expression", advice: str = EXPRESSION) -> Expr:
    """Return `given` as a SymPy expression; `role` is what a message calls it."""
    if (expr := _expression(given)) is not None:
        _refuse_what_is_not_real(expr, role)
        return expr
    advice = next((text for kinds, text in INSTEAD if isinstance(given, kinds)), advice)
    raise Refused(f"{role} {_short(given)} is of type {type(given).__name__}. {advice}")


def as_variable(given: Any) -> Expr:
    """Return `given` as a SymPy expression: what a derivative is by."""
    return as_expression(given, "the variable", "Give an element such as x[j], or a plain symbol.")


def as_vector(given: Any, role: str) -> Expr:
    """Return `given` as a SymPy expression: what a derivative is multiplied with."""
    bar = {"cotangent": "ybar[i]", "tangent": "xdot[j]"}[role]
    return as_expression(given, f"the {role}", f"Give an element such as {bar}, or a plain symbol.")


def _expression(given: Any) -> Expr | None:
    try:
        expr = sympify(given, strict=True)
    except SympifyError:
        return None
    return expr if isinstance(expr, Expr) and not isinstance(expr, MatrixExpr) else None


def _refuse_what_is_not_real(expr: Expr, role: str) -> None:
    for node in nodes(expr):
        if node in UNDEFINED:
            folded = " " + FOLDED if expr.has(Piecewise) and expr.has(*BINDERS) else ""
            raise Refused(f"{role} {_short(expr)} has no value: there is {node} in it.{folded}")
        if isinstance(node, Symbol) and not node.is_commutative:
            raise Refused(
                f"{node} in {role} {_short(expr)} does not commute: products are taken in any "
                f"order here. Create it without commutative=False."
            )
        label = node.label if isinstance(node, IndexedBase) else node
        if (
            node is I
            or isinstance(node, Quaternion)
            or (
                isinstance(label, Symbol)
                and label.is_complex
                and label.is_extended_real is not True
            )
        ):
            raise Refused(
                f"{node} in {role} {_short(expr)} is not real: elements and symbols are real here. "
                f"Write real and imaginary part as two real ones."
            )


def as_mapping(given: Any, role: str, example: str) -> Mapping[Any, Any]:
    """Return `given`, if it is a mapping; `example` is what a message shows of one."""
    if not isinstance(given, Mapping):
        raise Refused(f"{role} {_short(given)} are no dictionary. Write {example}.")
    return given


def as_expressions(given: Any, role: str, example: str) -> dict[Any, Expr]:
    """Return `given`, if it is a mapping, with SymPy expressions for its values."""
    entries = as_mapping(given, role, example).items()
    return {key: as_expression(entry, f"{key} in {role}:") for key, entry in entries}


def as_index(given: Any) -> Expr:
    """Return `given`, if it is an index."""
    if not isinstance(given, Symbol | Idx):
        raise Refused(f"{_short(given)} is no index. Write j, with j = Idx('j').")
    return given


def as_indices(element: Expr, role: str) -> list[Expr]:
    """Return the indices of an element, if they are different symbols; a scalar has none."""
    indices = list(element.indices) if isinstance(element, Indexed) else []
    if isinstance(element, IndexedBase):
        raise Refused(f"the {role} {element} stands without an index: write {element}[i].")
    if not all(isinstance(s, Idx | Symbol) for s in indices) or len(set(indices)) < len(indices):
        raise Refused(
            f"the indices of the {role} {element} must be different symbols, "
            f"such as {element.base}[i]."
        )
    return indices


def as_length(given: Any, role: str) -> Expr:
    """Return `given`, if it may be the length of an axis."""
    length = _expression(given)
    wrong = length is None or length.is_Float or length.has(Idx, Indexed)
    if length is None or wrong or length.is_integer is False or length.is_positive is False:
        raise Refused(f"{role} {_short(given)} is no length: give a symbol such as n, or a number.")
    return length


def as_number(given: Any, role: str) -> Expr:
    """Return `given`, a text such as "1/3" too, unless it is a number without a finite value."""
    try:
        number = Rational(given) if isinstance(given, str) else _expression(given)
    except TypeError:
        number = None
    if number is None:
        raise Refused(f"{role} {_short(given)} is no number: give one, such as 2, 0.5 or '1/3'.")
    _refuse_what_is_not_real(number, role)
    if number.is_infinite:
        raise Refused(f"{role} {_short(given)} is not finite.")
    return number


def as_ranges(given: Any) -> Ranges:
    """Return what the caller states of ranges, of more indices than occur, too; None is nothing."""
    ranges: Ranges = {}
    stated = as_mapping({} if given is None else given, "the ranges", "{j: (1, n)}")
    for index, span in stated.items():
        if not isinstance(span, tuple | list | Tuple) or len(span) != 2:
            raise Refused(
                f"the range of {index} is {_short(span)}. Write its first and its last value, "
                f"{{{index}: (1, n)}}."
            )
        first, last = (_end(end, as_index(index), span) for end in span)
        if (first - last).is_positive or (first.free_symbols and (first - last).is_nonnegative):
            raise Refused(f"the range of {index} ends before it begins: it is {_short(span)}.")
        ranges[index] = first, last
    return ranges


def _end(given: Any, index: Expr, span: Any) -> Expr:
    end = _expression(given)
    wrong = end is None or end in UNDEFINED or end.is_Float or end.has(index)
    if end is None or wrong or end.is_integer is False:
        raise Refused(
            f"the range of {index} is {_short(span)}: its ends are whole numbers or lengths. "
            f"Write {{{index}: (1, n)}}."
        )
    return end


def _short(given: Any) -> str:
    return shorten(
        repr(str(given)) if isinstance(given, str) else str(given), 60, placeholder=" ..."
    )
