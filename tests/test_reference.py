"""The reference is complete."""

import re
from pathlib import Path

import rmsnorm_math
from rmsnorm_math import verify

REFERENCE = Path(__file__).parents[1] / "docs/reference.md"


def test_the_reference_lists_each_public_name_and_no_other():
    listed = re.findall(
        r"^\.\. auto(?!module)\w+:: (\w+)", REFERENCE.read_text("utf-8"), re.MULTILINE
    )
    assert sorted(listed) == sorted([*rmsnorm_math.__all__, *verify.__all__])
