"""The table."""

from tests.layers.activations import ACTIVATIONS
from tests.layers.comparisons import COMPARISONS
from tests.layers.gates import GATES
from tests.layers.likelihoods import LIKELIHOODS
from tests.layers.losses import LOSSES
from tests.layers.matrices import MATRICES
from tests.layers.mixers import MIXERS
from tests.layers.norms import NORMS

TABLE = ACTIVATIONS | NORMS | MATRICES | LOSSES | COMPARISONS | MIXERS | GATES | LIKELIHOODS
