"""What is written with exponentials, by functions that do not overflow: logistic, softplus."""

from collections.abc import Iterator

from sympy import Abs, Add, Expr, Heaviside, Max, Mul, Pow, S, cosh, exp, log, sinh, tanh

from rmsnorm_math.codegen.labels import picked
from rmsnorm_math.codegen.nodes import Logistic, Softplus, Total


def complement(node: Add) -> Expr:
    """Write Logistic(-x) for 1 - Logistic(x)."""
    for term in node.args:
        number, rest = term.as_coeff_Mul()
        for factor in Mul.make_args(rest):
            if isinstance(factor, Logistic):
                other = -number * Mul(*(f for f in Mul.make_args(rest) if f != factor))
                if other in node.args:
                    left = Add(*(t for t in node.args if t not in (term, other)))
                    left = left + other * Logistic(-factor.args[0])
                    return complement(left) if isinstance(left, Add) else left
    return node


def _two_exponentials(node: Expr) -> tuple[Expr, Expr, Expr] | None:
    """Return (c, a, b) if `node` is c*exp(a)*(1 + exp(b)), with c a positive number."""
    if not isinstance(node, Add) or len(node.args) != 2:
        return None
    found = []
    for term in node.args:
        number, rest = term.as_coeff_Mul()
        if not (number.is_positive and (rest == 1 or isinstance(rest, exp))):
            return None
        found.append((number, rest.exp if isinstance(rest, exp) else S.Zero))
    (c, a), (d, b) = sorted(found, key=lambda pair: pair[1] != 0)
    return c, a, b - a + log(d / c)


def log_of(arg: Expr) -> Expr:
    """Return the logarithm of `arg`, apart where its factors are known to be positive."""
    if isinstance(arg, exp):
        return arg.exp
    if isinstance(arg, Logistic):
        return -Softplus(-arg.args[0])
    if (found := picked(arg)) is not None:
        delta, power = found
        return Total(delta * power, *arg.over)
    if (two := _two_exponentials(arg)) is not None:
        c, a, b = two
        return a + log(c) + Softplus(b)
    if isinstance(arg, cosh):
        size = Abs(arg.args[0])
        return size + Softplus(-2 * size) - log(2)
    if isinstance(arg, Pow) and not arg.exp.is_even and (_positive(arg.base) or picked(arg.base)):
        return arg.exp * log_of(arg.base)
    if isinstance(arg, Mul):
        known = [f for f in arg.args if _positive(f)]
        if known:
            return Add(*map(log_of, known), log_of(Mul(*(f for f in arg.args if f not in known))))
    return log(arg)


def _positive(node: Expr) -> bool:
    if isinstance(node, Total):
        return _positive(node.body)
    if isinstance(node, Add):
        return all(map(_positive, node.args))
    if isinstance(node, Mul):
        return all(map(_positive, node.args))
    if isinstance(node, Pow) and not isinstance(node, exp):
        return _positive(node.base)
    return isinstance(node, exp | Logistic | cosh) or bool(node.is_positive)


def product_of(node: Expr) -> Expr:
    """Return a product with logistic functions for reciprocals of 1 + exp(x), tanh for sinh."""
    factors = []
    for factor in Mul.make_args(node):
        base, power = factor.as_base_exp() if not isinstance(factor, exp) else (factor, S.One)
        two = _two_exponentials(base) if power.is_negative else None
        if two is not None:
            c, a, b = two
            factors.append(c**power * exp(power * a) * Logistic(-b) ** -power)
        elif isinstance(base, cosh) and power.is_negative and power.is_integer:
            factors += _reciprocal_of_cosh(node, base, -power)
        else:
            factors.append(factor)
    product = Mul(*factors)
    return _absorbed(_multiplied(_without_steps(product)))


def _multiplied(node: Expr) -> Expr:
    """Multiply a sum of exponentials by logistic functions that take them up, as in tanh."""
    factors = Mul.make_args(node)
    for factor in factors:
        base, power = factor.as_base_exp()
        if not (isinstance(base, Add) and base.has(exp) and power.is_Integer and power > 0):
            continue
        for other in factors:
            own, times = other.as_base_exp()
            if isinstance(own, Logistic) and times.is_Integer and times >= power:
                out = Add(*(f.exp for f in factors if isinstance(f, exp)))
                terms = [_absorbed(own * exp(out / power) * term) for term in base.args]
                if not any(term.has(exp) for term in terms):
                    left = [f for f in factors if f not in (factor, other)]
                    left = [f for f in left if not isinstance(f, exp)]
                    rest = Mul(*left, own ** (times - power))
                    return _multiplied(rest * _complement_all(Add(*terms)) ** power)
    return node


def _complement_all(node: Expr) -> Expr:
    return complement(node) if isinstance(node, Add) else node


def _reciprocal_of_cosh(node: Expr, base: Expr, times: Expr) -> Iterator[Expr]:
    """Yield factors for cosh(x)**-times; sinh(x)*cosh(x)**-1 is tanh(x)."""
    x = base.args[0]
    powers = node.as_powers_dict()
    over = min(powers.get(sinh(x), S.Zero), times)
    if over > 0:
        yield sinh(x) ** -over * tanh(x) ** over
        times -= over
    yield (1 - tanh(x) ** 2) ** (times // 2)
    if times % 2:
        yield 2 * exp(-Abs(x)) * Logistic(2 * Abs(x))


def _absorbed(node: Expr) -> Expr:
    """Write Logistic(-x) for exp(-x)*Logistic(x), as often as it goes."""
    factors = [f for f in Mul.make_args(node) if not isinstance(f, exp)]
    power = Add(*(f.exp for f in Mul.make_args(node) if isinstance(f, exp))).expand()
    for at, factor in enumerate(factors):
        base, own = factor.as_base_exp()
        if not isinstance(base, Logistic) or not own.is_Integer:
            continue
        x = base.args[0]
        for times in range(1, int(own) + 1):
            rest = (power + times * x).expand()
            if power != 0 and (rest == 0 or _terms(rest) < _terms(power)):
                others = [*factors[:at], *factors[at + 1 :], base ** (own - times)]
                return _absorbed(Mul(*others, Logistic(-x) ** times, exp(rest)))
    return node


def _terms(node: Expr) -> int:
    return len(Add.make_args(node))


def _without_steps(node: Expr) -> Expr:
    """Leave out the step of x beside a power of Max(0, x), which is 0 where the step is."""
    for factor in Mul.make_args(node):
        if isinstance(factor, Heaviside):
            x = factor.args[0]
            for other in Mul.make_args(node):
                base, power = other.as_base_exp()
                if isinstance(base, Max) and {*base.args} == {S.Zero, x} and power.is_positive:
                    return _without_steps(Mul(*(f for f in Mul.make_args(node) if f != factor)))
    return node
