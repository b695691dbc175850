"""How an update reaches devices, as optax gradient transformations."""

from hfsim.learning.hybrid_memory import Factors as Factors
from hfsim.learning.hybrid_memory import HybridMemory as HybridMemory
from hfsim.learning.hybrid_memory import HybridMemoryState as HybridMemoryState
from hfsim.learning.hybrid_memory import WeightMemory as WeightMemory
from hfsim.learning.rounding import AbstractRounding as AbstractRounding
from hfsim.learning.rounding import Nearest as Nearest
from hfsim.learning.rounding import Stochastic as Stochastic
from hfsim.learning.rounding import Truncate as Truncate
