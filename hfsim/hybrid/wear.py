"""Wear of every device of a network: cycles from counts, dead devices, and the first of them.

Two operations are one cycle. A device that does c cycles in a training survives x trainings with the probability

    exp[-(x c/N)^k],      N the endurance (characteristic life), k the Weibull slope

so the first of all fails after E[x] = N Gamma(1 + 1/k)/(sum c^k)^(1/k) trainings: the many pull the few cycles down.
W. Weibull, J. Appl. Mech. 18, 293 (1951).
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from hfsim.cards import Card
from hfsim.circuits.transfer_line import MSB_CELLS
from hfsim.errors import InputError
from hfsim.hybrid.array import CELLS
from hfsim.hybrid.ledger import MSB_TRANSFER, SENSE_AND_WRITE, SIGN_TRANSFER, TARGET_TRANSFER, TWIN_TRANSFER
from hfsim.parameters import PhysicalModel, parameter

_OPERATIONS_OF_A_CYCLE = 2
_LN_DAMAGE_MAX = 10.0  # everything is dead long before
_LSB_CELLS = CELLS - 1 - sum(MSB_CELLS)


class Endurance(PhysicalModel):
    """Weibull statistics of the life of one kind of device."""

    cycles: Float[Array, ""] = parameter(unit="1", bounds=(1.0, 1e18), doc="cycles after which 63 % are dead")
    slope: Float[Array, ""] = parameter(unit="1", bounds=(0.3, 20.0), doc="Weibull slope")

    @classmethod
    def from_card(cls, card: Card, kind: str) -> "Endurance":
        """Of "fecap" or "memristor": the card's section of that name and `_endurance`."""
        return card.build(cls, f"{kind}_endurance")

    def dead(self, cycles) -> Float[Array, "..."]:
        """Probability that a device is dead after `cycles`, of any shape."""
        cycles = jnp.asarray(cycles, self.cycles.dtype)
        used = cycles > 0
        ln_damage = self.slope * jnp.log(jnp.where(used, cycles, 1.0) / self.cycles)
        damage = jnp.exp(jnp.minimum(ln_damage, _LN_DAMAGE_MAX))
        return jnp.where(used, -jnp.expm1(-damage), 0.0)

    def first_failure(self, cycles, devices) -> Float[Array, ""]:
        """Mean number of trainings until the first device is dead; infinite where nothing is done.

        Args:
            cycles: of a device in a training, shape (groups,).
            devices: how many there are of each group, shape (groups,).
        """
        cycles, devices = (jnp.asarray(x, self.cycles.dtype) for x in (cycles, devices))
        used = (cycles > 0) & (devices > 0)
        powers = self.slope * jnp.log(jnp.where(used, cycles, 1.0)) + jnp.log(jnp.where(used, devices, 1.0))
        together = jax.scipy.special.logsumexp(powers, where=used)
        mean = jnp.exp(jax.scipy.special.gammaln(1 + 1 / self.slope) - together / self.slope) * self.cycles
        return jnp.where(jnp.any(used), mean, jnp.inf)


class Histogram(NamedTuple):
    """How many devices did how many cycles; `cycles` rises."""

    cycles: Float[np.ndarray, " groups"]
    devices: Float[np.ndarray, " groups"]

    @classmethod
    def of(cls, cycles: Sequence[np.ndarray], each: Sequence[int]) -> "Histogram":
        """Of arrays of cycles, each entry of the i-th of which stands for `each[i]` devices."""
        values = np.concatenate([np.ravel(c) for c in cycles])
        weights = np.repeat(each, [np.size(c) for c in cycles])
        unique, inverse = np.unique(values, return_inverse=True)
        return cls(unique, np.bincount(inverse, weights=weights))


class Wear(NamedTuple):
    """Cycles of all devices of a network over a training."""

    fecaps: Histogram
    memristors: Histogram


def count_wear(updates: Sequence[np.ndarray], minus_targets: Sequence[np.ndarray], transfers: int) -> Wear:
    """Wear of a network.

    Args:
        updates: for each layer, how often each weight was updated.
        minus_targets: for each layer, in how many transfers the minus memristor of each weight was the target.
        transfers: how many times the whole network was transferred.

    Raises:
        InputError: the layers do not match, or a count of targets exceeds that of transfers.
    """
    shapes = [np.shape(u) for u in updates], [np.shape(m) for m in minus_targets]
    if shapes[0] != shapes[1]:
        raise InputError("minus_targets", f"have the shapes of the updates, {shapes[0]}", shapes[1])
    moved = np.concatenate([np.ravel(u) for u in updates]).astype(np.int64)
    minus = np.concatenate([np.ravel(m) for m in minus_targets]).astype(np.int64)
    if np.any((minus < 0) | (minus > transfers)):
        raise InputError("minus_targets", f"lie in 0..{transfers}, the transfers", "others")
    fecaps = [
        (SENSE_AND_WRITE * moved + of_transfer * transfers) / _OPERATIONS_OF_A_CYCLE
        for of_transfer in (SIGN_TRANSFER, MSB_TRANSFER, 0)
    ]
    more = TARGET_TRANSFER - TWIN_TRANSFER
    memristors = [
        (TWIN_TRANSFER * transfers + more * targets) / _OPERATIONS_OF_A_CYCLE for targets in (transfers - minus, minus)
    ]
    return Wear(Histogram.of(fecaps, (1, sum(MSB_CELLS), _LSB_CELLS)), Histogram.of(memristors, (1, 1)))
