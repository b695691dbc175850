"""The transfer line: codes to voltages to compliance currents to conductances.

The published level table is in tests/physics; here are the equations, their corners and their gradients.
"""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hfsim.circuits import MSB_CELLS, TransferDrive, code_bits
from hfsim.errors import InputError
from hfsim.hybrid import MECHANISMS, transfer_line
from tests.finite_differences import check_parameter_gradients

IDLE = tuple(  # of the memristor only the clamp voltage counts; mismatch and spreads act on populations
    f"memristor.{name}" for name in ("G_reset", "sigma_reset", "sigma_set", "nu", "sigma_u", "t_0", "E_relax")
) + ("capacitor.kinetics.dlnE_dT", "capacitor.P_r_spread", "transistor.A_VT")
solve = jax.jit(lambda line: (line.levels(), line.line_voltages()))
compliance_current = jax.jit(lambda line, V_TL, transistor=None: line.compliance_current(V_TL, transistor))


@pytest.fixture(params=MECHANISMS)
def line(request, card):
    """The transfer line under each mechanism."""
    return transfer_line(card, request.param)


# --------------------------------------------------------------------------------------------- the codes


def test_code_bits_are_the_binary_digits_msb_first():
    expected = [[(code >> place) & 1 for place in (2, 1, 0)] for code in range(8)]
    np.testing.assert_array_equal(code_bits(jnp.arange(8)), expected)


def test_a_code_stores_its_number_of_minimum_cells(line):
    assert MSB_CELLS == (4, 2, 1)
    charge = line.switchable_charge(code_bits(jnp.arange(8)))
    np.testing.assert_allclose(charge, np.arange(8) * float(line.capacitor.switching_charge), rtol=1e-6)


def test_a_population_of_capacitors_stores_its_own_charge(line):
    P_r = line.capacitor.P_r * jnp.array([[1.1, 0.9, 1.0], [1.0, 1.0, 1.2]])
    many = eqx.tree_at(lambda c: c.P_r, line.capacitor, P_r)
    charge = line.switchable_charge(jnp.ones((2, 3)), many) / float(line.capacitor.switching_charge)
    np.testing.assert_allclose(charge, [4 * 1.1 + 2 * 0.9 + 1.0, 4 + 2 + 1.2], rtol=1e-6)


# ------------------------------------------------------------------------------------------ the equations


def test_without_stored_ones_the_line_is_a_capacitive_divider(line):
    C_D = 7 * float(line.capacitor.capacitance)
    expected = float(line.drive.V_SL) * C_D / (float(line.line.C_L) + C_D)
    assert float(solve(line)[1][0]) == pytest.approx(expected, rel=1e-5)


def test_voltages_and_levels_rise_with_the_code(line):
    levels, voltages = solve(line)
    assert np.all(np.diff(np.asarray(levels)) > 5.0) and np.all(np.diff(np.asarray(voltages)) > 0.05)


def test_the_compliance_point_satisfies_its_equation(line, x64):
    # I_cc = I_EKV(V_TL - V_BL, 0, V_SET - V_BL - V_loss - V_C - R_s I_cc); R_s in kohm times uA is mV
    line = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), line)
    V_TL = jnp.linspace(0.2, 3.0, 15)
    I_cc = compliance_current(line, V_TL)
    drive = line.drive
    drain = drive.V_SET - drive.V_BL - drive.V_loss - line.memristor.V_C - 1e-3 * drive.R_s * I_cc
    expected = line.transistor.current(V_TL - drive.V_BL, 0.0, drain)
    assert np.all(np.asarray(drain) > 0)
    np.testing.assert_allclose(I_cc, expected, rtol=1e-9)


def test_the_level_is_the_current_over_the_clamp_voltage(line):
    levels, voltages = solve(line)
    np.testing.assert_allclose(levels, compliance_current(line, voltages) / line.memristor.V_C, rtol=1e-5)


def test_a_population_of_transistors_has_its_own_currents(line, key):
    many = line.transistor.sample((6,), key)
    currents = compliance_current(line, jnp.full(6, 1.5), many)
    for i in (0, 5):
        one = eqx.tree_at(lambda t: t.V_T0, line.transistor, many.V_T0[i])
        np.testing.assert_allclose(currents[i], compliance_current(line, jnp.array(1.5), one), rtol=1e-4)
    assert np.ptp(np.asarray(currents)) > 0.1


def with_drive(line, **changes):
    return eqx.tree_at(lambda t: t.drive, line, dataclasses.replace(line.drive, **changes))


def test_where_the_drive_cannot_reach_the_clamp_voltage_there_is_no_set(line):
    for V_SET in (0.1, 1.0):  # below V_C = 1.1 V
        blocked = with_drive(line, V_SET=V_SET, V_BL=0.0, V_loss=0.0)
        total, slopes = current_and_slopes(blocked)
        assert float(total) == 0.0
        assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(slopes))


@jax.jit
@jax.value_and_grad
def current_and_slopes(line):
    """Sum of the magnitudes of I_cc over gate voltages, and its gradient."""
    return jnp.sum(jnp.abs(line.compliance_current(jnp.linspace(0.0, 5.0, 6))))


def test_a_resistor_takes_the_headroom_of_a_strong_transistor(line):
    # gate far above: the channel is a short next to 10 kohm, so I = headroom/R_s. Newton's method alone cycles here.
    line = with_drive(line, R_s=10.0, V_loss=0.0)
    headroom = 2.3 + 0.9 - 1.1
    strong = eqx.tree_at(lambda t: t.KP, line.transistor, jnp.float32(1e4))
    assert float(compliance_current(line, jnp.array(4.0), strong)) == pytest.approx(headroom / 10e-3, rel=0.01)


def test_a_square_law_with_headroom_stays_convex(line):
    # saturated, without drops and with a constant charge per code, G is KP/(2 n) (W/L) overdrive^2/V_C: convex, as the
    # published concave top of the table is not
    line = with_drive(line, V_SET=10.0, V_loss=0.0, R_s=1e-3)
    V_TL = jnp.linspace(1.5, 3.0, 8)
    assert np.all(np.diff(np.asarray(compliance_current(line, V_TL)), n=2) > 0)


# --------------------------------------------------------------------------------------------- gradients


def test_every_parameter_has_the_right_gradient_under_saturation(card, x64):
    line = transfer_line(card, "saturation")
    check_parameter_gradients(line, lambda t: jnp.sum(t.levels()), insensitive=IDLE)


def test_every_parameter_has_the_right_gradient_under_starvation(card, x64):
    # The card's starved line leaves its transistor in deep saturation, where the drive's drops do not count (their
    # gradient is e^-40); 1.6 V of loss and 2 kohm bring them into play.
    line = with_drive(transfer_line(card, "starvation"), V_loss=1.6, R_s=2.0)
    check_parameter_gradients(line, lambda t: jnp.sum(t.levels()), insensitive=IDLE)


def test_the_line_voltage_has_the_right_gradient_in_the_charge(card, x64):
    # through `line_voltage` alone, per code
    line = transfer_line(card, "starvation")
    charge = jnp.arange(8) * line.capacitor.switching_charge
    voltage, step = jax.jit(lambda q: line.line_voltage(q)), 1e-4
    slope = jax.jit(jax.grad(lambda q: jnp.sum(voltage(q))))(charge)
    np.testing.assert_allclose(slope, (voltage(charge + step) - voltage(charge - step)) / (2 * step), rtol=1e-5)


def test_single_precision_agrees_with_double(card):
    results = []
    for double in (False, True):
        with jax.enable_x64(double):
            results.append([np.asarray(solve(transfer_line(card, m))[0], np.float64) for m in MECHANISMS])
    np.testing.assert_allclose(results[0], results[1], atol=5e-3)  # uS


def test_second_derivatives_in_single_precision_agree_with_double(card):
    # a spread made by mismatch is a slope: its gradient is the second derivative of the levels
    def curvature(line):
        charge = jnp.asarray([5.0, 30.0])
        slope = lambda q: jax.jvp(line.line_voltage, (q,), (jnp.ones_like(q),))[1]  # noqa: E731
        return jax.jit(lambda q: jax.jvp(slope, (q,), (jnp.ones_like(q),))[1])(charge)

    results = []
    for double in (False, True):
        with jax.enable_x64(double):
            results.append([np.asarray(curvature(transfer_line(card, m))) for m in MECHANISMS])
    np.testing.assert_allclose(results[0], results[1], rtol=1e-3)


# --------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("name", "value"),
    [("V_SL", 0.0), ("width", -1e4), ("V_SET", np.nan), ("V_BL", 0.9), ("V_loss", -0.1), ("R_s", "low")],
)
def test_a_wrong_drive_is_refused(name, value):
    values = dict(V_SL=3.5, width=1e4, V_SET=2.3, V_BL=-0.9, V_loss=0.0, R_s=1.0) | {name: value}
    with pytest.raises(InputError, match=f"`TransferDrive.{name}` must"):
        TransferDrive(**values)
