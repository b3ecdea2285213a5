"""Where does an index run? One rule, for derivatives, products, numbers and printed code alike.

In this order: what the caller states; what an `Idx` declares (``Idx("i", n)`` counts from 0 to
n-1); what the sums over that axis of that base show. The first two speak of that index alone: to
another on the same axis they say nothing but that those elements are there. A shape says how long
an axis is, and not where it begins. What the sums show counts only where every element of that
axis lies within it.
"""

from collections.abc import Mapping
from typing import NoReturn

from sympy import Add, Dummy, Expr, Idx, S, Symbol

from rmsnorm_math.errors import Refused
from rmsnorm_math.index.conditions import extreme
from rmsnorm_math.index.enter import enter
from rmsnorm_math.index.survey import Axis, Span, Survey, survey
from rmsnorm_math.index.walk import Ranges


def _refuse_wider(index: Expr, first: Expr, last: Expr) -> None:
    """Raise if the range stated for an `Idx` leaves its own, at which SymPy takes conditions."""
    if not isinstance(index, Idx) or index.lower is None:
        return
    gaps = (first - index.lower).expand(), (index.upper - last).expand()
    if not all(gap.is_nonnegative for gap in gaps):
        raise Refused(
            f"the range {first} to {last} of {index} is not within {index.lower} to {index.upper}, "
            f"which {index} itself declares and SymPy decides by: use {index} = Idx('{index}')."
        )


def known_range(index: Expr, *exprs: Expr, stated: Ranges | None = None) -> Span | None:
    """Return where a free index of `exprs` runs, if that is known: its first and last value.

    Parameters
    ----------
    index
        A free index.
    *exprs
        The expressions in which it stands, as SymPy writes them.
    stated
        What the caller states of ranges.
    """
    return span_of(index, survey(map(enter, exprs), stated))


def beyond(index: Expr, span: Span, expr: Expr, numbers: Mapping[Expr, Expr]) -> Expr | None:
    """Return a place outside of `span`, for those `numbers`, on an axis of a free index."""
    shown = survey([enter(expr)])
    bounds = shown.limits | shown.stated
    places = {p for on in shown.places.values() if index in on for p in on - {index}}
    ends = {extreme(place, bounds, side).xreplace(numbers) for place in places for side in (0, 1)}
    outside = [e for e in ends if (e - span[0]).is_negative or (span[1] - e).is_negative]
    return min(outside, key=str, default=None)


def known_ranges(shown: Survey) -> Ranges:
    """Return the ranges of the free indices that are known, and all that is stated."""
    for index, span in shown.stated.items():
        _refuse_wider(index, *span)
    together = [*shown.places.values(), *map(set, shown.equal)]
    free = {s for places in together for place in places for s in place.free_symbols}
    spans = {s: span_of(s, shown) for s in free if not isinstance(s, Dummy)}
    return {index: span for index, span in spans.items() if span} | shown.stated


def span_of(index: Expr, shown: Survey) -> Span | None:
    """Return where a free index runs, if that is known."""
    spans = _spans_of_index(index, shown)
    return next(iter(spans)) if len(spans) == 1 else None


def refuse_unclear(index: Expr, shown: Survey, y: Expr) -> NoReturn:
    """Raise because a sum over `index` is left, and nothing says where it runs."""
    what = "no sum over a whole axis shows it"
    if _spans_of_index(index, shown):
        what = "several ranges are possible"
    elif index not in y.free_symbols:
        what = "the output does not have it, and a sum over it is left"
    raise Refused(
        f"the range of the index {index} is not clear: {what}. Pass ranges={{{index}: (1, n)}}."
    )


def _spans_of_index(index: Expr, shown: Survey) -> set[Span]:
    if index in shown.stated:
        return {shown.stated[index]}
    if not _is_index(index, shown):
        return set()
    alike = {index} | {
        other for pair in shown.equal for one, other in (pair, pair[::-1]) if one == index
    }
    axes = [axis for axis, places in list(shown.places.items()) if places & alike]
    # A shape does not say where its axis begins: an axis whose beginning is shown says more.
    for chosen in ([a for a in axes if _is_shown(a, shown)], axes):
        if found := set().union(*(_spans_of_axis(axis, shown) for axis in chosen)):
            return found
    spans = {shown.limits[other] for other in alike if other in shown.limits}
    return {span for span in spans if _is_whole(span, shown)}


def _is_shown(axis: Axis, shown: Survey) -> bool:
    return any(not place.free_symbols or place in shown.limits for place in shown.places[axis])


def _spans_of_axis(axis: Axis, shown: Survey) -> set[Span]:
    """Return the ranges of an axis that are possible: several, if an element may lie outside."""
    places = shown.places[axis]
    bounds = shown.limits | shown.stated
    if axis[0].shape:
        starts = [extreme(place, bounds, 0) for place in places]
        first = S.Zero if S.Zero in starts else S.One
        span = first, first + axis[0].shape[axis[1]] - 1
        return set() if any(gap.is_negative for gap in _gaps(span, places, bounds)) else {span}
    spans = {shown.limits[place] for place in places if place in shown.limits}
    spans = {span for span in spans if _is_whole(span, shown)}
    if len(spans) == 1:
        (span,) = spans
        lengths = {s: Dummy(integer=True, positive=True) for s in span[1].free_symbols}
        lengths = {s: dummy for s, dummy in lengths.items() if s.is_positive is None}
        free = {p: span for p in places if _is_index(p, shown)}
        for place in places:  # an element outside that range shows another one
            gaps = _gaps(span, {place}, free | bounds)
            if not all(gap.xreplace(lengths).is_nonnegative for gap in gaps):
                spans.add((extreme(place, bounds, 0), extreme(place, bounds, 1)))
    return spans


def _gaps(span: Span, places: set[Expr], bounds: Ranges) -> list[Expr]:
    """Return how far the least and the greatest of each of `places` lie within `span`."""
    first, last = span
    return [
        gap.expand()
        for place in places
        for gap in (extreme(place, bounds, 0) - first, last - extreme(place, bounds, 1))
    ]


def _is_index(place: Expr, shown: Survey) -> bool:
    """Return whether `place` is a free index: not a bound one, nor the n of x[n]."""
    return isinstance(place, Symbol | Idx) and not (
        isinstance(place, Dummy) or place.is_positive is True or is_length(place, shown)
    )


def _is_whole(span: Span, shown: Survey) -> bool:
    """Return whether a sum over `span` shows a whole axis: 1 to n, 0 to n - 1 or 0 to n."""
    first, last = span
    length = last + 1 if first == 0 and isinstance(last, Add) else last
    return (
        first in (0, 1)
        and isinstance(length, Symbol)
        and not isinstance(length, Dummy)
        and not any(length in places for places in shown.places.values())
    )


def is_length(symbol: Expr, shown: Survey) -> bool:
    """Return whether `symbol` counts elements, even where it is in an index: the n of x[n+1-i]."""
    if isinstance(symbol, Idx | Dummy):
        return False
    spans = [*shown.limits.values(), *shown.stated.values()]
    beside = [p for places in shown.places.values() for p in places if p != symbol]
    return any(S(part).has(symbol) for span in spans for part in span) or (
        symbol.is_positive is True and any(place.has(symbol) for place in beside)
    )
