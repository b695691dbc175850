"""Read noise as a law of the conductance: the retention models' own numbers."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hfsim
from hfsim import InputError
from hfsim.devices.retention.from_card import retention
from hfsim.nn import CMOReadNoise, PCMReadNoise, read_noise
from tests.layer_peripheries import read_noise as cmo_noise

LAWS = {"cmo-hfox-2025": CMOReadNoise, "pcm-nandakumar-2019": PCMReadNoise}
STILL = {
    "cmo-hfox-2025": ("drift", "sigma_0", "sigma_1"),
    "pcm-nandakumar-2019": ("mu_0", "mu_1", "mu_min", "mu_max", "s_0", "s_1", "s_min", "s_max"),
}
"""What moves the devices of a card: at 0 only their noise grows with time."""


@pytest.mark.parametrize("name", LAWS)
@pytest.mark.parametrize("age", [0.0, 1.0, 3600.0, 3.156e8])
def test_it_is_the_retention_models_law(name, age):
    card = hfsim.load_card(name)
    law = read_noise(card, age=age)
    assert type(law) is LAWS[name]
    model = dataclasses.replace(retention(card), window=None, **dict.fromkeys(STILL[name], jnp.asarray(0.0)))
    G = jnp.asarray([0.5, 2.0, 9.0, 25.0, 88.0])
    state = model.wait(model.place(model.init(G.shape, jax.random.key(0)), G), age)
    np.testing.assert_allclose(law.sigma(G), model.read_sigma(state), rtol=1e-5, atol=1e-9)


def test_published_numbers():
    # sigma of one read at 50 uS, 1 h after programming, by the article's formula
    expected = 5.0 * 0.0277 * np.log10(50.0) * np.sqrt(np.log((3600 + 1e-6) / 2e-6))
    assert float(cmo_noise().sigma(jnp.asarray(50.0))) == pytest.approx(expected, rel=1e-5)
    assert float(cmo_noise().sigma(jnp.asarray(0.5))) == 0.0


def test_cards_without_read_noise_say_so():
    card = hfsim.load_card("wan-2022-reram")
    assert read_noise(card) is None
    with pytest.raises(InputError, match="`card` must give a read noise for age"):
        read_noise(card, age=1.0)
    with pytest.raises(InputError, match="section"):
        read_noise(hfsim.load_card("cea-leti-2025-hybrid"))
