"""Write docs/data/peers.json: what the tests here measure, for the page on the snippets."""

import json
import math
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from tests.peers.implementations import DTYPES, LENGTHY, OFFSET, OTHERS, SNIPPETS
from tests.snippets.cases import (
    LONG,
    NAMES,
    RECORD,
    SCALES,
    distance,
    errors,
    long_case,
    of_length,
    recorded_sources,
)

VERSIONS = ("jax", "ml_dtypes", "numba", "numpy", "torch", "triton")


def finite(values: dict[str, float]) -> dict[str, float | None]:
    return {k: float(f"{v:.3g}") if math.isfinite(v) else None for k, v in values.items()}


def main() -> None:
    both = SNIPPETS | OTHERS
    by_type = {
        name: {t: finite(errors(f, DTYPES[t], offset=OFFSET.get(name, 0.0))) for t in DTYPES}
        for name, f in both.items()
    }
    by_scale: dict[str, Any] = {}
    for name in [*SNIPPETS, "PyTorch rms_norm", "JAX autodiff"]:
        worst = {f"{s:g}": max(errors(both[name], np.float32, scale=s).values()) for s in SCALES}
        by_scale[name] = finite(worst)
    by_size: dict[str, Any] = {
        name: {} for name in by_scale if name not in SNIPPETS or name in LENGTHY
    }
    for shape in LONG:
        dy, x, gamma = long_case(shape)
        want = of_length(dy, x, gamma, 1e-6)
        for name, row in by_size.items():
            got = zip(NAMES, both[name](dy, x, gamma, 1e-6), want, strict=True)
            row[f"{shape[0]} x {shape[1]}"] = finite({k: distance(a, b) for k, a, b in got})
    record = {
        "about": "largest errors of y, dx and dgamma over the largest element; null: not finite",
        "versions": {"python": platform.python_version()}
        | {name: metadata.version(name) for name in VERSIONS},
        "sources": recorded_sources(),
        "by_type": by_type,
        "float32_by_scale": by_scale,
        "float32_by_size": by_size,
    }
    Path(RECORD).write_text(json.dumps(record, indent=1) + "\n", "utf-8")
    print(f"Wrote {RECORD.relative_to(RECORD.parents[2])}")


if __name__ == "__main__":
    main()
