"""Numbers from an expression in index notation: its value, and its difference quotient."""

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Any

from sympy import Expr, Float, Indexed, IndexedBase, Rational, Symbol
from sympy.core.function import AppliedUndef

from rmsnorm_math.errors import Refused
from rmsnorm_math.explicit import named
from rmsnorm_math.index.names import freshen
from rmsnorm_math.inputs import as_expression, as_mapping, as_number, as_variable
from rmsnorm_math.refusals import refuse_expression, refuse_lookalikes
from rmsnorm_math.writing import written

Values = Mapping[Any, Any]


def evaluate(expr: Expr, values: Values, **sizes: int) -> Expr:
    """Return the value of `expr` at a point; exact where the point is exact.

    Parameters
    ----------
    expr
        An expression in index notation.
    values
        A number for each symbol, and for each base its elements: a sequence
        for ``x[i]``, from ``x[1]`` on, a sequence of rows for ``x[b, i]``.
        ``x[0]`` is a key by itself. A text such as ``"1/3"`` is an exact number.
    **sizes
        The lengths and the free indices, as in `instantiate`.

    Raises
    ------
    TypeError
        If `expr` or a value is no expression.
    ValueError
        If something in `expr` has no value.

    Examples
    --------
    >>> from rmsnorm_math import evaluate, rms
    >>> from rmsnorm_math.notation import epsilon, x
    >>> evaluate(rms(), {x: [1, 2, 3], epsilon: 0}, n=3)
    sqrt(42)/3
    """
    expr = as_expression(expr)
    refuse_expression(expr)
    return _value(expr, _numbers(values), sizes)


def _value(expr: Expr, elements: Mapping[Expr, Expr], sizes: Mapping[str, Any]) -> Expr:
    fresh = freshen(expr)
    refuse_lookalikes(fresh, *elements)
    if unknown := sorted({str(node.func) for node in fresh.atoms(AppliedUndef)}):
        raise Refused(
            f"{unknown[0]} is an undefined function, and has no value: put one in its place "
            f"first, with .replace({unknown[0]}, ...) and .doit()."
        )
    result = written(fresh, {**elements, **named(fresh, sizes)})
    if result.free_symbols:
        missing = sorted(result.atoms(Indexed) or result.free_symbols, key=str)
        before = [e for e in missing if any(at.is_nonpositive for at in getattr(e, "indices", ()))]
        advice = f" A list begins at 1: give each by itself, {{{before[0]}: 2}}." if before else ""
        raise Refused(f"{expr} needs a value for {', '.join(map(str, missing))}.{advice}")
    return result.doit()


def finite_difference(
    expr: Expr, wrt: Indexed | Symbol, values: Values, digits: int = 30, **sizes: int
) -> Float:
    """Return the central difference quotient of `expr`, in high precision.

    It knows nothing of derivatives, and so it is the judge of them.

    Parameters
    ----------
    expr, values
        As in `evaluate`.
    wrt
        An element with numbers for indices, such as ``x[1]``, or a symbol.
    digits
        How many digits are to be right: the step is 10**(-digits/2), and the
        arithmetic has three times as many digits.
    **sizes
        As in `evaluate`.

    Raises
    ------
    TypeError
        As `evaluate`.
    ValueError
        As `evaluate`, or if `wrt` has no value.

    Examples
    --------
    >>> from rmsnorm_math import finite_difference, mean_square
    >>> from rmsnorm_math.notation import x
    >>> finite_difference(mean_square(), x[3], {x: [1, 2, 3]}, digits=12, n=3)
    2.00000000000
    """
    expr, wrt = as_expression(expr), as_variable(wrt)
    refuse_expression(expr)
    given: Any = digits
    if not isinstance(given, int) or given < 1:
        raise Refused(f"{given!r} is no number of digits: give a whole number, such as 30.")
    elements = {key: _precise(number, 3 * digits) for key, number in _numbers(values).items()}
    if wrt not in elements:
        raise Refused(
            f"{wrt} has no value in {dict(values)}: "
            f"differentiate by one of {', '.join(sorted(map(str, elements)))}."
        )
    step = Float(Rational(1, 10 ** (digits // 2 + 1)), 3 * digits)
    ahead, behind = (
        _value(expr, elements | {wrt: elements[wrt] + h}, sizes).evalf(3 * digits)
        for h in (step, -step)
    )
    return ((ahead - behind) / (2 * step)).evalf(digits)


def _precise(number: Expr, digits: int) -> Expr:
    """Return a number with so many digits: a Python float is the binary number that it is."""
    return (Rational(number) if number.is_Float else number).evalf(digits)


def _numbers(values: Values) -> dict[Expr, Expr]:
    """Return the value of each symbol and of each element."""
    entries = as_mapping(values, "the values", "{x: [1, 2, 3]}").items()
    for key, _ in entries:
        if not isinstance(key, IndexedBase | Indexed | Symbol):
            raise Refused(
                f"{key!r} among the values is no symbol: write x, with x = IndexedBase('x')."
            )
    return {
        key: as_number(value, f"the value of {key}:")
        for name, entry in entries
        for key, value in _elements(name, entry)
    }


def _elements(name: Any, value: Any, indices: tuple[int, ...] = ()) -> Iterator[tuple[Expr, Any]]:
    one = isinstance(value, str | bytes | Mapping | AbstractSet) or getattr(value, "shape", 1) == ()
    many = hasattr(value, "__len__") and not one
    if isinstance(name, IndexedBase) and many:
        for position, entry in enumerate(value, 1):
            yield from _elements(name, entry, (*indices, position))
    elif isinstance(name, IndexedBase) and (
        not indices or isinstance(value, Mapping | AbstractSet)
    ):
        raise Refused(f"{name} has several elements. Give a list, as in {{{name}: [1, 2, 3]}}.")
    else:
        yield (name[indices] if indices else name), value
