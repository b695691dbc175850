"""Training by pulses through a `Learner`: on ideal devices it is gradient descent, whatever the layers' scales."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from hfsim.devices.pulsed import AdditiveNoise, ConstantStep
from hfsim.learning import MixedPrecision, PulsedSynapse
from hfsim.nn import FillWindow
from models import MLP
from training.pulsed.learner import Learner
from training.pulsed.rules import cmo_synapse

SIZES, RATE, DW = (5, 4, 3), 3.0, 1e-3
DAY = 86400.0


def loss(network, taps, carry, batch, key):
    logits = network(batch[0], taps, key)
    return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, batch[1])), (carry, None)


def learner(rule, scale):
    network = MLP(
        SIZES,
        initial_spread=None,
        activation=jax.nn.sigmoid,
        norm=None,
        use_bias=True,
        rngs=nnx.Rngs(params=1),
        scale=scale,
    )
    return Learner(network, loss, rule, learning_rate=RATE, key=jax.random.key(0))


def matrices(made, trained):
    """The float matrices that the weights and scales stand for."""
    network = made.parts.network(trained.weights, trained.digital)
    return [np.asarray(layer.array.matrix) for layer in network.layers]


@pytest.mark.parametrize("fill", [0.1, 0.6])
def test_fine_devices_follow_gradient_descent_at_any_scale(fill):
    device = ConstantStep(dw_min=DW, up_down=0.0, w_min=-1.0, w_max=1.0, G_0=48.6, g=39.6, noise=AdditiveNoise(0.0))
    rule = MixedPrecision(PulsedSynapse(device), key=jax.random.key(2), learning_rate=RATE, most_pulses=500)
    rng = np.random.default_rng(0)
    batch = jnp.asarray(rng.normal(size=(6, 5)), jnp.float32), jnp.asarray(rng.integers(0, 3, 6))
    pulsed, exact = learner(rule, FillWindow(fill)), learner(None, None)
    begun, after = {}, {}
    for name, made in (("pulsed", pulsed), ("exact", exact)):
        trained = jax.jit(made.start)()
        begun[name] = matrices(made, trained)
        trained, _ = jax.jit(made.train)(trained, batch, 0)
        after[name] = matrices(made, trained)
    for layer in range(2):
        own, other = (after[name][layer] - begun[name][layer] for name in ("pulsed", "exact"))
        step = DW * np.abs(begun["exact"][layer]).max() / fill  # in the float matrix
        np.testing.assert_allclose(own, other, atol=1.001 * step)  # less than a pulse stays in the accumulator
        assert np.abs(other).max() > 10 * step


def test_compensation_takes_the_mean_shift_of_each_column_away():
    # a day at rest: mean shift -1.012 uS and spread of 39.6 uS to a weight of 1
    rule = MixedPrecision(cmo_synapse(), key=jax.random.key(2), learning_rate=RATE)
    made = learner(rule, FillWindow(0.3))
    trained = jax.jit(made.start)()
    aged = jax.jit(made.aged, static_argnums=2)
    fresh, plain, compensated = map(jax.tree.leaves, (trained.weights, aged(trained, DAY), aged(trained, DAY, True)))
    for w0, w, c in zip(fresh, plain, compensated, strict=True):
        assert np.all(np.abs(np.mean(w - w0, axis=0)) > 0.003)
        np.testing.assert_allclose(np.mean(c, axis=0), np.mean(w0, axis=0), atol=1e-6)
        np.testing.assert_allclose(np.std(c - w0, axis=0), np.std(w - w0, axis=0), rtol=1e-4)
    assert np.mean([np.mean(w - w0) for w0, w in zip(fresh, plain, strict=True)]) * 39.6 == pytest.approx(
        -1.01, abs=0.6
    )
