"""Fit on five amplitudes of a measured switching map, predict the other eight: GB2 against Lorentzian and KAI.

Data: 8.3 nm Hf0.5Zr0.5O2, C. Alessandri et al., IEEE Electron Device Lett. 39, 1780 (2018), 286 pulses; no part of
the project. The fits start at the cards' values and take seconds; the published GB2 set, fitted to all amplitudes, is
tested in tests/physics/test_published_devices.py.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hfsim.errors import InputError
from training import fit_switching
from training.fit_switching import DATA, MODELS, Film, Pulses, compare, fit, free_places, read_pulses


@functools.cache
def measured(name):
    with jax.enable_x64(True):
        return compare(name, read_pulses(DATA))


def needs_data():
    if not DATA.exists():
        pytest.skip(f"needs {DATA.name}, which is no part of the project, in {DATA.parent}")


def test_gb2_predicts_the_held_out_amplitudes_within_1_percent():
    # Measured: 0.76 % of 2 P_r on what is fitted, 0.89 % on what is held out.
    needs_data()
    comparison = measured("gb2")
    assert comparison.fitted < 0.01 and comparison.held_out < 0.01


@pytest.mark.parametrize("name", ["lorentzian", "kai"])
def test_one_distribution_of_times_or_none_is_5_to_9_times_worse(name):
    # Lorentzian 7.27 % and 7.34 %, KAI 7.90 % and 7.70 %: 8.2 and 8.6 times the held-out error of GB2.
    needs_data()
    comparison = measured(name)
    assert 5 < comparison.held_out / measured("gb2").held_out < 9
    assert 0.05 < comparison.fitted < 0.1


@pytest.mark.parametrize("name", ["lorentzian", "kai"])
def test_the_comparison_s_card_holds_the_fit(name):
    needs_data()
    card = fit_switching.fitted_card(fit_switching.load_card(fit_switching.COMPARISON), {name: measured(name).film})
    shipped = fit_switching.load_card(fit_switching.COMPARISON)
    for section in (name, f"{fit_switching.CAPACITOR}_{name}"):
        for key, entry in card.section(section).items():
            assert entry.value == pytest.approx(shipped.section(section)[key].value, rel=2e-3), key


@pytest.mark.parametrize("name", ["lorentzian", "kai"])
def test_a_fit_finds_the_values_that_made_the_data(name, x64):
    # synthetic pulses of the card's own model, from a start that is 10 % off in each parameter
    truth, rng = fit_switching.film(name), np.random.default_rng(0)
    voltage, width = jnp.meshgrid(jnp.linspace(0.8, 1.6, 5), jnp.geomspace(2e2, 2e6, 9))
    pulses = Pulses(voltage.ravel(), width.ravel(), jnp.zeros(45))
    pulses = pulses._replace(P=truth.polarisation(pulses))
    places = free_places(name)
    start = jax.tree.map(lambda x: x * rng.choice([0.9, 1.1]), truth)
    start = Film(start.kinetics, start.P_r, truth.t)
    found = fit(start, places, pulses)
    assert len(places(found)) == 5
    np.testing.assert_allclose(places(found), places(truth), rtol=1e-5)


def test_the_models_are_the_three_of_the_report():
    assert set(MODELS) == {"gb2", "lorentzian", "kai"}
    assert [len(free_places(name)(fit_switching.film(name))) for name in MODELS] == [8, 5, 5]


def test_a_table_without_its_columns_is_refused(tmp_path):
    table = tmp_path / "table.csv"
    table.write_text("amp,P\n1.0,2.0\n")
    for path in (table, tmp_path / "none.csv"):
        with pytest.raises(InputError, match="`data` must be a CSV table with columns pw, amp and P"):
            read_pulses(path)
