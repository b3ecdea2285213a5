"""What layers of several kinds are made of: arrays, scores, gates."""

import numpy as np
from sympy import Abs, IndexedBase, Max, Min, Piecewise, Sum, Symbol, exp, sqrt

from rmsnorm_math.notation import b, epsilon, i, k, n, x
from tests.layers.record import H, S, c, h, l, normal, s, u

Q, K, V, W, U, B, A, a, w, g, z, beta = map(
    IndexedBase, ["Q", "K", "V", "W", "U", "B", "A", "a", "w", "g", "z", "beta"]
)
W1, W2, W3, W4, U1, U2, U3, U4 = map(IndexedBase, ["W1", "W2", "W3", "W4", "U1", "U2", "U3", "U4"])
tau, lam = Symbol("tau", positive=True), Symbol("lam", positive=True)
EPS = {epsilon: 0.1}
heads = {Q[b, h]: normal(b, h), K[s, h]: normal(s, h), V[s, c]: normal(s, c)}
rows, plane = {x[b, i]: normal(b, i)}, {x[b, c, s]: normal(b, c, s)}
up = lambda xp, v: xp.where(v > 0, v, 0 * v)
sig = lambda v: 1 / (1 + exp(-v))
scores = lambda at: Sum(Q[b, h] * K[at, h], (h, 1, H))
gap = np.abs(np.arange(3)[:, None] - np.arange(7))


def attend(score, mask=lambda at: 1):
    over = Sum(exp(score(u)) * mask(u), (u, 1, S))
    return Sum(exp(score(s)) * mask(s) * V[s, c], (s, 1, S)) / over


root = lambda base, *at: sqrt(Sum(base[(*at, l)] ** 2, (l, 1, H)) / H + epsilon)
rms_ = lambda v, e: v / ((v * v).mean(-1, keepdims=True) + e) ** 0.5
near = Piecewise((1, Abs(b - s) <= 2), (0, True))
edge = lambda at: Sum(a[k] * x[at, k], (k, 1, n))
leaky = lambda v: Max(v, 0) - Max(-v, 0) / 5
pre = lambda v, w, h: Sum(v[h, k] * x[b, k], (k, 1, n)) + Sum(w[h, l] * z[b, l], (l, 1, H))
norm_of = lambda at: sqrt(Sum(x[b, at, s] ** 2, (s, 1, S)))
flat = sqrt(Sum(x[b, c, u] ** 2, (u, 1, S)) / S + epsilon)
feature = lambda v: Max(v, 0) + exp(Min(v, 0))
