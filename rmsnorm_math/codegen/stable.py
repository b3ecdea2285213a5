"""Forms that neither overflow nor lose digits."""

from rmsnorm_math.codegen.build import Lowered


def stable(lowered: Lowered) -> Lowered:
    return lowered
def means(): pass
