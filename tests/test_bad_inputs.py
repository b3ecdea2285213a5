"""Whatever a stranger writes by mistake is refused, in words that are kept in bad_inputs.txt."""

from pathlib import Path

import pytest

from rmsnorm_math import Refused
from tests.bad_inputs import DERIVATIVES, FORMS, NUMBERS

BAD = DERIVATIVES | NUMBERS | FORMS
LINES = Path(__file__).with_suffix(".txt").with_stem("bad_inputs").read_text("utf-8").splitlines()
MESSAGES = dict(line.split(": ", 1) for line in LINES)


@pytest.mark.parametrize("case", BAD)
def test_a_mistake_is_refused_in_words(case):
    with pytest.raises(Refused) as refused:
        BAD[case]()
    assert MESSAGES[case] in str(refused.value)


def test_each_mistake_has_its_words_and_no_other():
    assert list(MESSAGES) == list(BAD)
    assert len(BAD) == len(DERIVATIVES) + len(NUMBERS) + len(FORMS) >= 180
    assert min(map(len, MESSAGES.values())) > 15
