"""The measurements recorded in docs/data, for the pages that show them."""

import json
from pathlib import Path

DATA = Path(__file__).parent / "data"


def load(name):
    return json.loads((DATA / f"{name}.json").read_text("utf-8"))


def number(value):
    """Return two digits of an error, and words where it is not finite."""
    if value is None:
        return "not finite"
    digits, exponent = f"{value:.1e}".split("e")
    if int(exponent) == 0 or not value:
        return digits if value else "0"
    return f"{digits}·10<sup>{int(exponent)}</sup>"


def versions(record):
    return ", ".join(f"{written(name)} {version}" for name, version in record["versions"].items())


def written(name):
    """Return the name of a package as its makers write it."""
    names = ("CUDA", "JAX", "Numba", "NumPy", "Python", "PyTorch", "SymPy", "Triton")
    return {"torch": "PyTorch"}.get(name) or next((n for n in names if n.lower() == name), name)
