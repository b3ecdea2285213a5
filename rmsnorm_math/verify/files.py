"""The check by files, for programs in any language: write the cases, read the results."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from sympy import Expr

from rmsnorm_math.errors import Refused
from rmsnorm_math.verify.cases import Case
from rmsnorm_math.verify.diagnosis import Others
from rmsnorm_math.verify.layer import Layer, layer_of
from rmsnorm_math.verify.report import Report
from rmsnorm_math.verify.run import asked_for, run

MANIFEST = "manifest.json"


class Unreadable(Exception):
    """A file that is missing, or holds something else."""

    def __init__(self, says: str) -> None:
        super().__init__(says)
        self.says = says


def write_cases(
    directory: str | Path,
    outputs: Mapping[Any, Expr],
    arguments: Mapping[Any, str],
    where: Mapping[Any, Expr] | None = None,
    **options: Any,
) -> int:
    """Write the cases of `check` as files, and return how many there are.

    Parameters
    ----------
    directory : path
        Each case gets a folder in it, ``000`` and so on, with a ``.npy`` for each argument; a
        number is an array without axes. ``manifest.json`` lists what is there and what is to be
        written beside it. For bfloat16 the arrays are float32.
    outputs, arguments, where
        As in `check`.
    **options
        ``dtype``, ``shapes`` and ``values``, as in `check`.

    Raises
    ------
    TypeError, ValueError
        As `check`, or if the directory holds anything: nothing is overwritten.
    """
    return write_layer(Path(directory), layer_of(outputs, arguments, where), {}, **options)


def read_results(
    directory: str | Path,
    outputs: Mapping[Any, Expr],
    arguments: Mapping[Any, str],
    where: Mapping[Any, Expr] | None = None,
    **options: Any,
) -> Report:
    """Report on the results beside the cases that `write_cases` wrote, given the same arguments."""
    return read_layer(Path(directory), layer_of(outputs, arguments, where), **options)


def write_layer(
    directory: Path,
    layer: Layer,
    noted: Mapping[str, Any],
    *,
    dtype: str = "float64",
    shapes: Any = None,
    values: Any = None,
) -> int:
    """Write the cases of a layer; `noted` goes into the manifest."""
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise Refused(f"{directory} is there already: nothing is overwritten. Name a new folder.")
    listed = []
    for number, (_, asked, _) in enumerate(asked_for(layer, dtype, shapes, values, 1)):
        folder = directory / f"{number:03}"
        folder.mkdir(parents=True)
        arrays = _named(asked.case)
        for name, array in arrays.items():
            np.save(folder / f"{name}.npy", array, allow_pickle=False)
        listed.append(
            {
                "folder": folder.name,
                "arguments": {name: _described(array) for name, array in arrays.items()},
                "outputs": {
                    name: {"shape": list(right.shape)}
                    for name, right in zip(layer.names, asked.right, strict=True)
                },
            }
        )
    manifest = {
        "what to do": f"for each folder, compute {' and '.join(layer.names)} from "
        f"{layer.signature} and write each as NAME.npy beside them",
        "dtype": dtype,
        "arguments": list(layer.arguments.values()),
        "outputs": list(layer.names),
        **noted,
        "cases": listed,
    }
    (directory / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", "utf-8")
    return len(listed)


def read_layer(
    directory: Path,
    layer: Layer,
    *,
    dtype: str = "float64",
    shapes: Any = None,
    values: Any = None,
    tolerance: float = 1,
    others: Others = tuple,
) -> Report:
    """Report on the results in `directory`."""
    known: set[str] = set()

    def call(case: Case, _given: list[Any]) -> tuple[Any, ...]:
        folder = directory / f"{len(known):03}"
        known.add(folder.name)
        for name, array in _named(case).items():
            if not np.array_equal(_loaded(folder / f"{name}.npy"), array):
                raise Unreadable(f"{name}.npy is not what was written")
        return tuple(_loaded(folder / f"{name}.npy") for name in layer.names)

    report = run(
        call,
        layer,
        f"the results in {directory}",
        dtype=dtype,
        shapes=shapes,
        values=values,
        factor=tolerance,
        others=others,
        folders=True,
    )
    expected = {f"{name}.npy" for name in (*layer.arguments.values(), *layer.names)}
    surplus = sorted(
        str(path.relative_to(directory))
        for path in directory.rglob("*.npy")
        if path.name not in expected or path.parent.name not in known
    )
    if not surplus:
        return report
    more = f" and {len(surplus) - 3} more" if len(surplus) > 3 else ""
    says = f"belongs to no output or case: {', '.join(surplus[:3])}{more}"
    return replace(report, problems=(*report.problems, says))


def manifest_of(directory: Path) -> dict[str, Any]:
    """Return the manifest that `write_cases` wrote."""
    try:
        manifest = json.loads((directory / MANIFEST).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise Refused(
            f"there are no cases in {directory} ({MANIFEST} cannot be read: {error}). "
            f"Write them first: python -m rmsnorm_math.verify write {directory}"
        ) from None
    if not isinstance(manifest, dict):
        raise Refused(f"{directory / MANIFEST} is no manifest.")
    return manifest


def _named(case: Case) -> dict[str, Any]:
    names = case.layer.arguments.values()
    pairs = zip(names, case.arguments, strict=True)
    return {name: np.asarray(v, dtype=getattr(v, "dtype", float), order="C") for name, v in pairs}


def _described(array: Any) -> dict[str, Any]:
    return {"shape": list(array.shape), "dtype": str(array.dtype)}


def _loaded(path: Path) -> Any:
    if not path.is_file():
        raise Unreadable(f"{path.name} is missing")
    try:
        return np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise Unreadable(f"{path.name} is no .npy file ({error})") from None
