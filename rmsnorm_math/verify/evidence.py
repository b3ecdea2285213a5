"""What a function's trials say of a wrong formula: whether it explains every one of them."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from sympy import Expr

from rmsnorm_math.verify.arrays import Array, Arrays
from rmsnorm_math.verify.cases import makers
from rmsnorm_math.verify.closeness import alike, differs, largest_of_row, matches, size_of
from rmsnorm_math.verify.conventions import Convention, Conventions
from rmsnorm_math.verify.faults import faults
from rmsnorm_math.verify.layer import Layer
from rmsnorm_math.verify.trial import Trial, prepared
from rmsnorm_math.verify.views import laid

Terms = tuple[Expr, ...]

LARGE = 2500  # elements: what is larger is looked at for few formulas only


class Evidence:
    """The trials in which a function answered."""

    def __init__(self, layer: Layer, trials: Sequence[Trial]) -> None:
        self.layer = layer
        self.trials = [t for t in trials if not t.raised and t.case.rows]
        self._arrays: dict[int, Arrays] = {}
        self._telling: dict[int, Trial | None] = {}
        self._fitting: dict[tuple[int, str], list[Array | None]] = {}

    @cached_property
    def conventions(self) -> list[Convention]:
        """Other conventions for the layer's quantities."""
        return list(Conventions(self.layer).all())

    @cached_property
    def reference(self) -> Trial:
        """A case that tells formulas apart, whatever the function answered."""
        makes = makers(self.layer, "float64", [(2, 3, 7)])
        return next(trial for make in makes if (trial := prepared(make(), "float64", 1)))

    def arrays(self, trial: Trial) -> Arrays:
        """Return the arrays of a trial, kept where they are small."""
        found = self._arrays.get(id(trial))
        if found is None:
            plain = self.layer.arrays(trial.case.values)
            definitions = dict(self.layer.definitions)
            for convention in self.conventions:
                definitions |= convention.definitions
            found = Arrays(plain.slot, plain.values, definitions)
            if trial.case.elements <= LARGE:
                self._arrays[id(trial)] = found
        return found

    def telling(self, output: int) -> Trial | None:
        """Return the wrong trial that tells most formulas apart."""

        def key(trial: Trial) -> tuple[Any, ...]:
            case = trial.case
            return (
                case.elements <= LARGE,
                case.rows > 1 and case.rows != case.shape[-1] and case.shape[-1] > 2,
                all(0.01 < v < 0.7 for v in case.scalars.values()),
                case.scale == 1 and not case.zero_row,
                case.plain,
                -case.elements,
            )

        if output not in self._telling:
            wrong = (trial for trial in self.trials if trial.wrong(output))
            self._telling[output] = max(wrong, key=key, default=None)
        return self._telling[output]

    def right_near_one(self, output: int) -> bool:
        """Whether a case that hides nothing is right: then no formula of two slips fits."""
        return any(
            trial.case.plain
            and trial.case.scale == 1
            and trial.case.shape[-1] > 2
            and trial.case.rows > 1
            and min(trial.case.scalars.values(), default=1) >= 0.1
            and not trial.misshapen(output)
            and not trial.wrong(output)
            for trial in self.trials
        )

    def fits(self, terms: Terms, output: int, dtype: str) -> Array | None:
        """Return the values in the reference case, if the terms explain every trial."""
        key, told_apart = list(self.layer.outputs)[output], False
        made = self._evaluated(terms, key, self.reference, output)[0]
        known = self._fitting.setdefault((output, dtype), [])
        if any(alike(made, other) for other in known):  # the same formula in other words
            return made
        telling = self.telling(output)
        for trial in sorted(self.trials, key=lambda t: (t is not telling, t.case.elements)):
            if trial.misshapen(output):
                return None
            value, size = self._evaluated(terms, key, trial, output)
            if value is None or size is None or not matches(trial, output, value, size, dtype):
                return None
            told_apart |= differs(trial, output, value, size, dtype)
        if not told_apart:
            return None
        known.append(made)
        return made

    def _evaluated(
        self, terms: Terms, key: Any, trial: Trial, output: int
    ) -> tuple[Array | None, Array | None]:
        arrays, indices = self.arrays(trial), list(self.layer.indices(key))
        right = trial.right[output]
        shape = self.layer.flat(key, right.shape)
        values = [laid(arrays, arrays.value(term), indices, shape) for term in terms]
        sizes = [laid(arrays, arrays.size(term), indices, shape) for term in terms]
        if any(v is None for v in [*values, *sizes]):
            return None, None
        size = np.asarray(sum(sizes)).reshape(right.shape)  # type: ignore[arg-type]
        value = np.asarray(sum(values)).reshape(right.shape)  # type: ignore[arg-type]
        return value, largest_of_row(np.where(np.isfinite(size), size, 0))

    def faulty(self, output: int, terms: Terms, dtype: str) -> Iterator[tuple[str, Array | None]]:
        """Yield the mistakes with arrays that explain every trial, as `faults` calls them."""
        key = list(self.layer.outputs)[output]
        alive: dict[str, bool] | None = None
        for trial in sorted(self.trials, key=lambda t: t.case.elements):
            found = faults(self.layer, key, terms, self.arrays(trial), trial)
            apart = {
                says: self._told_apart(trial, output, value, dtype)
                for says, value in found
                if alive is None or says in alive
            }
            before = alive or {}
            alive = {
                s: told or before.get(s, False) for s, told in apart.items() if told is not None
            }
            if not alive:
                return
        values = dict(faults(self.layer, key, terms, self.arrays(self.reference), self.reference))
        yield from ((says, values[says]) for says, told in (alive or {}).items() if told)

    def _told_apart(
        self, trial: Trial, output: int, value: Array | None, dtype: str
    ) -> bool | None:
        """Return whether `value`, which came back, is not the right one; None if it did not."""
        got = trial.got[output]
        if value is None or got is None:
            return False if value is None and got is None else None
        size = size_of(trial, output, value)
        if got.shape != value.shape or not matches(trial, output, value, size, dtype):
            return None
        return value.shape != trial.right[output].shape or differs(
            trial, output, value, size, dtype
        )
