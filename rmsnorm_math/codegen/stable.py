"""Elementwise forms that neither overflow nor lose digits, in place of those that do."""

from sympy import (
    Add,
    Basic,
    Expr,
    Ge,
    Gt,
    Heaviside,
    Indexed,
    Le,
    Lt,
    Max,
    Min,
    Mul,
    Piecewise,
    Pow,
    S,
    exp,
    log,
)

from rmsnorm_math.codegen.labels import at_label
from rmsnorm_math.codegen.lines import names_in
from rmsnorm_math.codegen.logistic import complement, log_of, product_of
from rmsnorm_math.codegen.nodes import (
    Line,
    Logistic,
    Position,
    Reduction,
    Total,
    parts,
    rebuilt,
)


def stable_lines(definitions: list[Line], outputs: list[Line]) -> tuple[list[Line], list[Line]]:
    """Return both in stable form, without the definitions that are no longer used.

    A name is written out where it hides what takes an exponential up, as s does in exp(-x)*s with
    s = 1/(1 + exp(-x)).
    """
    hidden: dict[str, Expr] = {}

    def meant(expr: Basic) -> dict[Basic, Basic]:
        names = {p for p in parts(expr) if isinstance(p, Indexed) and p.base.name in hidden}
        return {
            p: hidden[p.base.name].xreplace(dict(zip(own[p.base.name], p.indices, strict=True)))
            for p in names
        }

    def count(expr: Basic) -> int:
        return sum(isinstance(p, exp) for e in (expr, *meant(expr).values()) for p in parts(e))

    def best(expr: Expr) -> Expr:
        plain, names = stable(expr), meant(expr)
        if not names or not count(plain):
            return plain
        whole = stable(expr.xreplace(names))
        if count(whole) >= count(plain):
            return plain
        return whole.xreplace({e: p for p, e in names.items() if isinstance(e, Logistic)})

    own = {name: axes for name, axes, _ in definitions}
    lines = []
    for name, axes, expr in definitions:
        lines.append((name, axes, best(expr)))
        full = stable(expr.xreplace(meant(expr)))
        if axes and not any(isinstance(p, Reduction) for p in parts(full)):
            hidden[name] = full
    results = [(name, axes, best(expr)) for name, axes, expr in outputs]
    for line in reversed([*lines]):
        if not any(line[0] in names_in(expr) for _, _, expr in [*lines, *results]):
            lines.remove(line)
    return lines, results


def stable(node: Basic) -> Basic:
    """Return `node` with what would overflow, divide by 0 or lose digits written otherwise."""
    if isinstance(node, Indexed | Position):
        return node
    if isinstance(node, Mul):
        node = _guarded(node)
    if isinstance(node, Mul):
        node = at_label(node)
    if not isinstance(node, Mul):
        return _simple(rebuilt(node, map(stable, node.args)))
    return product_of(Mul(*map(_inside, node.args)))


def _inside(factor: Expr) -> Expr:
    """Return a factor with what it is made of in stable form: a power waits for its product."""
    if isinstance(factor, Pow) and not isinstance(factor, exp):
        if isinstance(factor.base, exp):  # everything is real
            return stable(exp(factor.base.exp * factor.exp))
        return Pow(stable(factor.base), stable(factor.exp))
    return stable(factor)


def _simple(node: Basic) -> Basic:
    if isinstance(node, Heaviside) and node.args[1] != S.Half:
        return _step(node)
    if isinstance(node, Piecewise):
        return _bounded(node)
    if isinstance(node, log):
        return log_of(node.args[0])
    if isinstance(node, Add):
        return complement(node)
    if isinstance(node, Total):
        number, rest = node.body.as_coeff_Mul()
        return number * Total(rest, *node.over)
    if isinstance(node, Pow) and node.exp.is_negative:
        return product_of(node)
    return node


def _step(node: Heaviside) -> Expr:
    """Write a step that is something other than a half at 0 as a choice."""
    at, middle = node.args
    if middle in (0, 1):
        return Piecewise((1, at > 0 if middle == 0 else at >= 0), (0, True))
    return Piecewise((1, at > 0), (0, at < 0), (middle, True))


def _bounded(node: Piecewise) -> Basic:
    """Bound exponents in a branch by what the conditions say: both branches are computed."""
    if len(node.args) != 2:
        return node
    (first, condition), (second, _) = node.args
    if not isinstance(condition, Gt | Ge | Lt | Le) or condition.rhs != 0:
        return node
    x, positive = condition.lhs, isinstance(condition, Gt | Ge)

    def bounded(branch: Expr, sign: int) -> Expr:
        def bound(power: Expr) -> Expr:
            ratio = power.exp / x
            low = ratio.is_number and sign * ratio > 0
            return exp(ratio * (Min(x, 0) if sign > 0 else Max(x, 0))) if low else power

        return branch.replace(lambda part: isinstance(part, exp), bound)

    first = bounded(first, -1 if positive else 1)
    return Piecewise((first, condition), (bounded(second, 1 if positive else -1), True))


def _guarded(node: Mul) -> Expr:
    """Bound what a step bounds: where the step of a - b is not 0, a is Max(a, b)."""
    for factor in node.args:
        if not (isinstance(factor, Heaviside) and isinstance(factor.args[0], Add)):
            continue
        for term in factor.args[0].args:
            bound = term - factor.args[0]
            base, power = term.as_base_exp()
            for other in node.args:
                root, own = other.as_base_exp()
                if own.is_negative and root == base and power.is_positive and bound.is_nonnegative:
                    return Mul(*(f for f in node.args if f != other)) * Max(term, bound) ** (
                        own / power
                    )
    return node
