"""The one exception of this package: what would be wrong is refused with it."""


class Refused(ValueError, TypeError):
    """What was given cannot be done, or would silently be wrong; the message says what to write.

    It is a `ValueError` and a `TypeError`, so that code that catches either still does.

    Examples
    --------
    >>> from rmsnorm_math import Refused, differentiate
    >>> try:
    ...     differentiate([1, 2], 3)
    ... except Refused as refusal:
    ...     print(refusal)  # doctest: +ELLIPSIS
    the expression [1, 2] is of type list. ...
    """
