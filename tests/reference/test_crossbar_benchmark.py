"""The 64 x 64 matrix-vector benchmark against our independent numpy reference: cmo-hfox-reram.md, section 3.

W and 100 vectors uniform in [-1, 1], 6-bit inputs, 8-bit outputs with a bound of 15, acceptance 0.2 %, no read noise
and no wires; RMSE over all outputs, mean over 200 chips. One chip scatters by up to 7 %, their mean by 0.5 %.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hfsim
from hfsim.crossbar import ADC, DAC, Cells, CrossbarDesign, ReferenceColumn
from hfsim.devices.retention import CMORetention, PolynomialRetention

TIMES = (0.0, 1.0, 3600.0, 86400.0, 3.156e8)
UNQUANTISED = (0.007, 0.048, 0.122, 0.154, 0.246)
QUANTISED = (0.055, 0.073, 0.133, 0.166, 0.251)
CHIPS = 200
SHIFT = -0.08900206  # uS per e-fold of time


def errors(card, model, times=TIMES, *, encoding=None, corrected=False):
    """RMSE of products without and with rounding, at each time: (2, times), mean over CHIPS."""
    kernel = CrossbarDesign.from_card(card).kernel(encoding=encoding)
    plain = eqx.tree_at(lambda k: (k.dac, k.adc), kernel, (DAC(), ADC(range=1e6)))

    def chip(key):
        draws = [jax.random.fold_in(key, i) for i in range(3)]
        W = jax.random.uniform(draws[0], (64, 64), minval=-1, maxval=1)
        x = jax.random.uniform(draws[1], (100, 64), minval=-1, maxval=1)
        exact = jnp.matmul(x, W, precision="highest")
        targets = kernel.encoding.targets(W)
        state = model.program(model.init(targets.shape, draws[2]), targets)

        def rmse(seconds):
            G = model.conductance(model.wait(state, seconds))
            if corrected:
                G = G - SHIFT * jnp.log(seconds)
            return [jnp.sqrt(jnp.mean((k(Cells(G), x) - exact) ** 2)) for k in (plain, kernel)]

        return jnp.asarray([rmse(t) for t in times]).T

    keys = jax.random.split(jax.random.key(7), CHIPS)
    return np.asarray(jax.jit(lambda keys: jnp.mean(jax.lax.map(chip, keys), axis=0))(keys))


@pytest.fixture(scope="module")
def card():
    return hfsim.load_card("cmo-hfox-2025")


def test_one_device_per_weight(card):
    plain, quantised = errors(card, CMORetention.from_card(card))
    np.testing.assert_allclose(plain, UNQUANTISED, rtol=0.05)
    np.testing.assert_allclose(quantised, QUANTISED, rtol=0.05)


def test_what_a_reference_column_removes_and_what_it_adds(card):
    """Without the common shift 0.154 is left at 10 years, quantised: a reference that follows the mean law itself.

    A column of devices has a spread of its own, as large as that of each weight: sqrt(2) of the rest.
    """
    model = CMORetention.from_card(card, clip=False)
    plain, quantised = errors(card, model, TIMES[-1:], corrected=True)[:, 0]
    assert quantised == pytest.approx(0.154, rel=0.05)
    window = dict(G_min=9.0, G_max=88.2)
    real, real_quantised = errors(card, model, TIMES[-1:], encoding=ReferenceColumn(**window))[:, 0]
    assert real == pytest.approx(np.sqrt(2) * plain, rel=0.02)
    assert real_quantised == pytest.approx(np.hypot(np.sqrt(2) * plain, quantised_alone(card)), rel=0.02)


def quantised_alone(card):
    """Of rounding: one step of 15/127 over sqrt(12), and inputs on 1/31 over sqrt(12), 64 of them on weights of 1/3."""
    return np.hypot(15 / 127 / np.sqrt(12), np.sqrt(64 / 3) / 31 / np.sqrt(12))


def test_rounding_alone_accounts_for_the_rest(card):
    assert quantised_alone(card) == pytest.approx(0.055, rel=0.05)


def test_the_state_of_the_art_on_the_same_task():
    # pairs of up to 40 uS after Wan et al. (2022): 0.215 at 1 s, 0.397 at 1 day, quantised
    card = hfsim.load_card("wan-2022-reram")
    _, quantised = errors(card, PolynomialRetention.from_card(card), (1.0, 86400.0))
    np.testing.assert_allclose(quantised, [0.215, 0.397], rtol=0.01)
