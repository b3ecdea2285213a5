"""PyTorch's own samples of rms_norm and RMSNorm, as torch.testing ships them, on the file to copy.

All are run: 6 samples of the function in 6 types, its 3 errors, and 6 inputs of the module in 2
types. Only the comparisons with differences leave some out: those of the complex types, which the
file hands to PyTorch's own function, and those of the types too short for differences.
"""

import copy
import pickle
from typing import Any

import pytest
import torch
from torch.testing._internal.common_methods_invocations import op_db
from torch.testing._internal.common_modules import module_db

from tests.peers.implementations import torch_snippet

(OP,) = (op for op in op_db if (op.name, op.variant_test_name) == ("nn.functional.rms_norm", ""))
(MODULE,) = (info for info in module_db if info.module_cls is torch.nn.RMSNorm)
DTYPES = sorted(OP.dtypes, key=str)
# PyTorch's own forward mode calls it.
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")


def samples(dtype: Any) -> list[Any]:
    torch.manual_seed(0)
    return list(OP.sample_inputs("cpu", dtype, requires_grad=True))


def inputs(dtype: Any) -> list[Any]:
    torch.manual_seed(0)
    options = {"device": "cpu", "dtype": dtype, "requires_grad": True, "training": True}
    return list(MODULE.module_inputs_func(MODULE, **options))


def test_these_are_as_many_as_the_page_says() -> None:
    assert len(DTYPES) == 6
    assert [len(samples(dtype)) for dtype in DTYPES] == [6] * 6
    assert len(list(OP.error_inputs("cpu"))) == 3
    assert [len(inputs(dtype)) for dtype in MODULE.dtypes] == [6] * 2


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("number", range(6))
def test_the_function_agrees(dtype: Any, number: int) -> None:
    sample = samples(dtype)[number]
    tensors = [t for t in (sample.input, *sample.args) if isinstance(t, torch.Tensor)]
    results = []
    for f in (torch_snippet.rms_norm, torch.nn.functional.rms_norm):
        y = f(sample.input, *sample.args, **sample.kwargs)
        results.append((y, *torch.autograd.grad(y, tensors, torch.ones_like(y))))
    # PyTorch multiplies by 1/r**3 where the file divides by r three times.
    rounding = {torch.float32: {"rtol": 1e-5, "atol": 1e-5}}.get(dtype, {})
    torch.testing.assert_close(*results, **rounding)


@pytest.mark.parametrize("number", range(6))
def test_derivatives_of_both_orders_and_modes(number: int) -> None:
    sample = samples(torch.float64)[number]
    shape, *weight = sample.args

    def f(x: Any, weight: Any = None) -> Any:
        return torch_snippet.rms_norm(x, shape, weight, **sample.kwargs)

    tensors = (sample.input, *weight)
    options = {"check_batched_grad": True, "fast_mode": True}
    assert torch.autograd.gradcheck(
        f, tensors, check_forward_ad=True, check_batched_forward_grad=True, **options
    )
    assert torch.autograd.gradgradcheck(
        f, tensors, check_fwd_over_rev=True, check_rev_over_rev=True, **options
    )


@pytest.mark.parametrize("number", range(3))
def test_what_pytorch_refuses_is_refused_as_it_says(number: int) -> None:
    error = list(OP.error_inputs("cpu"))[number]
    sample = error.sample_input
    with pytest.raises(error.error_type, match=error.error_regex):
        torch_snippet.rms_norm(sample.input, *sample.args, **sample.kwargs)


@pytest.mark.parametrize("dtype", MODULE.dtypes, ids=str)
@pytest.mark.parametrize("number", range(6))
def test_the_module_agrees(dtype: Any, number: int) -> None:
    given = inputs(dtype)[number]
    args, kwargs = given.constructor_input.args, given.constructor_input.kwargs
    ours = torch_snippet.RMSNorm(*args, dtype=dtype, **kwargs)
    theirs = torch.nn.RMSNorm(*args, dtype=dtype, **kwargs)
    for weight in theirs.parameters():
        torch.nn.init.normal_(weight)
    ours.load_state_dict(theirs.state_dict())
    again = copy.deepcopy(ours)
    again.load_state_dict(pickle.loads(pickle.dumps(ours.state_dict())))
    (x,) = given.forward_input.args
    results = []
    for module in (ours, again, theirs):
        y = module(x)
        results.append((y, *torch.autograd.grad(y.sin().sum(), (x, *module.parameters()))))
    rounding = {torch.float32: {"rtol": 1e-5, "atol": 1e-5}}.get(dtype, {})
    torch.testing.assert_close(results[0], results[2], **rounding)
    torch.testing.assert_close(results[1], results[0], rtol=0, atol=0)
