"""What pages show of PyTorch and JAX, and the files that record it."""

import json
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

DATA = Path(__file__).parents[2] / "docs/data"


def record(name: str, *packages: str, **measured: Any) -> None:
    """Write docs/data/`name`.json: the versions, and what was measured."""
    versions = {"Python": platform.python_version()} | {p: metadata.version(p) for p in packages}
    text = json.dumps({"versions": versions} | measured, indent=1)
    DATA.mkdir(exist_ok=True)
    (DATA / f"{name}.json").write_text(text + "\n", "utf-8")


def digits(value: float) -> float:
    """Return `value` with two digits."""
    return float(f"{value:.1e}")
