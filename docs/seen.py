"""Where the wrong gradients of `rmsnorm_math.verify.wild` were read: files at a commit, threads."""


def _file(repository, commit, path, lines=""):
    label = f"{repository} at {commit[:7]}"
    anchor = f"#{lines}" if lines else ""
    return f"[{label}](https://github.com/{repository}/blob/{commit}/{path}{anchor})"


def _thread(repository, kind, number):
    return f"[{repository} #{number}](https://github.com/{repository}/{kind}/{number})"


LIGER = _file("linkedin/Liger-Kernel", "43c5fe1bbfe7", "src/liger_kernel/ops/rms_norm.py")
MEGATRON = _file(
    "NVIDIA/Megatron-LM",
    "00caa53af309",
    "megatron/core/transformer/custom_layers/batch_invariant_kernels.py",
    "L917",
)

SEEN = {
    "gamma outside the sum": _file(
        "chrisjob1021/transformer-examples", "cc9da9af1253", "norm/rmsnorm.ipynb"
    ),
    "gamma twice in the second term": f"{MEGATRON}; "
    + _file("maderix/ANE", "236e495a01bd", "training/stories_cpu_ops.h"),
    "r² for r³": _file(
        "BrantleighBunting/linalg",
        "2e699e3c142e",
        "ai_comps/normalization.py",
        "L146",
    )
    + "; "
    + _file("maderix/ANE", "7ea45c2fabcb", "training/backward.h"),
    "r⁴ for r³": _file(
        "luengnat/rustane",
        "54adcb8b3308",
        "src/layers/transformer_backward.rs",
        "L59-L63",
    ),
    "rms as a constant": _file(
        "AteniaEngine/ateniaengine",
        "11286b2bd5ed",
        "src/simd_fused_kernels/fused_rmsnorm_backward.rs",
    )
    + "; "
    + _thread("ooples/AiDotNet", "pull", 695),
    "eps placed in two ways": _file(
        "kakaobrain/trident", "0378ea2e1ce8", "trident/kernel/rms_norm.py"
    ),
    "the mean square for 1/r": _thread("flagos-ai/FlagGems", "pull", 5771)
    + " (mended there; the cause was a compiler)",
    "1 + gamma in the backward only": MEGATRON,
    "dgamma not summed": _file(
        "xiaobingling93-pixel/Ascend-mstt",
        "8401c942e6b6",
        "debug/accuracy_tools/msprobe/pytorch/bench_functions/rms_norm.py",
    ),
    "eps missing": f"{LIGER}, in the docstring of the forward (the kernel has it)",
    "a parenthesis": f"{LIGER}, in the docstring of the backward (the kernel is right)",
    "gamma not in the sum": _file(
        "clocksmith/doppler", "0dcb09136983", "tests/training/browser/test-page.js"
    )
    + " (a page for tests; mended since)",
    "divided by gamma": _file("NVIDIA/apex", "6424da3b", "csrc/layer_norm_cuda_kernel.cu", "L755")
    + " (`memory_efficient`, which says so)",
    "row sums laid along columns": _thread("BobMcDear/attorch", "issues", 17) + " (fixed)",
}
