"""RMSNorm's conventions, each with its derivation, and what else may have been meant."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property

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
FORWARD = ("y",)
Wrong = Iterator[tuple[str, dict[str, Expr]]]


@dataclass(frozen=True)
class Options:
    """Which RMSNorm is meant, and the outputs of its forward or its backward pass."""

    eps: str
    offset: float
    weight: bool
    residual: bool
    outputs: tuple[str, ...] = FORWARD

    @property
    def y(self) -> Expr:
        """The forward pass, without a residual."""
        offset = nsimplify(self.offset, rational=True)
        y = rmsnorm(b, eps=self.eps, offset=offset)  # type: ignore[arg-type]
        return y if self.weight else y.xreplace({gamma[i]: S.One - offset})

    def of(self, y: Expr) -> dict[str, Expr]:
        """Return the outputs of this pass for a layer `y`."""
        if self.outputs == FORWARD:
            return {"y": _added(y, x, RESIDUAL) if self.residual else y}
        dx, dgamma = (vjp(y, wrt, ybar[b, i], ROWS) for wrt in (x[b, j], gamma[j]))
        gradients = {"dx": dx + DRES[b, j] if self.residual else dx, "dgamma": dgamma}
        return {name: gradients[name] for name in self.outputs}


@dataclass(frozen=True, eq=False)
class Convention:
    """A layer, and the options that it was made with."""

    layer: Layer
    options: Options

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
        return [*_seen(self), *_meant(self.options)]


def backward_of(
    eps: str, offset: float, weight: bool, residual: bool, outputs: Sequence[str] | None
) -> Convention:
    """Return the backward pass for the options of `check_backward`."""
    known = ("dx", "dgamma") if weight else ("dx",)
    outputs = known if outputs is None else outputs
    if isinstance(outputs, str) or not outputs or any(o not in known for o in outputs):
        raise Refused(f"outputs is {outputs!r}; write a tuple of {' and '.join(map(repr, known))}.")
    return _convention(Options(eps, offset, bool(weight), bool(residual), tuple(outputs)))


def forward_of(eps: str, offset: float, weight: bool, residual: bool) -> Convention:
    """Return the forward pass for the options of `check_forward`."""
    return _convention(Options(eps, offset, bool(weight), bool(residual)))


@cache
def _convention(options: Options) -> Convention:
    if options.eps not in PLACES:
        raise Refused(f"eps is {options.eps!r}; write one of {', '.join(map(repr, PLACES))}.")
    r = rms(b, eps=options.eps)  # type: ignore[arg-type]
    arguments = {x: "x", gamma: "gamma", epsilon: "eps"}
    if not options.weight:
        del arguments[gamma]
    forward = options.outputs == FORWARD
    if not forward:
        arguments = {ybar: "dy", **arguments}
    if options.residual:
        arguments |= {RESIDUAL: "residual"} if forward else {DRES: "dres"}
        r = _added(r, x, RESIDUAL) if forward else r
    return Convention(layer_of(options.of(options.y), arguments, {R[b]: r}), options)


def _added(expr: Expr, base: IndexedBase, other: IndexedBase) -> Expr:
    """Return `expr` with the element of another array added to each of `base`."""
    return expr.replace(
        lambda node: isinstance(node, Indexed) and node.base == base,
        lambda node: node + other[node.indices],
    )


def _seen(convention: Convention) -> Wrong:
    """Yield what was read in public code, and a residual at the wrong place."""
    options, short = convention.options, convention.layer.short
    if options.eps != "inside" or not options.weight or "dx" not in options.outputs:
        return
    for seen in WILD:
        if seen.change is not None:
            wrong = seen.change(short)
            yield seen.says, {name: wrong[name] for name in options.outputs if name in wrong}
    if options.residual:
        says = "dres is added to dy, before the Jacobian; it belongs after it, to dx"
        yield says, {"dx": _added(short["dx"] - DRES[b, j], ybar, DRES)}


def _meant(options: Options) -> Wrong:
    """Yield other layers that may have been meant."""
    forward, weight, offset = options.outputs == FORWARD, options.weight, options.offset
    meant = {
        "inside": ("eps is inside the root", "this is the gradient for eps inside the root"),
        "outside": (
            "eps is added outside the root, to the rms",
            "this is the gradient for eps outside the root, x / (sqrt(mean(x**2)) + eps)",
        ),
        "max": (
            "eps is a floor, max(mean(x**2), eps)",
            "this is the gradient for max(mean(x**2), eps) in place of mean(x**2) + eps",
        ),
    }
    for place, (of_forward, of_backward) in meant.items():
        if place != options.eps:
            says = of_forward if forward else of_backward
            other = replace(options, eps=place)
            yield f"{says}; if that is meant, say eps={place!r}", options.of(other.y)
    if forward and weight and offset == 0:
        says = "the weight is taken as 1 + gamma; if that is meant, say offset=1"
        yield says, options.of(replace(options, offset=1).y)
    if forward and weight and offset:
        says = f"gamma is used as it is, where {offset:g} + gamma was asked for (offset={offset:g})"
        yield says, options.of(replace(options, offset=0).y)
    if forward:
        (spread,) = (p for p in layer_norm(b).atoms(Pow) if p.exp == -S.Half)
        y = replace(options, eps="inside").y.xreplace({1 / rms(b): spread})
        yield "x is divided by its standard deviation, not by its root mean square", options.of(y)
        centred = layer_norm(b) if weight else layer_norm(b).xreplace({gamma[i]: S.One})
        yield "this is LayerNorm: the mean of x is subtracted", options.of(centred)
    elif weight:
        says = "this is LayerNorm's gradient: the mean of x is subtracted"
        yield says, options.of(layer_norm(b))
