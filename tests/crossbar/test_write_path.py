"""Writing into an array: line voltages, disturbed cells, and what resistive lines leave of a pulse."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hfsim
from hfsim.circuits.read_curve import SinhCurve
from hfsim.circuits.wires import WireResult, Wires
from hfsim.crossbar.write_path import (
    CellByCell,
    Gated,
    HalfVoltage,
    Merged,
    OneByOne,
    RowByRow,
    ThirdVoltage,
    disturb,
    update_voltages,
    write_array,
)
from hfsim.devices import CMOCell, Pulse, SeriesResistance, ferroelectric_capacitor
from hfsim.devices.memristor import SelectResistance
from hfsim.devices.pulsed import pulsed_device
from hfsim.errors import InputError

HYBRID, CMO = hfsim.load_card("cea-leti-2025-hybrid"), hfsim.load_card("cmo-hfox-2025")
SCHEMES = (HalfVoltage(), ThirdVoltage(), Gated())
T_0 = CMO.quantity("conditions", "T_0", "K")
# a short pulse switches a part of the film under V/2 and V/3
SHORT = Pulse(3.0, 0.3)


@pytest.fixture
def capacitor():
    return ferroelectric_capacitor(HYBRID, nodes=24)


@pytest.fixture
def cell():
    return CMO.build(CMOCell, "cell", series=CMO.build(SelectResistance, "series"), substeps=12)


def names(scheme):
    return type(scheme).__name__


# ---------------------------------------------------------------------------------------- schemes


@pytest.mark.parametrize("scheme", SCHEMES, ids=names)
@pytest.mark.parametrize("voltage", [3.0, -1.3])
def test_cells_see_the_difference_of_their_lines(scheme, voltage):
    rows, columns = jnp.array([False, True, False]), jnp.array([True, False, False, True])
    of_rows, of_columns = scheme.line_voltages(voltage, rows, columns)
    V = np.asarray(of_rows)[:, None] - np.asarray(of_columns)
    # Kirchhoff: around every loop of four cells the voltages sum to zero
    for i, k in ((0, 1), (1, 2)):
        for j, n in ((0, 1), (2, 3)):
            assert V[i, j] - V[i, n] + V[k, n] - V[k, j] == pytest.approx(0, abs=1e-6)
    on = np.asarray(scheme.open_rows(rows))[:, None]
    R, C = np.asarray(rows)[:, None], np.asarray(columns)
    level = scheme.cells()
    expected = voltage * np.select([R & C, R & ~C, ~R & C], [level.selected, level.row, level.column], level.elsewhere)
    np.testing.assert_allclose(np.where(on, V, 0.0), expected, atol=1e-6)


def test_the_levels_are_the_textbook_s():
    assert tuple(HalfVoltage().cells()) == (1, 1 / 2, 1 / 2, 0)
    assert tuple(ThirdVoltage().cells()) == pytest.approx((1, 1 / 3, 1 / 3, -1 / 3))
    assert tuple(Gated().cells()) == (1, 0, 0, 0)


# ----------------------------------------------------------------------------------------- arrays


def written_one_by_one(device, state, pulse, scheme, written, temperature, parallel):
    """The array pulse by pulse: the voltages of the lines, their differences, one `apply` for each write."""
    apply = jax.jit(
        lambda s, V: device.apply(s, Pulse(V, jnp.where(V == 0, 0.0, pulse.width)), temperature=temperature)
    )
    for i in range(written.shape[0]):
        groups = [np.flatnonzero(written[i])] if parallel else [[j] for j in np.flatnonzero(written[i])]
        for group in groups:
            if len(group):
                rows, columns = np.arange(written.shape[0]) == i, np.isin(np.arange(written.shape[1]), group)
                of_rows, of_columns = scheme.line_voltages(pulse.voltage, jnp.asarray(rows), jnp.asarray(columns))
                V = jnp.where(scheme.open_rows(jnp.asarray(rows))[:, None], of_rows[:, None] - of_columns, 0.0)
                state = apply(state, jnp.where(jnp.abs(V) < 1e-6, 0.0, V))
    return state


@pytest.mark.parametrize(
    ("scheme", "order", "voltage"),
    [
        (HalfVoltage(), CellByCell(), -2.6),
        (HalfVoltage(), RowByRow(), -2.6),
        (ThirdVoltage(), CellByCell(), -3.9),
        (ThirdVoltage(), RowByRow(), -3.9),
        (Gated(), CellByCell(), -1.3),
    ],
    ids=lambda x: names(x) if isinstance(x, eqx.Module) else "",
)
def test_an_array_is_written_as_pulse_by_pulse(scheme, order, voltage, cell):
    # 200 ns so strong that disturbed cells see the 1.3 V of a write; equal pulses are exactly one longer one
    written = np.array([[1, 0, 1, 1], [0, 0, 0, 0], [0, 1, 1, 0]], bool)
    pulse = Pulse(voltage, 200.0)
    start = cell.at_conductance(jnp.linspace(40.0, 80.0, 12).reshape(3, 4), temperature=T_0)
    explicit = written_one_by_one(cell, start, pulse, scheme, written, T_0, isinstance(order, RowByRow))
    moved = np.abs(np.asarray(explicit.log_C - start.log_C))
    assert np.all(moved[written] > 0.003)
    if isinstance(scheme, Gated):
        np.testing.assert_array_equal(explicit.log_C[~written], start.log_C[~written])
    else:
        assert np.all(moved[~written] > 1e-3)
    write = jax.jit(lambda s, repetition: write_array(
        cell, s, pulse, scheme, written, order=order, repetition=repetition, temperature=T_0
    ).log_C)  # fmt: skip
    np.testing.assert_allclose(write(start, OneByOne()), explicit.log_C, atol=2e-6)
    np.testing.assert_allclose(write(start, Merged()), explicit.log_C, atol=1e-4)


@pytest.mark.parametrize("order", [CellByCell(), RowByRow()], ids=names)
def test_a_film_under_one_polarity_is_written_as_pulse_by_pulse(order, x64):
    capacitor, short = ferroelectric_capacitor(HYBRID, nodes=24), Pulse(3.0, 0.3)
    written = np.array([[1, 0, 1], [0, 1, 1], [1, 0, 0]], bool)
    start = capacitor.init((3, 3), up=0.0)
    explicit = written_one_by_one(capacitor, start, short, HalfVoltage(), written, 300.0, isinstance(order, RowByRow))
    merged = write_array(capacitor, start, short, HalfVoltage(), written, order=order)
    P = capacitor.polarisation(explicit)
    assert -9.0 < float(P[1, 0]) < 9.0  # half selected alone, and neither untouched nor full
    np.testing.assert_allclose(capacitor.polarisation(merged), P, rtol=1e-10)


def test_disturb_is_monotone_and_equals_repeated_pulses(x64):
    capacitor = ferroelectric_capacitor(HYBRID, nodes=24)
    counts = jnp.array([0, 1, 3, 10, 30])
    half, weak = Pulse(1.5, 0.3), Pulse(1.0, 0.3)
    start = capacitor.init((5,), up=0.0)
    P = [np.asarray(capacitor.polarisation(disturb(capacitor, start, half, counts, repetition=r)))
         for r in (Merged(), OneByOne())]  # fmt: skip
    np.testing.assert_allclose(*P, rtol=1e-10)
    assert P[0][0] == pytest.approx(-float(capacitor.P_r)) and np.all(np.diff(P[0]) > 0)
    explicit = start
    for _ in range(10):
        explicit = capacitor.apply(explicit, half)
    assert P[0][3] == pytest.approx(float(capacitor.polarisation(explicit)[0]), rel=1e-10)
    third = disturb(capacitor, start, weak, counts)
    assert np.all(np.asarray(capacitor.polarisation(third))[1:] < P[0][1:])


def test_the_compact_model_is_disturbed_as_by_its_rate(cell):
    # far below the write voltage ln C moves at the rate of the first moment
    state, half, count = cell.init((1,)), 0.5 * 1.35, 10**6
    after = jax.jit(lambda s: disturb(cell, s, Pulse(half, 1000.0), count, temperature=T_0))(state)
    rate = cell.operating_point(state, half, temperature=T_0)[2]
    assert 0 < float(rate[0]) * 1e9 < 0.05
    assert float((after.log_C - state.log_C)[0]) == pytest.approx(float(rate[0]) * 1e9, rel=0.02)


def test_the_state_after_a_write_has_the_right_slope(x64, cell):
    cell = CMO.build(CMOCell, "cell", substeps=2)
    written = np.eye(2, 3, dtype=bool)
    start = cell.at_conductance(jnp.full((2, 3), 60.0), temperature=T_0)

    def total(V):
        pulse = Pulse(V, 200.0)
        after = write_array(cell, start, pulse, HalfVoltage(), written, order=RowByRow(), temperature=T_0)
        return jnp.sum(after.log_C)

    run = jax.jit(total)
    difference = float(run(-2.5 + 1e-5) - run(-2.5 - 1e-5)) / 2e-5
    assert float(jax.jit(jax.grad(total))(-2.5)) == pytest.approx(difference, rel=1e-5)


def test_what_cannot_be_written_is_refused(capacitor, key):
    device = pulsed_device(hfsim.load_card("cmo-hfox-2025-pulsed"))
    written = np.ones((2, 2), bool)
    for call in (
        lambda: write_array(device, device.init((2, 2)), SHORT, HalfVoltage(), written),
        lambda: disturb(device, device.init((2, 2)), SHORT, 3),
    ):
        with pytest.raises(InputError, match="a pulsed device has steps for one amplitude alone, but was SoftBounds"):
            call()
    state = capacitor.init((2, 2))
    with pytest.raises(InputError, match="`key` must be None: merged pulses draw nothing"):
        write_array(capacitor, state, SHORT, HalfVoltage(), written, key=key)
    with pytest.raises(InputError, match="`pulse` must be one pulse for all cells"):
        write_array(capacitor, state, Pulse(jnp.ones((2, 2)), 1.0), HalfVoltage(), written)
    for wrong in (np.ones((2, 2)), np.ones(4, bool)):
        with pytest.raises(InputError, match="`written` must be booleans of shape"):
            write_array(capacitor, state, SHORT, HalfVoltage(), wrong)
    lagging = eqx.tree_at(lambda c: c.series, capacitor, SeriesResistance(R_s=1.0), is_leaf=lambda x: x is None)
    with pytest.raises(InputError, match="must be OneByOne where a series resistance makes the voltage lag"):
        disturb(lagging, lagging.init((2, 2)), SHORT, 3)
    for count in (-1, 1.5):
        with pytest.raises(InputError, match="`count` must be whole numbers >= 0"):
            disturb(capacitor, state, SHORT, count)


# ------------------------------------------------------------------------------------------ lines


def nodal(G, of_rows, of_columns, wires):
    """Cell voltages by a dense solution of Kirchhoff's current law at every node; G in uS, per-line resistances."""
    m, n = G.shape
    word, bit = np.arange(m * n).reshape(m, n), m * n + np.arange(m * n).reshape(m, n)
    A, b = np.zeros((2 * m * n, 2 * m * n)), np.zeros(2 * m * n)

    def link(p, q, g):
        A[[p, q], [p, q]] += g
        A[[p, q], [q, p]] -= g

    def source(p, g, V):
        A[p, p] += g
        b[p] += g * V

    r_wl, R_drive = np.asarray(wires.r_wl).reshape(-1), np.asarray(wires.R_drive).reshape(-1)
    r_bl, R_sense = np.asarray(wires.r_bl), np.asarray(wires.R_sense)
    for i in range(m):
        source(word[i, 0], 1e6 / (r_wl[i] + R_drive[i]), of_rows[i])
        for j in range(n):
            link(word[i, j], bit[i, j], G[i, j])
            if j:
                link(word[i, j - 1], word[i, j], 1e6 / r_wl[i])
            if i:
                link(bit[i - 1, j], bit[i, j], 1e6 / r_bl[j])
    for j in range(n):
        source(bit[-1, j], 1e6 / (r_bl[j] + R_sense[j]), of_columns[j])
    x = np.linalg.solve(A, b)
    return x[word] - x[bit]


@pytest.fixture
def network(x64):
    rng = np.random.default_rng(0)
    G, per = rng.uniform(10.0, 90.0, (4, 3)), lambda *shape: rng.uniform(50.0, 800.0, shape)
    return G, Wires(r_wl=per(4, 1), r_bl=per(3), R_drive=per(4, 1), R_sense=per(3))


@pytest.mark.parametrize("scheme", SCHEMES, ids=names)
def test_resistive_lines_obey_kirchhoff(scheme, network):
    G, wires = network
    written = np.zeros((4, 3), bool)
    written[1, [0, 2]] = True
    found = update_voltages(lambda V: G * V, 1.35, scheme, written, wires)
    of_rows, of_columns = scheme.line_voltages(1.35, jnp.asarray(written.any(1)), jnp.asarray(written.any(0)))
    open_rows = np.asarray(scheme.open_rows(jnp.asarray(written.any(1))))
    expected = nodal(np.where(open_rows[:, None], G, 0.0), of_rows, of_columns, wires)
    np.testing.assert_allclose(found.voltage, expected, atol=1e-12)
    assert int(found.result) == WireResult.CONVERGED
    assert np.all(np.asarray(found.voltage)[written] < 1.34)


def test_one_row_is_a_ladder(cell):
    # the written row of a 1T1R array: currents I(U) leave it one after the other, each by its own column
    n, r_wl, r_bl, R_drive, V = 6, 4.0, 7.0, 30.0, 1.35
    wires = Wires(r_wl=r_wl, r_bl=r_bl, R_drive=R_drive)
    state = cell.at_conductance(jnp.broadcast_to(jnp.linspace(30.0, 80.0, n), (3, n)), temperature=T_0)
    current = lambda U: cell.operating_point(state, U, temperature=T_0)[0]  # noqa: E731
    written = np.zeros((3, n), bool)
    written[0] = True
    found = jax.jit(lambda: update_voltages(current, V, Gated(), written, wires))()
    U = np.asarray(found.voltage)[0]
    I = np.asarray(current(found.voltage))[0]
    row = V - 1e-6 * (R_drive * I.sum() + r_wl * np.cumsum(np.cumsum(I[::-1])[::-1]))
    np.testing.assert_allclose(U, row - 1e-6 * 3 * r_bl * I, atol=3e-6)  # three segments from row 0 to the sensed end
    assert U[0] > U[-1] and V - U[0] > 0.02
    assert int(found.result) == WireResult.CONVERGED and float(found.residual) < 1e-4
    after = cell.apply(state, Pulse(jnp.where(written, found.voltage, 0.0), 1000.0), temperature=T_0)
    np.testing.assert_array_equal(after.log_C[1:], state.log_C[1:])
    whole = cell.apply(state, Pulse(jnp.where(written, V, 0.0), 1000.0), temperature=T_0)
    assert np.all(np.asarray(after.log_C - state.log_C)[0] < np.asarray(whole.log_C - state.log_C)[0])


def test_no_resistance_loses_nothing(cell):
    state = cell.init((3, 4))
    current = lambda U: cell.operating_point(state, U, temperature=T_0)[0]  # noqa: E731
    written = np.zeros((3, 4), bool)
    written[2, 1] = True
    for scheme in (HalfVoltage(), ThirdVoltage()):
        found = update_voltages(current, -1.3, scheme, written, Wires(r_wl=0.0, r_bl=0.0))
        level = scheme.cells()
        assert float(found.voltage[2, 1]) == pytest.approx(-1.3) and float(found.voltage[2, 0]) == pytest.approx(
            -1.3 * level.row
        )
        assert float(found.voltage[0, 0]) == pytest.approx(-1.3 * level.elsewhere, abs=1e-6)


def test_delivered_voltages_have_the_right_slope(network):
    G, wires = network
    written = np.zeros((4, 3), bool)
    written[3, 0] = True

    def over_cell(V, R):
        lines = eqx.tree_at(lambda w: w.R_drive, wires, R * wires.R_drive)
        curved = lambda U: G * U * (1 + (U / 1.5) ** 2)  # noqa: E731
        return update_voltages(curved, V, HalfVoltage(), written, lines, sweeps=30).voltage[3, 0]

    run = jax.jit(over_cell)
    for number, gradient in enumerate(jax.jit(jax.grad(over_cell, argnums=(0, 1)))(1.35, 1.0)):
        step = np.eye(2)[number] * 1e-5
        difference = (run(*(np.array([1.35, 1.0]) + step)) - run(*(np.array([1.35, 1.0]) - step))) / 2e-5
        assert float(gradient) == pytest.approx(float(difference), rel=1e-6) and float(difference) != 0


def test_what_lines_cannot_deliver_is_refused(network):
    G, wires = network
    with pytest.raises(InputError, match="`written` must be all cells between some rows and some columns"):
        update_voltages(lambda V: G * V, 1.0, HalfVoltage(), np.eye(4, 3, dtype=bool), wires)
    steep = lambda V: 40 * G * jnp.sinh(V / 0.2)  # noqa: E731
    with pytest.raises(InputError, match="`sweeps` must let the voltages converge"):
        update_voltages(steep, 2.0, HalfVoltage(), np.ones((4, 3), bool), wires, sweeps=2)
    curved = eqx.tree_at(lambda w: w.curve, wires, SinhCurve(V_0=0.5), is_leaf=lambda x: x is None)
    with pytest.raises(InputError, match="`wires.curve` must be None"):
        update_voltages(lambda V: G * V, 1.0, HalfVoltage(), np.ones((4, 3), bool), curved)


def test_lines_that_are_held_at_their_other_ends_are_the_array_turned_over():
    # driven at the right and sensed at the top: the same as the array turned by 180 degrees
    rng = np.random.default_rng(8)
    G = jnp.asarray(rng.uniform(50.0, 500.0, (5, 4)), jnp.float32)
    selected = jnp.asarray(rng.uniform(size=(5, 4)) < 0.3)
    usual, other = Wires(30.0, 20.0, 10.0, 5.0), Wires(30.0, 20.0, 10.0, 5.0, driven="end", sensed="start")
    row = selected[1][None] & (jnp.arange(5) == 1)[:, None]
    found = update_voltages(lambda V: G * V, 1.3, HalfVoltage(), row, other)
    turned = update_voltages(lambda V: G[::-1, ::-1] * V, 1.3, HalfVoltage(), row[::-1, ::-1], usual)
    np.testing.assert_allclose(found.voltage, turned.voltage[::-1, ::-1], atol=1e-5)
    assert float(jnp.max(jnp.abs(found.voltage))) > 0.5
