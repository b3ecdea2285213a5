"""Wrong gradients of RMSNorm that were read in public code or in its documentation.

Each is what the derivation becomes by one change, with a link to where it was read, and a sentence
for the reports. Some have been mended since; the point is the test that would have caught them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from sympy import Eq, Expr, IndexedBase, Piecewise, S

from rmsnorm_math.layers import rms
from rmsnorm_math.notation import b, epsilon, gamma, i, j, x, ybar
from rmsnorm_math.verify.faults import ALONG_COLUMNS, NOT_SUMMED
from rmsnorm_math.verify.formulas import parts_of

#: What makes the wrong outputs from the right ones, ``{"dx": ..., "dgamma": ...}``.
Change = Callable[[Mapping[str, Expr]], dict[str, Expr]]
R = IndexedBase("r")
X = {x[b, i]: Piecewise((0, Eq(gamma[i], 0)), (x[b, i], True)) for i in (i, j)}
WITHOUT_EPS = rms(b).xreplace({epsilon: S.Zero})


@dataclass(frozen=True)
class Seen:
    """A wrong gradient: its name, what a report says of it, the change, and where it was read.

    A mistake with arrays has no change: it is the one of `faults` that is called what `says` says.
    """

    name: str
    says: str
    change: Change | None = field(repr=False)
    seen: str


def _file(repository: str, commit: str, path: str, lines: str = "") -> str:
    label = f"{repository} at {commit[:7]}"
    anchor = f"#{lines}" if lines else ""
    return f"[{label}](https://github.com/{repository}/blob/{commit}/{path}{anchor})"


def _thread(repository: str, kind: str, number: int) -> str:
    return f"[{repository} #{number}](https://github.com/{repository}/{kind}/{number})"


def _terms(change: Callable[[Expr, Expr], Expr]) -> Change:
    """Return the change of dx that `change` makes of its first and its second term."""

    def changed(right: Mapping[str, Expr]) -> dict[str, Expr]:
        first, second, *rest = parts_of(right["dx"])
        return {"dx": change(first, second) + sum(rest, S.Zero)}

    return changed


def _without_gamma(expr: Expr) -> Expr:
    return expr.replace(lambda e: getattr(e, "base", None) == gamma, lambda _: S.One)


def _each(change: Callable[[Expr], Expr]) -> Change:
    return lambda right: {name: change(expr) for name, expr in right.items()}


def _offset(expr: Expr) -> Expr:
    return expr.replace(lambda e: getattr(e, "base", None) == gamma, lambda e: 1 + e)


LIGER = _file("linkedin/Liger-Kernel", "43c5fe1bbfe7", "src/liger_kernel/ops/rms_norm.py")
MEGATRON = _file(
    "NVIDIA/Megatron-LM",
    "00caa53af309",
    "megatron/core/transformer/custom_layers/batch_invariant_kernels.py",
    "L917",
)

WILD: tuple[Seen, ...] = (
    Seen(
        "gamma outside the sum",
        "gamma stands outside the sum: that is the Jacobian times dy, not its transpose; "
        "the sum is over gamma * dy * x",
        lambda right: {"dx": gamma[j] * _without_gamma(right["dx"])},
        _file("chrisjob1021/transformer-examples", "cc9da9af1253", "norm/rmsnorm.ipynb"),
    ),
    Seen(
        "gamma twice in the second term",
        "gamma is applied twice in the second term: it belongs inside the sum only",
        _terms(lambda first, second: first + gamma[j] * second),
        f"{MEGATRON}; " + _file("maderix/ANE", "236e495a01bd", "training/stories_cpu_ops.h"),
    ),
    Seen(
        "r² for r³",
        "the second term is divided by r**2 where r**3 is right",
        _terms(lambda first, second: first + second * R[b]),
        _file(
            "BrantleighBunting/linalg",
            "2e699e3c142e",
            "ai_comps/normalization.py",
            "L146",
        )
        + "; "
        + _file("maderix/ANE", "7ea45c2fabcb", "training/backward.h"),
    ),
    Seen(
        "r⁴ for r³",
        "the second term is divided by r**4 where r**3 is right",
        _terms(lambda first, second: first + second / R[b]),
        _file(
            "luengnat/rustane",
            "54adcb8b3308",
            "src/layers/transformer_backward.rs",
            "L59-L63",
        ),
    ),
    Seen(
        "rms as a constant",
        "the second term is missing: the rms was taken for a constant, but it depends on x",
        _terms(lambda first, _: first),
        _file(
            "AteniaEngine/ateniaengine",
            "11286b2bd5ed",
            "src/simd_fused_kernels/fused_rmsnorm_backward.rs",
        )
        + "; "
        + _thread("ooples/AiDotNet", "pull", 695),
    ),
    Seen(
        "eps placed in two ways",
        "eps is added outside the root in the first term and inside in the second",
        _terms(
            lambda first, second: (
                first.xreplace({R[b]: WITHOUT_EPS + epsilon}) + second * R[b] / WITHOUT_EPS
            )
        ),
        _file("kakaobrain/trident", "0378ea2e1ce8", "trident/kernel/rms_norm.py"),
    ),
    Seen(
        "the mean square for 1/r",
        "the mean square stands where 1/r is right",
        _each(lambda expr: expr.xreplace({R[b]: WITHOUT_EPS**-2})),
        _thread("flagos-ai/FlagGems", "pull", 5771) + " (mended there; the cause was a compiler)",
    ),
    Seen(
        "1 + gamma in the backward only",
        "1 + gamma stands where gamma is asked for; if that is meant, say offset=1",
        _each(_offset),
        MEGATRON,
    ),
    Seen(
        "dgamma not summed",
        NOT_SUMMED,
        None,
        _file(
            "xiaobingling93-pixel/Ascend-mstt",
            "8401c942e6b6",
            "debug/accuracy_tools/msprobe/pytorch/bench_functions/rms_norm.py",
        ),
    ),
    Seen(
        "eps missing",
        "eps is missing",
        _each(lambda expr: expr.xreplace({R[b]: WITHOUT_EPS})),
        f"{LIGER}, in the docstring of the forward (the kernel has it)",
    ),
    Seen(
        "a parenthesis",
        "dy multiplies the second term as well: a parenthesis is misplaced",
        _terms(lambda first, second: first + ybar[b, j] * second),
        f"{LIGER}, in the docstring of the backward (the kernel is right)",
    ),
    Seen(
        "gamma not in the sum",
        "gamma is forgotten inside the sum, which is over gamma * dy * x",
        _terms(lambda first, second: first + _without_gamma(second)),
        _file("clocksmith/doppler", "0dcb09136983", "tests/training/browser/test-page.js")
        + " (a page for tests; mended since)",
    ),
    Seen(
        "divided by gamma",
        "x counts as 0 where gamma is 0, as if it were recomputed from the output by dividing by "
        "gamma, clamped",
        _each(lambda expr: expr.xreplace(X)),
        _file("NVIDIA/apex", "6424da3b", "csrc/layer_norm_cuda_kernel.cu", "L755")
        + " (`memory_efficient`, which says so)",
    ),
    Seen(
        "row sums laid along columns",
        ALONG_COLUMNS,
        None,
        _thread("BobMcDear/attorch", "issues", 17) + " (fixed)",
    ),
)
