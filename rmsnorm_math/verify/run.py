"""Run a function over the cases, each twice and interleaved with others, and report."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from sympy import Expr

from rmsnorm_math.errors import Refused
from rmsnorm_math.verify.cases import Case, makers
from rmsnorm_math.verify.diagnosis import Others
from rmsnorm_math.verify.evidence import LARGE
from rmsnorm_math.verify.layer import Layer
from rmsnorm_math.verify.report import Ran, Report, report
from rmsnorm_math.verify.sampling import UNIT
from rmsnorm_math.verify.traits import facts
from rmsnorm_math.verify.trial import Call, Trial, attempt, prepared

KEPT = 20_000  # elements: of larger trials that fail, the first of a kind is kept

#: What is tried for a diagnosis where all that was asked for is larger.
DIAGNOSED = ((5, 7), (3, 6), (4, 8), (2, 16))


def run(
    call: Call,
    layer: Layer,
    title: str,
    *,
    dtype: str,
    shapes: Sequence[tuple[int, ...]] | None = None,
    values: Mapping[Expr, Sequence[float]] | None = None,
    factor: float = 1,
    others: Others = tuple,
    folders: bool = False,
) -> Report:
    """Return the report on `call`, which is given a case and copies of its arguments.

    With `folders` the results are read, not computed: once, each from a folder with a number.
    """
    cases: list[Ran] = []
    kept: list[tuple[int, Trial]] = []
    before: tuple[Trial, Trial] | None = None
    with np.errstate(all="ignore"):
        for make, asked, traits in asked_for(layer, dtype, shapes, values, factor):
            zero = tuple(not right.any() for right in asked.right)
            text = f"{asked.case}, in folder {len(cases):03}" if folders else str(asked.case)
            cases.append(Ran(make, text, traits, zero))
            trial = attempt(call, asked)
            if before:  # called again, now that another case was in between
                _keep(kept, len(cases) - 2, before[1] if folders else _again(call, *before))
            before = asked, trial
        if before:
            _keep(kept, len(cases) - 1, before[1] if folders else _again(call, *before))
        small = [trial for _, trial in kept if trial.case.elements <= KEPT]
        if kept and not small and not folders:
            made = asked_for(layer, dtype, DIAGNOSED, values, factor)
            small = [attempt(call, asked) for _, asked, _ in made]
        return report(layer, title, dtype, cases, kept, small, others)


def asked_for(
    layer: Layer,
    dtype: str,
    shapes: Sequence[tuple[int, ...]] | None,
    values: Mapping[Expr, Sequence[float]] | None,
    factor: float,
) -> Iterator[tuple[Callable[[], Case], Trial, dict[str, bool]]]:
    """Yield each case whose outputs are finite: what makes it, what is right, its traits."""
    if dtype not in UNIT:
        raise Refused(f"dtype is {dtype!r}; write one of {', '.join(map(repr, UNIT))}.")
    if not factor > 0:
        raise Refused(f"the tolerance is {factor!r}; write a factor above 0, such as 4.")
    found, of = False, _asked if shapes is None else _asked.__wrapped__
    for make in makers(layer, dtype, shapes, values):
        if (asked := of(dtype, factor, make.func, *make.args)) is not None:
            found = True
            yield make, *asked
    if not found:
        raise Refused(
            "there is no case in which the outputs are finite: check the layer, or ask for other "
            "values."
        )


@lru_cache(512, typed=True)  # the designed cases of two layers or so: some 30 MB
def _asked(
    dtype: str, factor: float, make: Callable[..., Case], *arguments: Any
) -> tuple[Trial, dict[str, bool]] | None:
    """Return what is right in a case, and its traits; None if the outputs are not finite."""
    with np.errstate(all="ignore"):
        asked = prepared(make(*arguments), dtype, factor)
    return None if asked is None else (asked, facts(asked.case))


def _keep(kept: list[tuple[int, Trial]], number: int, trial: Trial) -> None:
    """Keep what a report or a diagnosis can need: small trials, and those that failed."""
    alike = [t for _, t in kept if t.case.elements > KEPT and t.faults == trial.faults]
    wanted = trial.case.elements <= KEPT or not alike
    if trial.case.elements <= LARGE or (trial.failed() and wanted):
        kept.append((number, trial))


def _again(call: Call, asked: Trial, first: Trial) -> Trial:
    """Call once more; what was right the first time has to be so again."""
    if first.failed():
        return first
    second = attempt(call, asked)
    wrong = [name for at, name in enumerate(asked.case.layer.names) if second.wrong(at)]
    if second.faults or wrong:
        says = f"{' and '.join(wrong)} is wrong" if wrong else next(iter(second.faults.values()))
        first.faults["again"] = (
            f"{says} when called again with the same arguments, which were right the first time "
            "(something is kept between calls)"
        )
    return first


def checked(function: Any, layer: Layer, name: str) -> tuple[Call, str]:
    """Return what calls `function` with a case's arguments, and its title."""
    title = f"{name}({layer.signature})"
    if not callable(function):
        raise Refused(f"expected a function {title}, got {type(function).__name__}")
    return lambda _case, given: function(*given), title
