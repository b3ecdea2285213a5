"""Code that a page has printed, with a copy button, in tabs that switch together.

The page's front matter needs `mystnb: {render_markdown_format: myst}`.
"""

from IPython.display import Markdown


def tabs(code):
    """Return the tabs for `{label: source text}`."""
    items = "\n".join(
        f":::{{tab-item}} {label}\n:sync: {label}\n\n```python\n{text}```\n:::\n"
        for label, text in code.items()
    )
    return Markdown(f"::::{{tab-set}}\n:sync-group: framework\n\n{items}::::\n")


def listing(text):
    """Return one piece of code."""
    return Markdown(f"```python\n{text}```\n")
