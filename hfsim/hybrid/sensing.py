"""What a word is sensed as: bit errors of the destructive read, cell by cell.

Each of the 14 cells of a synapse is sensed by the latch of its line. With the offset V_os of that latch and the noise
sigma_n of a decision, a cell errs with

    miss = Phi[(V_ref + V_os - V_1)/sigma_n],      false = Phi[(V_0 - V_ref - V_os)/sigma_n]

and a bit of n cells reads 1 where at least half of them say so. What is read is what is written back, so errors stay.
Most cells err always or never, for cells differ by more than the noise: these bits are kept as masks. The bit of a word
that is most in doubt is drawn at each read; others follow what they read more often (`neglected` says how much
that leaves out). A dead cell reads 0: a film without remanence moves nothing but its dielectric charge.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.stats import norm
from jaxtyping import Array, Float, Int, Key

from hfsim.circuits.sense_amplifier import SenseAmplifier
from hfsim.draws import stream
from hfsim.hybrid.array import CELLS, SYNAPSE_CELLS
from hfsim.hybrid.cells import AbstractCells
from hfsim.hybrid.words import WORD_BITS, negative
from hfsim.parameters import PhysicalModel, parameter

SYNAPSES_PER_LINE = 8
"""That share a latch."""
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
    doubt, with its probabilities; the mean doubt of all others."""

    ones: Int[Array, "*w"]
    zeros: Int[Array, "*w"]
    doubtful: Int[Array, "*w"]
    miss: Float[Array, "*w"]
    false: Float[Array, "*w"]
    neglected: Float[Array, ""]


class Sensing(PhysicalModel):
    """Cells, the latches that sense them, and how many cells are dead."""

    cells: AbstractCells
    amplifier: SenseAmplifier
    dead: Float[Array, ""] = parameter(unit="1", bounds=(0.0, 1.0), doc="share of dead cells", default=0.0)

    def cell_errors(self, shape: tuple[int, ...], key: Key[Array, ""]) -> CellErrors:
        """Of each cell of synapses of `shape`: (*shape, 14), sign first, then 4 + 2 + 1 of the MSBs, then the LSBs."""
        seen = self.cells.voltages((*shape, CELLS), stream(key, "cells"))
        lines = -(-int(np.prod(shape)) // SYNAPSES_PER_LINE)
        latches = self.amplifier.sample((lines,), stream(key, "latches")).V_os
        offset = jnp.repeat(latches, SYNAPSES_PER_LINE)[: int(np.prod(shape))].reshape((*shape, 1))
        noise = 1e-3 * self.amplifier.sigma_n
        threshold = self.amplifier.V_ref + offset
        dead = jax.random.uniform(stream(key, "dead"), seen.one.shape, jnp.float32) < self.dead
        miss = jnp.where(dead, 1.0, norm.cdf((threshold - seen.one) / noise))
        return CellErrors(miss, jnp.where(dead, 0.0, norm.cdf((seen.zero - threshold) / noise)))

    def fabricate(self, shape: tuple[int, ...], key: Key[Array, ""]) -> SensedCells:
        """What stays with the cells of weights of `shape` for life."""
        errors = bit_errors(self.cell_errors(shape, key))
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
            neglected=jnp.mean(jnp.where(drawn, 0.0, doubt)),
        )


def _doubt(chance):
    """How often the rarer outcome comes."""
    return jnp.minimum(chance, 1 - chance)


def bit_errors(cells: CellErrors) -> CellErrors:
    """Errors of the ten bits, (..., 10) sign first, from those of their cells: half or more that say 1 make a 1."""
    starts = np.concatenate([[0], np.cumsum(SYNAPSE_CELLS)])

    def bits(says_one):
        return jnp.stack(
            [_at_least_half(says_one[..., a:b]) for a, b in zip(starts[:-1], starts[1:], strict=True)], axis=-1
        )

    return CellErrors(1 - bits(1 - cells.miss), bits(cells.false))


def _at_least_half(chance: Float[Array, "... cells"]) -> Float[Array, "..."]:
    """P(2 k >= n) of the number k of n independent events, by their generating polynomial."""
    number = chance.shape[-1]
    if number == 1:
        return chance[..., 0]
    counts = [jnp.ones_like(chance[..., 0])]
    for place in range(number):
        p = chance[..., place]
        lower, upper = [c * (1 - p) for c in counts], [c * p for c in counts]
        counts = [lower[0], *(a + b for a, b in zip(lower[1:], upper[:-1], strict=True)), upper[-1]]
    return jnp.sum(jnp.stack(counts[(number + 1) // 2 :]), axis=0)


def sense(
    words: Float[Array, "*w"], cells: SensedCells, uniform: Float[Array, "*w"], bits: int = EVERY
) -> Float[Array, "*w"]:
    """Words as they are read once.

    Args:
        words: as stored.
        cells: what errs in them.
        uniform: a number in [0, 1) for the bit in doubt of each.
        bits: pattern of those that are sensed; others stay what they are.

    Returns:
        The words, whose gradient is that of `words`: errors have none.
    """
    magnitude = jnp.abs(jax.lax.stop_gradient(words)).astype(jnp.int32)
    stored = magnitude | jnp.where(negative(words), _SIGN, 0)
    chance = jnp.where((stored & cells.doubtful) != 0, cells.miss, cells.false)
    turned = jnp.where(uniform < chance, cells.doubtful, 0)
    seen = ((stored & ~cells.zeros) | (~stored & cells.ones)) ^ turned
    seen = (seen & bits) | (stored & ~bits)
    sign = jnp.where((seen & _SIGN) != 0, -1.0, 1.0).astype(words.dtype)
    # the sign comes last: -0.0 + 0.0 would forget it
    size = (seen & ~_SIGN).astype(words.dtype) + sign * (words - jax.lax.stop_gradient(words))
    return sign * size
