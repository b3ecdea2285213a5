"""Draw expressions with new seeds until the time is up, and print what was judged.

`python -m tests.properties --minutes 10`; `--seed 7` begins with that seed, `--only backward`
judges one promise. Each failure is shrunk and printed with its seed; the exit status is 1 then.
"""

import argparse
import random
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from rmsnorm_math import Refused
from tests import promises
from tests.drawn import cases
from tests.drawn_forms import abbreviations, features, matrices

EXAMPLES, SHRINKING = 60, 30.0  # cases for each seed; seconds
PROMISES: dict[str, tuple[Callable[[Any], int], st.SearchStrategy[Any]]] = {
    "derivative": (promises.derivative, cases(depth=4)),
    "second derivative": (promises.derivative, cases(orders=2)),
    "third derivative": (promises.derivative, cases(depth=2, orders=3)),
    "contract": (promises.contraction, cases(depth=4)),
    "vjp": (promises.backward, cases(known=75)),
    "vjp of vjp": (promises.backward, cases(orders=2, known=75)),
    "jvp": (promises.forward, cases(known=70, plain=95)),
    "abbreviate": (promises.there_and_back, abbreviations()),
    "instantiate": (promises.written_out, cases(depth=4, known=60)),
    "matrix form": (promises.matrix, matrices()),
}


class Tally:
    """What was drawn and how it ended, by promise and by kind."""

    def __init__(self) -> None:
        self.ends: Counter[tuple[str, str]] = Counter()
        self.kinds: Counter[str] = Counter()
        self.refusals: Counter[str] = Counter()
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.slowest: dict[str, tuple[float, str]] = {}
        self.failures: dict[str, str] = {}

    def judge(self, name: str, promise: Callable[[Any], int], case: Any) -> None:
        began = time.process_time()
        try:
            end = "judged" if promise(case) else "no number to compare with"
        except Refused as refusal:
            end = "refused"
            self.refusals[" ".join(w for w in str(refusal).split() if w.isalpha())[:60]] += 1
        took = time.process_time() - began
        self.seconds[name] += took
        self.slowest[name] = max(self.slowest.get(name, (0.0, "")), (took, repr(case)))
        self.ends[name, end] += 1
        self.kinds.update(features(case))


def run(name: str, at: int, tally: Tally) -> None:
    """Judge one promise with one seed; a failure is shrunk and kept."""
    promise, strategy = PROMISES[name]
    failing: list[Any] = []

    @seed(at)
    @settings(
        max_examples=EXAMPLES,
        database=None,
        deadline=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
        print_blob=False,
    )
    @given(strategy)
    def check(case: Any) -> None:
        if failing and time.monotonic() > failing[1] + SHRINKING and case != failing[0]:
            return  # small enough
        counted = Tally() if failing else tally  # what is tried to shrink a failure is no new case
        try:
            counted.judge(name, promise, case)
        except Exception:
            failing[:] = [case, failing[1] if failing else time.monotonic()]
            raise

    try:
        check()
    except Exception as error:  # noqa: BLE001  whatever it is, it is a failure of the promise
        text = f"{type(error).__name__}: {error}"
        tally.failures[f"{name}, seed {at}"] = f"{failing[0]}\n    {text}"
        tally.ends[name, "FAILED"] += 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--only", choices=PROMISES, default=None)
    asked = parser.parse_args()
    until, at, tally = time.monotonic() + 60 * asked.minutes, asked.seed, Tally()
    with suppress(KeyboardInterrupt):
        while time.monotonic() < until:
            for name in [asked.only] if asked.only else PROMISES:
                before = len(tally.failures)
                run(name, at, tally)
                for key in list(tally.failures)[before:]:
                    print(f"{key}: {tally.failures[key]}\n", flush=True)
            at += 1
    report(asked.seed, at, tally)
    return bool(tally.failures)


def report(first: int, last: int, tally: Tally) -> None:
    print(f"seeds {first} to {last - 1}: {sum(tally.ends.values())} cases")
    for name in PROMISES:
        ends = {end: count for (of, end), count in sorted(tally.ends.items()) if of == name}
        if ends:
            took, case = tally.slowest.get(name, (0.0, ""))
            print(
                f"  {name}: {ends}, {tally.seconds[name]:.0f} s, the slowest {took:.1f} s: {case}"
            )
    print("kinds: " + ", ".join(f"{k} {c}" for k, c in tally.kinds.most_common()))
    print("refusals:")
    for words, count in tally.refusals.most_common():
        print(f"  {count} {words}")
    print(f"failures: {len(tally.failures)}")


if __name__ == "__main__":
    sys.exit(main())
