"""Layers and losses as people write them: in index notation, and as a forward pass by hand.

`TABLE` in `everything.py` holds them all; `nox -s tests` runs what is printed for NumPy against
differences of the forward, and `nox -s peers` what is printed for PyTorch and JAX against theirs.
"""
