"""How the project is installed, where it is found and how it is cited, from its own metadata.

`repository-url` in pyproject.toml adds the links to source, issues and licence. The package is
installed from the index once `on-index` is true, before that from the repository where it has an
address, and else from the zip file that the site itself brings.
"""

import tomllib
from pathlib import Path

import yaml
from docutils.parsers.rst import directives
from sphinx.util.docutils import SphinxDirective

ROOT = Path(__file__).parents[2]
BUNDLE = "notebooks/rmsnorm_math.zip"


def pyproject():
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def setting(name):
    return pyproject()["tool"]["rmsnorm_math"][name]


def install():
    """Return as Markdown what to type."""
    if setting("on-index"):
        return f"```console\npip install {pyproject()['project']['name']}\n```"
    if repository := setting("repository-url").rstrip("/"):
        return f"```console\npip install git+{repository}\n```"
    if site := setting("site-url"):
        return f"```console\npip install {site}{BUNDLE}\n```"
    return (
        f'Download <a href="{BUNDLE}" download>rmsnorm_math.zip</a>, and in its folder type\n\n'
        "```console\npip install rmsnorm_math.zip\n```"
    )


def links():
    """Return as Markdown where source, issues and licence are, where that is known."""
    if repository := setting("repository-url").rstrip("/"):
        places = {"Source": "", "issues": "/issues", "licence": "/blob/main/LICENSE"}
        return ", ".join(f"[{name}]({repository}{path})" for name, path in places.items()) + "."
    return ""


def citation():
    """Return as Markdown what CITATION.cff says, for a list of references and as BibTeX."""
    cff = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    people = [p.get("name") or f"{p['family-names']}, {p['given-names']}" for p in cff["authors"]]
    version = pyproject()["project"]["version"]
    address = setting("site-url") or setting("repository-url")
    fields = {
        "title": f"{{{cff['title']}}}",
        "author": " and ".join(f"{{{name}}}" if "," not in name else name for name in people),
        "version": version,
        **({"url": address} if address else {}),
    }
    entry = ",\n".join(f"  {name} = {{{value}}}" for name, value in fields.items())
    text = f"{', '.join(people)}. *{cff['title']}*, version {version}."
    text += f" <{address}>" if address else ""
    return f"> {text}\n\n```bibtex\n@software{{rmsnorm_math,\n{entry}\n}}\n```"


TEXTS = {"install": install, "links": links, "citation": citation}


class Project(SphinxDirective):
    """`{project} install`: one of the texts above."""

    required_arguments = 1

    def run(self):
        for name in ("pyproject.toml", "CITATION.cff"):
            self.env.note_dependency(str(ROOT / name))
        return self.parse_text_to_nodes(TEXTS[directives.choice(self.arguments[0], [*TEXTS])]())


def setup(app):
    app.add_directive("project", Project)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
