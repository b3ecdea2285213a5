"""Means for sums that are divided by a length."""

from collections.abc import Mapping

from sympy import Basic, Expr, Mul, S, Symbol

from rmsnorm_math.codegen.nodes import Line, Mean, Total, family, parts, replaced


def means(lines: list[Line], sizes: Mapping[Symbol, Symbol]) -> list[Line]:
    """Write a mean for a sum that is divided by the length, unless that length is needed again."""
    seen: set[Basic] = set()
    while left := {p for _, _, e in lines for p in parts(e) if isinstance(p, Total)} - seen:
        total = min(left, key=lambda node: (node.count_ops(), str(node)))
        seen.add(total)
        if any(family(axis) not in sizes for axis in total.over):
            continue
        lengths = [sizes[family(axis)] for axis in total.over]
        mean = Mul(*lengths) * Mean(*total.args)
        put = {total: mean}.get
        other = [(name, axes, replaced(expr, put)) for name, axes, expr in lines]
        before, after = (
            sum(expr.count(size) for _, _, expr in tried for size in {*lengths})
            for tried in (lines, other)
        )
        if after < before:
            lines = other
    return lines


def scaled(value: Expr, sizes: Mapping[Symbol, Symbol]) -> tuple[Expr, Expr | None]:
    """Return how many times a mean a sum is, or which part of a sum a mean, and that one."""
    if not isinstance(value, Total | Mean) or any(family(a) not in sizes for a in value.over):
        return S.One, None
    many = Mul(*(sizes[family(axis)] for axis in value.over))
    if isinstance(value, Mean):
        return 1 / many, Total(*value.args)
    return many, Mean(*value.args)
