"""A layer in PyTorch, checked, as docs/check-your-own.md shows it."""

import torch

from rmsnorm_math.verify import assert_backward


def backward(dy, x, gamma, eps):
    dy, x, gamma = (torch.from_numpy(v) for v in (dy, x, gamma))
    x.requires_grad_()
    gamma.requires_grad_()
    y = torch.nn.functional.rms_norm(x, gamma.shape, gamma, eps)  # your own layer here
    return torch.autograd.grad(y, (x, gamma), dy)


def test_backward():
    assert_backward(backward)


def tensor_backward(dy, x, gamma, eps):
    rstd = torch.rsqrt((x * x).mean(-1, keepdim=True) + eps)
    xhat, v = x * rstd, gamma * dy
    dx = rstd * (v - xhat * (v * xhat).mean(-1, keepdim=True))
    return dx, (dy * xhat).reshape(-1, len(gamma)).sum(0)


def test_function_of_tensors():
    def function(dy, x, gamma, eps):
        dy, x, gamma = (torch.from_numpy(v) for v in (dy, x, gamma))
        return tensor_backward(dy, x, gamma, eps)  # your own function here

    assert_backward(function)


def test_function_in_bfloat16():
    def function(dy, x, gamma, eps):
        dy, x, gamma = (torch.from_numpy(v).bfloat16().float() for v in (dy, x, gamma))
        dx, dgamma = tensor_backward(dy, x, gamma, eps)  # your own function
        return dx.bfloat16().float(), dgamma.bfloat16().float()

    assert_backward(function, dtype="bfloat16")
