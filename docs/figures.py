"""Figures for the pages: inline SVG whose text and axes take the page's colour, light or dark.

`from figures import plt, show`, draw, and end the cell with `show(fig, alt="what one should see")`.
"""

import hashlib
import io
import re
from html import escape

import matplotlib.pyplot as plt
from cycler import cycler
from IPython.display import HTML

INK = "#010203"  # stands for the page's text colour until the figure is written
COLOURS = ["#3b82d6", "#d9601a", "#2f9e5f", "#b05fd0", "#a8841c"]  # 3:1 on white and on near-black

plt.switch_backend("svg")
plt.rcParams.update(
    {
        "axes.edgecolor": INK,
        "axes.facecolor": "none",
        "axes.labelcolor": INK,
        "axes.prop_cycle": cycler(color=COLOURS),
        "axes.spines.right": False,
        "axes.spines.top": False,
        "axes.titlecolor": INK,
        "figure.facecolor": "none",
        "figure.figsize": (5.2, 3.4),  # 500 px wide: legible without zooming on a phone as well
        "figure.constrained_layout.use": True,
        "font.size": 11,
        "grid.alpha": 0.25,
        "grid.color": INK,
        "hatch.color": INK,
        "legend.frameon": False,
        "lines.linewidth": 2,
        "patch.edgecolor": INK,
        "svg.hashsalt": "rmsnorm_math",
        "text.color": INK,
        "xtick.color": INK,
        "ytick.color": INK,
    }
)


def show(fig, *, alt):
    """Return the figure for the page; `alt` tells those who cannot see it what there is to see."""
    if not alt.strip():
        message = "alt is empty: say in a sentence what one should see in the figure"
        raise ValueError(message)
    buffer = io.StringIO()
    fig.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    plt.close(fig)
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :].replace(INK, "currentColor")
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    # Figures share a page, so every id gets the figure's own prefix.
    own = "f" + hashlib.sha256((alt + svg).encode()).hexdigest()[:8]
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{own}-", svg)
    # What matplotlib says of every element of its file would be said of every element of the page.
    svg = re.sub(r"<style.*?</style>", "", svg, flags=re.DOTALL)
    ends = 'stroke-linejoin="round" stroke-linecap="butt"'
    svg = svg.replace("<svg ", f'<svg role="img" aria-label="{escape(alt)}" {ends} ', 1)
    width, height = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg).groups()
    size = f"max-width: {float(width) * 4 / 3:g}px; aspect-ratio: {width} / {height}"
    return HTML(f'<figure class="plot" style="{size}">{svg}</figure>')
