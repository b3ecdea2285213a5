"""Sums, products, powers and constants, so that small arrays are multiplied first."""

from sympy import Expr, Mul, Piecewise, Rational, S, Symbol, pi

from rmsnorm_math.codegen.constants import is_long
from rmsnorm_math.codegen.layout import POWER, PRODUCT, SIGN, SUM, TIGHT, Layout, Text, tight
from rmsnorm_math.codegen.nodes import axes_of, is_reciprocal
from rmsnorm_math.codegen.products import Products


class Arithmetic(Products):
    """How arithmetic is written."""

    reciprocals: bool = False  # whether an array is multiplied by the reciprocals of a smaller one

    def choice(self, node: Piecewise, want: Layout) -> Text:
        """Return the code of a choice by a condition."""
        raise NotImplementedError

    def sum(self, node: Expr, want: Layout) -> Text:
        """Return the code of a sum."""
        terms = []
        for term in node.args:
            minus = term.could_extract_minus_sign()
            text = tight(self.text(-term if minus else term, want), PRODUCT if minus else SUM)
            terms.append((minus, term.is_Number, text))
        (minus, _, text), *rest = sorted(terms)
        first = f"-{text}" if minus else text
        return first + "".join(f" {'-' if minus else '+'} {text}" for minus, _, text in rest), SUM

    def product(self, node: Expr, want: Layout) -> Text:
        """Return the code of a product."""
        if node.could_extract_minus_sign():
            return f"-{tight(self.text(-node, want), PRODUCT)}", SIGN
        constant = Mul(*(f for f in node.args if not f.free_symbols))
        factors = [f for f in node.args if f.free_symbols]
        choices = [f for f in factors if isinstance(f, Piecewise)]
        if choices and any(v == 0 or not axes_of(v) for v, _ in choices[0].args):
            rest = Mul(constant, *(f for f in factors if f is not choices[0]))
            if axes_of(rest):
                pieces = [(value * rest, condition) for value, condition in choices[0].args]
                return self.choice(Piecewise(*pieces, evaluate=False), want)
        axes = axes_of(node)
        small = self._column(factors, axes)
        if small and len(small) + (constant != 1) > 1:
            large = Mul(*(f for f in factors if f not in small))
            column = Mul(constant, *small)
            if large.args and not is_reciprocal(large):
                left = self.text(large, want)
                return f"{tight(left, PRODUCT)}*{tight(self.text(column, want), POWER)}", PRODUCT
        inverted = [f for f in factors if is_reciprocal(f) and self._small(f, axes)]
        over = [f for f in factors if is_reciprocal(f) and f not in inverted]
        plain = [f for f in factors if f not in (*over, *inverted)]
        texts = [(f, tight(self.text(f, want), SIGN)) for f in plain]
        texts.sort(key=lambda pair: (axes_of(pair[0]) == axes and pair[1][0] == "(", pair[1]))
        if all(axes_of(f) == axes for f, _ in texts):
            texts.sort(key=lambda pair: pair[1])
        above = [text for _, text in texts]
        below = sorted(tight(self.power(f.base, -f.exp, want), SIGN) for f in over)
        if constant != 1:
            if isinstance(constant, Rational) and not is_long(constant):
                above = ([str(constant.p)] if constant.p != 1 else []) + above
                below = ([str(constant.q)] if constant.q != 1 else []) + below
            else:
                above = [self.number(constant)[0], *above]
        above += sorted(f"({self.text(f, want)[0]})" for f in inverted)
        numerator = "*".join(above) or "1"
        if not below:
            return numerator, PRODUCT
        return (
            f"{numerator}/{below[0] if len(below) == 1 else '(' + '*'.join(below) + ')'}",
            PRODUCT,
        )

    def _small(self, factor: Expr, axes: set[Symbol]) -> bool:
        """Return whether a reciprocal is multiplied by: that of a smaller array costs little."""
        return self.reciprocals and set() < axes_of(factor) < axes

    def _column(self, factors: list[Expr], axes: set[Symbol]) -> list[Expr]:
        """Return the factors that make a smaller array together, for one product less."""
        sets = sorted({frozenset(axes_of(f)) for f in factors} - {frozenset(axes)}, key=len)
        for chosen in reversed(sets):
            if chosen:
                return [f for f in factors if axes_of(f) <= chosen]
        return []

    def power(self, base: Expr, exponent: Expr, want: Layout) -> Text:
        """Return the code of a power."""
        if exponent == 1:
            return self.text(base, want)
        if exponent.is_negative:
            return f"1/{tight(self.power(base, -exponent, want), SIGN)}", PRODUCT
        if exponent == S.Half and axes_of(base):
            return f"{self.module}.sqrt({self.text(base, want)[0]})", TIGHT
        power = tight(self.text(exponent, want), SIGN)
        return f"{tight(self.text(base, want), TIGHT)}**{power}", POWER

    def number(self, value: Expr) -> Text:
        """Return a constant as one number of Python, which takes the arrays' type."""
        if value.is_Integer:
            return str(value), TIGHT if value >= 0 else SIGN
        if isinstance(value, Rational) and not is_long(value) and 8 % value.q:
            return f"{value.p}/{value.q}", PRODUCT
        if value in (S.Infinity, S.NegativeInfinity):
            return ("-" if value == S.NegativeInfinity else "") + f"{self.module}.inf", SIGN
        if value == pi:
            return f"{self.module}.pi", TIGHT
        if value == S.Exp1:
            return f"{self.module}.e", TIGHT
        text = repr(float(value.evalf(17)))
        return text, SIGN if text.startswith("-") else TIGHT
