"""What a refusal says, whole: its words are promised, too."""

from collections.abc import Callable
from typing import Any

import pytest


def refusal(call: Callable[[], Any]) -> str:
    """Return kind and text of the error that `call` ends in."""
    with pytest.raises(Exception) as caught:  # noqa: PT011  the caller compares kind and text
        call()
    return f"{caught.type.__name__}: {caught.value}"
