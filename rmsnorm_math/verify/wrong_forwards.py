"""The variants of the forward that get mistaken for each other, and the known wrong forwards."""

# The formulas share one signature, whether they use every argument or not.
# ruff: noqa: ARG005

from rmsnorm_math.verify.mistakes import RMS, WITHOUT_EPS, WRONG_R, Formula, Mistake, mean, rms


def _with_r(name: str, says: str, r: Formula) -> Mistake:
    return Mistake(name, says, y=lambda x, gamma, eps: gamma * x / r(x, eps))


def _of_y(name: str, says: str, formula: Formula) -> Mistake:
    return Mistake(name, says, y=lambda x, gamma, eps: formula(x, gamma, rms(x, eps)))


FORWARD: tuple[Mistake, ...] = (
    _with_r("inside", "eps is inside the root; if that is meant, say eps='inside'", RMS["inside"]),
    _with_r(
        "outside",
        "eps is added outside the root, to the rms; if that is meant, say eps='outside'",
        RMS["outside"],
    ),
    _with_r(
        "max",
        "eps is a floor, max(mean(x**2), eps); if that is meant, say eps='max'",
        RMS["max"],
    ),
    *(_with_r(*wrong) for wrong in (WITHOUT_EPS, *WRONG_R)),
    _of_y(
        "1 + gamma",
        "the weight is taken as 1 + gamma; if that is meant, say offset=1",
        lambda x, gamma, r: (1 + gamma) * x / r,
    ),
    _of_y(
        "gamma without the offset",
        "gamma is used as it is, where 1 + gamma was asked for (offset=1)",
        lambda x, gamma, r: (gamma - 1) * x / r,
    ),
    _of_y("gamma left out", "gamma is left out", lambda x, gamma, r: x / r),
    _of_y(
        "no root",
        "the root is missing: x / (mean(x**2) + eps)",
        lambda x, gamma, r: gamma * x / r**2,
    ),
    _of_y(
        "multiplied by r",
        "x is multiplied by the rms, not divided",
        lambda x, gamma, r: gamma * x * r,
    ),
    _with_r(
        "mean over the first axis",
        "the mean is taken over the first axis, not over the last",
        lambda x, eps: ((x * x).mean(0) + eps) ** 0.5,
    ),
    Mistake(
        "LayerNorm",
        "this is LayerNorm: the mean of x is subtracted",
        y=lambda x, gamma, eps: gamma * (x - mean(x)) / rms(x - mean(x), eps),
    ),
    Mistake(
        "divided by the standard deviation",
        "x is divided by its standard deviation, not by its root-mean-square",
        y=lambda x, gamma, eps: gamma * x / rms(x - mean(x), eps),
    ),
)
