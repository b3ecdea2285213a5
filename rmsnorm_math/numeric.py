"""Numbers from an expression in index notation: its value, and its difference quotient."""

from collections.abc import Iterator, Mapping
from typing import Any

from sympy import Expr, Float, Indexed, IndexedBase, Rational, Symbol, sympify

from rmsnorm_math.explicit import instantiate

Values = Mapping[Expr, Any]


def evaluate(expr: Expr, values: Values, **sizes: int) -> Expr:
    """Return the value of `expr` at a point; exact where the point is exact.

    Parameters
    ----------
    expr
        An expression in index notation.
    values
        A number for each symbol, and for each base its elements: a sequence
        for ``x[i]``, a sequence of rows for ``x[b, i]``.
    **sizes
        The lengths and the free indices, as in `instantiate`.

    Raises
    ------
    ValueError
        If something in `expr` has no value.

    Examples
    --------
    >>> from rmsnorm_math import evaluate, rms
    >>> from rmsnorm_math.notation import epsilon, x
    >>> evaluate(rms(), {x: [1, 2, 3], epsilon: 0}, n=3)
    sqrt(42)/3
    """
    elements = {
        key: sympify(value)
        for name, value in values.items()
        for key, value in _elements(name, value)
    }
    result = instantiate(expr, **sizes).xreplace(elements)
    if result.free_symbols:
        missing = result.atoms(Indexed) or result.free_symbols
        raise ValueError(f"{expr} needs a value for {', '.join(sorted(map(str, missing)))}.")
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

    Examples
    --------
    >>> from rmsnorm_math import finite_difference, mean_square
    >>> from rmsnorm_math.notation import x
    >>> finite_difference(mean_square(), x[3], {x: [1, 2, 3]}, digits=12, n=3)
    2.00000000000
    """
    step = Rational(1, 10 ** (digits // 2 + 1))
    elements = {
        key: Rational(number) if (number := sympify(value)).is_Float else number
        for name, value in values.items()
        for key, value in _elements(name, value)
    }
    if wrt not in elements:
        raise ValueError(
            f"{wrt} has no value in {dict(values)}: "
            f"differentiate by one of {', '.join(sorted(map(str, elements)))}."
        )
    ahead, behind = (
        evaluate(expr, elements | {wrt: elements[wrt] + h}, **sizes).evalf(3 * digits)
        for h in (step, -step)
    )
    return ((ahead - behind) / (2 * step)).evalf(digits)


def _elements(name: Expr, value: Any, indices: tuple[int, ...] = ()) -> Iterator[tuple[Expr, Any]]:
    if isinstance(name, IndexedBase) and hasattr(value, "__len__") and not isinstance(value, str):
        for position, entry in enumerate(value, 1):
            yield from _elements(name, entry, (*indices, position))
    else:
        yield (name[indices] if indices else name), value
