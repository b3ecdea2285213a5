"""A layer as a short text, such as `y[i] = x[i]/sqrt(Sum(x[k]**2, (k, 1, n))/n + epsilon)`.

The text may come from an address that anybody wrote. So it is never run: Python's own parser reads
it, and what becomes of it is listed here, node by node. What is not listed is refused, with its
line. Its length and its numbers are bounded.
"""

import ast
import itertools
import textwrap
from dataclasses import dataclass, field

import sympy
from sympy import Idx, IndexedBase, Integer, Piecewise, Rational, Symbol

from rmsnorm_math import notation

LONGEST, MOST, DEEPEST, LARGEST = 2000, 400, 40, 10**6  # characters, nodes, levels; a number
WRITTEN_OUT = 2000  # operations of the formula, its definitions written out
CHOICES = 12  # arguments of all max and min together: SymPy compares each with each
NAMES = "Abs And Eq Heaviside KroneckerDelta Max Min Mod Ne Not Or Piecewise Product Sum acosh"
NAMES += " asinh atan atanh cos cosh erf erfc exp floor log sign sin sinh sqrt tan tanh"
FUNCTIONS = {name: getattr(sympy, name) for name in NAMES.split()}
FUNCTIONS |= {"abs": sympy.Abs, "max": sympy.Max, "min": sympy.Min}
OPERATORS = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b,
    ast.Lt: sympy.Lt,
    ast.LtE: sympy.Le,
    ast.Gt: sympy.Gt,
    ast.GtE: sympy.Ge,
    ast.Eq: sympy.Eq,
    ast.NotEq: sympy.Ne,
    ast.And: sympy.And,
    ast.Or: sympy.Or,
}
LETTERS = "klpqstuvw"
INSTEAD = {  # of what people write elsewhere
    "mean": "Sum(x[k], (k, 1, n))/n",
    "sum": "Sum(x[k], (k, 1, n))",
    "prod": "Product(x[k], (k, 1, n))",
    "norm": "sqrt(Sum(x[k]**2, (k, 1, n)))",
    "softmax": "exp(x[i])/Sum(exp(x[k]), (k, 1, n))",
    "sigmoid": "1/(1 + exp(-x[i]))",
    "silu": "x[i]/(1 + exp(-x[i]))",
    "gelu": "x[i]*(1 + erf(x[i]/sqrt(2)))/2",
    "softplus": "log(1 + exp(x[i]))",
    "relu": "max(x[i], 0)",
    "rsqrt": "1/sqrt(x[i])",
    "square": "x[i]**2",
    "where": "a[i] if x[i] > 0 else c[i]",
}


class Unreadable(ValueError):
    """The text is no layer; `line` is where."""

    def __init__(self, message, line=None):
        super().__init__(message)
        self.line = line


@dataclass
class Layer:
    """What a text says: the output's element and formula, the names for parts of it, the ranges."""

    element: sympy.Expr
    formula: sympy.Expr
    line: int
    where: dict = field(default_factory=dict)
    ranges: dict = field(default_factory=dict)


def read(text):
    """Return the layer that a text describes."""
    if len(text) > LONGEST:
        raise Unreadable(f"the text has {len(text)} characters; {LONGEST} are read")
    try:
        tree = ast.parse(textwrap.dedent(text.removeprefix("\ufeff")))
    except SyntaxError as error:
        line = text.splitlines()[(error.lineno or 1) - 1 :][:1]
        raise Unreadable(
            f"this is no formula: {unread(*line) or error.msg}", error.lineno
        ) from None
    except (ValueError, RecursionError, MemoryError):
        raise Unreadable("the text cannot be parsed") from None
    if sum(1 for _ in ast.walk(tree)) > MOST or depth(tree) > DEEPEST:
        raise Unreadable("the formula is too large for this page: the package takes any")
    calls = [n for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)]
    if sum(len(n.args) for n in calls if n.func.id.lower() in ("max", "min")) > CHOICES:
        raise Unreadable(f"max and min choose from {CHOICES} on this page, all together")
    reader = Reader(tree)
    for statement in tree.body:
        try:
            reader.statement(statement)
        except (TypeError, AttributeError, ArithmeticError) as error:  # SymPy's, of a wrong kind
            raise reader.refused(f"this is no formula: {error}") from None
    if not reader.definitions:
        raise Unreadable("write the layer as y[i] = ..., its output on the left")
    *parts, (element, (line, value)) = reader.definitions.items()
    reader.in_order()
    formula = reader.expand(value, line)
    if not isinstance(formula, sympy.Expr) or formula.has(sympy.I, sympy.nan, sympy.zoo):
        raise reader.refused(f"{formula} is no real number")
    output = getattr(element, "base", element)
    ranks = {}
    for found in sorted(formula.atoms(sympy.Indexed), key=str):
        if found.base == output:
            raise reader.refused(f"{output} is the output, and stands on the right as well")
        if ranks.setdefault(found.base, len(found.indices)) != len(found.indices):
            raise reader.refused(f"{found.base} has different numbers of indices")
    if output in formula.free_symbols:
        raise reader.refused(f"{output} is the output, and stands on the right as well")
    names, numbers = {}, {}
    for key, (_, part) in parts:
        value = part.xreplace(numbers)
        (names if value.free_symbols else numbers)[key] = value
    return Layer(element, formula, line, names, reader.ranges)


def unread(line=""):
    """Return what to write in place of a line that Python cannot parse, where that is known."""
    if "\\" in line:
        return "LaTeX is not read here: write x[i]/r for a fraction"
    if "lambda" in line:
        return "lambda is a word of Python's own: take another name"
    if line.count("(") != line.count(")") or line.count("[") != line.count("]"):
        return "a bracket is not closed, or not opened"
    return ""


def depth(node):
    """Return how deep a tree is."""
    level, deepest = [node], 0
    while level:
        level, deepest = [c for n in level for c in ast.iter_child_nodes(n)], deepest + 1
    return deepest


class Reader:
    """Turns the nodes of a text into SymPy's objects."""

    def __init__(self, tree):
        self.definitions, self.ranges, self.line = {}, {}, None
        subscripts = [n for n in ast.walk(tree) if isinstance(n, ast.Subscript)]
        self.bases = {n.value.id for n in subscripts if isinstance(n.value, ast.Name)}
        limits = [
            part.elts
            for n in ast.walk(tree)
            if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)
            if n.func.id in ("Sum", "Product")
            for part in n.args[1:]
            if isinstance(part, ast.Tuple)
        ]
        stated = [n for n in tree.body if isinstance(n, ast.AnnAssign)]
        targets = [t.slice for n in tree.body if isinstance(n, ast.Assign) for t in n.targets
                   if isinstance(t, ast.Subscript)]  # fmt: skip
        heads = [entry[0] for entry in limits if entry] + [n.target for n in stated] + targets
        ends = [end for entry in limits for end in entry[1:]] + [n.annotation for n in stated]
        indices = self._names(*heads)
        self.lengths = self._names(*ends) - indices
        self.indices = indices | self._names(*(n.slice for n in subscripts)) - self.lengths

    def _names(self, *nodes):
        found = {n.id for node in nodes for n in ast.walk(node) if isinstance(n, ast.Name)}
        return found - self.bases

    def statement(self, node):
        self.line = node.lineno
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and not node.value:
            if not isinstance(node.annotation, ast.Tuple) or len(node.annotation.elts) != 2:
                raise self.refused(f"write the range as {node.target.id}: (1, n)")
            self.ranges[self.name(node.target)] = tuple(map(self.build, node.annotation.elts))
        elif isinstance(node, ast.Assign) and len(node.targets) == 1:
            target = node.targets[0]
            if not isinstance(target, ast.Name | ast.Subscript):
                raise self.refused("a name or an element stands on the left, as in y[i] = ...")
            key = self.build(target)
            if isinstance(key, sympy.Indexed):
                if not all(isinstance(s, Idx) for s in key.indices):
                    raise self.refused(f"the indices of {key} must be plain letters: y[i] = ...")
            elif not isinstance(key, Symbol) or isinstance(key, Idx):
                raise self.refused(f"{key} is used as an index below, and cannot be given a value")
            if any(self.same(key, other) for other in self.definitions):
                raise self.refused(f"{key} is defined twice")
            self.definitions[key] = self.line, self.build(node.value)
        else:
            raise self.refused("write a line as a definition, y[i] = ..., or a range, b: (1, m)")

    @staticmethod
    def same(one, other):
        return getattr(one, "base", one) == getattr(other, "base", other)

    def in_order(self):
        """See that a definition uses none of those that come after it."""
        keys = [*self.definitions]
        for at, (line, value) in enumerate(self.definitions.values()):
            self.line = line
            used = {getattr(e, "base", e) for e in value.atoms(sympy.Indexed, Symbol)}
            for later in keys[at + 1 : -1]:
                if getattr(later, "base", later) in used:
                    raise self.refused(f"{later} is used here, and defined below: move it up")

    def refused(self, message):
        return Unreadable(message, self.line)

    def name(self, node):
        """Return what a bare name stands for."""
        name = node.id
        if name in ("oo", "inf", "nan"):
            raise self.refused(f"{name} is no number here: sums have an end, such as n")
        if name == "pi":
            return sympy.pi
        if name in FUNCTIONS:
            raise self.refused(f"{name} is a function: {name}(x[i])")
        if name in self.bases:
            raise self.refused(f"{name} has elements elsewhere, so write which one: {name}[i]")
        if name in self.indices:
            return Idx(name)
        known = getattr(notation, name, None)
        if isinstance(known, Symbol):
            return known
        if name in self.lengths:
            return Symbol(name, integer=True, positive=True)
        return Symbol(name, real=True)

    def build(self, node):
        """Return the SymPy object of a node; a node of no listed kind is refused."""
        match node:
            case ast.Name():
                return self.name(node)
            case ast.Constant(value=bool()):
                return sympy.true if node.value else sympy.false
            case ast.Constant(value=int() | float()):
                if abs(node.value) > LARGEST or node.value != node.value:
                    raise self.refused(f"numbers go to {LARGEST} here")
                return Integer(node.value) if isinstance(node.value, int) else Rational(
                    str(node.value))  # fmt: skip
            case ast.UnaryOp(op=ast.USub()):
                return -self.build(node.operand)
            case ast.UnaryOp(op=ast.UAdd()):
                return self.build(node.operand)
            case ast.UnaryOp(op=ast.Not()):
                return sympy.Not(self.build(node.operand))
            case ast.BinOp(op=ast.Pow()):
                return self.power(self.build(node.left), self.build(node.right))
            case ast.BinOp() if type(node.op) in OPERATORS:
                return OPERATORS[type(node.op)](self.build(node.left), self.build(node.right))
            case ast.BoolOp():
                return OPERATORS[type(node.op)](*map(self.build, node.values))
            case ast.Compare() if {type(op) for op in node.ops} <= OPERATORS.keys():
                ends = [self.build(end) for end in (node.left, *node.comparators)]
                pairs = zip(node.ops, itertools.pairwise(ends), strict=True)
                return sympy.And(*(OPERATORS[type(op)](*pair) for op, pair in pairs))
            case ast.IfExp():
                choice = self.build(node.body), self.build(node.test)
                return Piecewise(choice, (self.build(node.orelse), True))
            case ast.Subscript(value=ast.Name()):
                return self.element(node)
            case ast.Call(func=ast.Name(), keywords=[]) if node.func.id in FUNCTIONS:
                return self.call(node)
            case ast.Tuple():
                return sympy.Tuple(*map(self.build, node.elts))
            case ast.BinOp(op=ast.BitXor()):
                raise self.refused("write a power as x[i]**2")
            case ast.Call(func=ast.Name(name) | ast.Attribute(attr=name)) if name in INSTEAD:
                raise self.refused(f"{name}(...) is not read here: write {INSTEAD[name]}")
            case ast.Call(func=ast.Attribute(attr=name)) if name in FUNCTIONS:
                raise self.refused(f"write {name}(x[i]), without what stands before the dot")
            case ast.Call(func=ast.Name()):
                raise self.refused(f"{node.func.id}(...) is not among what is read: {NAMES}")
        raise self.refused(f"{ast.unparse(node)[:60]} is not among what this page reads")

    def call(self, node):
        name, given = node.func.id, node.args
        for limit in given[1:] if name in ("Sum", "Product") else ():
            if not (isinstance(limit, ast.Tuple) and len(limit.elts) == 3):
                raise self.refused(f"write the limits of a {name} as (k, 1, n)")
            if not (isinstance(limit.elts[0], ast.Name) and limit.elts[0].id in self.indices):
                raise self.refused(f"a {name} counts with an index, a plain letter: (k, 1, n)")
        if name in ("Sum", "Product") and len(given) < 2:
            raise self.refused(f"a {name} needs its limits: {name}(x[k], (k, 1, n))")
        built = [self.build(part) for part in given]
        if name in ("Sum", "Product") and not isinstance(built[0], sympy.Expr):
            raise self.refused(f"{ast.unparse(given[0])[:60]} is no number to be counted")
        try:
            return FUNCTIONS[name](*built)
        except (TypeError, ValueError, AttributeError) as error:
            what = str(error).strip().partition("\n")[0] or "it does not take this"
            raise self.refused(f"{ast.unparse(node)[:60]}: {what}") from None

    def power(self, base, exponent):
        if base.is_number and exponent.is_number and not (base in (0, 1) or abs(exponent) <= 64):
            raise self.refused("a power of a number goes to 64 here")
        if base.is_Integer and base.p.bit_length() > 400:
            raise self.refused(f"numbers go to {LARGEST} here")
        return base**exponent

    def element(self, node):
        parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        if len(parts) > 5 or any(isinstance(part, ast.Slice | ast.Starred) for part in parts):
            raise self.refused(f"{ast.unparse(node)[:60]}: an index for each axis, as in x[b, i]")
        name = node.value.id
        if name in FUNCTIONS or name in self.indices:
            raise self.refused(f"{name} is a function or an index: give the array another name")
        indices = tuple(map(self.build, parts))
        if not all(isinstance(index, sympy.Expr) for index in indices):
            raise self.refused(f"{ast.unparse(node)[:60]}: an index is a letter or a number")
        return IndexedBase(name)[indices]

    def expand(self, expr, line):
        """Return a formula with the definitions in it written out, the last ones first."""
        self.line = line
        for key, (_, value) in reversed(list(self.definitions.items())[:-1]):
            if isinstance(key, sympy.Indexed):
                expr = expr.replace(
                    lambda e, key=key: isinstance(e, sympy.Indexed) and e.base == key.base,
                    lambda e, key=key, value=value: self.put(key, value, e),
                )
            else:
                expr = expr.xreplace({key: self.apart(value, expr)})
            if expr.count_ops() > WRITTEN_OUT:
                raise self.refused("written out, this is too large for this page")
        return expr

    def put(self, key, value, element):
        if len(key.indices) != len(element.indices):
            raise self.refused(f"{element} and {key} have different numbers of indices")
        value = self.apart(value, element)
        return value.xreplace(dict(zip(key.indices, element.indices, strict=True)))

    def apart(self, value, other):
        """Return `value`, its bound indices renamed where `other` has indices of their names."""
        sums = value.atoms(sympy.Sum, sympy.Product)
        bound = {limit[0] for node in sums for limit in node.limits}
        taken = other.atoms(Idx) | value.atoms(Idx)
        free = (Idx(f"{letter}_{at}" if at else letter) for at in range(9) for letter in LETTERS)
        new = {}
        for index in sorted(bound & other.atoms(Idx), key=str):
            new[index] = next(s for s in free if s not in taken and s not in new.values())
        return value.xreplace(new)
