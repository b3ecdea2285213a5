"""What is computed, recorded apart from how it is spelled.

A program is a list of statements over named arrays. Every array has named axes, in order; the
expression of a statement is a SymPy expression in index notation, made of

- elements of arrays, ``x[b, i]``: an `Indexed` whose base is named as in the code and whose
  indices are the program's axes; a plain `Symbol` is an array without axes, a number;
- lengths of axes: the symbols in `Program.lengths`;
- `Total`, `Mean` and `Largest`, which reduce their first argument over the axes that follow;
- `Contraction`, the sum over axes of a product of arrays that do not have the same axes: a
  matrix product;
- `Position`, the place along an axis, counted from 1, in comparisons such as ``Position(k) <=
  Position(i)`` and ``Eq(Position(k), label[b])``;
- and elementwise everything else: arithmetic, functions, `Piecewise`, comparisons,
  and the functions of `rmsnorm_math.codegen.stable` that stand for what would overflow.

The operands of a reduction or contraction hold no other one: that has a statement of its own.
An axis that a reduction binds may have the name of one outside it, as in ``x[i] - Mean(x[i], i)``.
Printers spell statements; none of them decides what is computed.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from sympy import Basic, Expr, Function, Idx, Indexed, IndexedBase, Symbol

Axes = tuple[Symbol, ...]


class Reduction(Function):  # type: ignore[misc]
    """The first argument, reduced over the axes that follow."""

    @property
    def body(self) -> Expr:
        """What is reduced."""
        return self.args[0]

    @property
    def over(self) -> Axes:
        """The axes that are gone from the result."""
        return tuple(self.args[1:])


class Total(Reduction):
    """The sum over axes."""


class Mean(Reduction):
    """The mean over axes."""


class Largest(Reduction):
    """The largest value over axes."""


class Contraction(Function):  # type: ignore[misc]
    """The sum, over the axes in the tuple that comes first, of the product of the arrays after it.

    Each factor is an expression without a reduction, an element as a rule.
    """

    @property
    def over(self) -> Axes:
        """The axes that are gone from the result."""
        return tuple(self.args[0])

    @property
    def factors(self) -> tuple[Expr, ...]:
        """The arrays that are multiplied."""
        return tuple(self.args[1:])


class Position(Function):  # type: ignore[misc]
    """The place along an axis, counted from 1."""


@dataclass(frozen=True)
class Parameter:
    """An array that is passed.

    Attributes
    ----------
    name
        Its name in the code.
    axes
        Those of the element that it is written with, in order: ``(b, i)`` for ``x[b, i]``.
    column
        Whether its array has a further, last axis of length 1: the key was an element, ``r[b]``.
    key
        What it stands for: a base, a symbol or an element.
    """

    name: str
    axes: Axes
    column: bool
    key: Expr


@dataclass(frozen=True)
class Statement:
    """The line ``name = expr``; `axes` are those of the value, in order."""

    name: str
    axes: Axes
    expr: Expr


@dataclass(frozen=True)
class Result:
    """What is returned: the value called `name`, its axes in the order `axes`."""

    name: str
    axes: Axes


@dataclass(frozen=True)
class Program:
    """What a printed function computes.

    Attributes
    ----------
    parameters
        In the order of the function's arguments.
    lengths
        ``{symbol in an expression: axis}``, for the lengths that are needed as numbers.
    statements
        In order: each uses parameters and those before it.
    results
        In the order in which they are returned. A name may be a parameter's.
    batch
        The axis that stands for any number of leading axes, or None. Then arrays with one axis
        may have any number of axes before it.
    notes
        What a reader must be told, a sentence each.
    """

    parameters: tuple[Parameter, ...]
    lengths: Mapping[Symbol, Symbol]
    statements: tuple[Statement, ...]
    results: tuple[Result, ...]
    batch: Symbol | None
    notes: tuple[str, ...]


def axes_of(expr: Basic) -> set[Symbol]:
    """Return the axes that the value of `expr` has."""
    if isinstance(expr, Indexed):
        return set(expr.indices)
    if isinstance(expr, Position):
        return {expr.args[0]}
    if isinstance(expr, Reduction):
        return axes_of(expr.body) - {*expr.over}
    if isinstance(expr, Contraction):
        return set().union(*map(axes_of, expr.factors)) - {*expr.over}
    if isinstance(expr, IndexedBase | Idx):
        return set()
    return set().union(*map(axes_of, expr.args)) if expr.args else set()


def program(
    outputs: Mapping[str | Expr, Expr],
    arguments: Mapping[Expr, str],
    where: Mapping[Expr, Expr] | None = None,
) -> Program:
    """Return what `source` prints, with the same arguments."""
    raise NotImplementedError
