"""The numbers behind `more-traps`."""

from textwrap import fill

import pitfalls
from sympy import Rational, Sum

from rmsnorm_math import differentiate, evaluate, finite_difference, rms, rmsnorm
from rmsnorm_math.notation import epsilon, gamma, i, j, k, n, x

POINT = {x: [1, 2, 3], gamma: [2, -1, 5], epsilon: Rational(1, 3)}
SQUARES = Sum(x[k] ** 2, (k, 1, n))
TITLES = {
    "late_index": "[an index that comes late](#late-index)",
    "shaped_base": "[a shape](#another-x)",
    "real_base": "[an assumption](#another-x)",
    "matrix_norm": "[a matrix symbol, normalised](#matrix-symbol)",
    "matrix_square": "[a matrix symbol, squared](#matrix-symbol)",
    "function_of_index": "[a function of an index](#function-of-an-index)",
    "unindexed_numerator": "[a vector without an index](#no-index)",
    "lookalike_indices": "[indices that print alike](#alike)",
    "transposed_array": "[`derive_by_array`](#transpose)",
    "ignored_subs": "[an ignored `subs`](#ignored-subs)",
}


def numbers():
    """Return SymPy's answer and the difference quotient by x[1] (x[2] for an entry), by trap."""

    def answer(expr, **sizes):
        return evaluate(expr, POINT, n=3, **sizes).evalf()

    def quotient(expr, at=1, size=3, **sizes):
        return finite_difference(expr, x[at], POINT, n=size, **sizes)

    transposed = pitfalls.transposed_array()[0, 1]
    unchanged = differentiate(pitfalls.ignored_subs(), x[j])
    doubled = SQUARES.xreplace({x[k]: 2 * x[k]})
    return {
        "late_index": (answer(pitfalls.late_index()), quotient(SQUARES)),
        "shaped_base": (pitfalls.shaped_base(), quotient(rms())),
        "real_base": (pitfalls.real_base(), quotient(rms())),
        "matrix_norm": (pitfalls.matrix_norm()[0, 1], quotient(x[i] / rms(), 2, i=1)),
        "matrix_square": (pitfalls.matrix_square()[0, 0], quotient(SQUARES)),
        "function_of_index": (pitfalls.function_of_index(), quotient(SQUARES)),
        "unindexed_numerator": ("no number", quotient(rmsnorm(), i=1)),
        "lookalike_indices": ("no number", quotient(x[i], i=1)),
        "transposed_array": (answer(transposed), quotient(rmsnorm(), 2, 2, i=1)),
        "ignored_subs": (answer(unchanged, j=1), quotient(doubled)),
    }


def refusal(attempt):
    """Return the message with which `attempt` is refused."""
    try:
        answer = attempt()
    except (TypeError, ValueError) as error:
        return fill(f"{type(error).__name__}: {error}", 84, break_long_words=False)
    message = f"not refused, but answered: {answer}"
    raise AssertionError(message)
