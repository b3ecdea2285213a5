"""Triton's interpreter, made to round to bfloat16 as a GPU does: by itself it truncates."""

from typing import Any

import ml_dtypes
import numpy as np
import triton.language as tl
from triton.runtime import interpreter

_convert = interpreter._convert_float


def _rounded(data: Any, source: Any, target: Any, mode: Any) -> Any:
    if (source, target) == (tl.float32, tl.bfloat16):
        return data.astype(ml_dtypes.bfloat16).view(np.uint16)
    return _convert(data, source, target, mode)


interpreter._convert_float = _rounded
