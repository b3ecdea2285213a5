"""How what is public goes: it warns for a year, and says what to write instead."""

import warnings
from collections.abc import Callable
from functools import wraps
from inspect import signature
from typing import ParamSpec, TypeVar

Given = ParamSpec("Given")
Result = TypeVar("Result")


def deprecated(
    since: str, gone: str, instead: str, argument: str | None = None
) -> Callable[[Callable[Given, Result]], Callable[Given, Result]]:
    """Return a decorator with which a function warns its caller, and does what it did.

    Parameters
    ----------
    since
        The version that warns first.
    gone
        The first day on which a release may come without it, a year after
        `since` was released: ``"2028-01-31"``.
    instead
        What to write in its place.
    argument
        The one argument that goes, where the function stays: only who gives it
        is warned.

    Examples
    --------
    >>> import warnings
    >>> @deprecated("0.2.0", "2028-01-31", "rms()")
    ... def root():
    ...     return 1
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     root()
    1
    >>> print(caught[0].message)
    root is deprecated since 0.2.0 and may be gone after 2028-01-31: write rms() instead.
    """

    def mark(function: Callable[Given, Result]) -> Callable[Given, Result]:
        name = f"{argument} of {function.__name__}" if argument else function.__name__
        message = (
            f"{name} is deprecated since {since} and may be gone after {gone}: "
            f"write {instead} instead."
        )
        form = signature(function)

        @wraps(function)
        def warn(*args: Given.args, **kwargs: Given.kwargs) -> Result:
            if argument is None or argument in form.bind_partial(*args, **kwargs).arguments:
                warnings.warn(message, DeprecationWarning, stacklevel=2)
            return function(*args, **kwargs)

        return warn

    return mark
