"""The printed text, whole: imports, docstring, a line for each quantity, what is returned."""

from textwrap import dedent

import pytest
from sympy import IndexedBase, S, Sum, Symbol, cos, cosh, exp, log, sign, sin, sinh, sqrt, tan
from sympy import gamma as gammafunction

from rmsnorm_math import function, mean_square, rms, rmsnorm, source, vjp
from rmsnorm_math.notation import b, epsilon, gamma, i, j, k, m, n, x, xhat, ybar
from tests.refusals import refusal

FRAMEWORKS = "numpy, torch, jax, numba, triton, c"

R = IndexedBase("r")
NAMES = {ybar: "dy", x: "x", gamma: "gamma", epsilon: "eps"}
ROWS = {b: (1, m)}

SOURCES = {
    "gradients of a batch": (
        lambda: source(
            {
                "dx": vjp(rmsnorm(b), x[b, j], ybar[b, i], ROWS),
                "dgamma": vjp(rmsnorm(b), gamma[j], ybar[b, i], ROWS),
            },
            NAMES,
            {R[b]: rms(b), xhat[b, i]: x[b, i] / R[b]},
        ),
        '''
        import numpy as np


        def backward(dy, x, gamma, eps):
            """Return dx, dgamma.

            dx[b, j] = gamma[j]*ybar[b, j]/r[b] - xhat[b, j]*Sum(gamma[i]*xhat[b, i]*ybar[b, i],
                (i, 1, n))/(n*r[b])
            dgamma[j] = Sum(xhat[b, j]*ybar[b, j], (b, 1, m))

            With dy for ybar, eps for epsilon.
            """
            r = np.sqrt(eps + np.mean(x**2, axis=-1, keepdims=True))
            xhat = x/r
            t = dy*xhat
            dot = np.mean(gamma*t, axis=-1, keepdims=True)
            dx = (dy*gamma - dot*xhat)/r
            dgamma = t.reshape(-1, dy.shape[-1]).sum(0,
                dtype=np.result_type(t, np.float64)).astype(t.dtype)
            return dx, dgamma
        ''',
    ),
    "a scalar, and a name of one's own": (
        lambda: source(
            {"loss": log(Sum(exp(x[k]), (k, 1, n))), "s": sign(x[i]) * S(3)},
            {x: "x"},
            framework="torch",
            name="forward",
        ),
        '''
        import torch


        def forward(x):
            """Return loss, s.

            loss = log(Sum(exp(x[k]), (k, 1, n)))
            s[i] = 3*sign(x[i])
            """
            largest = torch.amax(x, dim=-1, keepdim=True)
            total = torch.sum(torch.exp(x - largest), dim=-1, keepdim=True)
            loss = largest + torch.log(total)
            s = 3*torch.sign(x)
            return loss[..., 0], s
        ''',
    ),
    "a length and a number": (
        lambda: source(
            {"y": x[i] * Symbol("size"), "twice": 2 * epsilon},
            {x: "x", epsilon: "eps"},
            {Symbol("size"): sqrt(n) * Sum(x[k], (k, 1, n))},
        ),
        '''
        import numpy as np


        def backward(x, eps):
            """Return y, twice.

            y[i] = size*x[i]
            twice = 2*epsilon

            With eps for epsilon.
            """
            n = x.shape[-1]
            size = n**0.5*np.sum(x, axis=-1, keepdims=True)
            y = size*x
            twice = 2*eps
            return y, twice
        ''',
    ),
    "what two outputs share": (
        lambda: source(
            {"y": x[i] * mean_square() + gamma[i] * sin(x[i]), "z": sin(x[i]) * exp(sin(x[i]))},
            {x: "x", gamma: "t"},
        ),
        '''
        import numpy as np


        def backward(x, t):
            """Return y, z.

            y[i] = sin(x[i])*gamma[i] + x[i]*Sum(x[k]**2, (k, 1, n))/n
            z[i] = exp(sin(x[i]))*sin(x[i])

            With t for gamma.
            """
            mean = np.mean(x**2, axis=-1, keepdims=True)
            t_2 = np.sin(x)
            y = mean*x + t*t_2
            z = np.exp(t_2)*t_2
            return y, z
        ''',
    ),
    "what one shared line needs of another": (
        lambda: source(
            {"w": 2 * x[i], "y": x[i] * exp(sin(x[i])), "z": sin(x[i]) + exp(sin(x[i]))},
            {x: "x"},
        ),
        '''
        import numpy as np


        def backward(x):
            """Return w, y, z.

            w[i] = 2*x[i]
            y[i] = exp(sin(x[i]))*x[i]
            z[i] = exp(sin(x[i])) + sin(x[i])
            """
            w = 2*x
            t = np.sin(x)
            t_2 = np.exp(t)
            y = t_2*x
            z = t + t_2
            return w, y, z
        ''',
    ),
}


@pytest.mark.parametrize("case", SOURCES)
def test_the_source_reads_as_expected(case):
    call, expected = SOURCES[case]
    assert call() == dedent(expected).lstrip("\n")


def test_the_formulas_of_the_docstring_are_broken_between_words_alone():
    long = (sin(x[i]) * cos(x[i]) * tan(x[i]) * log(x[i]) * sinh(x[i]) * cosh(x[i])) ** 1234
    assert str(long * gamma[i]) in source({"y" * 30: long * gamma[i]}, {x: "x", gamma: "gamma"})
    longest = 0
    for length in range(60, 70):
        code = source({"y" * length: x[i] + gamma[i] + sin(x[i])}, {x: "x", gamma: "gamma"})
        longest = max(longest, *map(len, code.split('"""')[1].splitlines()))
    assert longest == 96


REFUSED = {
    "no outputs": (
        lambda: source({}, {x: "x"}),
        "Refused: there are no outputs: give at least one, as in {'dx': dx}.",
    ),
    "a name twice": (
        lambda: source({"x": 2 * x[i]}, {x: "x"}),
        (
            "Refused: 'x' would stand for two things: arguments, outputs and definitions need "
            "different names, and none may be called np, torch, jnp, jax, math."
        ),
    ),
    "a sum over an axis of no argument": (
        lambda: source(
            {"y": Sum(xhat[i], (i, 1, n)) / n}, {epsilon: "eps"}, {xhat[i]: 2 * epsilon}
        ),
        (
            "Refused: the length n has no value: no argument has an axis that a sum shows to be n "
            "long. Add the array to the arguments, or {n: 'n'}."
        ),
    ),
    "a function without code": (
        lambda: source({"y": gammafunction(x[i])}, {x: "x"}),
        (
            "Refused: there is no code for gamma in gamma(x[rows, i]): only for sums, powers, Abs, "
            "acos, acosh, asin, asinh, atan, atanh, ceiling, cos, cosh, exp, floor, log, sign, "
            "sin, sinh, tan, tanh. Add it, as in FUNCTIONS['numpy']['gamma'] = 'module.function'."
        ),
    ),
    "a framework that is none, for a function": (
        lambda: function({"y": x[i]}, {x: "x"}, framework="tensorflow"),  # type: ignore[arg-type]
        f"Refused: there is no framework 'tensorflow': choose one of {FRAMEWORKS}.",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_printed_is_named(case):
    call, message = REFUSED[case]
    assert refusal(call) == message
