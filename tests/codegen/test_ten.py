"""The text of ten printed functions, as ten.txt shows it beside that of before."""

import pytest

from tests.codegen.ten import TEN, kept, now


@pytest.mark.parametrize("name", TEN)
def test_the_text_is_the_one_that_was_looked_at(name: str) -> None:
    assert now(name) == kept()[name], "after a change that is meant: python -m tests.codegen.ten"


def test_there_are_ten() -> None:
    assert list(TEN) == list(kept())
    assert len(TEN) >= 10
