"""docs/data/peers.json still belongs to the snippets and to the versions asked for."""

import json
import tomllib

from tests.snippets.cases import RECORD, ROOT, recorded_sources

record = json.loads(RECORD.read_text("utf-8"))


def test_the_record_is_of_these_files() -> None:
    now = recorded_sources()
    stale = sorted(
        name for name in now | record["sources"] if now.get(name) != record["sources"].get(name)
    )
    assert not stale, f"docs/data/peers.json is older than {', '.join(stale)}: run nox -s peers"


def test_the_record_is_of_the_versions_asked_for() -> None:
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["dependency-groups"]
    pinned = dict(
        line.split("==") for line in groups["peers"] if isinstance(line, str) and "==" in line
    )
    assert pinned, "the group peers pins nothing"
    recorded = {name: record["versions"].get(name, "").partition("+")[0] for name in pinned}
    assert recorded == pinned, "docs/data/peers.json has other versions: run nox -s peers"
