"""The known wrong gradients of RMSNorm, as formulas that run.

Each is what an implementation computes when one thing in it is wrong. `rmsnorm_math.verify`
compares the outputs of the function under test with them.
"""

# The formulas share one signature, whether they use every argument or not.
# ruff: noqa: ARG001, ARG005

from collections.abc import Callable
from typing import Any

from rmsnorm_math.verify.mistakes import RMS, WITHOUT_EPS, WRONG_R, Formula, Mistake, mean, rms


def _rows(v: Any) -> Any:
    """Return the sum over every batch axis."""
    return v.reshape(-1, v.shape[-1]).sum(0)


def _dx(v: Any, x: Any, r: Any) -> Any:
    """Return the right dx for v = gamma * dy and any r that is handed in."""
    return v / r - x * mean(v * x) / r**3


def _with_r(name: str, says: str, r: Callable[[Any, float], Any], seen: str = "") -> Mistake:
    """Return the mistake of using another r, in both outputs."""
    return Mistake(
        name,
        says,
        dx=lambda dy, x, gamma, eps: _dx(gamma * dy, x, r(x, eps)),
        dgamma=lambda dy, x, gamma, eps: _rows(dy * x / r(x, eps)),
        seen=seen,
    )


def _second_term(name: str, says: str, factor: Formula, seen: str = "") -> Mistake:
    """Return the mistake of a factor too many in the second term of dx."""

    def dx(dy: Any, x: Any, gamma: Any, eps: float) -> Any:
        r = rms(x, eps)
        return gamma * dy / r - x * mean(gamma * dy * x) / r**3 * factor(x, gamma, r)

    return Mistake(name, says, dx=dx, seen=seen)


def _of_dx(name: str, says: str, formula: Formula, seen: str = "") -> Mistake:
    """Return a wrong dx given by a function of (dy, x, gamma, r)."""
    return Mistake(
        name, says, dx=lambda dy, x, gamma, eps: formula(dy, x, gamma, rms(x, eps)), seen=seen
    )


def _of_dgamma(name: str, says: str, formula: Formula, seen: str = "") -> Mistake:
    """Return a wrong dgamma given by a function of (dy, x, gamma, r)."""
    return Mistake(
        name, says, dgamma=lambda dy, x, gamma, eps: formula(dy, x, gamma, rms(x, eps)), seen=seen
    )


def _eps_outside_dx(dy: Any, x: Any, gamma: Any, eps: float) -> Any:
    s, v = rms(x), gamma * dy
    return v / (s + eps) - x * mean(v * x) / (s * (s + eps) ** 2)


def _eps_mixed_dx(dy: Any, x: Any, gamma: Any, eps: float) -> Any:
    s, v = rms(x), gamma * dy
    return v / (s + eps) - x * mean(v * x) / (s * (s**2 + eps))


def _eps_outside_dgamma(dy: Any, x: Any, gamma: Any, eps: float) -> Any:
    return _rows(dy * x / RMS["outside"](x, eps))


def _max_dx(dy: Any, x: Any, gamma: Any, eps: float) -> Any:
    v, r = gamma * dy, RMS["max"](x, eps)
    return v / r - x * mean(v * x) / r**3 * (mean(x * x) > eps)


def _layer_norm_dx(dy: Any, x: Any, gamma: Any, eps: float) -> Any:
    centred, v = x - mean(x), gamma * dy
    return _dx(v - mean(v), centred, rms(centred, eps))


def _layer_norm_dgamma(dy: Any, x: Any, gamma: Any, eps: float) -> Any:
    centred = x - mean(x)
    return _rows(dy * centred / rms(centred, eps))


def _parenthesis(dy: Any, x: Any, gamma: Any, r: Any) -> Any:
    return dy * (gamma - x * mean(gamma * dy * x) / r**2) / r


def _by_division_dx(dy: Any, x: Any, gamma: Any, r: Any) -> Any:
    xhat = (gamma * x / r) / gamma
    return (gamma * dy - xhat * mean(gamma * dy * xhat)) / r


def _commit(repository: str, commit: str) -> str:
    return f"[{repository} at commit {commit}](https://github.com/{repository}/commit/{commit})"


def _thread(repository: str, kind: str, number: int) -> str:
    return f"[{repository} #{number}](https://github.com/{repository}/{kind}/{number})"


BACKWARD: tuple[Mistake, ...] = (
    # Seen in public code or in its documentation.
    _of_dx(
        "gamma outside the sum",
        "gamma stands outside the sum: that is the Jacobian times dy, not its transpose; "
        "the sum is over gamma * dy * x",
        lambda dy, x, gamma, r: gamma * _dx(dy, x, r),
        seen="a notebook in chrisjob1021/transformer-examples",
    ),
    _second_term(
        "gamma twice in the second term",
        "gamma is applied twice in the second term: it belongs inside the sum only",
        lambda x, gamma, r: gamma,
        seen=f"{_commit('NVIDIA/Megatron-LM', '00caa53')}; {_commit('maderix/ANE', 'd91c984')}",
    ),
    _second_term(
        "r² for r³",
        "the second term is divided by r**2 where r**3 is right",
        lambda x, gamma, r: r,
        seen=_commit("BrantleighBunting/linalg", "2e699e3"),
    ),
    _second_term(
        "r⁴ for r³",
        "the second term is divided by r**4 where r**3 is right",
        lambda x, gamma, r: 1 / r,
        seen=_commit("luengnat/rustane", "54adcb8"),
    ),
    _second_term(
        "1/n twice",
        "the second term is divided by n twice",
        lambda x, gamma, r: 1 / x.shape[-1],
        seen="an ANE training script",
    ),
    _of_dx(
        "rms as a constant",
        "the second term is missing: the rms was taken for a constant, but it depends on x",
        lambda dy, x, gamma, r: gamma * dy / r,
        seen="an AteniaEngine kernel",
    ),
    _of_dx(
        "diagonal only",
        "only the diagonal of the Jacobian is used: each x[i] moves every y through the rms",
        lambda dy, x, gamma, r: gamma * dy * (1 / r - x * x / (x.shape[-1] * r**3)),
        seen="a blog's first formula (its code is right)",
    ),
    Mistake(
        "eps placed in two ways",
        "eps is added outside the root in the first term and inside in the second",
        dx=_eps_mixed_dx,
        seen=_commit("kakaobrain/trident", "6c429c6"),
    ),
    _of_dx(
        "row sums laid along columns",
        "each row's mean is broadcast along the wrong axis (keepdims is missing)",
        lambda dy, x, gamma, r: gamma * dy / r - x * (gamma * dy * x).mean(-1) / r**3,
        seen=_thread("BobMcDear/attorch", "issues", 17) + " (fixed)",
    ),
    _of_dx(
        "row factors laid along columns",
        "each row's mean, with its rms, is broadcast along the wrong axis (keepdims is missing)",
        lambda dy, x, gamma, r: gamma * dy / r - x * ((gamma * dy * x).mean(-1) / r[..., 0] ** 3),
    ),
    _of_dx(
        "residual before the Jacobian",
        "twice the right one: a residual's gradient, added to dy before the Jacobian "
        "where it belongs after it, does this",
        lambda dy, x, gamma, r: 2 * _dx(gamma * dy, x, r),
        seen=_thread("Dao-AILab/quack", "pull", 53) + " (fixed)",
    ),
    _of_dx(
        "1 + gamma in the backward only",
        "1 + gamma stands where gamma is asked for: if the forward uses 1 + gamma, "
        "hand gamma - 1 to this backward",
        lambda dy, x, gamma, r: _dx((1 + gamma) * dy, x, r),
        seen=_commit("NVIDIA/Megatron-LM", "00caa53"),
    ),
    _of_dgamma(
        "dgamma not summed",
        "not summed over the batch",
        lambda dy, x, gamma, r: dy * x / r,
        seen=_thread("unslothai/unsloth", "issues", 4533) + " (closed) and others",
    ),
    _with_r(*WITHOUT_EPS, seen="a docstring"),
    _of_dx(
        "a parenthesis",
        "dy multiplies the second term as well: a parenthesis is misplaced",
        _parenthesis,
        seen="a docstring in Liger-Kernel (its kernel is right)",
    ),
    _of_dx(
        "gamma not in the sum",
        "gamma is forgotten inside the sum, which is over gamma * dy * x",
        lambda dy, x, gamma, r: gamma * dy / r - x * mean(dy * x) / r**3,
        seen=_thread("karpathy/llm.c", "pull", 763) + ", while in work",
    ),
    Mistake(
        "divided by gamma",
        "x / r is recomputed from the output by dividing by gamma, which fails where gamma is 0",
        dx=lambda dy, x, gamma, eps: _by_division_dx(dy, x, gamma, rms(x, eps)),
        dgamma=lambda dy, x, gamma, eps: _rows(dy * ((gamma * x / rms(x, eps)) / gamma)),
        seen="several; NaN where gamma is 0",
    ),
    # Plausible ones.
    _of_dx(
        "gamma left out",
        "gamma is left out",
        lambda dy, x, gamma, r: _dx(dy, x, r),
    ),
    _of_dx(
        "gamma squared",
        "gamma is applied twice in both terms",
        lambda dy, x, gamma, r: _dx(gamma**2 * dy, x, r),
    ),
    _of_dx(
        "gamma squared in the sum",
        "gamma is squared inside the sum",
        lambda dy, x, gamma, r: gamma * dy / r - x * mean(gamma**2 * dy * x) / r**3,
    ),
    _second_term(
        "sum for mean in the second term",
        "the second term lacks 1/n",
        lambda x, gamma, r: x.shape[-1],
    ),
    _second_term(
        "second term doubled", "the second term is twice the right one", lambda x, gamma, r: 2
    ),
    _second_term(
        "second term halved", "the second term is half the right one", lambda x, gamma, r: 0.5
    ),
    _second_term("second sign", "the second term has the wrong sign", lambda x, gamma, r: -1),
    _second_term(
        "r for r³", "the second term is divided by r where r**3 is right", lambda x, gamma, r: r**2
    ),
    _of_dx("sign", "the whole has the wrong sign", lambda dy, x, gamma, r: -_dx(gamma * dy, x, r)),
    _of_dx("no 1/r", "a factor 1/r is missing", lambda dy, x, gamma, r: r * _dx(gamma * dy, x, r)),
    _of_dx(
        "1/r twice",
        "there is a factor 1/r too many",
        lambda dy, x, gamma, r: _dx(gamma * dy, x, r) / r,
    ),
    _of_dx(
        "no 1/r in the first term",
        "the first term lacks 1/r",
        lambda dy, x, gamma, r: gamma * dy - x * mean(gamma * dy * x) / r**3,
    ),
    _of_dx(
        "mean over the batch",
        "the mean in the second term is taken over the first axis, not over the last",
        lambda dy, x, gamma, r: gamma * dy / r - x * (gamma * dy * x).mean(0) / r**3,
    ),
    _of_dx(
        "mean over everything",
        "the mean in the second term is taken over the batch as well",
        lambda dy, x, gamma, r: gamma * dy / r - x * (gamma * dy * x).mean() / r**3,
    ),
    _of_dx(
        "residual included",
        "it contains dy on top of the right gradient (a residual's gradient)",
        lambda dy, x, gamma, r: dy + _dx(gamma * dy, x, r),
    ),
    Mistake(
        "eps outside the root",
        "this is the gradient for eps outside the root, x / (sqrt(mean(x**2)) + eps)",
        dx=_eps_outside_dx,
        dgamma=_eps_outside_dgamma,
    ),
    _with_r(
        "r with eps outside the root",
        "r is sqrt(mean(x**2)) + eps, where eps belongs inside the root",
        RMS["outside"],
    ),
    Mistake(
        "eps as a floor",
        "this is the gradient for max(mean(x**2), eps) in place of mean(x**2) + eps",
        dx=_max_dx,
        dgamma=lambda dy, x, gamma, eps: _rows(dy * x / RMS["max"](x, eps)),
    ),
    *(_with_r(*wrong) for wrong in WRONG_R),
    Mistake(
        "LayerNorm",
        "this is LayerNorm's gradient: the mean of x is subtracted",
        dx=_layer_norm_dx,
        dgamma=_layer_norm_dgamma,
    ),
    Mistake(
        "swapped",
        "one is returned for the other",
        dx=lambda dy, x, gamma, eps: _rows(dy * x / rms(x, eps)),
        dgamma=lambda dy, x, gamma, eps: _dx(gamma * dy, x, rms(x, eps)),
    ),
    _of_dgamma("dgamma zero", "all zeros", lambda dy, x, gamma, r: _rows(0 * dy)),
    _of_dgamma(
        "dgamma averaged",
        "averaged over the batch; it is a sum",
        lambda dy, x, gamma, r: _rows(dy * x / r) * x.shape[-1] / x.size,
    ),
    _of_dgamma(
        "dgamma of the first row",
        "that of the first row alone; sum over the batch",
        lambda dy, x, gamma, r: _rows((dy * x / r).reshape(-1, x.shape[-1])[:1]),
    ),
    _of_dgamma(
        "dgamma of the last row",
        "that of the last row alone; add to it, do not overwrite it",
        lambda dy, x, gamma, r: _rows((dy * x / r).reshape(-1, x.shape[-1])[-1:]),
    ),
    _of_dgamma(
        "dgamma over one batch axis",
        "summed over the first batch axis only",
        lambda dy, x, gamma, r: (dy * x / r).sum(0) if x.ndim > 1 else dy * x / r,
    ),
    _of_dgamma(
        "dgamma over the last axis",
        "summed over the last axis; sum over the batch axes",
        lambda dy, x, gamma, r: (dy * x / r).sum(-1),
    ),
    _of_dgamma(
        "dgamma with an axis kept",
        "summed over the batch, but keeps an axis of length 1 (keepdims)",
        lambda dy, x, gamma, r: _rows(dy * x / r)[None],
    ),
    _of_dgamma("dgamma without 1/r", "1/r is missing", lambda dy, x, gamma, r: _rows(dy * x)),
    _of_dgamma(
        "dgamma over r²", "1/r is applied twice", lambda dy, x, gamma, r: _rows(dy * x / r**2)
    ),
    _of_dgamma(
        "dgamma with gamma",
        "gamma is a factor of dgamma, where it has no place",
        lambda dy, x, gamma, r: _rows(gamma * dy * x / r),
    ),
    _of_dgamma("dgamma without x", "x / r is missing", lambda dy, x, gamma, r: _rows(dy)),
    _of_dgamma(
        "dgamma's sign", "it has the wrong sign", lambda dy, x, gamma, r: -_rows(dy * x / r)
    ),
)
