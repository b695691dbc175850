"""The staircase of levels: published numbers, closed forms, gradients, and a design that straightens it a little."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hfsim
from hfsim.devices import DielectricBreakdown
from hfsim.hybrid import CircuitTransfer, transfer_line
from hfsim.studies import Design, Objective, Term, Variable, optimise
from hfsim.studies import staircase as stairs

SIGMA = 8.7
PUBLISHED = jnp.array([1.4, 11.9, 36.5, 58.3, 73.9, 85.5, 95.9, 103.9])
EVEN = jnp.linspace(1.4, 103.9, 8)


@pytest.fixture(scope="module")
def card():
    return hfsim.load_card("cea-leti-2025-hybrid")


def test_misreads_of_the_published_levels_and_of_even_ones():
    np.testing.assert_allclose(stairs.misreads(PUBLISHED, SIGMA)[jnp.array([0, 1, 6])], [0.27, 0.08, 0.32], atol=0.005)
    assert float(stairs.misreads(EVEN, SIGMA).max()) == pytest.approx(0.200, abs=5e-4)
    assert float(stairs.smallest_gap(PUBLISHED, SIGMA)) == pytest.approx(0.92, abs=5e-3)
    worst, smooth = float(stairs.misreads(PUBLISHED, SIGMA).max()), float(stairs.worst_misread(PUBLISHED, SIGMA))
    assert worst * 7 ** (-1 / 16) <= smooth <= worst
    assert float(stairs.worst_misread(EVEN, SIGMA)) == pytest.approx(0.2, abs=1e-3)


def test_the_error_of_a_weight_is_that_of_levels_and_spread():
    assert float(stairs.weight_error(EVEN, SIGMA)) == pytest.approx(0.594, abs=5e-4)  # the published sigma of a weight
    normalised = np.array([0, 0.717, 2.397, 3.886, 4.951, 5.743, 6.454, 7])
    expected = np.sqrt(np.mean((normalised - np.arange(8)) ** 2) + 0.594**2)
    assert float(stairs.weight_error(PUBLISHED, SIGMA)) == pytest.approx(expected, rel=1e-3)
    assert float(stairs.window_error(EVEN, 1.4, 103.9)) == pytest.approx(0.0, abs=1e-5)
    assert float(stairs.window_error(EVEN + 1.0, 1.4, 103.9)) == pytest.approx(np.sqrt(2) / 102.5, rel=1e-3)


def test_energy_and_damage_are_those_of_pulses(card):
    line = transfer_line(card)
    current, V_TL = np.asarray(line.compliance_current(line.line_voltages())), np.asarray(line.line_voltages())
    expected = np.mean((2.3 + 0.9) * current * 1e4 + 3.5 * 250.0 * V_TL)
    assert float(stairs.transfer_energy(line)) == pytest.approx(expected, rel=1e-4)
    assert float(stairs.transfer_energy(line)) == pytest.approx(float(np.mean(3.2 * current * 1e4)), rel=0.01)
    breakdown = card.build(DielectricBreakdown, "breakdown")
    seven = breakdown.damage(3.5, 1e4, 7 * 0.36)
    assert float(stairs.damage(line, breakdown)) == pytest.approx(float(seven), rel=1e-4)


@pytest.mark.parametrize("mechanism", ["saturation", "starvation"])
def test_slopes_of_a_design_are_those_of_differences(card, mechanism, x64):
    line = transfer_line(hfsim.load_card("cea-leti-2025-hybrid"), mechanism)
    names = ("cells", "drive.V_SL", "drive.V_BL", "drive.V_SET", "drive.width", "transistor.W")
    design = Design(line, [Variable(name) for name in names])

    @jax.jit
    def judged(z):
        found = design.model_of(z)
        levels = found.levels()
        return stairs.worst_misread(levels, SIGMA) + 0.1 * stairs.weight_error(levels, SIGMA)

    z = design.start()
    gradient = np.asarray(jax.jit(jax.grad(judged))(z))
    for place in range(len(z)):
        step = jnp.zeros(len(z)).at[place].set(1e-4)
        expected = float(judged(z + step) - judged(z - step)) / 2e-4
        assert gradient[place] == pytest.approx(expected, rel=2e-3, abs=1e-6), design.labels[place]


def test_areas_alone_raise_the_smallest_gap(card):
    line = transfer_line(card)
    terms = [
        Term("misread", lambda m, key: stairs.worst_misread(m.levels(), SIGMA)),
        Term("window", lambda m, key: stairs.window_error(m.levels(), 1.4, 103.9), 0.0, limit=0.005, penalty=0.01),
    ]
    before = float(stairs.smallest_gap(line.levels(), SIGMA))
    design = Design(line, [Variable("cells", 0.25, 16.0)])
    found = optimise(design, Objective(terms), jax.random.key(0), steps=60)
    after = float(stairs.smallest_gap(design.model_of(jnp.asarray(found.z)).levels(), SIGMA))
    assert before == pytest.approx(0.86, abs=0.01) and after > 0.95


def test_mismatch_makes_the_spread_of_the_circuits_transfer_and_has_a_slope(card):
    line = transfer_line(card)
    own, middle = jnp.float32(5.0), 52.65

    @jax.jit
    def spread(line, exponent):
        return stairs.spread(line, own, exponent, middle)

    def of(W):
        return spread(eqx.tree_at(lambda m: m.transistor.W, line, W), 0.0)

    # capacitors and transistors, then transistors alone, whose part is the smaller
    for parts, off in ((line, 0.08), (eqx.tree_at(lambda m: m.capacitor.P_r_spread, line, jnp.float32(0.0)), 0.02)):
        mismatch = np.asarray(CircuitTransfer.from_line(parts).mismatch)  # first order; here over one deviation
        found = np.asarray(spread(parts, 0.0))
        np.testing.assert_allclose(np.sqrt(found**2 - 25), mismatch, rtol=off, atol=0.03)
    assert np.all(np.isfinite(jax.jacfwd(of)(line.transistor.W)))
    found = np.asarray(spread(line, 0.0))
    steeper = np.asarray(spread(line, 1.0))
    level = np.asarray(line.levels())
    np.testing.assert_allclose(np.sqrt(steeper[1:] ** 2 - found[1:] ** 2 + 25), 5.0 * level[1:] / middle, rtol=0.01)
