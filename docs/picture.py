"""The picture of the front page: what the derivative does to a gradient, for n = 2 and gamma = 1.

The page's script _static/picture.js moves it. The page carries what the package says at TRIALS, and
a test of the built site asks the script for the same.
"""

import json
from html import escape

from figures import COLOURS, plt, show
from formulas import results
from IPython.display import HTML
from sympy import Matrix, Rational, latex

from rmsnorm_math import evaluate, jacobian, rms, rmsnorm, vjp
from rmsnorm_math.notation import epsilon, gamma, i, j, x, ybar

START = {"x1": 1.6, "x2": 0.8, "g1": 0.2, "g2": 1.6, "eps": 0.0}
TRIALS = [(1.6, 0.8, 0.2, 1.6, 0.5), (-1.2, 0.7, 2, -1.5, 0), (0, 0, 1, -1, 0.25), (2, 2, -2, 1, 2)]
LABELS = {"x1": "x₁", "x2": "x₂", "g1": "ȳ₁", "g2": "ȳ₂", "eps": "ε"}
PANEL = """
<form class="picture" aria-label="The picture's numbers" data-check="{check}">
<fieldset><legend>Drag the tips of x and ȳ, or move</legend>{sliders}</fieldset>
<table>
<tr><th scope="row">r</th><td colspan=2>{r}</td></tr>
<tr><th scope="row" rowspan=2>J</th><td>{J11}</td><td>{J12}</td></tr>
<tr><td>{J21}</td><td>{J22}</td></tr>
<tr><th scope="row">J stretches across x by 1/r</th><td colspan=2>{across}</td></tr>
<tr><th scope="row">and along x by ε/r³</th><td colspan=2>{along}</td></tr>
<tr><th scope="row">x̄ = Jᵀȳ</th><td>{dx1}</td><td>{dx2}</td></tr>
</table>
</form>
"""
ALT = (
    "A gradient arrow ȳ at an angle to the input x. Its part along x is taken away, and what is "
    "left, at a right angle to x, is scaled by 1/r: that is the gradient of the input."
)


def numbers(x1, x2, g1, g2, eps):
    """Return what stands beside the picture, from the derivation."""
    given = {x: [x1, x2], ybar: [g1, g2], gamma: [1, 1]}
    point = {base: [Rational(str(v)) for v in values] for base, values in given.items()}
    point[epsilon] = Rational(str(eps))
    entry, dx = jacobian(rmsnorm(), x[j]), vjp(rmsnorm(), x[j], ybar[i])
    J = Matrix(2, 2, lambda row, column: evaluate(entry, point, n=2, i=row + 1, j=column + 1))
    along, across = sorted(J.eigenvals(multiple=True))
    return {
        "r": evaluate(rms(), point, n=2),
        **{f"J{row + 1}{column + 1}": J[row, column] for row in (0, 1) for column in (0, 1)},
        "across": across,
        "along": along,
        **{f"dx{at}": evaluate(dx, point, n=2, j=at) for at in (1, 2)},
    }


def arrow(ax, start, end, colour, **style):
    style = {"arrowstyle": "-|>", "mutation_scale": 16, "lw": 2.5, "color": colour, **style}
    ax.annotate("", end, start, arrowprops={"shrinkA": 0, "shrinkB": 0, **style})


def draw(ax, size=14):
    """Draw the picture into axes without a frame."""
    found = numbers(**START)
    x1, x2, g1, g2 = (START[name] for name in ("x1", "x2", "g1", "g2"))
    dx = [float(found["dx1"]), float(found["dx2"])]
    across = [float(found["r"]) * value for value in dx]
    ax.set(xlim=(-3.2, 3.2), ylim=(-2.2, 2.2), aspect="equal")
    ax.axis("off")
    ax.plot([-3 * x2, 3 * x2], [3 * x1, -3 * x1], lw=1, color=COLOURS[2], alpha=0.5)
    arrow(ax, (g1, g2), across, COLOURS[1], linestyle="--", lw=1.5)
    labels = {"$x$": (x1, x2), r"$\bar{y}$": (g1, g2), r"$\bar{x}$": dx}
    places = [(1.15 * x1, 1.15 * x2), (1.15 * g1, 1.15 * g2), (dx[0] - 0.05, dx[1] / 2)]
    for (label, tip), place, colour in zip(labels.items(), places, COLOURS, strict=False):
        arrow(ax, (0, 0), tip, colour)
        ax.text(*place, label, color=colour, ha="center", va="center", fontsize=size)


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
        for name, value in numbers(**START).items()
    }
    trials = [START, *(dict(zip(START, values, strict=True)) for values in TRIALS)]
    check = [[trial, {k: float(v) for k, v in numbers(**trial).items()}] for trial in trials]
    panel = PANEL.format(check=escape(json.dumps(check)), sliders=sliders, **shown)
    script = '<script defer src="_static/picture.js"></script>'
    return HTML(f"{show(fig, alt=ALT).data}{panel}{script}")


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
