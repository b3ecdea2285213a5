"""What a check found, in words: the problems, the worst element, and the mistake by name."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rmsnorm_math.verify.cases import TRAITS, UNIT, Array, rounded
from rmsnorm_math.verify.mistakes import Formula, Mistake
from rmsnorm_math.verify.trial import Trial, in_float64


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
        The mistake by name, where the outputs are those of one known mistake alone in every case,
        or in every case that did not raise; else empty.
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
        """Return the whole text, a line for each problem."""
        if self.ok:
            return f"{self.title}: right in all {self.cases} cases"
        lines = [f"{self.title}: wrong in {self.failed} of {self.cases} cases"]
        lines += [f"- {problem}" for problem in self.problems]
        if self.worst:
            lines.append(f"worst: {self.worst}")
        if self.worst or self.diagnosis:
            lines.append(f"diagnosis: {self.diagnosis or 'no single known mistake fits'}")
        return "\n".join(lines)


def report(
    title: str, outputs: Sequence[str], dtype: str, trials: list[Trial], mistakes: Sequence[Mistake]
) -> Report:
    """Report on all `trials` of one function."""
    found: list[tuple[str, list[int]]] = []
    furthest: list[tuple[float, int, int]] = []
    for key in dict.fromkeys(key for trial in trials for key in trial.faults):
        indices = [i for i, trial in enumerate(trials) if key in trial.faults]
        found.append((trials[indices[0]].faults[key], indices))
    for output, name in enumerate(outputs):
        wrong = [i for i, trial in enumerate(trials) if trial.wrong(output, dtype)]
        lost = [i for i in wrong if not np.isfinite(trials[i].error(output)).all()]
        off = [i for i in wrong if i not in lost]
        found += [(f"{name} is not finite", lost)] if lost else []
        small = dtype == "float64" and not any(t.wrong(output, "float32") for t in trials)
        how = ", by no more than rounding to float32 explains," if small else ""
        found += [(f"{name} is wrong{how}", off)] if off else []
        furthest += [(trials[i].error(output).max(), i, output) for i in wrong]
    failed = sorted({i for _, indices in found for i in indices})
    index, text = min(failed, default=0), ""
    if furthest:
        _, index, output = max(furthest)
        text = _element(trials[index], output, outputs[output])
    return Report(
        title=f"{title} in {dtype}",
        cases=len(trials),
        failed=len(failed),
        problems=tuple(f"{what} {_where(indices, trials)}" for what, indices in found),
        worst=text,
        diagnosis="\n".join(_diagnosis(outputs, dtype, trials, mistakes)) if failed else "",
        inputs=trials[index].arguments,
    )


def _where(indices: list[int], trials: list[Trial]) -> str:
    """Say in how many cases, and what sets these apart where that can be said exactly."""
    if len(indices) == len(trials):
        return "in every case"
    text = f"in {len(indices)} of {len(trials)} cases"
    for trait, holds in TRAITS.items():
        if indices == [i for i, trial in enumerate(trials) if holds(trial.case)]:
            return f"{text}: exactly those where {trait}"
    return f"{text}, the first with {trials[indices[0]].case}"


def _element(trial: Trial, output: int, name: str) -> str:
    """Show the output's worst element beside the right one."""
    error, right = trial.error(output), trial.right[output]
    at = np.unravel_index(error.argmax(), error.shape)
    got = trial.got[output]
    assert got is not None
    place = ", ".join(map(str, at))
    digits = 17 if np.isclose(got[at], right[at], atol=0) else 6
    value, wanted = f"{got[at]:.{digits}g}", f"{right[at] + 0:.{digits}g}"
    return f"{name}[{place}] is {value} where {wanted} is right, with {trial.case}"


def _diagnosis(
    outputs: Sequence[str], dtype: str, trials: list[Trial], mistakes: Sequence[Mistake]
) -> Iterator[str]:
    """Yield one sentence for each mistake recognised, with the outputs that show it."""
    fitting: dict[str, list[str]] = {}
    for output, name in enumerate(outputs):
        formulas = {m.says: f for m in mistakes if (f := getattr(m, name)) is not None}
        for says in _recognised(output, dtype, trials, formulas):
            fitting.setdefault(says, []).append(name)
    named: set[str] = set()
    for says, names in sorted(fitting.items(), key=lambda item: -len(item[1])):
        alike = list(fitting.values()).count(names) > 1
        if not alike and not named.intersection(names):
            yield f"{' and '.join(names)}: {says}"
        named.update(names)


def _recognised(
    output: int, dtype: str, trials: list[Trial], formulas: dict[str, Formula]
) -> list[str]:
    """Return what can be said of one output: every mistake that fits, else its precision."""
    if all(trial.got[output] is None for trial in trials):
        missing = all(any("is None" in f for f in trial.faults.values()) for trial in trials)
        return ["it is missing"] if missing else []
    found = [says for says, f in formulas.items() if _explains(f, output, dtype, trials)]
    answered = [trial for trial in trials if not trial.raised]
    if not found and len(answered) < len(trials):
        return _recognised(output, dtype, answered, formulas)
    if found or not any(trial.wrong(output, dtype) for trial in trials):
        return found
    for held in (name for name in UNIT if UNIT[name] > UNIT[dtype]):
        if not all(_held(trial.got[output], held) for trial in trials):
            continue
        note = f"it is computed or kept in {held}, not in {dtype}"
        if not any(trial.wrong(output, held) for trial in trials):
            return [f"the formula is right; {note}"]
        found = [says for says, f in formulas.items() if _explains(f, output, held, trials)]
        if found:
            return [f"{says}; {note}" for says in found]
    if dtype == "float16" and _overflows(output, trials):
        lost = "it is lost where x * x exceeds float16's largest number, 65504"
        return [f"{lost}: take the mean square in float32"]
    return []


def _explains(formula: Formula, output: int, dtype: str, trials: list[Trial]) -> bool:
    """Whether the formula gives what came back in every case, and is told apart from the truth."""
    told_apart = False
    for trial in trials:
        try:
            value = rounded(formula(*in_float64(trial.arguments)), dtype).astype(np.float64)
        except ValueError:  # the mistake itself does not broadcast here
            value = None
        if not trial.matches(output, value, dtype):
            return False
        told_apart |= value is not None and trial.tells_apart(output, value, dtype)
    return told_apart


def _held(values: Array | None, dtype: str) -> bool:
    return values is not None and np.array_equal(rounded(values, dtype), values, equal_nan=True)


def _overflows(output: int, trials: list[Trial]) -> bool:
    """Whether the result is right near 1, and zero or not finite where x * x overflows float16."""
    for trial in trials:
        got, x = trial.got[output], trial.case.x.astype(np.float64)
        if got is None or (
            trial.case.scale == 1 and x.any(-1).all() and trial.wrong(output, "float16")
        ):
            return False
        if (x * x > 65504).any() and (np.isfinite(got) & (got != 0)).all():
            return False
    return True
