"""What a check found, in words: the problems, the worst element, and the mistake by name."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from textwrap import wrap
from typing import Any

import numpy as np

from rmsnorm_math.verify.cases import Case
from rmsnorm_math.verify.diagnosis import Others, sentences
from rmsnorm_math.verify.layer import Layer
from rmsnorm_math.verify.trial import Trial


@dataclass(frozen=True, eq=False)
class Ran:
    """What remains of a case: how to make it again, its words, its traits, which output is 0."""

    make: Callable[[], Case]
    text: str
    facts: dict[str, bool]
    zero: tuple[bool, ...]


@dataclass(frozen=True)
class Report:
    """What a check found; ``str(report)`` is the text that the assertions raise.

    Attributes
    ----------
    title : str
        The function as it was called, and the dtype.
    cases, failed : int
        How many cases were run, and how many of them failed.
    problems : tuple of str
        What went wrong, and in which cases.
    worst : str
        The element furthest from the right value, with its case; empty when there is none.
    diagnosis : str
        The mistake by name: what was done to which term, where the outputs are those of one wrong
        formula alone in every case, or in every case that did not raise; else empty.
    inputs : tuple
        The arguments of the worst case: ``function(*report.inputs)`` runs it again. Where nothing
        can be compared, of the first that failed; where all is right, of the first case.
    """

    title: str
    cases: int
    failed: int
    problems: tuple[str, ...]
    worst: str
    diagnosis: str
    inputs: tuple[Any, ...] = field(repr=False, compare=False)

    @property
    def ok(self) -> bool:
        """Whether every output was right in every case, and no input was changed."""
        return not self.problems

    def __str__(self) -> str:
        """Return the whole text, a paragraph for each problem, in lines of a terminal's width."""
        if self.ok:
            return f"{self.title}: right in all {self.cases} cases"
        lines = [f"{self.title}: wrong in {self.failed} of {self.cases} cases"]
        lines += [f"- {problem}" for problem in self.problems]
        if self.worst:
            lines.append(f"worst: {self.worst}")
        if self.worst or self.diagnosis:
            said = self.diagnosis or "no single known mistake fits, nor two at once"
            lines += [f"diagnosis: {line}" for line in said.splitlines()]
        return "\n".join(
            "\n".join(wrap(line, 79, subsequent_indent="  ", break_long_words=False))
            for line in lines
        )


def report(
    layer: Layer,
    title: str,
    dtype: str,
    cases: Sequence[Ran],
    trials: Sequence[tuple[int, Trial]],
    diagnosed: Sequence[Trial],
    others: Others,
) -> Report:
    """Report on the trials that were kept, each with the number of its case.

    The mistake is named by the trials in `diagnosed`, which are small.
    """
    found: list[tuple[str, list[int], int | None]] = []
    furthest: list[tuple[float, int, int]] = []
    failed = [(at, trial) for at, trial in trials if trial.failed()]
    for key in dict.fromkeys(key for _, trial in failed for key in trial.faults):
        having = [(at, trial) for at, trial in failed if key in trial.faults]
        found.append((having[0][1].faults[key], [at for at, _ in having], None))
    for output, name in enumerate(layer.names):
        wrong = [(at, trial) for at, trial in failed if trial.wrong(output)]
        lost = [at for at, trial in wrong if trial.lost(output)]
        off = [at for at, _ in wrong if at not in lost]
        found += [(f"{name} is not finite", lost, output)] if lost else []
        small = dtype == "float64" and not any(t.wrong(output, "float32") for _, t in wrong)
        how = ", by no more than rounding to float32 explains," if small else ""
        found += [(f"{name} is wrong{how}", off, output)] if off else []
        furthest += [(t.error(output).max(initial=0), at, output) for at, t in wrong]
    numbers = sorted({at for _, indices, _ in found for at in indices})
    worst, text = min(numbers, default=0), ""
    if furthest:
        _, worst, output = max(furthest)
        text = _element(dict(failed)[worst], output, layer.names[output], cases[worst].text)
    named = sentences(layer, diagnosed, others) if failed and diagnosed else ()
    return Report(
        title=f"{title} in {dtype}",
        cases=len(cases),
        failed=len(numbers),
        problems=tuple(f"{what} {_where(indices, cases, of)}" for what, indices, of in found),
        worst=text,
        diagnosis="\n".join(named),
        inputs=cases[worst].make().arguments,
    )


def _where(indices: list[int], cases: Sequence[Ran], output: int | None) -> str:
    """Say in how many cases, and what sets these apart: cases in which the output is 0 aside."""
    if len(indices) == len(cases):
        return "in every case"
    text = f"in {len(indices)} of {len(cases)} cases"
    marked = set(indices)
    silent = [output is not None and case.zero[output] for case in cases]
    shown = [at for at in range(len(cases)) if at in marked or not silent[at]]
    best: tuple[int, str] = (len(shown), "")
    for trait in dict.fromkeys(trait for case in cases for trait in case.facts):
        having = {at for at in shown if cases[at].facts.get(trait, False)}
        if having == marked:
            return f"{text}: exactly those where {trait}"
        if marked < having and len(having) < best[0]:
            best = len(having), trait
    first = f"the first with {cases[min(indices)].text}"
    only = f"only where {best[1]}, " if 3 * len(marked) >= 2 * best[0] and best[1] else ""
    return f"{text}, {only}{first}"


def _element(trial: Trial, output: int, name: str, text: str) -> str:
    """Show the output's worst element beside the right one."""
    error, right = trial.error(output), trial.right[output]
    at = np.unravel_index(error.argmax(), error.shape)
    got = trial.got[output]
    assert got is not None
    place = f"[{', '.join(map(str, at))}]" if at else ""
    digits = 17 if np.isclose(got[at], right[at], atol=0) else 6
    value, wanted = f"{got[at]:.{digits}g}", f"{right[at] + 0:.{digits}g}"
    return f"{name}{place} is {value} where {wanted} is right, with {text}"
