"""Tests against PyTorch, JAX and Numba; `nox -s peers` runs them."""
