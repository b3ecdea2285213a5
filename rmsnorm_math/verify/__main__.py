"""Check a program in any language: ``python -m rmsnorm_math.verify write DIR``, ``read DIR``."""

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rmsnorm_math.errors import Refused
from rmsnorm_math.verify.files import manifest_of, read_layer, write_layer
from rmsnorm_math.verify.rmsnorm import PLACES, Convention, backward_of, forward_of
from rmsnorm_math.verify.sampling import UNIT


def main(arguments: Sequence[str] | None = None) -> int:
    """Write cases or read results; return 1 if the results are wrong, 2 if nothing can be done."""
    given = _parser().parse_args(arguments)
    try:
        return (_write if given.action == "write" else _read)(given)
    except (Refused, OSError) as refusal:
        sys.stderr.write(f"{refusal}\n")
        return 2


def _parser() -> ArgumentParser:
    parser = ArgumentParser("python -m rmsnorm_math.verify", description=__doc__)
    actions = parser.add_subparsers(dest="action", required=True)
    writing = actions.add_parser("write", help="write the cases into a new folder")
    writing.add_argument("directory", type=Path)
    writing.add_argument("--forward", action="store_true", help="the forward pass: y")
    writing.add_argument("--dtype", choices=UNIT, default="float64")
    writing.add_argument("--eps", choices=PLACES, default="inside", help="where epsilon stands")
    writing.add_argument("--offset", type=float, default=0, help="1 where the weight is 1 + gamma")
    writing.add_argument("--no-gamma", action="store_true", help="a layer without a weight")
    writing.add_argument("--residual", action="store_true", help="dres is added to dx")
    writing.add_argument("--outputs", nargs="+", help="dx, dgamma or both, in order")
    writing.add_argument("--epsilons", nargs="+", type=float, help="the only values of epsilon")
    writing.add_argument("--shapes", nargs="+", type=_shape, help="shapes of x, such as 4x16")
    reading = actions.add_parser("read", help="judge the results beside the cases")
    reading.add_argument("directory", type=Path)
    reading.add_argument("--tolerance", type=float, default=1, help="a factor of the error allowed")
    return parser


def _shape(text: str) -> tuple[int, ...]:
    shape = tuple(int(length) for length in text.split("x"))
    if not shape or min(shape) < 0 or shape[-1] < 1:
        raise ValueError(text)
    return shape


def _write(given: Namespace) -> int:
    options = {
        "forward": given.forward,
        "eps": given.eps,
        "offset": given.offset,
        "gamma": not given.no_gamma,
        "residual": given.residual,
        "outputs": given.outputs,
        "epsilons": given.epsilons,
        "shapes": given.shapes,
    }
    convention = _convention(options)
    count = write_layer(
        given.directory,
        convention.layer,
        {"options": options},
        dtype=given.dtype,
        **_limits(convention, options),
    )
    layer = convention.layer
    files = " and ".join(f"{name}.npy" for name in layer.names)
    sys.stdout.write(
        f"{count} cases in {given.directory}: {layer.signature}.\n"
        f"Write {files} into each folder, then\n"
        f"python -m rmsnorm_math.verify read {given.directory}\n"
    )
    return 0


def _read(given: Namespace) -> int:
    manifest = manifest_of(given.directory)
    try:
        options, dtype = manifest["options"], manifest["dtype"]
        convention = _convention(options)
        limits = _limits(convention, options)
    except (KeyError, TypeError):
        raise Refused(
            f"the cases in {given.directory} are of a layer of your own: read them in Python, "
            f"with rmsnorm_math.verify.read_results."
        ) from None
    report = read_layer(
        given.directory,
        convention.layer,
        dtype=dtype,
        tolerance=given.tolerance,
        others=convention.others,
        **limits,
    )
    sys.stdout.write(f"{report}\n")
    return 0 if report.ok else 1


def _convention(options: dict[str, Any]) -> Convention:
    common = options["eps"], options["offset"], options["gamma"], options["residual"]
    return forward_of(*common) if options["forward"] else backward_of(*common, options["outputs"])


def _limits(convention: Convention, options: dict[str, Any]) -> dict[str, Any]:
    return {"shapes": options["shapes"], "values": convention.epsilons(options["epsilons"])}


if __name__ == "__main__":
    sys.exit(main())
