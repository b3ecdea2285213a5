"""The mistake by name: the one wrong formula that explains every case."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np
from sympy import Expr

from rmsnorm_math.verify.arrays import Array, Arrays
from rmsnorm_math.verify.cases import UNIT, Case, makers, rounded
from rmsnorm_math.verify.conventions import Conventions
from rmsnorm_math.verify.faults import faults
from rmsnorm_math.verify.layer import Layer, parts_of
from rmsnorm_math.verify.search import Suspects, laid
from rmsnorm_math.verify.trial import Trial, held, prepared

#: What else may be meant: a sentence, and the outputs that would be right then.
Others = Callable[[], Sequence[tuple[str, Mapping[Any, Expr]]]]
Says = tuple[str, ...]

LARGE = 2500  # elements: what is larger is looked at for few formulas only


class Diagnosis:
    """What one function's trials have in common with wrong formulas."""

    def __init__(self, layer: Layer, trials: Sequence[Trial], others: Others) -> None:
        self.layer, self.trials, self.others = layer, trials, others
        self.answered = [trial for trial in trials if not trial.raised]
        self.known: dict[int, Arrays] = {}

    @cached_property
    def conventions(self) -> list[Any]:
        """Other conventions for the layer's quantities."""
        return list(Conventions(self.layer).all())

    @cached_property
    def definitions(self) -> dict[Expr, Expr]:
        """The layer's definitions with those of every convention."""
        found = dict(self.layer.definitions)
        for convention in self.conventions:
            found |= convention.definitions
        return found

    @cached_property
    def reference(self) -> Trial:
        """A case that tells formulas apart, whatever the function answered."""
        made = (prepared(make(), "float64", 1) for make in makers(self.layer, "float64", [(2, 3, 7)]))
        return next(trial for trial in made if trial)

    def sentences(self) -> Iterator[str]:
        """Yield one sentence for each mistake recognised, with the outputs that show it."""
        fitting = [self._recognised(output) for output in range(len(self.layer.outputs))]
        chosen: dict[Says, list[str]] = {}
        for output, found in enumerate(fitting):
            if found:
                best = max(found, key=lambda says: sum(says in other for other in fitting))
                chosen.setdefault(best, []).append(self.layer.names[output])
        for says, names in chosen.items():
            yield f"{' and '.join(names)}: {'; and '.join(says)}"

    def arrays(self, trial: Trial) -> Arrays:
        """Return the arrays of a trial, kept where they are small."""
        found = self.known.get(id(trial))
        if found is None:
            plain = self.layer.arrays(trial.case.values)
            found = Arrays(plain.slot, plain.values, self.definitions)
            if trial.case.elements <= LARGE:
                self.known[id(trial)] = found
        return found

    def _recognised(self, output: int) -> list[Says]:
        """Return what can be said of one output: each name of the mistake, else its precision."""
        trials = self.answered
        if all(trial.got[output] is None for trial in self.trials):
            missing = all(any("is None" in f for f in t.faults.values()) for t in self.trials)
            return [("it is missing",)] if missing else []
        dtype = trials[0].dtype
        if not any(t.wrong(output) or self._misshapen(t, output) for t in trials):
            return []
        if found := self._named(output, dtype):
            return found
        for lower in (name for name in UNIT if UNIT[name] > UNIT[dtype]):
            if not all(
                held(trial.got[output], lower) and not self._misshapen(trial, output)
                for trial in trials
            ):
                continue
            note = f"it is computed or kept in {lower}, not in {dtype}"
            if not any(trial.wrong(output, lower) for trial in trials):
                ask = f"; if that is meant, say dtype={lower!r}"
                return [(f"the formula is right; {note}{ask}",)]
            if found := self._named(output, lower):
                return [(*says[:-1], f"{says[-1]}; {note}") for says in found]
        if dtype == "float16" and _overflows(output, trials):
            return [
                (
                    "it is lost where x * x exceeds float16's largest number, 65504: "
                    "take the mean square in float32",
                )
            ]
        return []

    def _misshapen(self, trial: Trial, output: int) -> bool:
        got = trial.got[output]
        return got is None or got.shape != trial.right[output].shape

    def _named(self, output: int, dtype: str) -> list[Says]:
        """Return the names of the one formula that fits, of one slip or, if none does, of two."""
        key = list(self.layer.outputs)[output]
        right = tuple(parts_of(self.layer.short[key]))
        matching: dict[Says, Array | None] = {}
        for says, outputs in self.others():
            terms = tuple(parts_of(outputs[key])) if key in outputs else ()
            if terms and (made := self._fits(terms, output, dtype)) is not None:
                matching[(says,)] = made
        for says, found in self._faulty(output, right, dtype):
            matching.setdefault((says,), found)
        trial = self._telling(output)
        suspects = None
        if trial is not None:
            got = trial.got[output]
            assert got is not None
            suspects = Suspects(
                self.layer, key, self.conventions, self.arrays(trial), _flat(got, trial, key)
            )
            flat = got.reshape(suspects.shape)
            close = _close(flat, trial, output, dtype)
            matching |= {
                says: made
                for says, made in self._verified(suspects.one(), close, output, dtype).items()
                if says not in matching
            }
        if not matching and suspects is not None and trial is not None:
            if trial.case.elements <= LARGE and not self._right_near_one(output):
                matching |= self._verified(suspects.two(), close, output, dtype)
                matching |= self._verified(
                    suspects.crossed(close), close, output, dtype
                )
        if not matching and suspects is not None:
            for at, found in enumerate(suspects.slips):
                for says, wrong, _ in found:
                    terms = (*right[:at], wrong, *right[at + 1 :])
                    for fault, made in self._faulty(output, terms, dtype):
                        matching.setdefault((says, fault), made)
        first, *rest = matching.values() or [None]
        same = all(_alike(first, other) for other in rest)
        return list(matching) if same else []

    def _verified(
        self, suspects: Iterator[Any], close: Any, output: int, dtype: str
    ) -> dict[Says, Array]:
        found: dict[Says, Array] = {}
        while batch := list(islice(suspects, 512)):
            near = close(np.array([suspect.values for suspect in batch]))
            for number in np.flatnonzero(near):
                made = self._fits(batch[number].terms(), output, dtype)
                if made is not None:
                    found.setdefault(batch[number].says, made)
        return found

    def _telling(self, output: int) -> Trial | None:
        """Return the answered trial that tells most formulas apart."""

        def telling(trial: Trial) -> tuple[Any, ...]:
            case = trial.case
            rows = int(np.prod(case.shape[:-1]))
            plain = all(0.01 < v < 0.7 for v in case.scalars.values())
            return (
                case.elements <= LARGE,
                rows > 1 and rows != case.shape[-1] and case.shape[-1] > 2,
                plain,
                case.scale == 1 and not case.zero_row,
                case.plain,
                -case.elements,
            )

        wrong = [trial for trial in self.answered if trial.wrong(output)]
        return max(wrong, key=telling, default=None)

    def _right_near_one(self, output: int) -> bool:
        """Whether a case that hides nothing is right: then no formula of two slips fits."""
        return any(
            trial.case.plain
            and trial.case.scale == 1
            and trial.case.shape[-1] > 2
            and int(np.prod(trial.case.shape[:-1])) > 1
            and min(trial.case.scalars.values(), default=1) >= 0.1
            and not self._misshapen(trial, output) and not trial.wrong(output)
            for trial in self.answered
        )

    def _fits(self, terms: tuple[Expr, ...], output: int, dtype: str) -> Array | None:
        """Return the values in the reference case, if the terms explain every answered trial."""
        key = list(self.layer.outputs)[output]
        told_apart = False
        telling = self._telling(output)
        for trial in sorted(self.answered, key=lambda t: (t is not telling, t.case.elements)):
            if self._misshapen(trial, output):
                return None
            value, size = self._evaluated(terms, key, trial, output)
            if value is None or size is None or not _matches(trial, output, value, size, dtype):
                return None
            told_apart |= _differs(trial.right[output], value, size, trial, output, dtype)
        if not told_apart:
            return None
        return self._evaluated(terms, key, self.reference, output)[0]

    def _evaluated(
        self, terms: tuple[Expr, ...], key: Any, trial: Trial, output: int
    ) -> tuple[Array | None, Array | None]:
        arrays, indices = self.arrays(trial), list(self.layer.indices(key))
        right = trial.right[output]
        shape = _flat(right, trial, key)
        values = [laid(arrays, arrays.value(term), indices, shape) for term in terms]
        sizes = [laid(arrays, arrays.size(term), indices, shape) for term in terms]
        if any(v is None for v in [*values, *sizes]):
            return None, None
        size = np.asarray(sum(sizes)).reshape(right.shape)
        size = np.where(np.isfinite(size), size, 0)
        size = size.max(-1, keepdims=True, initial=0) if size.ndim else size
        return np.asarray(sum(values)).reshape(right.shape), size

    def _faulty(
        self, output: int, terms: tuple[Expr, ...], dtype: str
    ) -> Iterator[tuple[str, Array | None]]:
        """Yield the mistakes with arrays that explain every answered trial."""
        key = list(self.layer.outputs)[output]
        alive: dict[str, bool] | None = None
        for trial in sorted(self.answered, key=lambda t: t.case.elements):
            now: dict[str, bool] = {}
            for says, value in faults(self.layer, key, terms, self.arrays(trial), trial):
                if alive is not None and says not in alive:
                    continue
                got = trial.got[output]
                if value is None or got is None:
                    same, apart = got is None and value is None, False
                else:
                    value = np.asarray(value)
                    size = _size_of(trial, output, value)
                    same = got.shape == value.shape and _matches(trial, output, value, size, dtype)
                    right = trial.right[output]
                    apart = value.shape != right.shape or _differs(right, value, size, trial, output, dtype)
                if same:
                    now[says] = apart or bool(alive and alive[says])
            alive = now
            if not alive:
                return
        values = dict(faults(self.layer, key, terms, self.arrays(self.reference), self.reference))
        for says, apart in (alive or {}).items():
            if apart:
                yield says, values[says]


def _flat(array: Array, trial: Trial, key: Any) -> tuple[int, ...]:
    """Return the shape with the rows in one axis."""
    indices = len(trial.case.layer.indices(key))
    extra = array.ndim - indices
    if extra == 0:
        return array.shape
    if extra < 0:
        return (1, *array.shape)
    return (int(np.prod(array.shape[: extra + 1])), *array.shape[extra + 1 :])


def _size_of(trial: Trial, output: int, value: Array) -> Array:
    if value.shape == trial.right[output].shape:
        finite = np.where(np.isfinite(value), abs(value), 0)
        largest = finite.max(-1, keepdims=True, initial=0) if value.ndim else finite
        return 8 * (trial.size[output] + largest)
    return np.asarray(8 * (max(float(s.max(initial=0)) for s in trial.size) + abs(value).max(initial=0)))


def _matches(trial: Trial, output: int, value: Array, size: Array, dtype: str) -> bool:
    """Whether `value` is what came back."""
    got = trial.got[output]
    assert got is not None
    with np.errstate(all="ignore"):
        value = rounded(value, dtype).astype(np.float64)
    finite = np.isfinite(value)
    allowed = 2 * trial.allowed(output, dtype, size) + (0 if got.shape != trial.right[output].shape else trial.allowed(output, dtype))
    error = abs(np.where(finite, got - value, 0))
    return bool((finite == np.isfinite(got)).all() and (error <= allowed).all())


def _differs(
    right: Array, value: Array, size: Array, trial: Trial, output: int, dtype: str
) -> bool:
    allowed = 2 * trial.allowed(output, dtype, size) + trial.allowed(output, dtype)
    return not bool((abs(right - value) <= allowed).all())


def _close(flat: Array, trial: Trial, output: int, dtype: str) -> Any:
    """Return a function that says which of many arrays are near `flat`."""
    unit = trial.allowed(output, dtype, np.asarray(1.0))
    size = np.broadcast_to(trial.size[output], trial.right[output].shape).reshape(flat.shape)
    finite = np.isfinite(flat)

    def close(values: Array) -> Array:
        error = np.where(finite, abs(values - flat), 0)
        largest = np.where(np.isfinite(values), abs(values), 0).max(axis=tuple(range(1, values.ndim)), keepdims=True)
        near = error <= 64 * unit * (size + largest)
        fits = near & (np.isfinite(values) == finite)
        return fits.reshape(len(values), -1).all(-1)  # type: ignore[no-any-return]

    return close


def _alike(left: Array | None, right: Array | None) -> bool:
    if left is None or right is None:
        return left is right
    return left.shape == right.shape and np.allclose(left, right, rtol=1e-7, equal_nan=True)


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
