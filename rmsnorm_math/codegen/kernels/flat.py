"""The statements of a program in terms of one row: elements, weights, values of a row, numbers."""

from dataclasses import dataclass

from sympy import Add, Basic, Expr, Indexed, Mul, Symbol, Tuple

from rmsnorm_math.codegen.names import fresh
from rmsnorm_math.codegen.nodes import (
    Axes,
    Contraction,
    Largest,
    Position,
    Reduction,
    axes_of,
    family,
    rebuilt,
    rename,
)
from rmsnorm_math.codegen.record import Program
from rmsnorm_math.errors import Refused

TILE, WEIGHT, ROW, NUMBER = "an element", "a weight", "one value a row", "a number"
PLACE = Symbol("place_in_row", integer=True)  # counted from 0


@dataclass(frozen=True)
class Line:
    """The line ``name = expr``, or with `over` a sum of `expr`: along the row or over the rows."""

    name: str
    expr: Expr
    over: type[Reduction] | None = None
    along: bool = True


class Flat:
    """The lines of a program, the role of each name, and names that are not taken."""

    def __init__(self, program: Program) -> None:
        self.row, self.column = _axes(program)
        self.axes: dict[str, Axes] = {p.name: p.axes for p in program.parameters}
        kinds = {
            (self.row, self.column): TILE,
            (self.column,): WEIGHT,
            (self.row,): ROW,
            (): NUMBER,
        }
        for name, axes in self.axes.items():
            if axes not in kinds:
                raise Refused(
                    f"{name} has the axes {Tuple(*axes)}: a row kernel takes arrays with the "
                    f"axes ({self.row}, {self.column}), one value for each row or each "
                    f"{self.column}, and numbers."
                )
        self.roles = {name: kinds[axes] for name, axes in self.axes.items()}
        self.roles |= {length.name: NUMBER for length in program.lengths}
        self.roles[PLACE.name] = WEIGHT
        self.taken = {*self.roles, *(s.name for s in program.statements)}
        self.lines: list[Line] = []
        for statement in program.statements:
            self.axes[statement.name] = statement.axes
            expr = self.flat(statement.expr, statement.name)
            if expr != Symbol(statement.name):
                self.add(Line(statement.name, self.hoisted(expr)))

    def role(self, expr: Basic) -> str:
        """Return what the value of an expression in plain symbols stands for."""
        found = {self.roles[symbol.name] for symbol in expr.free_symbols}
        if TILE in found or {ROW, WEIGHT} <= found:
            return TILE
        return next((role for role in (ROW, WEIGHT) if role in found), NUMBER)

    def add(self, line: Line) -> Symbol:
        """Add a line, and return what it defines."""
        role = self.role(line.expr)
        if line.over and (line.along or role == ROW):
            if role not in (TILE, ROW):
                raise Refused(f"{line.expr} is summed over an axis, and is the same in every row.")
            role = ROW if role == TILE else NUMBER
        elif line.over:
            role = WEIGHT
        self.roles[line.name] = role
        self.lines.append(line)
        return Symbol(line.name)

    def flat(self, node: Basic, name: str = "") -> Basic:
        """Return an expression in plain symbols; its reductions get lines of their own."""
        if isinstance(node, Indexed):
            if node.indices != self.axes[node.base.name]:
                raise Refused(
                    f"{node} meets other elements of its row, or other rows: that is a matrix "
                    f"product, which a row kernel has not."
                )
            return Symbol(node.base.name)
        if isinstance(node, Position):
            axis, first = node.args
            if family(axis) != self.column:
                raise Refused(f"the place of a row, {node}, is not known to a row kernel.")
            return PLACE + first
        if isinstance(node, Contraction):
            raise Refused(f"{node} is a matrix product, which a row kernel has not.")
        if isinstance(node, Reduction):
            return self.reduced(node, name)
        return rebuilt(node, (self.flat(arg) for arg in node.args))

    def reduced(self, node: Reduction, name: str) -> Symbol:
        """Add a reduction, and return its value: along the row first, then over the rows."""
        over = {family(axis) for axis in node.over}
        columns = {axis for axis in axes_of(node.body) if family(axis) == self.column}
        if len(columns) > 1 or not over <= {self.row, self.column}:
            raise Refused(f"{node} needs an array of the row's elements by themselves.")
        body = self.hoisted(self.flat(rename(node.body, dict.fromkeys(columns, self.column))))
        name = name or fresh(type(node).__name__.lower(), self.taken)
        if over == {self.row, self.column}:
            inner = self.add(Line(fresh(f"row_{name}", self.taken), body, node.func))
            return self.add(Line(name, inner, node.func, along=False))
        if self.row in over and isinstance(node, Largest):
            raise Refused(f"{node} is the largest over all rows: a row kernel only adds rows up.")
        return self.add(Line(name, body, node.func, along=self.column in over))

    def hoisted(self, expr: Basic) -> Basic:
        """Return an expression of elements, what is the same all along the row on its own lines."""
        expr = self.squares(expr)
        if self.role(expr) in (ROW, NUMBER) or not expr.args:
            return expr
        if not isinstance(expr, Add | Mul):
            return rebuilt(expr, map(self.alone, expr.args))
        same = [arg for arg in expr.args if self.role(arg) in (ROW, NUMBER)]
        number = Mul(*(arg for arg in same if not arg.free_symbols)) if expr.is_Mul else None
        same = [arg for arg in same if arg.free_symbols or expr.is_Add]
        rest = [self.hoisted(arg) for arg in expr.args if self.role(arg) not in (ROW, NUMBER)]
        value = self.alone(expr.func(*same)) if same else None
        return expr.func(
            *([number] if number not in (None, 1) else []), *([value] if same else []), *rest
        )

    def squares(self, node: Basic) -> Basic:
        """Return an expression in which only names are multiplied by themselves."""
        if not node.args:
            return node
        node = rebuilt(node, map(self.squares, node.args))
        if node.is_Pow and node.exp.is_Integer and abs(node.exp) > 1 and not node.base.is_Symbol:
            return self.add(Line(fresh("base", self.taken), self.hoisted(node.base))) ** node.exp
        return node

    def alone(self, expr: Basic) -> Basic:
        """Return a value of the row as a name, with its sign; anything else `hoisted`."""
        if self.role(expr) not in (ROW, NUMBER):
            return self.hoisted(expr)
        if (
            not isinstance(expr, Expr)
            or not expr.free_symbols
            or (-expr).is_Symbol
            or expr.is_Symbol
        ):
            return expr
        for line in self.lines:
            if line.expr == expr and not line.over:
                return Symbol(line.name)
        return self.add(Line(fresh(_stem(expr), self.taken), expr))


def _stem(expr: Expr) -> str:
    base, power = expr.as_base_exp()
    return f"over_{base.name}" if base.is_Symbol and power == -1 else "factor"


def _axes(program: Program) -> Axes:
    """Return the axes of rows and of columns."""
    both = [p.axes for p in program.parameters if len(p.axes) == 2]
    if not both:
        raise Refused("no argument has rows and columns, as x[b, i] has: a row kernel needs one.")
    return both[0]
