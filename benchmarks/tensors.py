"""The derivations of benchmarks/derivations.py in tensorgrad, which has a symbolic n, too."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import tensorgrad
from tensorgrad import functions

HALF = Fraction(-1, 2)


def derivation(task: str, number: str) -> Callable[[], Any]:
    """Return a function that derives and simplifies; all its variables are new."""
    layer, what = task.split(", ")
    sizes = {c: tensorgrad.symbols(c + number) for c in "nmd"}

    def tensor(letter: str, **axes: str) -> Any:
        return tensorgrad.Variable(letter + number, **{a: sizes[c] for a, c in axes.items()})

    v = {letter: tensor(letter, i="n") for letter in ("x", "g", "y", "v", "a")}
    if what.endswith("batch"):
        v |= {"x": tensor("x", b="m", i="n"), "y": tensor("y", b="m", i="n")}
    if layer == "linear and RMSNorm":
        v |= {"x": tensor("x", l="m"), "W": tensor("W", i="n", l="m")}
    if layer == "attention":
        v |= {"q": tensor("q", l="m"), "K": tensor("K", p="n", l="m"), "y": tensor("y", i="d")}
        v["V"] = tensor("V", p="n", i="d")
    output = _outputs(layer, v, tensor)
    by = v["g"] if "dgamma" in what else v[what.split()[-1] if " by " in what else "x"]
    first = dict(zip(by.edges, ("j",), strict=False))

    def gradient(of: Any, *, names: dict[str, str] | None = None) -> Any:
        return tensorgrad.Derivative(of, by, names).full_simplify()

    if what in ("Jacobian", "gradient"):
        return lambda: gradient(output, names=first if what == "Jacobian" else None)
    if what == "Hessian":
        return lambda: gradient(gradient(output, names=first), names={"i": "l"})
    loss = functions.sum(output * v["y"])
    if what == "VJP of the VJP":
        return lambda: gradient(functions.sum(gradient(loss) * v["v"]))
    return lambda: gradient(loss)


def _outputs(layer: str, v: dict[str, Any], tensor: Callable[..., Any]) -> Any:
    x, epsilon = v["x"], tensor("e")
    if layer == "quadratic form":
        return x @ tensor("A", i="n", k="n") @ x.rename(i="k")
    if layer == "cosine":
        return (v["a"] @ x) * functions.pow((v["a"] @ v["a"]) * (x @ x), HALF)
    if layer == "attention":
        return functions.softmax(v["q"] @ v["K"], "p") @ v["V"]
    if layer == "softmax":
        return functions.softmax(x, "i")
    a = v["W"] @ x if "W" in v else x
    if layer == "LayerNorm":
        a -= functions.mean(a, "i", keepdims=True)
    return v["g"] * a * functions.pow(functions.mean(a * a, "i") + epsilon, HALF)
