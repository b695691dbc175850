"""Maps of a crossbar: the voltages and currents that the network has."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hfsim.crossbar import Crossbar
from hfsim.errors import InputError

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")


@pytest.fixture(scope="module")
def crossbar():
    W = np.random.default_rng(0).uniform(-1, 1, (5, 20))
    return Crossbar.program(W, key=jax.random.key(0), tile=(12, 4), wires=True)


def maps(figure):
    drawn = {ax.get_title(): np.asarray(ax.images[0].get_array()) for ax in figure.axes if ax.images}
    matplotlib.pyplot.close(figure)
    return drawn


def test_the_maps_are_those_of_the_solved_network(crossbar):
    drawn = maps(crossbar.plot())
    G = np.asarray(crossbar.conductances[0, 0])
    # all inputs are at full scale: 0.2 V
    solution = crossbar.kernel.wires.solve(jnp.asarray(G), jnp.full(12, 0.2))
    word, bit = np.asarray(solution.word), np.asarray(solution.bit)
    np.testing.assert_allclose(drawn["conductance G / uS"], G)
    np.testing.assert_allclose(drawn["drop along word lines / mV"], 1e3 * (0.2 - word), atol=1e-3)
    np.testing.assert_allclose(drawn["rise of bit lines / mV"], 1e3 * bit, atol=1e-3)
    np.testing.assert_allclose(drawn["cell current / uA"], G * (word - bit), rtol=1e-5)
    # away from the drivers and from the sensed ends the cells see less
    assert drawn["drop along word lines / mV"][0, -1] > drawn["drop along word lines / mV"][0, 0] > 0
    assert drawn["rise of bit lines / mV"][0, 0] > drawn["rise of bit lines / mV"][-1, 0] > 0


def test_a_tile_sees_its_own_inputs(crossbar):
    x = jnp.arange(20.0)
    drawn = maps(crossbar.plot(x, tile=(1, 1)))
    current = drawn["cell current / uA"]
    assert current.shape == (12, 4)
    # rows that pad the tile are at ground, and the risen bit lines push a little back into them
    assert np.all(current[:8] > 0) and np.all(current[8:] < 0) and np.all(np.abs(current[8:]) < 0.01)


def test_a_crossbar_without_wires_drops_nothing():
    xbar = Crossbar.program(np.ones((3, 4)), key=jax.random.key(0))
    drawn = maps(xbar.plot())
    assert np.all(np.abs(drawn["drop along word lines / mV"]) < 1e-4)
    assert np.all(np.abs(drawn["rise of bit lines / mV"]) < 1e-4)


def test_wrong_vectors_and_tiles_are_refused(crossbar):
    with pytest.raises(InputError, match="`x` must be one vector of 20 numbers"):
        crossbar.plot(jnp.ones(3))
    with pytest.raises(InputError, match="`tile` must lie within the 2 x 2 tiles"):
        crossbar.plot(tile=(2, 0))
