"""The files that a layer is printed as, with places for what is derived; `whole` fills them in."""

from string import Template

NUMPY = Template('''\
${imports}import numpy as np
${size}

def ${name}(${arguments}):
    """Return ${label}${and_kept}.

${formulas}
    """
    ${run_forward}
    return ${typed_output}


def ${name}_backward(${given}):
    """Return ${gradients}${summed}."""
    ${run_backward}
    return ${typed_gradients}


${forward}

${backward}

def _wide(a):
    a = np.asarray(a)
    if a.dtype.kind in "biucO":
        raise TypeError(f"{a.dtype} is no floating-point type: pass a.astype(np.float32)")
    return a.astype(np.result_type(a, np.float32), copy=False)
${by_rows}''')

TORCH = Template('''\
${imports}import torch
from torch.autograd.forward_ad import _set_fwd_grad_enabled, unpack_dual
${size}

def ${name}(${arguments}):
    """Return ${label}.

${formulas}
    """
${as_tensors}    if torch.compiler.is_compiling():
        return _${rule}.apply(${arguments})[0]
    return _${rule}InEagerMode.apply(${arguments})[0]


class _${rule}(torch.autograd.Function):
    @staticmethod
    def forward(${arguments}):
        ${run_forward}
        return ${typed_output}

    @staticmethod
    def setup_context(ctx, inputs, output):
        ${arguments_} = inputs
        ${outputs_} = output
        ctx.save_for_backward(${saved})
        ctx.save_for_forward(${tensors})
${quiet}${mark}${keep}
    @staticmethod
    def backward(ctx, ${cotangent}, *_):
${no_gradient}${fetch_saved}${fetch_given}${refuse_gradients}${again}        ${run_backward}
        return ${typed_gradients}


class _${rule}InEagerMode(_${rule}):  # torch.compile takes no Function that has a jvp
    @staticmethod
    def jvp(ctx, ${dots}):
        ${tensors_} = ctx.saved_tensors
${fetch}${refuse_tangents}        with _set_fwd_grad_enabled(True):  # for a forward mode outside
${primals}${zeros}            ${run_tangent}
            return ${typed_tangent}

    @staticmethod
    def vmap(info, in_dims, *arguments):
        return torch.vmap(_${rule}.forward, in_dims)(*arguments), (0,) * ${count}


${forward}

${backward}

${tangent}

def _wide(a):
    if not a.is_floating_point():
        raise TypeError(f"{a.dtype} is no floating-point type: pass a.float()")
    return a.to(torch.promote_types(a.dtype, torch.float32))


def _typed(a, like):
    """Return a in the type of another; a itself, and no alias, where it has it.

    torch.compile loses the gradient of an alias in PyTorch 2.11 (pytorch/pytorch, issue 180642).
    """
    return a if a.dtype == like.dtype else a.to(like.dtype)
${by_rows}''')

JAX = Template('''\
${imports}from functools import partial

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero
${size}

@jax.custom_jvp
def ${name}(${arguments}):
    """Return ${label}.

${formulas}
    """
    ${run_forward}
    return ${typed_output}


@partial(${name}.defjvp, symbolic_zeros=True)
def _rule(primals, tangents):
    ${arguments_} = primals
    ${dots_} = tangents
${refuse_tangents}${zeros}    ${run_tangent}
    return ${typed_tangent}


${forward}

${tangent}

def _wide(a):
    a = jnp.asarray(a)
    if not jnp.issubdtype(a.dtype, jnp.floating):
        raise TypeError(f"{a.dtype} is no floating-point type: pass a.astype(jnp.float32)")
    return a.astype(jnp.promote_types(a.dtype, jnp.float32))
${by_rows}''')

FILES = {"numpy": NUMPY, "torch": TORCH, "jax": JAX}
CASTS = {
    "numpy": "{0}.astype({1}.dtype, copy=False)",
    "torch": "_typed({0}, {1})",
    "jax": "{0}.astype({1}.dtype)",
}
