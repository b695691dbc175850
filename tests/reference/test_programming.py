"""Write-verify against the published counts and spreads: 35 targets of 9 to 88.2 uS, acceptances of 0.2 and 2 %.

Published (third party's digest): about 89 pulses to 0.2 % and 11 to 2 %; ReRamCMONoiseModel: sigma = 0.00106879 G +
0.00081107 and 0.01129027 G + 0.01121854 uS. Nothing in the cards was fitted to the counts or these spreads: steps and
their noise are the open-loop ones. Counts of n devices and 35 levels scatter by their deviation (about their mean)
over sqrt(35 n).
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hfsim
from hfsim.crossbar.programming import PublishedProgramming, staircase, statistics
from hfsim.crossbar.write_verify import PhysicalProgramming, PulsedProgramming, RateNoise, StateNoise
from hfsim.devices.pulse import Pulse

CARD, PULSED = hfsim.load_card("cmo-hfox-2025"), hfsim.load_card("cmo-hfox-2025-pulsed")
TARGETS = np.linspace(9.0, 88.2, 35)
OWN = TARGETS[(TARGETS >= 28.0) & (TARGETS <= 88.0)]  # the compact model's window
climb = eqx.filter_jit(staircase)


def measured(programming, targets, devices, seed=0):
    return statistics(targets, climb(programming, jax.random.key(seed), jnp.asarray(targets, jnp.float32), (devices,)))


@pytest.fixture(scope="module")
def pulsed():
    """Statistics of the open-loop pulsed card on the staircase of all targets, for both acceptances."""
    return {a: measured(PulsedProgramming.from_card(PULSED, a, limit=6000), TARGETS, 400) for a in (0.2, 2.0)}


def test_the_pitch_of_the_targets():
    assert np.diff(TARGETS).mean() == pytest.approx(2.33, abs=0.005)
    assert OWN.size == 25


@pytest.mark.parametrize(("acceptance", "published", "within"), [(0.2, 89.0, 0.05), (2.0, 11.0, 0.20)])
def test_counts_of_the_pulsed_card(pulsed, acceptance, published, within):
    # unfitted: 89.4 and 9.0 (tolerances: the count's own scatter is 1 %, the rest is how well the card predicts)
    found = pulsed[acceptance]
    assert np.all(found.accepted == 1.0)
    assert float(found.pulses.mean()) == pytest.approx(published, rel=within)


@pytest.mark.parametrize(
    ("acceptance", "slope", "offset"), [(0.2, 0.00106879, 0.00081107), (2.0, 0.01129027, 0.01121854)]
)
def test_spread_of_the_pulsed_card(pulsed, acceptance, slope, offset):
    # uniform inside the acceptance, so the slope is acceptance/sqrt(3) and the published one 2 to 7 % below it
    found = pulsed[acceptance]
    G = np.asarray(found.target)
    inner = np.asarray(found.sigma)[(G > 12) & (G < 88)]
    uniform = 1e-2 * acceptance * G[(G > 12) & (G < 88)] / np.sqrt(3)
    np.testing.assert_allclose(inner, uniform, rtol=0.12)
    assert np.mean(inner / uniform) == pytest.approx(1.0, abs=0.02)
    assert float(found.spread().slope) == pytest.approx(slope, rel=0.07)
    at_50 = float(found.spread().sigma(50.0))
    assert at_50 == pytest.approx(slope * 50 + offset, rel=0.07)


def test_low_targets_cost_most(pulsed):
    # additive noise of 3.3 uS a pulse in acceptances of 18 nS: pulses go as 1/target
    fine = pulsed[0.2]
    low, high = (float(fine.pulses[np.argmin(abs(TARGETS - level))]) for level in (16.0, 64.0))
    assert 2.5 < low / high < 5.0


@pytest.mark.parametrize(("kind", "noise"), [("state", StateNoise), ("rate", RateNoise)])
def test_both_noises_have_the_published_ratio(kind, noise, x64):
    # std/mean of a change at the symmetry point, mean of both directions, by Gauss-Hermite quadrature
    loop = PhysicalProgramming.from_card(CARD, noise=CARD.build(noise, f"{kind}_noise"))
    x, weight = np.polynomial.hermite_e.hermegauss(61)
    weight /= weight.sum()
    sigma, start = float(loop.noise.sigma), loop.cell.init(x.shape)
    ratios = []
    for pulse in (loop.set_pulse, loop.reset_pulse):
        factor = np.exp(sigma * x - sigma**2 / 2) if kind == "rate" else np.ones_like(x)
        after = loop.cell.apply(start, Pulse(pulse.voltage, pulse.width * factor), temperature=loop.temperature)
        if kind == "state":
            after = eqx.tree_at(lambda s: s.log_C, after, after.log_C + sigma * x)
        change = np.asarray(loop.true_conductance(after) - loop.true_conductance(start))
        mean = weight @ change
        ratios.append(np.sqrt(weight @ (change - mean) ** 2) / abs(mean))
    assert np.mean(ratios) == pytest.approx(0.90, abs=1e-3)


@pytest.mark.parametrize(
    ("kind", "noise", "fine", "coarse"), [("state", StateNoise, 40.0, 4.6), ("rate", RateNoise, 17.8, 4.5)]
)
def test_counts_of_the_compact_model(pulsed, kind, noise, fine, coarse):
    # a regression of our own numbers: the published counts are of the whole window. On its own one, the pulsed card
    # needs 61 and 5.3; the compact model steps 2.3 uS where the card steps 3.7 uS
    for acceptance, count in ((0.2, fine), (2.0, coarse)):
        loop = PhysicalProgramming.from_card(CARD, acceptance, noise=CARD.build(noise, f"{kind}_noise"))
        found = measured(loop, OWN, 80)
        assert np.all(found.accepted == 1.0)
        assert float(found.pulses.mean()) == pytest.approx(count, rel=0.06)
        own = float(pulsed[acceptance].pulses[(TARGETS >= 28) & (TARGETS <= 88)].mean())
        assert float(found.pulses.mean()) < own
        if acceptance == 0.2:
            assert float(found.spread().slope) == pytest.approx(0.002 / np.sqrt(3), rel=0.1)


def test_the_published_form():
    for acceptance, slope, offset, pulses in ((0.2, 0.00106879, 0.00081107, 89), (2.0, 0.01129027, 0.01121854, 11)):
        found = measured(PublishedProgramming.from_card(CARD, acceptance, clip=False), TARGETS, 4000)
        np.testing.assert_allclose(found.sigma, slope * TARGETS + offset, rtol=4.5 / np.sqrt(2 * 4000))
        np.testing.assert_array_equal(found.pulses, pulses)
