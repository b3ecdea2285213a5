"""Constants in the code: one number for each, near 1 in size, so that it fits the arrays' type."""

from sympy import Add, Basic, Dummy, Expr, Indexed, Mul, Rational, Symbol

from rmsnorm_math.codegen.nodes import Position, rebuilt


def marked(node: Basic, marks: dict[Expr, Symbol]) -> Basic:
    """Return `node` with symbols for its long constants: SymPy would multiply them out.

    The terms of a sum come out near 1 in size: 0.134145*x**2 + 1 for 26829*x**2 + 200000.
    """
    values = {mark: number for number, mark in marks.items()}

    def mark(number: Expr) -> Expr:
        if not is_long(number):
            return number
        sign = -1 if number.is_negative else 1
        return sign * marks.setdefault(sign * number, Dummy(positive=True))

    def split(term: Expr) -> tuple[Expr, Expr]:
        factors = [values.get(f, f) for f in Mul.make_args(term)]
        rest = [f for f in factors if not f.is_number]
        return Mul(*(f for f in factors if f.is_number)), Mul(*rest)

    if isinstance(node, Indexed | Position):
        return node
    if isinstance(node, Expr) and node.is_number:
        return mark(node) if node.is_real else node
    args = [marked(arg, marks) for arg in node.args]
    values = {mark: number for number, mark in marks.items()}
    if isinstance(node, Mul):
        number, rest = split(Mul(*args))
        return mark(number) * rest
    if isinstance(node, Add):
        terms = [split(arg) for arg in args]
        if any(number.is_Rational and max(abs(number.p), number.q) > 100 for number, _ in terms):
            plain = [abs(number) for number, rest in terms if rest == 1]
            scale = plain[0] if plain else max(abs(number) for number, _ in terms)
            return mark(scale) * Add(*(mark(number / scale) * rest for number, rest in terms))
    return rebuilt(node, args)


def is_long(number: Expr) -> bool:
    """Return whether a constant is one number in the code, 0.7978845608028654 or 0.044715."""
    if isinstance(number, Rational):
        return bool(abs(number.p) > (1000 if number.q == 1 else 12) or number.q > 1000)
    return not number.is_Atom and bool(number.is_finite)
