"""Destructive read of a whole array: line voltages of either bit, memory windows, bit errors.

Each cell has a floating bit line of its own (one word line is read at a time). It is written with a 1 and read, and
written with a 0 and read: V_1 and V_0. A latch with reference V_ref, offset spread sigma_os and noise sigma_n errs with

    BER(V_ref) = mean over cells of 1/2 {Phi[(V_ref - V_1)/s] + Phi[(V_0 - V_ref)/s]},   s^2 = sigma_os^2 + sigma_n^2

The window of a cell is V_1 - V_0, that of the array min V_1 - max V_0: the room that one reference has to serve all of
its cells. J. Okuno et al., Symp. VLSI Technology (2020), and T. Francois et al., IEDM (2021), for such distributions.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from hfsim.circuits.floating_line import FloatingLine
from hfsim.circuits.sense_amplifier import SenseAmplifier
from hfsim.devices.ferroelectric.capacitor import FerroelectricCapacitor
from hfsim.devices.pulse import Pulse
from hfsim.errors import InputError
from hfsim.units import ROOM_TEMPERATURE


class ArrayRead(NamedTuple):
    """Line voltages [V] of the cells for either stored bit."""

    one: Float[Array, " cells"]
    zero: Float[Array, " cells"]

    UNITS = {"one": "V", "zero": "V"}

    @property
    def windows(self) -> Float[Array, " cells"]:
        """V_1 - V_0 of each cell [V]."""
        return self.one - self.zero

    @property
    def array_window(self) -> Float[Array, ""]:
        """min V_1 - max V_0 [V]; negative where no reference serves all cells."""
        return jnp.min(self.one) - jnp.max(self.zero)


def read_array(
    line: FloatingLine,
    cells: FerroelectricCapacitor,
    write: Pulse,
    read: Pulse,
    *,
    cycles=0.0,
    temperature=ROOM_TEMPERATURE,
    key: Key[Array, ""] | None = None,
    tile: int = 512,
) -> ArrayRead:
    """Write and read every cell with either bit.

    Args:
        line: a cell's bit line.
        cells: a population; its parameters are scalars or have shape (cells), and at least one has it.
        write: pulse that writes [V], [ns].
        read: pulse on the plate line while the bit line floats.
        cycles: bipolar cycles of `write` before; needs `cells.ageing`.
        temperature: of writing, cycling and reading [K].
        key: for cells whose domains or breakdown are drawn.
        tile: cells computed at a time, so that their classes of domains stay in the cache.

    Raises:
        InputError: `cells` is one device, or `cycles` are asked of cells that do not age.
    """
    ageing = isinstance(cycles, jax.Array) or cycles > 0  # an array may be traced: it is walked through even if 0
    shape = jnp.broadcast_shapes(*(jnp.shape(x) for x in jax.tree.leaves(cells)))
    if len(shape) != 1:
        raise InputError(
            "cells", "be a population of shape (cells,)", f"of shape {shape}", "use `cells.sample((n,), key)`"
        )
    if ageing and cells.ageing is None:
        raise InputError("cycles", "be 0 for cells that do not age", cycles, "give the capacitor an `ageing`")
    number = shape[0]
    tile = min(tile, number)
    padded = -(-number // tile) * tile

    def fold(x):
        x = jnp.concatenate([x, jnp.broadcast_to(x[-1:], (padded - number,))])
        return x.reshape(-1, tile, 1)

    leaves, structure = jax.tree.flatten(cells)
    spread = [i for i, x in enumerate(leaves) if jnp.ndim(x)]

    def one_tile(arguments):
        place, own = arguments
        whole = list(leaves)
        for i, x in zip(spread, own, strict=True):
            whole[i] = x
        device = jax.tree.unflatten(structure, whole)
        start = device.init((tile, 1), None if key is None else jax.random.fold_in(key, place), up=1.0)
        if ageing:
            start = device.cycle(start, write, cycles, temperature=temperature)
        voltages = []
        for bit in (1, 0):
            written = device.write(start, jnp.full((tile, 1), bit), write, temperature=temperature)
            voltages.append(line.share(device, written, read, temperature=temperature)[1])
        return tuple(voltages)

    folded = [fold(leaves[i]) for i in spread]
    one, zero = jax.lax.map(one_tile, (jnp.arange(padded // tile), folded))
    return ArrayRead(one.reshape(-1)[:number], zero.reshape(-1)[:number])


def bit_error_rate(seen: ArrayRead, amplifier: SenseAmplifier, V_ref) -> Float[Array, "..."]:
    """BER over all cells at each reference voltage `V_ref` [V]; equally many ones and zeros."""
    V_ref = jnp.asarray(V_ref)[..., None]
    s = 1e-3 * jnp.sqrt(amplifier.sigma_os**2 + amplifier.sigma_n**2)
    missed = jax.scipy.stats.norm.cdf((V_ref - seen.one) / s)
    false = jax.scipy.stats.norm.cdf((seen.zero - V_ref) / s)
    return 0.5 * jnp.mean(missed + false, axis=-1)
