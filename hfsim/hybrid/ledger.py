"""Operations, energy and wear: of a worst cell by the published rule, and of a whole network as counted.

Published rule, for N samples, mask probability p and one transfer every k samples (Martemucci et al., Nature
Electronics 8, 921 (2025)):

    FeCAP operations = 2 p N + 4 N/k,    memristor operations = 2 N/k,    energy = 100 fJ and 1 pJ each

That is the energy of **one worst-case FeCAP plus one memristor over the whole training** (38.4 nJ at k = 100),
not of the network. `count_network` gives the network: every minimum cell of every synapse, from integer counts.
Two operations are one cycle of endurance.
"""

from collections.abc import Iterable
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from hfsim.cards import Card
from hfsim.circuits.transfer_line import MSB_CELLS
from hfsim.errors import InputError
from hfsim.hybrid.array import CELLS
from hfsim.parameters import PhysicalModel, parameter

SENSE_AND_WRITE = 2  # operations of one update, on every cell of a synapse
MSB_TRANSFER = 4  # sense, write back, pulse onto the line, write back
SIGN_TRANSFER = 2  # sense, write back
TARGET_TRANSFER = 2  # RESET, SET
TWIN_TRANSFER = 1  # RESET
FEMTOJOULE_PER_NANOJOULE = 1e6


class OperationPrices(PhysicalModel):
    """Energy of an operation and cycles to the end of life."""

    fecap_operation_energy: Float[Array, ""] = parameter(
        unit="fJ", bounds=(0.0, 1e9), doc="energy of one operation on one minimum FeCAP"
    )
    memristor_operation_energy: Float[Array, ""] = parameter(
        unit="fJ", bounds=(0.0, 1e9), doc="energy of one operation on one memristor"
    )
    fecap_endurance: Float[Array, ""] = parameter(unit="1", bounds=(1.0, 1e18), doc="cycles of a FeCAP")
    memristor_endurance: Float[Array, ""] = parameter(unit="1", bounds=(1.0, 1e18), doc="cycles of a memristor")

    @classmethod
    def from_card(cls, card: Card) -> "OperationPrices":
        """The card's section `ledger`."""
        return card.build(cls, "ledger")

    def energy(self, fecap_operations, memristor_operations):
        """Energy [nJ] of counted operations, exact integers or expectations."""
        fecap, memristor = (
            float(count) if isinstance(count, int) else count  # a network's counts pass the range of int32
            for count in (fecap_operations, memristor_operations)
        )
        energy = fecap * self.fecap_operation_energy + memristor * self.memristor_operation_energy
        return energy / FEMTOJOULE_PER_NANOJOULE


class CellCost(NamedTuple):
    """Operations, energy [nJ] and endurance margins of one FeCAP and one memristor over a training.

    A margin is endurance over cycles, infinite where nothing was done.
    """

    fecap_operations: Float[Array, ""]
    memristor_operations: Float[Array, ""]
    energy_nJ: Float[Array, ""]
    fecap_margin: Float[Array, ""]
    memristor_margin: Float[Array, ""]


def cell_cost(prices: OperationPrices, fecap_operations, memristor_operations) -> CellCost:
    """Price one FeCAP and one memristor; differentiable in prices and (expected) operations."""
    fecap, memristor = (jnp.asarray(x, jnp.result_type(float)) for x in (fecap_operations, memristor_operations))

    def margin(endurance, operations):
        used = operations > 0
        return jnp.where(used, 2 * endurance / jnp.where(used, operations, 1.0), jnp.inf)

    return CellCost(
        fecap,
        memristor,
        prices.energy(fecap, memristor),
        margin(prices.fecap_endurance, fecap),
        margin(prices.memristor_endurance, memristor),
    )


def published_rule(prices: OperationPrices, *, samples, probability, period) -> CellCost:
    """The article's closed form for its worst cell; differentiable in each argument.

    Raises:
        InputError: a concrete `samples` is negative, `probability` outside [0, 1], or `period` not positive.
    """
    for name, value, right, must in (
        ("samples", samples, lambda x: x >= 0, "be at least 0"),
        ("probability", probability, lambda x: 0 <= x <= 1, "lie in [0, 1]"),
        ("period", period, lambda x: x > 0, "be above 0"),
    ):
        if not isinstance(value, Tracer) and not right(value):
            raise InputError(name, must, value)
    transfers = samples / period
    return cell_cost(
        prices,
        SENSE_AND_WRITE * probability * samples + MSB_TRANSFER * transfers,
        TARGET_TRANSFER * transfers,
    )


class NetworkCount(NamedTuple):
    """Integer counts over a training, from the first transfer on; the first writing of the words is not counted.

    `fecap_operations` and `memristor_operations` are sums over all minimum cells and memristors;
    `worst_fecap_operations` the largest of any FeCAP. `worst_memristor_operations` is that of a memristor which
    was the target of every transfer, as it is where a weight never changes its sign.
    """

    synapses: int
    updates: int
    worst_updates: int
    transfers: int
    fecap_operations: int
    memristor_operations: int
    worst_fecap_operations: int
    worst_memristor_operations: int


def count_network(updates: Iterable[np.ndarray], transfers: int) -> NetworkCount:
    """Count a network's operations.

    Args:
        updates: for each layer, the integer number of updates of each weight.
        transfers: how many times the whole network was transferred.

    Raises:
        InputError: the counts are no integers, or negative.
    """
    arrays = [np.asarray(u) for u in updates]
    if any(not np.issubdtype(a.dtype, np.integer) for a in arrays):
        raise InputError("updates", "hold integers", [str(a.dtype) for a in arrays])
    if any(np.any(a < 0) for a in arrays):
        raise InputError("updates", "be at least 0", "negative somewhere")
    times = np.asarray(transfers)
    if times.ndim or not np.issubdtype(times.dtype, np.integer) or times < 0:
        raise InputError("transfers", "be an integer of at least 0", repr(transfers))
    times = int(times)
    synapses = sum(a.size for a in arrays)
    total = sum(int(a.sum(dtype=np.int64)) for a in arrays)
    worst = max((int(a.max()) for a in arrays if a.size), default=0)
    per_transfer = SIGN_TRANSFER + sum(MSB_CELLS) * MSB_TRANSFER
    return NetworkCount(
        synapses=synapses,
        updates=total,
        worst_updates=worst,
        transfers=times,
        fecap_operations=CELLS * SENSE_AND_WRITE * total + per_transfer * synapses * times,
        memristor_operations=(TARGET_TRANSFER + TWIN_TRANSFER) * synapses * times,
        worst_fecap_operations=SENSE_AND_WRITE * worst + MSB_TRANSFER * times,
        worst_memristor_operations=TARGET_TRANSFER * times,
    )
