"""The symbols of this project, each in one place.

Indices count from 1, as in mathematics. The names are plain SymPy objects
without shapes or assumptions on the bases: `IndexedBase("x")` written by a
reader is the very same `x`.
"""

from sympy import Idx, IndexedBase, Symbol

x = IndexedBase("x")
"""The input of the layer, ``x[i]`` or, in a batch, ``x[b, i]``."""

gamma = IndexedBase("gamma")
"""The weight of the layer, ``gamma[i]``."""

ybar = IndexedBase("ybar")
r"""The cotangent of the output, :math:`\bar{y}_i = \partial L/\partial y_i`."""

xdot = IndexedBase("xdot")
r"""A tangent of the input, :math:`\dot{x}_i`."""

xhat = IndexedBase("xhat")
r"""The normalised input, :math:`\hat{x}_i = x_i/r`."""

n = Symbol("n", integer=True, positive=True)
"""The length of the normalised axis."""

m = Symbol("m", integer=True, positive=True)
"""The number of rows in a batch."""

epsilon = Symbol("epsilon", nonnegative=True)
"""The constant under the root."""

r = Symbol("r", positive=True)
"""The rms, as one symbol; see :func:`rmsnorm_math.abbreviate`."""

i = Idx("i")
"""The index of an output."""

j = Idx("j")
"""The index of an input."""

k = Idx("k")
"""The index that a sum binds."""

b = Idx("b")
"""The index of a row in a batch."""
