"""Heracles (arXiv:2410.07791) against the values that its formula gives, and loops that it runs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hfsim.cards import load_card
from hfsim.devices import FerroelectricCapacitor
from hfsim.devices.ferroelectric.heracles import HeraclesKinetics
from hfsim.devices.ferroelectric.leakage import FowlerNordheim, PooleFrenkel
from hfsim.units import BOLTZMANN


@pytest.fixture
def kinetics(x64):
    return load_card("heracles-2024").build(HeraclesKinetics, "heracles")


@pytest.mark.parametrize(("rate", "expected"), [(1e2, 0.543), (1e3, 0.623), (1e4, 0.702), (1e5, 0.781), (1e6, 0.861)])
def test_coercive_fields_at_300_k(kinetics, rate, expected):
    # rates in 1/s; the table has three decimals, in MV/cm
    assert float(kinetics.coercive_field(1e-9 * rate, 300.0)) == pytest.approx(expected, abs=5.1e-4)


def test_warmth_lowers_the_coercive_field_by_2_7_kv_per_cm_and_kelvin(kinetics):
    # The reference gives no rate: dE_c/dT = -(k_B/d_E) [ln(k_B T/(h nu)) + 1] is -2.71 at nu = 1e3 1/s, and runs from
    # -2.97 to -1.91 over the table.
    slope = jax.vmap(jax.grad(kinetics.coercive_field, argnums=1), (0, None))
    slopes = 1e3 * np.asarray(slope(1e-9 * jnp.asarray([1e2, 1e3, 1e6]), 300.0))
    np.testing.assert_allclose(slopes, [-2.97, -2.71, -1.91], atol=5e-3)


@pytest.mark.parametrize("temperature", [300.0, 360.0])
@pytest.mark.parametrize("sweep", [1e3, 1e6])
def test_a_simulated_loop_has_the_coercive_field_of_the_formula(kinetics, sweep, temperature):
    # A field that rises by `sweep` MV/cm per s: half is switched where the integral of k is ln 2. k rises by e over
    # kT/d_E of field, so that is where k = ln 2 x sweep d_E/kT. The field moves in steps of 1e-3 MV/cm.
    step, kT = 1e-3, BOLTZMANN * temperature
    fields = jnp.arange(-0.2, 1.4, step)
    both = jnp.stack([fields, 2 * kinetics.E_off - fields], axis=1)  # the two branches, about E_off

    def one(state, field):
        state = kinetics.expose(state, field, step / sweep * 1e9, temperature)
        return state, kinetics.polarisation(state)

    start = kinetics.init((2,), up=jnp.asarray([0.0, 1.0]))
    _, trace = jax.jit(lambda: jax.lax.scan(one, start, both))()
    rate = np.log(2) * sweep * float(kinetics.d_E) / 10 / kT
    expected = float(kinetics.coercive_field(1e-9 * rate, temperature))
    for branch, sign in ((0, 1.0), (1, -1.0)):
        crossing = np.interp(0.0, sign * np.asarray(trace[:, branch]), np.asarray(fields))
        assert crossing - float(kinetics.E_off) == pytest.approx(expected, abs=step)


def test_the_card_has_the_tunnelling_constants_of_its_barrier():
    # phi_b_fe = 2 V, m_eff_fe = 0.4: the published inputs of the card's a and b
    model, expected = (
        load_card("heracles-2024").build(FowlerNordheim, "fowler_nordheim"),
        FowlerNordheim.of_barrier(2, 0.4),
    )
    assert float(model.a) == pytest.approx(float(expected.a), rel=1e-5)
    assert float(model.b) == pytest.approx(float(expected.b), rel=1e-5)


def test_emission_carries_the_leakage_at_1_mv_per_cm():
    # heat raises it; tunnelling under 122 MV/cm of characteristic field is nothing there
    card = load_card("heracles-2024")
    emission, tunnelling = card.build(PooleFrenkel, "poole_frenkel"), card.build(FowlerNordheim, "fowler_nordheim")
    field = jnp.float32(1.0)
    assert float(tunnelling.current_density(field, 300.0)) < 1e-20 * float(emission.current_density(field, 300.0))
    assert emission.current_density(field, 358.0) > 10 * emission.current_density(field, 300.0)


def test_its_capacitor_holds_twice_27_uc_per_cm2():
    card = load_card("heracles-2024")
    model = card.build(
        FerroelectricCapacitor, "ferroelectric_capacitor", kinetics=card.build(HeraclesKinetics, "heracles")
    )
    assert float(model.switching_charge) == pytest.approx(2 * 27 * 10 * 625, rel=1e-6)
