"""Compile and trace the Triton file as for a GPU, without one: `python -m tests.peers.gpu_less`.

Prints as JSON the shared memory of each kernel on an H100, and the kernels in a traced graph.
It needs a process of its own, since the interpreter takes the place of the compiler.
"""

import contextlib
import json
import sys
from pathlib import Path
from typing import Any

import torch
import triton
import triton.language as tl
from torch._subclasses import FakeTensorMode
from torch._subclasses.functional_tensor import dispatch_functionalize
from torch.fx.experimental.proxy_tensor import make_fx
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from rmsnorm_math.codegen import compiled as as_function
from tests.snippets.cases import ROOT, load

H100 = GPUTarget("cuda", 90, 32)
POINTERS = {torch.bfloat16: "*bf16", torch.float32: "*fp32", torch.float64: "*fp64"}


def compiled(kernel: Any, arguments: dict[str, Any], warps: int) -> Any:
    """Compile `kernel`: arguments that name a type are passed, the others are constants."""
    names = kernel.arg_names
    passed = {name for name in names if isinstance(arguments[name], str)}
    signature = {name: arguments[name] if name in passed else "constexpr" for name in names}
    constants = {(names.index(n),): arguments[n] for n in names if n not in passed}
    whole = {name for name in passed if not arguments[name].startswith("f")}
    aligned = {(names.index(n),): [["tt.divisibility", 16]] for n in whole}
    source = ASTSource(kernel, signature, constants, aligned)
    return triton.compile(source, target=H100, options={"num_warps": warps})


def shared_memory(snippet: Any) -> dict[str, int]:
    """Return the bytes of shared memory that each kernel takes, by row length and type."""
    found = {}
    for n, rows in ((1, 10**6), (128, 10**5), (768, 512), (4096, 8192), (16384, 4096), (10**5, 99)):
        for dtype, pointer in POINTERS.items():
            x = torch.empty(1, dtype=dtype)
            block, columns, warps, stages = snippet._tile(rows, n, x)
            kind = POINTERS[snippet._kind(dtype)]
            strides = {
                f"{name}_{axis}": "i64" if axis == "row" else 1
                for name in ("x", "x2", "dy", "dsum")
                for axis in ("row", "col")
            }
            arguments = (
                dict.fromkeys(
                    ("X", "X2", "GAMMA", "Y", "SUM", "DY", "DSUM", "DX", "DGAMMA"), pointer
                )
                | dict.fromkeys(("RSTD", "PARTS"), kind)
                | {"rows": "i32", "n": "i32", "parts": "i32", "ROWS": 64, "WIDE": n > columns}
                | {"EPS": 1e-6, "FLOOR": 1e-3, "OFFSET": 0.0, "STAGES": stages}
                | {"BLOCK": block, "COLUMNS": columns}
                | strides
            )
            backward = snippet._backward_wide if n > columns else snippet._backward
            for kernel in (snippet._forward, backward):
                name = f"{kernel.__name__} {n} {dtype}"
                found[name] = compiled(kernel, arguments, warps).metadata.shared
    parts = arguments | {"COLUMNS": 16}
    return found | {"_add_parts": compiled(snippet._add_parts, parts, 4).metadata.shared}


def traced(snippet: Any) -> str:
    """Return the graph of forward and backward on a GPU, as torch.compile decomposes it."""
    torch.cuda.device_of = lambda _: contextlib.nullcontext()

    def passes(x: Any, weight: Any, rstd: Any) -> Any:
        y, total = snippet.add_rms_norm(x, x, (700,), weight, 1e-6)
        dx, dgamma = snippet._gradients(y, total, x, weight, rstd, 700, 0.0, True)
        return y, total, dx, dgamma

    with FakeTensorMode():
        x = torch.empty(300, 700, device="cuda", dtype=torch.bfloat16)
        weight, rstd = (torch.empty(size, device="cuda") for size in (700, 300))
        graph = make_fx(dispatch_functionalize(passes))(x, weight, rstd)
    return str(graph.code)


def printed() -> None:
    """Write, as JSON, the shared memory of the kernels in the files of a folder.

    They are taken as `rmsnorm_math.function` takes them; numbers are passed, or in memory.
    """
    found = {}
    for path in sorted(Path(sys.argv[1]).glob("*.triton.py")):
        module = as_function(path.read_text("utf-8"), "backward").__globals__
        module["_multiprocessors"] = lambda _: 132
        for n, rows, dtype in ((4096, 8192, torch.bfloat16), (10**5, 99, torch.float32)):
            x, in_memory = torch.empty(1, dtype=dtype), dtype == torch.float32
            block, columns, warps, stages = module["_tile"](rows, n, x)
            kernel = module["_rows" if n <= module["WIDEST"] else "_wide"]
            arguments: dict[str, Any] = {
                name: POINTERS[dtype] if name.endswith(("_ptr", "_out")) else "i64"
                for name in kernel.arg_names
            }
            arguments |= {name: 1 for name in kernel.arg_names if name.endswith("_col")}
            arguments |= {n: "*fp32" for n in arguments if n.startswith("sum_")}
            for name in [n.removesuffix("_in_memory") for n in arguments if "_in_memory" in n]:
                arguments[f"{name}_ptr"] = "*fp32" if in_memory else "fp32"
                arguments[f"{name}_in_memory"] = in_memory
            arguments |= {"rows": "i32", "n": "i32", "kind": tl.float32, "BLOCK": block}
            arguments |= {"COLUMNS": columns, "STAGES": stages}
            shared = compiled(kernel, arguments, warps).metadata.shared
            found[f"{path.name} {n} {dtype}"] = shared
    sys.stdout.write(json.dumps(found))


def main() -> None:
    snippet: Any = load(ROOT / "docs/snippets/rmsnorm_triton.py")
    snippet._multiprocessors = lambda _: 132
    message = ""
    try:
        snippet.rms_norm(torch.ones(2, 3), (3,))
    except ValueError as refused:
        message = str(refused)
    record = {"refused": message, "graph": traced(snippet), "shared": shared_memory(snippet)}
    sys.stdout.write(json.dumps(record))


if __name__ == "__main__":
    main()
