"""Check anyone's forward and backward pass against the derivation: RMSNorm's, or any layer's.

Everything here needs NumPy; the rest of the package does not.
"""

from rmsnorm_math.verify.files import read_results, write_cases
from rmsnorm_math.verify.of_layer import assert_right, check
from rmsnorm_math.verify.of_rmsnorm import (
    assert_backward,
    assert_forward,
    check_backward,
    check_forward,
)
from rmsnorm_math.verify.report import Report

__all__ = [
    "Report",
    "assert_backward",
    "assert_forward",
    "assert_right",
    "check",
    "check_backward",
    "check_forward",
    "read_results",
    "write_cases",
]
