"""Time derivations for a symbolic n, beside tensorgrad in the same rounds, and record them.

`nox -s bench` writes docs/data/derivations.json. Every round makes new symbols, so that nothing
is remembered from the one before, and the first round of each task is left out. Tasks without a
peer have a size, and are run at half of it as well: what doubling costs is their growth.
"""

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from functools import partial
from importlib import metadata
from itertools import count, pairwise
from pathlib import Path
from typing import Any

from sympy import (
    Expr,
    Idx,
    IndexedBase,
    Integer,
    Max,
    Mul,
    Piecewise,
    Sum,
    Symbol,
    exp,
    sin,
    sqrt,
    tanh,
)

from benchmarks import tensors
from benchmarks.machine import cpu
from rmsnorm_math import abbreviate, differentiate, evaluate, jacobian, vjp

RECORD = Path(__file__).parents[1] / "docs/data/derivations.json"
i, j, k, l, p, q, b = map(Idx, "ijklpqb")
n, m, d = (Symbol(letter, integer=True, positive=True) for letter in "nmd")
epsilon = Symbol("epsilon", nonnegative=True)
numbers = map(str, count())


class Bases(dict[str, IndexedBase]):
    """New bases by letter, others in each round."""

    def __init__(self) -> None:
        self.number = next(numbers)

    def __missing__(self, letter: str) -> IndexedBase:  # noqa: D105
        self[letter] = IndexedBase(letter + self.number)
        return self[letter]


def mean(f: Callable[[Expr], Expr], index: Expr = k, length: Expr = n) -> Expr:
    return Sum(f(index), (index, 1, length)) / length


def rmsnorm(s: Bases, a: Callable[[Expr], Expr]) -> Expr:
    return s["g"][i] * a(i) / sqrt(mean(lambda r: a(r) ** 2) + epsilon)


def centred(f: Callable[[Expr], Expr], names: str = "kl") -> Callable[[Expr], Expr]:
    mu, other = mean(f, Idx(names[0])), Idx(names[1])
    root = sqrt(mean(lambda r: (f(r) - mu) ** 2, other) + epsilon)
    return lambda own: (f(own) - mu) / root


def linear(s: Bases) -> Callable[[Expr], Expr]:
    return lambda row: Sum(s["W"][row, l] * s["x"][l], (l, 1, m))


def attention(s: Bases) -> Expr:
    score = lambda row: Sum(s["q"][l] * s["K"][row, l], (l, 1, m))  # noqa: E731
    weights = Sum(exp(score(p)) * s["V"][p, i], (p, 1, n))
    return weights / Sum(exp(score(k)), (k, 1, n))


def network(s: Bases, depth: int, activation: Callable[[Expr], Expr]) -> Expr:
    indices = [*(Idx(f"h{layer}") for layer in range(depth)), i]
    value = s["x"][indices[0]]
    for layer, (inner, outer) in enumerate(pairwise(indices)):
        value = activation(Sum(s[f"W{layer}"][outer, inner] * value, (inner, 1, n)))
    return value


def nested_sines(s: Bases, size: int) -> Expr:
    value = s["x"][i]
    for _ in range(size):
        value = sin(value)
    return value


def dependent(s: Bases, size: int) -> Expr:
    ends = [*(Idx(f"h{level}") for level in range(size)), n]
    value = Integer(1)
    for index, end in pairwise(ends):
        value = Sum(s["x"][index] * value, (index, 1, end))
    return value


def branches(s: Bases, size: int) -> Expr:
    value = Integer(1)
    for at in range(size):
        value *= Piecewise((s["x"][k] + at, s["x"][k] > at), (s["x"][k] / (at + 2), True))
    return Sum(value, (k, 1, n))


def quadratic(s: Bases) -> Expr:
    return Sum(s["x"][i] * s["A"][i, k] * s["x"][k], (i, 1, n), (k, 1, n))


def cosine(s: Bases) -> Expr:
    dot = lambda u, v: Sum(u[k] * v[k], (k, 1, n))  # noqa: E731
    return dot(s["a"], s["x"]) / sqrt(dot(s["a"], s["a"]) * dot(s["x"], s["x"]))


def hessian(expr: Expr, base: IndexedBase) -> Expr:
    return differentiate(differentiate(expr, base[j]), base[k])


def layer_norm_of_tanh_of_layer_norm(s: Bases) -> Expr:
    inner = centred(lambda r: s["x"][r], "pq")
    return centred(lambda r: tanh(inner(r)))(i)


def eight_factors(s: Bases) -> Expr:
    """Return a product that is nearly what `eight_indices` looks for."""
    return Mul(*(s["x"][Idx(f"k{at}")] + s["a"][Idx(f"k{at}")] for at in range(8)))


def eight_indices(s: Bases, expr: Expr) -> Expr:
    indices = [Idx(f"h{at}") for at in range(8)]
    *most, last = (s["x"][h] + s["a"][h] for h in indices)
    return abbreviate(expr, {s["u"][tuple(indices)]: Mul(*most) * (last + s["c"][indices[-1]])})


def power(s: Bases, expr: Expr) -> Expr:
    return evaluate(expr, {s["x"]: ["2/3", "5/7"], epsilon: "123457/100003"}, n=2)


Build = Callable[[Bases], Expr]
Derive = Callable[[Bases, Expr], Expr]


def along(letter: str, *index: Expr, length: Expr = n) -> Derive:
    """Return the backward pass by an element."""
    return lambda s, y: vjp(y, s[letter][index], s["y"][i], {i: (1, length)})


def entry(s: Bases, y: Expr) -> Expr:
    return jacobian(y, s["x"][j])


def over_batch(s: Bases, y: Expr) -> Expr:
    return vjp(y, s["g"][j], s["y"][b, i], {b: (1, m)})


def double(s: Bases, y: Expr) -> Expr:
    return vjp(vjp(y, s["x"][j], s["y"][i]), s["x"][k], s["v"][j])


def own(s: Bases) -> Expr:
    return rmsnorm(s, lambda r: s["x"][r])


def softmax(s: Bases) -> Expr:
    return exp(s["x"][i]) / Sum(exp(s["x"][k]), (k, 1, n))


PAIRED: dict[str, tuple[Build, Derive]] = {
    "RMSNorm, Jacobian": (own, entry),
    "RMSNorm, VJP": (own, along("x", j)),
    "RMSNorm, dgamma over a batch": (lambda s: rmsnorm(s, lambda r: s["x"][b, r]), over_batch),
    "RMSNorm, VJP of the VJP": (own, double),
    "LayerNorm, Jacobian": (lambda s: s["g"][i] * centred(lambda r: s["x"][r])(i), entry),
    "LayerNorm, VJP": (lambda s: s["g"][i] * centred(lambda r: s["x"][r])(i), along("x", j)),
    "softmax, Jacobian": (softmax, entry),
    "softmax, VJP": (softmax, along("x", j)),
    "linear and RMSNorm, VJP by x": (lambda s: rmsnorm(s, linear(s)), along("x", q)),
    "linear and RMSNorm, VJP by W": (lambda s: rmsnorm(s, linear(s)), along("W", p, q)),
    "attention, VJP by q": (attention, along("q", j, length=d)),
    "attention, VJP by K": (attention, along("K", j, q, length=d)),
    "attention, VJP by V": (attention, along("V", j, q, length=d)),
    "quadratic form, gradient": (quadratic, entry),
    "quadratic form, Hessian": (quadratic, lambda s, y: hessian(y, s["x"])),
    "cosine, gradient": (cosine, entry),
    "cosine, Hessian": (cosine, lambda s, y: hessian(y, s["x"])),
}
SIZED: dict[str, tuple[Callable[[Bases, int], Expr], Derive, int]] = {
    "nested sines": (nested_sines, entry, 32),
    "layers of tanh": (lambda s, size: network(s, size, tanh), along("x", j), 8),
    "layers of ReLU": (
        lambda s, size: network(s, size, lambda a: Max(a, 0, evaluate=False)),
        along("x", j),
        4,
    ),
    "sums, each to the index of the next": (dependent, entry, 8),
    "two-branch conditions in one sum": (branches, entry, 5),
}
ALONE: dict[str, tuple[Build, Derive]] = {
    "LayerNorm of tanh of LayerNorm, VJP": (layer_norm_of_tanh_of_layer_norm, along("x", j)),
    "abbreviation with eight indices": (eight_factors, eight_indices),
    "value of a power like 123457/100003": (lambda s: Sum(s["x"][k] ** epsilon, (k, 1, n)), power),
}


def timed(call: Callable[[], Any]) -> float:
    start = time.process_time()
    call()
    return 1e3 * (time.process_time() - start)


def ours(build: Build, derive: Derive) -> float:
    bases = Bases()
    expr = build(bases)
    return timed(lambda: derive(bases, expr))


def row(name: str, rounds: int) -> dict[str, Any]:
    """Return the medians of one task in ms; `ratio` is theirs over ours in the same round."""
    if name in SIZED:
        build, derive, size = SIZED[name]
        times = {
            at: [ours(partial(build, size=at), derive) for _ in range(rounds + 1)][1:]
            for at in (size // 2, size)
        }
        whole, half = (statistics.median(times[at]) for at in (size, size // 2))
        return {"task": name, "ms": whole, "size": size, "growth": whole / half}
    build, derive = (PAIRED | ALONE)[name]
    if name in ALONE:
        alone = [ours(build, derive) for _ in range(rounds + 1)][1:]
        return {"task": name, "ms": statistics.median(alone)}
    pairs = [
        (ours(build, derive), timed(tensors.derivation(name, next(numbers))))
        for _ in range(rounds + 1)
    ][1:]
    mine, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(other / own_ for own_, other in pairs)
    return {"task": name, "ms": mine, "tensorgrad": theirs, "ratio": ratio}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="three rounds each")
    quick = parser.parse_args().quick
    rows = []
    rounds = 3 if quick else 5
    for name in [*PAIRED, *SIZED, *ALONE]:
        rows.append(row(name, rounds))
        print(json.dumps(rows[-1]), flush=True)
    record = {
        "about": (
            "medians of the CPU time in ms, with new symbols each round; ratio: tensorgrad's over "
            "ours in the same round; growth: what doubling the size costs"
        ),
        "versions": {"python": platform.python_version()}
        | {package: metadata.version(package) for package in ("sympy", "tensorgrad")},
        "machine": {"cpu": cpu(), "system": f"{platform.system()} {platform.machine()}"},
        "rounds": rounds,
        "rows": rows,
    }
    RECORD.write_text(json.dumps(record, indent=1) + "\n", "utf-8")
    print(f"Wrote {RECORD.name}")


if __name__ == "__main__":
    main()
