"""The types of a record of what is computed; see `program`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from sympy import Expr, Symbol

from rmsnorm_math.codegen.nodes import Axes

Key: TypeAlias = str | Expr


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
    """What is returned as `label`: the array called `name`, its axes in the order `axes`.

    Where that array lacks one of the axes, it is the same all along it; its length there is 1
    if the value is only `added` to others that have the axis.
    """

    label: str
    name: str
    axes: Axes
    added: bool = False


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
        The axis that stands for any number of leading axes, or None. It is that of an index which
        only ever stands before one other, or ``rows``, which is added in front where every
        array is written with one index: the array of ``x[i]`` has the axes ``(rows, i)``.
    axes
        All axes, in the order that arrays show.
    formulas
        What is returned, as it is written: ``(key, expression)``.
    notes
        What a reader must be told, a sentence each.
    sizes
        ``{axis: symbol of its length}``, for all axes whose length a sum shows.
    real
        The parameters that a caller has made sure are no whole numbers.
    scaled
        The definitions whose arrays are their values over an exponential, so as not to overflow.
    """

    parameters: tuple[Parameter, ...]
    lengths: Mapping[Symbol, Symbol]
    statements: tuple[Statement, ...]
    results: tuple[Result, ...]
    batch: Symbol | None
    axes: Axes
    formulas: tuple[tuple[Key, Expr], ...]
    notes: tuple[str, ...]
    sizes: Mapping[Symbol, Symbol]
    real: frozenset[str] = frozenset()
    scaled: frozenset[str] = frozenset()
