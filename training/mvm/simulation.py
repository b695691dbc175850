"""Errors of many chips: one compiled program for each case, a chip at a time, so that memory does not grow with them.

A chip draws its weights, its inputs and its devices at the address of its number, the same in every case: cases differ
by what they change, not by their draws.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from hfsim.crossbar import Cells
from hfsim.crossbar.tiles import Mapping
from hfsim.draws import address, stream
from hfsim.units import seconds
from training.mvm.cases import TIMES, Setup

READINGS = ("rounded", "exact")
"""With the converters' rounding and without."""
MEASURES = ("rmse", "rmse_best_gain")
"""As it is, and after the best common factor on all outputs of a chip, which a digital rescale gives for nothing."""


def placed(setup: Setup, W: Float[Array, "rows outputs"]) -> tuple[Float[Array, "rows columns"], Float[Array, "..."]]:
    """Target conductances [uS] of weights in [-1, 1], and what each output is multiplied by."""
    if setup.levels:
        W = jnp.round((W + 1) / 2 * (setup.levels - 1)) / (setup.levels - 1) * 2 - 1
    if not setup.per_column:
        return setup.rounded.encoding.targets(W), jnp.ones(())
    whole = Mapping(setup.rounded.encoding).place(W)
    return whole.targets[0, 0], whole.scale


def chip_errors(
    setup: Setup, number: Int[Array, ""], key: Key[Array, ""], size: int, vectors: int
) -> Float[Array, "times readings measures"]:
    """Root mean square errors of one chip's products at TIMES."""
    own = address(stream(key, "chip"), number)
    W = jax.random.uniform(stream(own, "weights"), (size, size), minval=-1, maxval=1)
    x = jax.random.uniform(stream(own, "inputs"), (vectors, size), minval=-1, maxval=1)
    ideal = jnp.matmul(x, W, precision=jax.lax.Precision.HIGHEST)
    targets, scale = placed(setup, W)
    state = setup.retention.init(targets.shape, stream(own, "devices"))
    state = setup.retention.program(state, targets)

    def at(place):
        number, waited = place
        aged = setup.retention.wait(state, waited)
        sigma = setup.retention.read_sigma(aged) if setup.read_noise else None
        cells = Cells(setup.retention.conductance(aged), sigma)
        read = address(stream(own, "reads"), number) if setup.read_noise else None
        return jnp.stack([errors(scale * k(cells, x, read), ideal) for k in (setup.rounded, setup.exact)])

    waited = jnp.asarray([seconds(time) for time in TIMES])
    return jax.lax.map(at, (jnp.arange(len(TIMES)), waited))


def errors(y: Float[Array, "vectors outputs"], ideal: Float[Array, "vectors outputs"]) -> Float[Array, " measures"]:
    """MEASURES of outputs."""
    plain = jnp.mean(jnp.square(y - ideal))
    gain = jnp.mean(y * ideal) / jnp.mean(jnp.square(y))
    return jnp.sqrt(jnp.stack([plain, jnp.mean(jnp.square(gain * y - ideal))]))


@eqx.filter_jit
def all_chips(setup: Setup, key: Key[Array, ""], chips: int, size: int, vectors: int):
    """Errors of all chips: (chips, times, readings, measures)."""
    numbers = jnp.arange(chips)
    return jax.lax.map(lambda number: chip_errors(setup, number, key, size, vectors), numbers)


def require_solved(setup: Setup, key: Key[Array, ""], size: int) -> None:
    """Solve the lines of one array outside of any compiled program, where what does not converge is told.

    Raises:
        InputError: the network of wires of these arrays is not solved to its tolerance.
    """
    if setup.rounded.wires is None:
        return
    W = jax.random.uniform(stream(key, "solved weights"), (size, size), minval=-1, maxval=1)
    setup.rounded.wires.currents(placed(setup, W)[0], setup.rounded.V_read * jnp.sign(W[:1]))


def case_errors(setup: Setup, key: Key[Array, ""], chips: int, size: int, vectors: int) -> np.ndarray:
    """`all_chips` as numbers, after a look at the wires."""
    require_solved(setup, key, size)
    return np.asarray(all_chips(setup, key, chips, size, vectors))
