"""Lorentzian kinetics: the closed form, its history against an ensemble of regions, and where memory ends."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hfsim.devices.ferroelectric.lorentzian import LorentzianKinetics
from hfsim.errors import InputError

SET = dict(E_a=3.4, t_inf=35.0, alpha=1.9, w=0.6)
expose = jax.jit(lambda kinetics, state, field, width, T: kinetics.expose(state, field, width, T))


def after(kinetics, fields, widths, up=0.0, temperature=300.0):
    """Polarisation after each pulse of a train."""
    state, trace = kinetics.init((), up=up), []
    for field, width in zip(fields, widths, strict=True):
        state = expose(kinetics, state, field, width, temperature)
        trace.append(float(kinetics.polarisation(state)))
    return np.array(trace)


def ensemble(fields, widths, regions, up=0.0):
    """The same train on regions that each carry orientation and history; an independent computation."""
    places = (np.arange(regions) + 0.5) / regions
    u = 10 ** (SET["w"] * np.tan(np.pi * (places - 0.5)).clip(-500, 500))
    orientation = np.where(np.arange(regions) % 10 < 10 * up, 1.0, -1.0)
    history, trace = np.zeros(regions), []
    for field, width in zip(fields, widths, strict=True):
        t_1 = SET["t_inf"] * np.exp((SET["E_a"] / abs(field)) ** SET["alpha"])
        step = np.sign(field) * orientation < 0
        history = np.where(step, history + width / t_1 / u, np.maximum(history - width / t_1 / u, 0.0))
        flips = step & (history >= 1)
        orientation, history = np.where(flips, -orientation, orientation), np.where(flips, 0.0, history)
        trace.append(orientation.mean())
    return np.array(trace)


@pytest.mark.parametrize("polarity", [1, -1])
@pytest.mark.parametrize(("field", "width"), [(0.8, 1e3), (1.2, 1e5), (2.0, 30.0), (0.1, 1e18)])
def test_one_pulse_is_the_published_arctangent(field, width, polarity, x64):
    # log t_1 = log t_inf + (E_a/E)^alpha log e, beyond the range of t_1 itself at 0.1 MV/cm
    log_ratio = np.log10(width) - np.log10(SET["t_inf"]) - (SET["E_a"] / field) ** SET["alpha"] * np.log10(np.e)
    expected = 0.5 + np.arctan(log_ratio / SET["w"]) / np.pi
    P = after(LorentzianKinetics(**SET), [polarity * field], [width], up=0.0 if polarity > 0 else 1.0)[-1]
    assert abs(P + polarity) / 2 == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("polarity", [1, -1])
def test_n_pulses_are_one_n_times_as_long(polarity, x64):
    kinetics, up = LorentzianKinetics(**SET), 0.0 if polarity > 0 else 1.0
    once = after(kinetics, [polarity * 1.2], [1e4], up)[-1]
    train = after(kinetics, [polarity * 1.2] * 10, [1e3] * 10, up)[-1]
    assert 0.1 < abs(once - after(kinetics, [0.0], [1.0], up)[-1]) / 2 < 0.9
    assert train == pytest.approx(once, abs=1e-14)


@pytest.mark.parametrize("up", [0.0, 1.0, 0.3])
def test_trains_are_those_of_an_ensemble_of_regions(up, x64):
    # 40,000 regions at the quantiles of the distribution: the two differ by a few regions, 2/40,000 each
    rng = np.random.default_rng(3)
    fields = rng.uniform(0.6, 2.0, 60) * rng.choice([-1, 1], 60)
    widths = 10 ** rng.uniform(1, 5, 60)
    P = after(LorentzianKinetics(**SET), fields, widths, up)
    np.testing.assert_allclose(P, ensemble(fields, widths, 40_000, up), atol=3e-4)
    assert np.ptp(P) > 0.8


def test_a_full_memory_forgets_the_smallest_loop_only(x64):
    # 13 nested pulses, the first much the longest, in memories of 16 and of 12: there the last three stretches
    # r_2, r_1, r_0 become r_2 - r_1 + r_0, and only regions between r_0 and r_1, and those two r_2, are wrong.
    fields = [1.2 * (-1) ** i for i in range(13)]
    widths = [1e8, *(10 ** (5.5 - 0.25 * i) for i in range(12))]
    expected = ensemble(fields, widths, 40_000)
    np.testing.assert_allclose(after(LorentzianKinetics(**SET, depth=16), fields, widths), expected, atol=3e-4)
    short = np.abs(after(LorentzianKinetics(**SET, depth=12), fields, widths) - expected)
    t_1 = SET["t_inf"] * np.exp((SET["E_a"] / 1.2) ** SET["alpha"])
    r = np.array(widths[-3:])
    ranges = np.array([r[2], r[1], r[0] - r[1] + r[2], r[0]]) / t_1
    share = np.arctan2(SET["w"], -np.log10(ranges)) / np.pi
    assert np.max(short[:12]) < 3e-4
    assert 1e-3 < short[-1] <= 2 * (share[1] - share[0] + share[3] - share[2]) + 3e-4


def test_nothing_happens_without_field_or_width(x64):
    kinetics = LorentzianKinetics(**SET)
    state = expose(kinetics, kinetics.init((), up=0.0), 1.2, 1e4, 300.0)
    for field, width in ((0.0, 1e18), (2.0, 0.0)):
        assert jax.tree.all(jax.tree.map(jnp.array_equal, state, expose(kinetics, state, field, width, 300.0)))


def test_the_tail_is_that_of_the_page():
    # 2.6 % at 1e-12 of t_1 for w = 1
    kinetics = LorentzianKinetics(**{**SET, "w": 1.0})
    assert float(kinetics.reached(-12 * np.log(10))) == pytest.approx(0.0265, abs=1e-4)


def test_warmth_acts_as_more_field(x64):
    kinetics = LorentzianKinetics(**SET, dlnE_dT=-0.002)
    warm = after(kinetics, [1.0], [1e4], temperature=350.0)
    assert warm == pytest.approx(after(kinetics, [np.exp(0.1)], [1e4]), rel=1e-12)


@pytest.mark.parametrize("depth", [3, 2, 5, 8.0])
def test_a_memory_of_no_pairs_is_refused(depth):
    with pytest.raises(InputError, match="`depth` must be an even integer >= 4"):
        LorentzianKinetics(**SET, depth=depth)


def test_devices_of_an_array_are_those_alone():
    # element-wise: parameters, fields and widths of each device, one of them without a pulse
    kinetics = LorentzianKinetics(**{**SET, "w": jnp.array([0.4, 0.6, 0.8])})
    fields, widths = jnp.array([[1.2, 0.9, 1.0], [-1.1, 0.0, -1.3]]), jnp.array([[1e4, 1e5, 1e3], [3e3, 1e5, 1e4]])
    state = kinetics.init((3,))
    for field, width in zip(fields, widths, strict=True):
        state = expose(kinetics, state, field, width, 300.0)
    alone = [after(LorentzianKinetics(**{**SET, "w": kinetics.w[i]}), fields[:, i], widths[:, i])[-1] for i in range(3)]
    np.testing.assert_allclose(kinetics.polarisation(state), alone, atol=1e-6)
