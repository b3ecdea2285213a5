"""Run everything that looks like an example: `>>>` in fences and in docstrings."""

from docutils import nodes
from sphinx import addnodes


def mark(app, doctree):  # noqa: ARG001
    for block in doctree.findall(nodes.literal_block):
        prompt = any(line.lstrip().startswith(">>>") for line in block.astext().splitlines())
        if prompt and "testnodetype" not in block and "output" not in block["classes"]:
            block["testnodetype"], block["groups"] = "doctest", ["default"]
    # Each docstring has names of its own, as under pytest --doctest-modules.
    for entry in doctree.findall(addnodes.desc):
        for block in entry.findall(nodes.doctest_block):
            block["groups"] = entry[0]["ids"]


def setup(app):
    app.connect("doctree-read", mark)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
