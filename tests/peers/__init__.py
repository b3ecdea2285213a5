"""Tests against PyTorch, JAX, Numba and Triton; `nox -s peers` runs them."""

import os

os.environ.setdefault("TRITON_INTERPRET", "1")  # kernels run on a CPU; read by Triton's import
