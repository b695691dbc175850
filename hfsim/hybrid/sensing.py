"""What a word is sensed as: bit errors of the destructive read, cell by cell.

Each of the 14 cells of a synapse is sensed by the latch of its line. With the offset V_os of that latch and the noise
sigma_n of a decision, a cell errs with

    miss = Phi[(V_ref + V_os - V_1)/sigma_n],      false = Phi[(V_0 - V_ref - V_os)/sigma_n]

and a bit of n cells reads 1 where at least half of them say so. What is read is what is written back, so errors stay.
Most cells err always or never, for cells differ by more than the noise: these bits are kept as masks. The bit of a word
that is most in doubt is drawn at each read; others follow what they read more often (`neglected` says how much
that leaves out). A dead cell reads 0: a film without remanence moves nothing but its dielectric charge.

The same cells put their charge on the transfer line: `SensedCells.charge` tells the transfer what the capacitors of the
three MSBs of each word deliver, so that a cell that reads badly also moves its level.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.stats import norm
from jaxtyping import Array, Float, Int, Key

from hfsim.circuits.sense_amplifier import SenseAmplifier
from hfsim.circuits.transfer_line import MSB_CELLS
from hfsim.draws import stream
from hfsim.hybrid.array import CELLS, SYNAPSE_CELLS
from hfsim.hybrid.cells import AbstractCells
from hfsim.hybrid.words import WORD_BITS, negative
from hfsim.parameters import PhysicalModel, parameter

SYNAPSES_PER_LINE = 8
"""That share a latch."""
_STARTS = [0, *map(int, np.cumsum(SYNAPSE_CELLS))]  # of the cells of each bit
_PLACES = 1 << np.arange(WORD_BITS - 1, -1, -1, dtype=np.int32)  # sign first
_SIGN = int(_PLACES[0])
LEADING = int(sum(_PLACES[:4]))
"""Pattern of the bits that a transfer senses: sign and MSBs."""
EVERY = int(sum(_PLACES))
"""Pattern of all ten bits."""


class CellErrors(NamedTuple):
    """Probabilities that a stored 1 reads 0, and a stored 0 reads 1."""

    miss: Float[Array, "..."]
    false: Float[Array, "..."]

    @property
    def rate(self) -> Float[Array, ""]:
        """Bit error rate: the mean over all, ones and zeros alike."""
        return 0.5 * jnp.mean(self.miss + self.false)


class SensedCells(NamedTuple):
    """Patterns of the bits of each word that read 1 where they hold 0, read 0 where they hold 1, and of the one in
    doubt, with its probabilities; charge of the three MSB capacitors over the nominal; the mean doubt of all others."""

    ones: Int[Array, "*w"]
    zeros: Int[Array, "*w"]
    doubtful: Int[Array, "*w"]
    miss: Float[Array, "*w"]
    false: Float[Array, "*w"]
    charge: Float[Array, "3 *w"]
    neglected: Float[Array, ""]


class Sensing(PhysicalModel):
    """Cells, the latches that sense them, and how many cells are dead."""

    cells: AbstractCells
    amplifier: SenseAmplifier
    dead: Float[Array, ""] = parameter(unit="1", bounds=(0.0, 1.0), doc="share of dead cells", default=0.0)

    def cell_errors(self, shape: tuple[int, ...], key: Key[Array, ""]) -> CellErrors:
        """Of each cell of synapses of `shape`: (*shape, 14), sign first, then 4 + 2 + 1 of the MSBs, then the LSBs."""
        return self._errors(*self._draw(shape, key), key)

    def _draw(self, shape, key):
        """Relative charge of each cell, and whether it is dead."""
        charges = self.cells.charges((*shape, CELLS), stream(key, "cells"))
        return charges, jax.random.uniform(stream(key, "dead"), charges.shape, jnp.float32) < self.dead

    def _errors(self, charges, dead, key) -> CellErrors:
        shape = charges.shape[:-1]
        seen = self.cells.voltages(charges, stream(key, "states"))
        lines = -(-int(np.prod(shape)) // SYNAPSES_PER_LINE)
        latches = self.amplifier.sample((lines,), stream(key, "latches")).V_os
        offset = jnp.repeat(latches, SYNAPSES_PER_LINE)[: int(np.prod(shape))].reshape((*shape, 1))
        noise = 1e-3 * self.amplifier.sigma_n
        threshold = self.amplifier.V_ref + offset
        miss = jnp.where(dead, 1.0, norm.cdf((threshold - seen.one) / noise))
        return CellErrors(miss, jnp.where(dead, 0.0, norm.cdf((seen.zero - threshold) / noise)))

    def fabricate(self, shape: tuple[int, ...], key: Key[Array, ""]) -> SensedCells:
        """What stays with the cells of weights of `shape` for life."""
        charges, dead = self._draw(shape, key)
        errors = bit_errors(self._errors(charges, dead, key))
        left = jnp.where(dead, 0.0, charges)
        groups = zip(_STARTS[1:], _STARTS[2 : 2 + len(MSB_CELLS)], strict=False)
        missed, false = errors.miss > 0.5, errors.false > 0.5
        doubt = jnp.maximum(_doubt(errors.miss), _doubt(errors.false))
        worst = jnp.argmax(doubt, axis=-1, keepdims=True)
        drawn = (jnp.arange(WORD_BITS) == worst) & (doubt > 0)

        def pattern(bits):
            return jnp.sum(jnp.where(bits, _PLACES, 0), axis=-1)

        def of_drawn(chance):
            return jnp.sum(jnp.where(drawn, chance, 0.0), axis=-1)

        return SensedCells(
            ones=pattern(false & ~drawn),
            zeros=pattern(missed & ~drawn),
            doubtful=pattern(drawn),
            miss=of_drawn(errors.miss),
            false=of_drawn(errors.false),
            charge=jnp.stack([jnp.mean(left[..., a:b], axis=-1) for a, b in groups]),
            neglected=jnp.mean(jnp.where(drawn, 0.0, doubt)),
        )


def _doubt(chance):
    """How often the rarer outcome comes."""
    return jnp.minimum(chance, 1 - chance)


def bit_errors(cells: CellErrors) -> CellErrors:
    """Errors of the ten bits, (..., 10) sign first, from those of their cells: half or more that say 1 make a 1."""
    missed, false = [], []
    for a, b in zip(_STARTS[:-1], _STARTS[1:], strict=True):
        needed = (b - a + 1) // 2  # cells that must say 1
        missed.append(_at_least(b - a - needed + 1, cells.miss[..., a:b]))
        false.append(_at_least(needed, cells.false[..., a:b]))
    return CellErrors(jnp.stack(missed, axis=-1), jnp.stack(false, axis=-1))


def _at_least(least: int, chance: Float[Array, "... cells"]) -> Float[Array, "..."]:
    """P(k >= least) of the number k of independent events, by their generating polynomial."""
    number = chance.shape[-1]
    counts = [jnp.ones_like(chance[..., 0])]
    for place in range(number):
        p = chance[..., place]
        lower, upper = [c * (1 - p) for c in counts], [c * p for c in counts]
        counts = [lower[0], *(a + b for a, b in zip(lower[1:], upper[:-1], strict=True)), upper[-1]]
    return jnp.sum(jnp.stack(counts[least:]), axis=0)


def sense(
    words: Float[Array, "*w"], cells: SensedCells, uniform: Float[Array, "*w"], bits: int = EVERY
) -> Float[Array, "*w"]:
    """Words as they are read once.

    Args:
        words: as stored; the fraction that a soft mask leaves to one is in no cell and is kept.
        cells: what errs in them.
        uniform: a number in [0, 1) for the bit in doubt of each.
        bits: pattern of those that are sensed; others stay what they are.

    Returns:
        The words, whose gradient is that of `words`: errors have none.
    """
    whole = jnp.abs(jax.lax.stop_gradient(words))
    magnitude = whole.astype(jnp.int32)
    stored = magnitude | jnp.where(negative(words), _SIGN, 0)
    chance = jnp.where((stored & cells.doubtful) != 0, cells.miss, cells.false)
    turned = jnp.where(uniform < chance, cells.doubtful, 0)
    seen = ((stored & ~cells.zeros) | (~stored & cells.ones)) ^ turned
    seen = (seen & bits) | (stored & ~bits)
    sign = jnp.where((seen & _SIGN) != 0, -1.0, 1.0).astype(words.dtype)
    # the sign comes last: -0.0 + 0.0 would forget it
    size = (seen & ~_SIGN).astype(words.dtype) + sign * (words - jax.lax.stop_gradient(words))
    return sign * (size + (whole - magnitude))
