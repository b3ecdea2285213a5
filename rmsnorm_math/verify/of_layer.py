"""The check of any layer, with the three arguments of `source`."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sympy import Expr

from rmsnorm_math.verify.layer import layer_of
from rmsnorm_math.verify.report import Report
from rmsnorm_math.verify.run import checked, run

Shapes = Sequence[tuple[int, ...]] | None


def check(
    function: Callable[..., Any],
    outputs: Mapping[Any, Expr],
    arguments: Mapping[Any, str],
    where: Mapping[Any, Expr] | None = None,
    *,
    dtype: str = "float64",
    shapes: Shapes = None,
    values: Mapping[Expr, Sequence[float]] | None = None,
    tolerance: float = 1,
) -> Report:
    """Run a function over designed inputs and compare it with what `outputs` say.

    Parameters
    ----------
    function : callable
        Given NumPy arrays and numbers in the order of `arguments`, it returns the outputs in
        theirs. They may be anything that ``numpy.asarray`` takes.
    outputs, arguments, where
        The three arguments of `rmsnorm_math.source`. An argument that `where` defines, such as
        ``rstd[b]`` with ``{rstd[b]: 1/rms(b)}``, is computed from the others before the call. A
        leading index such as b stands for any number of axes.
    dtype : {'float64', 'float32', 'float16', 'bfloat16'}
        The dtype of the inputs and the precision asked of the results. For bfloat16, which NumPy
        lacks, the arrays are float32, the inputs' values such as bfloat16 holds. With a half
        precision, arguments that `where` defines are in float32.
    shapes : sequence of tuples of int, optional
        Shapes of the argument with most axes, if the function takes not all: ``[(4, 8), (2, 64)]``.
    values : mapping, optional
        ``{epsilon: (1e-5,)}``: the values that a number takes, if the function takes not all.
    tolerance : float
        A factor of the error that is allowed, for approximate instructions.

    Returns
    -------
    Report
        With ``ok``, ``worst`` and ``diagnosis``; ``str`` gives the whole text.

    Raises
    ------
    TypeError, ValueError
        If `function` cannot be called, `source` refuses the three arguments, or an option is none
        of those named. Whatever `function` itself raises is part of the report.

    Examples
    --------
    >>> from rmsnorm_math import softmax, vjp
    >>> from rmsnorm_math.notation import b, i, j, m, x, ybar
    >>> from rmsnorm_math.verify import check
    >>> dx = vjp(softmax(b), x[b, j], ybar[b, i], {b: (1, m)})
    >>> def backward(dy, s):
    ...     return s * (dy - (s * dy).sum(-1, keepdims=True))
    >>> from sympy import IndexedBase
    >>> s = IndexedBase("s")
    >>> check(backward, {"dx": dx}, {ybar: "dy", s: "s", x: "x"}, {s[b, i]: softmax(b)}).ok
    False
    """
    layer = layer_of(outputs, arguments, where)
    call, title = checked(function, layer, getattr(function, "__name__", "function"))
    return run(call, layer, title, dtype=dtype, shapes=shapes, values=values, factor=tolerance)


def assert_right(
    function: Callable[..., Any],
    outputs: Mapping[Any, Expr],
    arguments: Mapping[Any, str],
    where: Mapping[Any, Expr] | None = None,
    **options: Any,
) -> None:
    """Raise AssertionError with the text of `check`'s report unless all is right."""
    asserted(check(function, outputs, arguments, where, **options))


def asserted(found: Report) -> None:
    """Raise AssertionError with the text of a report that is not of a right function."""
    if not found.ok:
        raise AssertionError(str(found))
