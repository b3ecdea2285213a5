"""Which cells are said to need what a browser has not."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "docs/_ext"))

from needs import needs


@pytest.mark.parametrize(
    ("cells", "lost"),
    [
        (["import sympy", "sympy.pi"], []),
        (["import numpy as np", "np.pi", "1"], [1]),
        (["import numpy as np\na = np.pi", "a", "a = 1", "a"], [0, 1]),
        (["import numpy as np\ndef f(): return np.pi", "f()"], [1]),
        (["from rmsnorm_math import rms\nfrom rmsnorm_math.verify import check", "check()"], [1]),
        (["import numpy as np\na = np.pi", "def f(a):\n    b = a\n    return b", "f(1)"], [0]),
        (["import numpy as np\na = np.pi", "[a for a in (1, 2)]", "(lambda a: a)(1)"], [0]),
        (["import numpy as a", "{b: c for b in (1,) for c in b if c}", "[b for b in a]"], [2]),
        (["%xmode Minimal\nimport numpy", "def f():\n    return lambda: numpy", "f()()"], [2]),
    ],
)  # fmt: skip
def test_a_cell_that_uses_what_is_missing_needs_it(cells: list[str], lost: list[int]) -> None:
    assert [number for number, needed in enumerate(needs(cells)) if needed] == lost
