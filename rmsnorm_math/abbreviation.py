"""A quantity that occurs again and again becomes one symbol, and the symbol the quantity again."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import product

from sympy import Add, Basic, Dummy, Expr, Idx, Indexed, Integer, KroneckerDelta, Mul, Piecewise, S, Symbol, exp

from rmsnorm_math.errors import Refused
from rmsnorm_math.index.contraction import contracted
from rmsnorm_math.index.enter import enter
from rmsnorm_math.index.leave import leave
from rmsnorm_math.index.names import freshen
from rmsnorm_math.index.walk import BINDERS, depends, dummies_of, index_symbols, limits_of
from rmsnorm_math.inputs import as_expression, as_expressions
from rmsnorm_math.matching import Names, assignments, matches, power_of
from rmsnorm_math.refusals import refuse_lookalikes


@dataclass(frozen=True)
class Definition:
    """A key and what it stands for, its bound indices unique."""

    key: Expr
    value: Expr

    @cached_property
    def indices(self) -> tuple[Expr, ...]:
        """The indices that the key holds for whatever they are."""
        return tuple(s for s in getattr(self.key, "indices", ()) if isinstance(s, Symbol | Idx))

    @cached_property
    def core(self) -> list[tuple[Expr, Expr]]:
        """Bases and exponents of the factors that are looked for."""
        return [power_of(factor) for factor in self._sought()]

    @cached_property
    def short(self) -> Expr:
        """What stands for the core: the key without the factors that go along."""
        sought = self._sought()
        return self.key / Mul(*(f for f in Mul.make_args(self.value) if f not in sought))

    def _sought(self) -> list[Expr]:
        factors = Mul.make_args(self.value)
        if any(f.has(Piecewise, KroneckerDelta) for f in factors):  # which may be 0
            return [*factors]
        if self.indices:
            for enough in (all, any):
                if core := [f for f in factors if enough(f.has(s) for s in self.indices)]:
                    return core
        return [f for f in factors if f.has(*BINDERS)] or [*factors]


def abbreviate(expr: Expr, definitions: Mapping[Expr, Expr]) -> Expr:
    """Return `expr` with each defined quantity written as its symbol.

    A definition that is a root, such as ``{r: rms()}``, is found in all its
    powers, and a product among the factors of another. The names of dummies do
    not matter. `substitute` undoes it.

    Parameters
    ----------
    expr
        An expression in index notation.
    definitions
        ``{symbol: expression}``, applied in order, to the later definitions,
        too. An element as the key holds for each value of its indices:
        ``{xhat[i]: x[i]/r}`` puts ``r*xhat[k]`` for ``x[k]``.

    Raises
    ------
    Refused
        If `expr` or a definition is no expression; if a key is a bare base, has
        an index that its definition lacks, is the name of an index, or occurs
        in the expression with another meaning.

    Examples
    --------
    >>> from rmsnorm_math import abbreviate, rms, rmsnorm, vjp
    >>> from rmsnorm_math.notation import i, j, r, x, xhat, ybar
    >>> dx = vjp(rmsnorm(), x[j], ybar[i])
    >>> abbreviate(dx, {r: rms(), xhat[i]: x[i]/r})
    gamma[j]*ybar[j]/r - xhat[j]*Sum(gamma[i]*xhat[i]*ybar[i], (i, 1, n))/(n*r)
    """
    expr = as_expression(expr)
    result = _plain(expr)
    earlier: list[Definition] = []
    for key, definition in zip(definitions, _definitions(expr, definitions), strict=True):
        value = definition.value
        for known in earlier:
            value = _write(value, known)
        earlier.append(Definition(definition.key, value))
        short = _write(result, earlier[-1])
        if short != result and depends(result, key):
            raise Refused(
                f"{key} occurs in the expression already, and would come to mean two things: "
                f"take another name for {definitions[key]}."
            )
        result = short
    return _tidy(result, dummies_of(expr))


def substitute(expr: Expr, definitions: Mapping[Expr, Expr]) -> Expr:
    """Return `expr` with what each symbol stands for in its place: it undoes `abbreviate`.

    Unlike ``expr.subs``, it reaches every element of a defined base, in sums,
    too, and no index is captured.

    Parameters
    ----------
    expr, definitions
        As in `abbreviate`; a definition may use any other one.

    Raises
    ------
    Refused
        As `abbreviate`, or if definitions use each other in a circle.

    Examples
    --------
    >>> from rmsnorm_math import substitute
    >>> from rmsnorm_math.notation import i, k, n, r, x, xhat
    >>> from sympy import Sum
    >>> substitute(Sum(k*xhat[k], (k, 1, n)), {xhat[i]: x[i]/r})
    Sum(k*x[k], (k, 1, n))/r
    """
    expr = as_expression(expr)
    result = freshen(expr)
    known = _definitions(expr, definitions)
    for _ in range(len(known) + 1):
        replaced = _insert(result, known)
        if replaced == result:
            return _tidy(result, dummies_of(expr, *definitions.values()))
        result = freshen(replaced)
    raise Refused(f"the definitions {[*definitions]} use each other in a circle.")


def _tidy(expr: Expr, names: Iterable[Expr]) -> Expr:
    """Return `expr` in the form that every result has: the same quantity looks the same."""
    return leave(contracted(enter(expr), {}), names)


def _plain(expr: Expr) -> Expr:
    """Return `expr` in that form, its bound indices unique."""
    return freshen(_tidy(expr, dummies_of(expr)))


def _definitions(expr: Expr, given: Mapping[Expr, Expr]) -> list[Definition]:
    """Return the definitions, checked: each key has one meaning, here and in `expr`."""
    entries = as_expressions(given, "the definitions", "{r: rms()}")
    every = [expr, *entries.values()]
    indices = set().union(*(index_symbols(e) | {s for s, _, _ in limits_of(e)} for e in every))
    for key, value in entries.items():
        places = getattr(key, "indices", ())
        if not isinstance(key, Symbol | Indexed) or isinstance(key, Idx):
            raise Refused(f"{key} is no key: write a symbol, or an element such as xhat[i].")
        if not all(isinstance(s, Symbol | Idx) or s.is_Integer for s in places):
            raise Refused(f"the indices of {key} must be symbols or numbers, such as xhat[i].")
        if str(key) in map(str, indices):
            raise Refused(f"{key} is the name of an index already: take another one for {value}.")
        if depends(value, key):
            raise Refused(f"{key} stands in its own definition, {value}.")
    refuse_lookalikes(freshen(expr), *map(freshen, entries.values()), *entries)
    tidy = {key: _plain(value) for key, value in entries.items()}
    for key, value in tidy.items():
        if value.is_number:
            raise Refused(f"{key} stands for the number {value}: there is nothing to look for.")
    return [_general(key, value) for key, value in tidy.items()]


def _general(key: Expr, value: Expr) -> Definition:
    """Return a definition whose open indices are no index of the expression."""
    places = [s for s in getattr(key, "indices", ()) if not s.is_Integer]
    spare = {s: Dummy(s.name, integer=True) for s in places}
    return Definition(key.xreplace(spare), value.xreplace(spare))


def _write(node: Basic, known: Definition) -> Basic:
    """Return `node` with the key of a definition wherever its core occurs."""
    if (found := _found(node, known)) is not None:
        return found
    if not node.args or isinstance(node, Indexed):
        return node
    args = [_write(arg, known) for arg in node.args]
    return node if tuple(args) == node.args else node.func(*args)


def _found(node: Basic, known: Definition) -> Expr | None:
    """Return what stands for `node`, if the core is a part of its factors."""
    if not isinstance(node, Expr):
        return None
    factors = [power_of(f) for f in Mul.make_args(node)]
    bases = [base for base, _ in factors]
    if not {type(base) for base, _ in known.core} <= set(map(type, bases)):
        return None
    for signs in product(*((1, -1) if base.is_Add else (1,) for base, _ in known.core)):
        signed = [sign * base for sign, (base, _) in zip(signs, known.core, strict=True)]
        for names, places in assignments(signed, bases, dict.fromkeys(known.indices), {}):
            power = _power([(bases[at], factors[at][1], exponent) for at, (_, exponent) in zip(places, known.core, strict=True)])
            turned = [e * power for s, (_, e) in zip(signs, known.core, strict=True) if s < 0]
            if power == 0 or not all(e.is_integer for e in turned):
                continue
            used = {at: e * power for at, (_, e) in zip(places, known.core, strict=True)}
            rest = Mul(*(base ** (e - used.get(at, 0)) for at, (base, e) in enumerate(factors)))
            if lacking := [str(s) for s, found in names.items() if found is None]:
                raise Refused(f"{known.key} has the index {', '.join(lacking)}, and what it stands for has not.")
            short = known.short.xreplace(names) ** power * S.NegativeOne ** Add(*turned)
            return short * _write(rest, known)
    return None


def _power(pairs: list[tuple[Expr, Expr, Expr]]) -> Expr:
    """Return how often the core is there: a whole number, negative in a denominator."""
    ratios = [there / needed for _, there, needed in pairs]
    if len(ratios) == 1:
        whole = ratios[0].is_integer or isinstance(pairs[0][0], exp)
        return ratios[0] if whole else S.Zero
    if not all(ratio.is_Rational for ratio in ratios):
        return S.Zero
    least = min(ratios, key=abs)
    same = all(ratio * least > 0 for ratio in ratios)
    return Integer(int(least)) if same else S.Zero


def _insert(node: Basic, known: list[Definition]) -> Basic:
    """Return `node` with what each key stands for, its bound indices different from all there."""

    def walk(part: Basic) -> Basic:
        for definition in known:
            at = _meant(part, definition.key)
            if at is not None:
                return freshen(definition.value).xreplace(at)
        if not part.args or isinstance(part, Indexed):
            return part
        return part.func(*map(walk, part.args))

    return walk(node)


def _meant(node: Basic, key: Expr) -> Names | None:
    """Return what the indices of `key` are in `node`, if that is the key at some place."""
    if not isinstance(key, Indexed):
        return {} if node == key else None
    if not isinstance(node, Indexed) or node.base != key.base:
        return None
    return next(matches(key, node, dict.fromkeys(set(key.indices) & key.atoms(Symbol, Idx)), {}), None)
