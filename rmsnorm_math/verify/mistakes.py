"""What a known mistake is, and the root-mean-squares that are used by mistake."""

# The formulas share one signature, whether they use every argument or not.
# ruff: noqa: ARG005

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Formula = Callable[..., Any]


@dataclass(frozen=True)
class Mistake:
    """A wrong formula: its name, what a report says of it, what it computes, where it was seen.

    ``dx`` and ``dgamma`` are functions of ``(dy, x, gamma, eps)``, ``y`` of ``(x, gamma, eps)``;
    None stands for an output that the mistake leaves right.
    """

    name: str
    says: str
    dx: Formula | None = field(default=None, repr=False)
    dgamma: Formula | None = field(default=None, repr=False)
    y: Formula | None = field(default=None, repr=False)
    seen: str = ""


def mean(v: Any) -> Any:
    """Return the mean over the last axis, kept."""
    return v.mean(-1, keepdims=True)


def rms(x: Any, eps: float = 0.0) -> Any:
    """Return the root-mean-square over the last axis, kept, with eps inside the root."""
    return (mean(x * x) + eps) ** 0.5


#: The root-mean-square for each placement of eps.
RMS: dict[str, Formula] = {
    "inside": rms,
    "outside": lambda x, eps: rms(x) + eps,
    "max": lambda x, eps: mean(x * x).clip(min=eps) ** 0.5,
}

#: What is computed in place of r, in a forward or a backward: name, sentence, formula.
WITHOUT_EPS: tuple[str, str, Formula] = ("eps missing", "eps is missing", lambda x, eps: rms(x))
WRONG_R: tuple[tuple[str, str, Formula], ...] = (
    ("eps squared", "eps enters squared", lambda x, eps: rms(x, eps**2)),
    *(
        (
            f"eps fixed at {fixed:g}",
            f"eps is {fixed:g} whatever eps is asked for",
            lambda x, eps, fixed=fixed: rms(x, fixed),
        )
        for fixed in (1e-5, 1e-6, 1e-8)
    ),
    (
        "sum for mean in r",
        "r is sqrt(sum(x**2) + eps): the mean is missing",
        lambda x, eps: (x.shape[-1] * mean(x * x) + eps) ** 0.5,
    ),
    (
        "r over everything",
        "r is taken over the batch as well, not over the last axis alone",
        lambda x, eps: ((x * x).mean() + eps) ** 0.5,
    ),
)
