"""The check accepts PyTorch's own gradients, and explains what PyTorch refuses."""

import torch

from rmsnorm_math.verify import assert_backward, assert_forward, check_backward

from .test_torch_layer import backward


def test_pytorchs_autograd_passes_in_float32():
    assert_backward(backward, dtype="float32")


def test_pytorchs_autograd_passes_in_bfloat16():
    def in_bfloat16(dy, x, gamma, eps):
        def tensor(v):
            return torch.from_numpy(v).bfloat16().requires_grad_()

        x, gamma = tensor(x), tensor(gamma)
        y = torch.nn.functional.rms_norm(x, gamma.shape, gamma, eps)
        return tuple(v.float() for v in torch.autograd.grad(y, (x, gamma), tensor(dy)))

    assert_backward(in_bfloat16, dtype="bfloat16")


def test_pytorchs_forward_passes():
    def forward(x, gamma, eps):
        x, gamma = torch.from_numpy(x), torch.from_numpy(gamma)
        return torch.nn.functional.rms_norm(x, gamma.shape, gamma, eps)

    assert_forward(forward)
    assert_forward(forward, dtype="float32")


def test_tensors_that_still_need_a_gradient_are_explained():
    def attached(*arguments):
        dx, dgamma = backward(*arguments)
        return dx.requires_grad_(), dgamma

    assert "dx does not convert to an array (RuntimeError: Can't call numpy()" in str(
        check_backward(attached)
    )


def test_overwriting_dy_is_reported_through_shared_memory():
    def overwriting(dy, x, gamma, eps):
        dx, dgamma = backward(dy, x, gamma, eps)
        torch.from_numpy(dy).copy_(dx)
        return dx, dgamma

    assert "changes its argument dy" in str(check_backward(overwriting))
