"""The picture of the front page: what the derivative does to a gradient, for n = 2.

The page's script _static/picture.js moves it, with formulas that SymPy prints here as JavaScript.
The page also carries what the package says at TRIALS; a test of the built site asks for the same.
"""

import json
from html import escape

from figures import COLOURS, plt, show
from formulas import results
from IPython.display import HTML
from numpy import cos, linspace, pi, sin
from sympy import Matrix, Rational, Symbol, jscode, latex, sqrt

from rmsnorm_math import evaluate, instantiate, jacobian, rms, rmsnorm, vjp
from rmsnorm_math.notation import epsilon, gamma, i, j, x, ybar

START = {"x1": 1.6, "x2": 0.8, "g1": 0.2, "g2": 1.6, "w1": 1.0, "w2": 1.0, "eps": 0.0}
TRIALS = [
    (1.6, 0.8, 0.2, 1.6, 1, 1, 0.5),
    (-1.2, 0.7, 2, -1.5, 1, 0.5, 0),
    (0, 0, 1, -1, 1, 1, 0.25),
    (2, 2, -2, 1, -2, 1.5, 2),
    (0.1, 0, 2, 2, 2, 2, 0),
]
LABELS = {"x1": "x₁", "x2": "x₂", "g1": "ȳ₁", "g2": "ȳ₂", "w1": "γ₁", "w2": "γ₂", "eps": "ε"}
PANEL = """
<form class="picture" aria-label="The picture's numbers" data-check="{check}">
<fieldset><legend>Drag the rings at x and ȳ, or move</legend>{sliders}</fieldset>
<table>
<tr><th scope="row">r</th><td colspan=2>{r}</td></tr>
<tr><th scope="row" rowspan=2>J</th><td>{J11}</td><td>{J12}</td></tr>
<tr><td>{J21}</td><td>{J22}</td></tr>
<tr><th scope="row">y</th><td>{y1}</td><td>{y2}</td></tr>
<tr><th scope="row">x̄ = Jᵀȳ</th><td>{dx1}</td><td>{dx2}</td></tr>
<tr><th scope="row">across x: 1/r</th><td colspan=2>{across}</td></tr>
<tr><th scope="row">along x: ε/r³</th><td colspan=2>{along}</td></tr>
</table>
</form>
"""
ALT = (
    "A gradient arrow ȳ at an angle to the input x, and a circle on which the output y lies. "
    "The part of ȳ along x is taken away, and what is left, at a right angle to x, is scaled by "
    "1/r: that is the gradient of the input."
)
ELEMENTS = {  # of the derivation -> of the sliders
    **{base[at]: Symbol(f"{name}{at}") for base, name in ((x, "x"), (ybar, "g")) for at in (1, 2)},
    **{gamma[at]: Symbol(f"w{at}") for at in (1, 2)},
    epsilon: Symbol("eps"),
}


def derived():
    """Return each number of the picture as an expression of the sliders."""
    entry, dx, y = jacobian(rmsnorm(), x[j]), vjp(rmsnorm(), x[j], ybar[i]), rmsnorm()
    ones = {gamma[1]: 1, gamma[2]: 1}
    J = Matrix(2, 2, lambda p, q: instantiate(entry, n=2, i=p + 1, j=q + 1))
    along, across = Matrix([[x[1], x[2]]]), Matrix([[-x[2], x[1]]])  # eigenvectors for gamma = 1
    stretch = {
        name: (v * J.subs(ones) * v.T)[0] / (v * v.T)[0]
        for name, v in (("along", along), ("across", across))
    }
    found = {
        "r": instantiate(rms(), n=2),
        **{f"J{p + 1}{q + 1}": J[p, q] for p in (0, 1) for q in (0, 1)},
        **{f"y{at}": instantiate(y, n=2, i=at) for at in (1, 2)},
        **{f"dx{at}": instantiate(dx, n=2, j=at) for at in (1, 2)},
        **{name: value.simplify() for name, value in stretch.items()},
    }
    return {name: value.xreplace(ELEMENTS) for name, value in found.items()}


def numbers(*values):
    """Return what stands beside the picture, for values of the sliders, from the derivation."""
    given = dict(zip(START, (Rational(str(value)) for value in values), strict=True))
    point = {base: [given[f"{name}1"], given[f"{name}2"]] for base, name in BASES}
    point[epsilon] = given["eps"]
    entry, dx, y = jacobian(rmsnorm(), x[j]), vjp(rmsnorm(), x[j], ybar[i]), rmsnorm()
    r = evaluate(rms(), point, n=2)
    return {
        "r": r,
        **{f"J{p}{q}": evaluate(entry, point, n=2, i=p, j=q) for p in (1, 2) for q in (1, 2)},
        **{f"y{at}": evaluate(y, point, n=2, i=at) for at in (1, 2)},
        **{f"dx{at}": evaluate(dx, point, n=2, j=at) for at in (1, 2)},
        "across": 1 / r,
        "along": point[epsilon] / r**3,
    }


BASES = ((x, "x"), (ybar, "g"), (gamma, "w"))


def arrow(ax, start, end, colour, **style):
    style = {"arrowstyle": "-|>", "mutation_scale": 16, "lw": 2.5, "color": colour, **style}
    ax.annotate("", end, start, arrowprops={"shrinkA": 0, "shrinkB": 0, **style})


def draw(ax, size=14):
    """Draw the picture into axes without a frame."""
    found = numbers(*START.values())
    x1, x2, g1, g2 = (START[name] for name in ("x1", "x2", "g1", "g2"))
    dx, y = ([float(found[f"{name}{at}"]) for at in (1, 2)] for name in ("dx", "y"))
    across = [float(found["r"]) * value for value in dx]
    ax.set(xlim=(-3.2, 3.2), ylim=(-2.2, 2.2), aspect="equal")
    ax.axis("off")
    turn = linspace(0, 2 * pi, 100)
    ax.plot(float(sqrt(2)) * cos(turn), float(sqrt(2)) * sin(turn), color="#808080", lw=1)
    ax.plot([-3 * x2, 3 * x2], [3 * x1, -3 * x1], lw=1, color=COLOURS[2], alpha=0.5)
    arrow(ax, (g1, g2), across, COLOURS[1], linestyle="--", lw=1.5)
    labels = {"$x$": (x1, x2), r"$\bar{y}$": (g1, g2), r"$\bar{x}$": dx}
    places = [(1.15 * x1, 1.15 * x2), (1.15 * g1, 1.15 * g2), (dx[0] - 0.05, dx[1] / 2)]
    for (label, tip), place, colour in zip(labels.items(), places, COLOURS, strict=False):
        arrow(ax, (0, 0), tip, colour)
        ax.text(*place, label, color=colour, ha="center", va="center", fontsize=size)
    ax.plot(*y, "o", color=COLOURS[3])
    ax.text(y[0] + 0.1, y[1] - 0.25, "$y$", color=COLOURS[3], ha="center", fontsize=size)


def script():
    """Return the numbers of the picture as a function in JavaScript, of the sliders' values."""
    body = ", ".join(f"{name}: {jscode(value)}" for name, value in derived().items())
    return f"const picture = ({{{', '.join(START)}}}) => ({{{body}}});"


def picture():
    """Return the picture, with sliders for those who have JavaScript, and its numbers."""
    fig = plt.figure(figsize=(5.2, 3.575), layout="none")
    draw(fig.add_axes((0, 0, 1, 1)))
    sliders = "".join(
        f"<label>{label}<input type=range name={name} value={START[name]} "
        f"min={0 if name == 'eps' else -2} max=2 step={0.05 if name == 'eps' else 0.1}>"
        f"<span aria-hidden=true>{START[name]:g}</span></label>"
        for name, label in LABELS.items()
    )
    shown = {
        name: f"<output name={name}>{float(value):.3f}</output>"
        for name, value in numbers(*START.values()).items()
    }
    trials = [START, *(dict(zip(START, values, strict=True)) for values in TRIALS)]
    check = [
        [trial, {k: float(v) for k, v in numbers(*trial.values()).items()}] for trial in trials
    ]
    panel = PANEL.format(check=escape(json.dumps(check)), sliders=sliders, **shown)
    scripts = f'<script>{script()}</script><script defer src="_static/picture.js"></script>'
    return HTML(f"{show(fig, alt=ALT).data}{panel}{scripts}")


def card(path):
    """Draw the card that stands for the site where a link to it is shared."""
    fig = plt.figure(figsize=(12, 6.3), dpi=100, facecolor="white", layout="none")
    axes = fig.add_axes((0.45, 0, 0.55, 1))
    draw(axes, size=28)
    axes.set(xlim=(-1.6, 2.1), ylim=(-1, 2.4))
    fig.text(0.05, 0.68, "RMSNorm,\nderived", fontsize=44, weight="bold", va="center")
    for place, what in ((0.4, "the Jacobian"), (0.2, "the gradient of the input")):
        fig.text(0.05, place, f"${latex(results()[what])}$", fontsize=30, va="center")
    fig.savefig(path, format="png", metadata={"Software": None})
    plt.close(fig)
