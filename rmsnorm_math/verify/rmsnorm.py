"""RMSNorm's conventions, each with its derivation, and what else may have been meant."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

from sympy import Expr, Indexed, IndexedBase, Pow, S, nsimplify

from rmsnorm_math.errors import Refused
from rmsnorm_math.gradients import vjp
from rmsnorm_math.layers import layer_norm, rms, rmsnorm
from rmsnorm_math.notation import b, epsilon, gamma, i, j, m, x, ybar
from rmsnorm_math.verify.layer import Layer, layer_of
from rmsnorm_math.verify.wild import WILD

PLACES = ("inside", "outside", "max")
RESIDUAL, DRES = IndexedBase("residual"), IndexedBase("dres")
R = IndexedBase("r")
ROWS = {b: (1, m)}


@dataclass(frozen=True, eq=False)
class Convention:
    """A layer, and the options that it was made with."""

    layer: Layer
    kind: str
    options: tuple[Any, ...]

    def epsilons(self, given: Sequence[float] | None) -> Mapping[Expr, Sequence[float]] | None:
        """Return the values of epsilon, as `check` takes them."""
        if given is None:
            return None
        if not given or not all(float(value) >= 0 for value in given):
            raise Refused(f"epsilons is {given!r}; write numbers that are not negative: (1e-5,).")
        return {epsilon: tuple(given)}

    def others(self) -> list[tuple[str, dict[str, Expr]]]:
        """Return what else it may be: a sentence, and the outputs of which it would be true."""
        return self._others

    @cached_property
    def _others(self) -> list[tuple[str, dict[str, Expr]]]:
        if self.kind == "forward":
            return [*_other_forwards(self.options)]
        return [*_seen(self), *_other_backwards(self.options)]


def backward_of(
    eps: str, offset: float, weight: bool, residual: bool, outputs: Sequence[str] | None
) -> Convention:
    """Return the backward pass for the options of `check_backward`."""
    if outputs is None:
        outputs = ("dx", "dgamma") if weight else ("dx",)
    known = ("dx", "dgamma") if weight else ("dx",)
    if isinstance(outputs, str) or not outputs or any(o not in known for o in outputs):
        raise Refused(f"outputs is {outputs!r}; write a tuple of {' and '.join(map(repr, known))}.")
    return _backward(_place(eps), offset, bool(weight), bool(residual), tuple(outputs))


@cache
def _backward(
    eps: str, offset: float, weight: bool, residual: bool, outputs: tuple[str, ...]
) -> Convention:
    gradients = _gradients(_forward_expr(eps, offset, weight))
    if residual:
        gradients["dx"] += DRES[b, j]
    arguments = {ybar: "dy", x: "x", gamma: "gamma", epsilon: "eps", DRES: "dres"}
    layer = layer_of(
        {name: gradients[name] for name in outputs},
        _without(arguments, weight, residual, DRES),
        {R[b]: rms(b, eps=eps)},  # type: ignore[arg-type]
    )
    return Convention(layer, "backward", (eps, offset, weight, residual, outputs))


@cache
def forward_of(eps: str, offset: float, weight: bool, residual: bool) -> Convention:
    """Return the forward pass for the options of `check_forward`."""
    y, r = _forward_expr(_place(eps), offset, weight), rms(b, eps=eps)  # type: ignore[arg-type]
    arguments = {x: "x", gamma: "gamma", epsilon: "eps", RESIDUAL: "residual"}
    if residual:
        y, r = _with_residual(y), _with_residual(r)
    layer = layer_of({"y": y}, _without(arguments, weight, residual, RESIDUAL), {R[b]: r})
    return Convention(layer, "forward", (eps, offset, weight, residual))


def _place(eps: str) -> str:
    if eps not in PLACES:
        raise Refused(f"eps is {eps!r}; write one of {', '.join(map(repr, PLACES))}.")
    return eps


def _without(
    arguments: dict[Expr, str], weight: bool, residual: bool, added: Expr
) -> dict[Expr, str]:
    dropped = {gamma if not weight else None, added if not residual else None}
    return {key: name for key, name in arguments.items() if key not in dropped}


def _forward_expr(eps: str, offset: float, weight: bool) -> Expr:
    y = rmsnorm(b, eps=eps, offset=nsimplify(offset, rational=True))  # type: ignore[arg-type]
    return y if weight else y.xreplace({gamma[i]: S.One - nsimplify(offset, rational=True)})


def _with_residual(expr: Expr) -> Expr:
    return expr.replace(
        lambda node: isinstance(node, Indexed) and node.base == x,
        lambda node: node + RESIDUAL[node.indices],
    )


def _gradients(y: Expr) -> dict[str, Expr]:
    return {
        "dx": vjp(y, x[b, j], ybar[b, i], ROWS),
        "dgamma": vjp(y, gamma[j], ybar[b, i], ROWS),
    }


def _other_forwards(options: tuple[Any, ...]) -> Any:
    eps, offset, weight, residual = options
    meant = {
        "inside": "eps is inside the root; if that is meant, say eps='inside'",
        "outside": "eps is added outside the root, to the rms; if that is meant, say eps='outside'",
        "max": "eps is a floor, max(mean(x**2), eps); if that is meant, say eps='max'",
    }
    for place, says in meant.items():
        if place != eps:
            yield says, {"y": _of(_forward_expr(place, offset, weight), residual)}
    if weight and offset == 0:
        yield (
            "the weight is taken as 1 + gamma; if that is meant, say offset=1",
            {"y": _of(_forward_expr(eps, 1, weight), residual)},
        )
    if weight and offset:
        yield (
            f"gamma is used as it is, where {offset:g} + gamma was asked for (offset={offset:g})",
            {"y": _of(_forward_expr(eps, 0, weight), residual)},
        )
    (spread,) = (p for p in layer_norm(b).atoms(Pow) if p.exp == -S.Half)
    y = _forward_expr("inside", offset, weight).xreplace({1 / rms(b): spread})
    yield (
        "x is divided by its standard deviation, not by its root mean square",
        {"y": _of(y, residual)},
    )
    centred = layer_norm(b) if weight else layer_norm(b).xreplace({gamma[i]: S.One})
    yield "this is LayerNorm: the mean of x is subtracted", {"y": _of(centred, residual)}


def _of(y: Expr, residual: bool) -> Expr:
    return _with_residual(y) if residual else y


def _seen(convention: Convention) -> Any:
    eps, _, weight, residual, outputs = convention.options
    if eps != "inside" or not weight:
        return
    short = dict(convention.layer.short)
    for seen in WILD:
        if seen.change is not None and "dx" in outputs:
            wrong = seen.change(short)
            yield seen.says, {name: wrong[name] for name in outputs if name in wrong}
    if residual and "dx" in outputs:
        before = (short["dx"] - DRES[b, j]).replace(
            lambda node: isinstance(node, Indexed) and node.base == ybar,
            lambda node: node + DRES[node.indices],
        )
        says = "dres is added to dy, before the Jacobian; it belongs after it, to dx"
        yield says, {"dx": before}


def _other_backwards(options: tuple[Any, ...]) -> Any:
    eps, offset, weight, residual, outputs = options

    def gradients(y: Expr) -> dict[str, Expr]:
        found = _gradients(y)
        if residual:
            found["dx"] += DRES[b, j]
        return {name: found[name] for name in outputs}

    meant = {
        "inside": "this is the gradient for eps inside the root; "
        "if that is meant, say eps='inside'",
        "outside": "this is the gradient for eps outside the root, x / (sqrt(mean(x**2)) + eps); "
        "if that is meant, say eps='outside'",
        "max": "this is the gradient for max(mean(x**2), eps) in place of mean(x**2) + eps; "
        "if that is meant, say eps='max'",
    }
    for place, says in meant.items():
        if place != eps:
            yield says, gradients(_forward_expr(place, offset, weight))
    if weight:
        yield (
            "this is LayerNorm's gradient: the mean of x is subtracted",
            gradients(layer_norm(b)),
        )
