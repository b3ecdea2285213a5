"""Expressions in plain symbols as code for one element, in Python, Triton or C."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sympy import Add, Basic, Expr, Max, Min, Mul, Piecewise, S, Symbol
from sympy.core.relational import Relational
from sympy.logic.boolalg import And, BooleanTrue, Not, Or

from rmsnorm_math.errors import Refused

LOOSE, SUM, PRODUCT, TIGHT = range(4)
Text = tuple[str, int]


@dataclass(frozen=True)
class Language:
    """How a language spells things; `{0}` is the first argument.

    Attributes
    ----------
    functions
        By SymPy's names.
    choice
        One value or another: of a condition, the value, and the other.
    words
        For and, or, not.
    number
        A constant in an expression of elements, whose type it must not change.
    whole
        An integer, where it may meet another one.
    """

    name: str
    functions: Mapping[str, str]
    choice: str
    words: tuple[str, str, str]
    number: str
    whole: str = "{0}"

    def spell(self, expr: Basic, names: Callable[[str], str], typed: bool = True) -> str:
        """Return the code of `expr`; `typed` where it is an element, not a value of the row."""
        number = self.number if typed else "{0}"

        def tight(node: Basic, than: int) -> str:
            text, own = code(node)
            return text if own >= than else f"({text})"

        def constant(value: Expr) -> Text:
            if value in (S.Infinity, S.NegativeInfinity, S.NaN):
                raise Refused(f"there is no code for {value} in a row kernel.")
            short = value.is_Integer and abs(value) < 2**31
            digits = self.whole.format(value) if short else repr(float(value.evalf(17)))
            text = number.format(digits)
            return text, LOOSE if text.startswith("-") else TIGHT

        def add(node: Add) -> Text:
            terms = sorted(node.args, key=lambda t: (t.could_extract_minus_sign(), t.is_Number))
            first, *rest = terms
            text = tight(first, SUM)
            for term in rest:
                minus = term.could_extract_minus_sign()
                text += f" {'-' if minus else '+'} {tight(-term if minus else term, PRODUCT)}"
            return text, SUM

        def multiply(node: Expr) -> Text:
            if node.could_extract_minus_sign():
                return f"-{tight(-node, PRODUCT)}", SUM
            over = [f for f in node.args if f.is_Pow and f.base != S.Exp1 and f.exp.is_negative]
            above = [
                tight(f, TIGHT if not f.is_Pow else PRODUCT) for f in node.args if f not in over
            ]
            below = [tight(1 / f, TIGHT) for f in over]
            text = " * ".join(above) or constant(S.One)[0]
            if not below:
                return text, PRODUCT
            return (
                f"{text} / {below[0] if len(below) == 1 else '(' + ' * '.join(below) + ')'}",
                PRODUCT,
            )

        def power(base: Expr, exponent: Expr) -> Text:
            if exponent.is_negative:
                return f"{constant(S.One)[0]} / {tight(base**-exponent, TIGHT)}", PRODUCT
            if exponent == S.Half:
                return call("sqrt", base)
            if exponent.is_Integer and exponent <= 8:
                return " * ".join([tight(base, TIGHT)] * int(exponent)), PRODUCT
            if (2 * exponent).is_Integer and exponent <= 8:
                whole = (
                    power(base, exponent - S.Half)[0]
                    if exponent != 3 * S.Half
                    else tight(base, TIGHT)
                )
                return f"{whole} * {call('sqrt', base)[0]}", PRODUCT
            return call("pow", base, exponent)

        def call(name: str, *args: Basic) -> Text:
            if name not in self.functions:
                raise Refused(
                    f"there is no code for {name} in a {self.name} kernel, only for sums, powers, "
                    f"{', '.join(sorted(self.functions))}."
                )
            form = self.functions[name]
            texts = [code(arg)[0] for arg in args]
            return form.format(*texts, one=constant(S.One)[0], zero=constant(S.Zero)[0]), TIGHT

        def choose(node: Piecewise) -> Text:
            *pieces, (last, condition) = node.args
            if not isinstance(condition, BooleanTrue):
                raise Refused(f"{node} has no value where none of its conditions holds: add one.")
            text = code(last)[0]
            for value, condition in reversed(pieces):
                text = self.choice.format(code(condition)[0], code(value)[0], text)
            return text, TIGHT

        def code(node: Basic) -> Text:
            if isinstance(node, Symbol):
                return names(node.name), TIGHT
            if isinstance(node, Expr) and not node.free_symbols and not node.has(Piecewise):
                return constant(node)
            if isinstance(node, Add):
                return add(node)
            if isinstance(node, Mul):
                return multiply(node)
            if node.is_Pow and node.base != S.Exp1:
                return power(node.base, node.exp)
            if isinstance(node, Piecewise):
                return choose(node)
            if isinstance(node, Max | Min):
                first, *rest = node.args
                text = code(first)[0]
                for other in rest:
                    text = self.functions[type(node).__name__].format(text, code(other)[0])
                return text, TIGHT
            if isinstance(node, Relational):
                relation = "==" if node.rel_op == "==" else node.rel_op
                return f"{tight(node.lhs, SUM)} {relation} {tight(node.rhs, SUM)}", LOOSE
            if isinstance(node, And | Or):
                word = self.words[isinstance(node, Or)]
                return f" {word} ".join(tight(arg, SUM) for arg in node.args), LOOSE
            if isinstance(node, Not):
                return f"{self.words[2]}{tight(node.args[0], TIGHT)}", LOOSE
            return call(node.func.__name__, *node.args)

        return code(expr)[0]
