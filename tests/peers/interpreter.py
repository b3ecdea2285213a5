"""Triton's interpreter, nearer to a GPU: it rounds to bfloat16, and no number raises a warning."""

from typing import Any

import ml_dtypes
import numpy as np
import triton.language as tl
from triton.runtime import interpreter

_convert = interpreter._convert_float
_call = interpreter.GridExecutor.__call__


def _rounded(data: Any, source: Any, target: Any, mode: Any) -> Any:
    if (source, target) == (tl.float32, tl.bfloat16):
        return data.astype(ml_dtypes.bfloat16).view(np.uint16)
    return _convert(data, source, target, mode)


def _quiet(self: Any, *args: Any, **options: Any) -> Any:
    with np.errstate(all="ignore"):  # what is beyond the end of a row is not stored
        return _call(self, *args, **options)


interpreter._convert_float = _rounded
interpreter.GridExecutor.__call__ = _quiet
