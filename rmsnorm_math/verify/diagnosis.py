"""The mistake by name: the one wrong formula that explains every case."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np
from sympy import Expr

from rmsnorm_math.index.walk import base_of
from rmsnorm_math.verify.arrays import Array
from rmsnorm_math.verify.cases import Case
from rmsnorm_math.verify.closeness import alike, nearness
from rmsnorm_math.verify.evidence import LARGE, Evidence
from rmsnorm_math.verify.formulas import parts_of
from rmsnorm_math.verify.layer import Layer
from rmsnorm_math.verify.sampling import UNIT
from rmsnorm_math.verify.search import Suspect, Suspects
from rmsnorm_math.verify.setting import with_term
from rmsnorm_math.verify.trial import Trial, held
from rmsnorm_math.verify.words import words

#: What else may be meant: a sentence, and the outputs that would be right then.
Others = Callable[[], Sequence[tuple[str, Mapping[Any, Expr]]]]
Says = tuple[str, ...]
Found = dict[Says, Array | None]

OVERFLOWS = (
    "it is lost where x * x exceeds float16's largest number, 65504: "
    "take the mean square in float32"
)


def sentences(layer: Layer, trials: Sequence[Trial], others: Others) -> Iterator[str]:
    """Yield one sentence for each mistake recognised, with the outputs that show it."""
    evidence = Evidence(layer, trials)
    fitting = [_recognised(evidence, trials, at, others) for at in range(len(layer.outputs))]
    chosen: dict[Says, list[str]] = {}
    for output, found in enumerate(fitting):
        if found:  # the name that most outputs have in common
            best = max(found, key=lambda says: sum(_within(says, other) for other in fitting))
            chosen.setdefault(best, []).append(layer.names[output])
    for says, names in chosen.items():
        said = f"{' and '.join(names)}: {'; and '.join(says)}"
        yield said + "".join(_explained(layer, said))


def _explained(layer: Layer, said: str) -> Iterator[str]:
    """Yield what a name stands for that nobody but the check has given."""
    for key, definition in layer.definitions.items():
        name = str(base_of(key))
        if key not in layer.where and re.search(rf"\b{name}\b", said):
            yield f" ({name} is {words(definition, layer.inputs)})"


def _within(says: Says, found: Sequence[Says]) -> bool:
    return any(set(says) <= set(other) for other in found)


def _recognised(
    evidence: Evidence, trials: Sequence[Trial], output: int, others: Others
) -> list[Says]:
    """Return what can be said of one output: each name of the mistake, else its precision."""
    if all(trial.got[output] is None for trial in trials):
        missing = all(any("is None" in f for f in t.faults.values()) for t in trials)
        return [("it is missing",)] if missing else []
    answered = evidence.trials
    if not answered:
        return []
    dtype = answered[0].dtype
    if not any(trial.wrong(output) or trial.misshapen(output) for trial in answered):
        return []
    if found := _named(evidence, output, dtype, others):
        return found
    for lower in (name for name in UNIT if UNIT[name] > UNIT[dtype]):
        if not all(held(t.got[output], lower) and not t.misshapen(output) for t in answered):
            continue
        note = f"it is computed or kept in {lower}, not in {dtype}"
        if not any(trial.wrong(output, lower) for trial in answered):
            return [(f"the formula is right; {note}; if that is meant, say dtype={lower!r}",)]
        if found := _named(evidence, output, lower, others):
            return [(*says[:-1], f"{says[-1]}; {note}") for says in found]
    return [(OVERFLOWS,)] if dtype == "float16" and _overflows(output, answered) else []


def _named(evidence: Evidence, output: int, dtype: str, others: Others) -> list[Says]:
    """Return the names of the one formula that fits, of one slip or, if none does, of two."""
    key = list(evidence.layer.outputs)[output]
    right = parts_of(evidence.layer.short[key])
    matching: Found = {}
    for says, outputs in others():
        terms = parts_of(outputs[key]) if key in outputs else ()
        if terms and (made := evidence.fits(terms, output, dtype)) is not None:
            matching[(says,)] = made
    for says, values in evidence.faulty(output, right, dtype):
        matching.setdefault((says,), values)
    trial = evidence.telling(output)
    got = trial.got[output] if trial else None
    if trial is not None and got is not None:
        shape = evidence.layer.flat(key, got.shape)
        conventions = evidence.conventions
        suspects = Suspects(evidence.layer, key, conventions, evidence.arrays(trial), shape)
        near = nearness(got.reshape(shape), trial, output, dtype)
        for names, made in _verified(evidence, suspects.one(), near, output, dtype).items():
            matching.setdefault(names, made)
        small = trial.case.elements <= LARGE and not evidence.right_near_one(output)
        if small and not matching:
            two = suspects.two(), suspects.crossed(near), suspects.doubled(), suspects.scaled(got)
            for found in two:
                matching = matching or _verified(evidence, found, near, output, dtype)
        for at, slips in enumerate(suspects.slips) if small and not matching else ():
            for slip, wrong, _ in slips:
                terms = with_term(right, at, wrong)
                for fault, values in evidence.faulty(output, terms, dtype):
                    matching.setdefault((slip, fault), values)
    first, *rest = matching.values() or [None]  # where formulas differ that fit, none is named
    return list(matching) if all(alike(first, other) for other in rest) else []


def _verified(
    evidence: Evidence,
    suspects: Iterator[Suspect],
    near: Callable[[Array], Array],
    output: int,
    dtype: str,
) -> Found:
    """Return those of many suspects that explain every trial, looked at in one trial first."""
    found: Found = {}
    known = (suspect for suspect in suspects if suspect.values is not None)
    while batch := list(islice(known, 512)):
        for number in np.flatnonzero(near(np.array([suspect.values for suspect in batch]))):
            made = evidence.fits(batch[number].terms(), output, dtype)
            if made is not None:
                found.setdefault(batch[number].says, made)
    return found


def _overflows(output: int, trials: Sequence[Trial]) -> bool:
    """Whether the result is right near 1, and zero or not finite where x * x overflows float16."""
    for trial in trials:
        got, case = trial.got[output], trial.case
        if got is None:
            return False
        near_one = case.plain and case.scale == 1 and not case.zero_row and case.shape[-1] < 100
        if near_one and trial.wrong(output):
            return False
        if case.scale > 1 and _largest(case) ** 2 > 65504 and (np.isfinite(got) & (got != 0)).all():
            return False
    return True


def _largest(case: Case) -> float:
    """Return the largest value in an input that is no cotangent."""
    given = [case.values[key] for key in case.layer.inputs if key not in case.layer.cotangents]
    return max((float(abs(v).max(initial=0)) for v in map(np.asarray, given)), default=0.0)
