"""What is deprecated warns whoever calls it, where it is called, and does what it did."""

import pytest

from rmsnorm_math.deprecation import deprecated


@deprecated("0.2.0", "2028-01-31", "half(a)")
def halve(a: float) -> float:
    """Return a half."""
    return a / 2


def test_the_caller_is_warned_and_gets_the_result():
    with pytest.warns(DeprecationWarning, match=r"halve is deprecated since 0\.2\.0") as caught:
        assert halve(3) == 1.5
    assert str(caught[0].message).endswith("after 2028-01-31: write half(a) instead.")
    assert caught[0].filename == __file__


def test_the_function_keeps_its_name_and_its_docstring():
    assert (halve.__name__, halve.__doc__) == ("halve", "Return a half.")


@deprecated("0.2.0", "2028-01-31", "size", argument="length")
def total(size: int = 0, length: int = 0) -> int:
    return size + length


@pytest.mark.parametrize(("given", "named"), [((1, 2), {}), ((1,), {"length": 2})], ids=str)
def test_who_gives_an_argument_that_goes_is_warned(given, named):
    with pytest.warns(DeprecationWarning, match=r"^length of total is deprecated .* write size"):
        assert total(*given, **named) == 3


def test_who_does_not_give_it_is_not_warned():
    assert total(3) == 3  # a warning is an error
