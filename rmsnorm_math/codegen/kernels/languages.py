"""How Python, Triton, C and PyTorch spell what stands in a kernel."""

from rmsnorm_math.codegen.kernels.scalar import Language

PYTHON = Language(
    "numba",
    {
        **{
            name: f"np.{name}({{0}})"
            for name in ("exp", "log", "sin", "cos", "tan", "tanh", "sqrt", "sinh", "cosh")
        },
        "Abs": "abs({0})",
        "sign": "np.sign({0})",
        "erf": "math.erf({0})",
        "pow": "({0}) ** ({1})",
        "Max": "max({0}, {1})",
        "Min": "min({0}, {1})",
        "Heaviside": "((np.sign({0}) + {one}) / ({one} + {one}))",  # 1/2 at 0
        "Logistic": "({one} / ({one} + np.exp(-({0}))))",
        "Softplus": "(max({0}, {zero}) + np.log1p(np.exp(-abs({0}))))",
    },
    "({1} if {0} else {2})",
    ("and", "or", "not "),
    "T({0})",
)
TRITON = Language(
    "triton",
    {
        **{name: f"tl.{name}({{0}})" for name in ("exp", "log", "sin", "cos", "sqrt", "erf")},
        "Abs": "tl.abs({0})",
        "sign": "tl.where({0} > 0, 1.0, tl.where({0} < 0, -1.0, 0.0))",
        "tanh": "(2 * tl.sigmoid(2 * ({0})) - 1)",
        "sinh": "((tl.exp({0}) - tl.exp(-({0}))) / 2)",
        "cosh": "((tl.exp({0}) + tl.exp(-({0}))) / 2)",
        "tan": "(tl.sin({0}) / tl.cos({0}))",
        "Max": "tl.maximum({0}, {1})",
        "Min": "tl.minimum({0}, {1})",
        "Heaviside": "tl.where({0} > 0, 1.0, tl.where({0} < 0, 0.0, 0.5))",
        "Logistic": "tl.sigmoid({0})",
        "Softplus": "(tl.maximum({0}, 0.0) + tl.log(1 + tl.exp(-tl.abs({0}))))",
    },
    "tl.where({0}, {1}, {2})",
    ("&", "|", "~"),
    "{0}",
)
C = Language(
    "c",
    {
        **{
            name: f"{name}({{0}})"
            for name in ("exp", "log", "sin", "cos", "tan", "tanh", "sqrt", "sinh", "cosh", "erf")
        },
        "Abs": "fabs({0})",
        "sign": "(({0} > 0) - ({0} < 0))",
        "pow": "pow({0}, {1})",
        "Max": "fmax({0}, {1})",
        "Min": "fmin({0}, {1})",
        "Heaviside": "((({0} > 0) - ({0} < 0) + {one}) / 2)",
        "Logistic": "({one} / ({one} + exp(-({0}))))",
        "Softplus": "(fmax({0}, {zero}) + log1p(exp(-fabs({0}))))",
    },
    "({0} ? {1} : {2})",
    ("&&", "||", "!"),
    "{0}",
    "{0}.0",
)
TORCH = Language(
    "torch",
    {"pow": "({0}) ** ({1})", "sqrt": "({0}) ** 0.5", "exp": "({0}).exp()", "log": "({0}).log()"},
    "torch.where({0}, {1}, {2})",
    ("&", "|", "~"),
    "{0}",
)
