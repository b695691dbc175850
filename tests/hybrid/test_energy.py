"""Energy, time and area: the article's own formula as a term, closed forms of the rest, gradients, expectations."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hfsim
from hfsim import InputError
from hfsim.hybrid import CELLS, HybridArray, HybridCosts, Work
from tests.finite_differences import check_parameter_gradients

SIZES = (784, 200, 100, 10)
SYNAPSES = 784 * 200 + 200 * 100 + 100 * 10
INSENSITIVE = tuple(  # spreads and ageing act on populations and in time
    f"line.{name}"
    for name in (
        *(f"memristor.{name}" for name in ("sigma_reset", "sigma_set", "nu", "sigma_u", "t_0", "E_relax")),
        "capacitor.kinetics.dlnE_dT",
        "capacitor.P_r_spread",
        "transistor.A_VT",
    )
)


@pytest.fixture(scope="module")
def card():
    return hfsim.load_card("cea-leti-2025-hybrid")


@pytest.fixture(scope="module")
def costs(card):
    return HybridCosts.from_card(card)


@pytest.fixture(scope="module")
def array(card):
    return HybridArray.from_card(card)


def training(array, samples=600_000, probability=0.2, period=100):
    """Ten epochs of MNIST, as expected."""
    updates = probability * samples * SYNAPSES
    return Work.of_training(SIZES, array, samples=samples, updates=updates, transfers=samples / period)


def test_a_sense_has_the_published_window(costs):
    V_0, V_1 = costs.sensed()
    assert float(V_1 - V_0) == pytest.approx(0.36, abs=0.005)


def test_switching_is_the_articles_energy_of_a_bit(costs):
    # E = 2 P_r S V = MW (C_D + C_BL) V = 213 fJ at 3 V: 200-300 fJ are read off the article's figure
    dry = eqx.tree_at(
        lambda c: (c.periphery.C_g, c.bit_line.C_L, c.line.capacitor.eps_r), costs, (0.0, jnp.asarray(1e-9), 1e-9)
    )
    switched = float(dry.cells(ones=1.0).write)
    assert switched == pytest.approx(2 * 9.875 * 10 * 0.36 * 3.0, rel=1e-4)
    assert switched == pytest.approx(0.36 * (9.5 + 188) * 3.0, rel=1e-3)
    assert 200 < switched < 300


def test_operations_are_what_their_drivers_deliver(costs):
    cell = costs.cells()
    V, C_D, C_BL, gate = 3.0, 9.5, 188.0, 1.5 * 4.8**2
    assert float(cell.write) == pytest.approx(V * (0.5 * 71.1 + (C_D + 0.5 * C_BL) * V) + gate, rel=1e-3)
    assert float(cell.sense) == pytest.approx(V * C_BL * float(np.mean(costs.sensed())) + gate + 10, rel=1e-5)
    currents = np.asarray(costs.line.compliance_current(costs.line.line_voltages()))
    assert float(cell.set) == pytest.approx((2.3 + 0.9) * currents.mean() * 10_000, rel=1e-5)
    # the published 1 pJ a memristor operation is not a pulse of 10 us at these currents
    assert float(cell.set) > 1000 * 1000


def test_a_code_alone_sets_its_own_current(costs):
    current = np.asarray(costs.line.compliance_current(costs.line.line_voltages()))
    for code in (1, 7):
        only = jnp.zeros(8).at[code].set(3.0)
        assert float(costs.cells(codes=only).set) == pytest.approx(3.2 * current[code] * 10_000, rel=1e-5)
    with pytest.raises(InputError, match=r"codes.*\(8,\)"):
        costs.cells(codes=jnp.ones(7))


def test_a_network_is_the_sum_of_its_operations(costs, array):
    work = training(array)
    assert work.synapses == SYNAPSES and work.arrays == -(-SYNAPSES // 1024)
    assert work.pair_reads == work.samples * (2 * SYNAPSES - 784 * 200)
    assert work.products == 5 * work.samples
    found, cell = costs.energies(work), costs.cells()
    pulses = SYNAPSES * work.transfers
    assert float(found.set) == pytest.approx(float(cell.set) * pulses / 1e6, rel=1e-5)
    assert float(found.reset) == pytest.approx(float(cell.reset + cell.reset_twin) * pulses / 1e6, rel=1e-5)
    assert float(found.reads) == pytest.approx(float(cell.pair_read) * work.pair_reads / 1e6, rel=1e-5)
    senses, writes = CELLS * work.updates + 8 * pulses, CELLS * work.updates + 15 * pulses
    drive, V_TL = costs.line.drive, np.asarray(costs.line.line_voltages())
    onto = float(drive.V_SL) * 250.0 * V_TL.mean() + 7 * 1.5 * 4.8**2
    fecaps = (senses * float(cell.sense) + writes * float(cell.write) + pulses * onto) / 1e6
    kept = found.switching + found.fecap_lines + found.gates + found.amplifiers
    assert float(kept) == pytest.approx(fecaps, rel=1e-5)
    assert float(found.total) == pytest.approx(sum(map(float, found)), rel=1e-6)


def test_energy_follows_integers_and_expectations_alike(costs, array):
    exact = Work.of_training(SIZES, array, samples=600_000, updates=120_000 * SYNAPSES, transfers=6000)
    for a, b in zip(costs.energies(exact), costs.energies(training(array)), strict=True):
        assert float(a) == pytest.approx(float(b), rel=1e-6)


def test_time_and_area_are_of_the_schedule(costs, array):
    # eight synapses of ten bits after another, each sensed (2 us and 20 ns) and written (2 us)
    assert float(costs.update_time()) == pytest.approx(8 * 10 * 4020, rel=1e-6)
    assert float(costs.transfer_time()) == pytest.approx(8 * (10_000 + 4 * 4020 + 10_000 + 3 * 2000), rel=1e-6)
    work = training(array)
    learning = work.samples * (0.2 * float(costs.update_time()) + 5 * 100) + work.transfers * float(
        costs.transfer_time()
    )
    assert float(costs.time(work)) == pytest.approx(learning, rel=1e-5)
    assert float(costs.area(array, 3)) == pytest.approx(3 * 128 * (128 * 2.0 + 16 * 3.0) / 0.5, rel=1e-6)


def test_every_parameter_has_the_right_gradient(card, array, x64):
    costs = HybridCosts.from_card(card)

    def everything(c):
        work = training(array)
        return 1e-9 * (c.energies(work).total + c.time(work) + c.area(array, 174))

    check_parameter_gradients(costs, everything, insensitive=INSENSITIVE)


def test_probability_and_period_have_gradients(card, array, x64):
    costs = HybridCosts.from_card(card)

    def total(probability, period):
        return costs.energies(training(array, probability=probability, period=period)).total

    value = jax.jit(total)
    slopes = jax.jit(jax.grad(total, argnums=(0, 1)))(0.2, 100.0)
    for index, (slope, at) in enumerate(zip(slopes, (0.2, 100.0), strict=True)):
        step = 1e-5 * at
        ends = [value(*(v + s * step * (i == index) for i, v in enumerate((0.2, 100.0)))) for s in (1, -1)]
        assert float(slope) == pytest.approx(float(ends[0] - ends[1]) / (2 * step), rel=1e-5)


def test_each_attempt_is_a_shot_of_its_own(costs, array):
    one, cell = costs.energies(training(array)), costs.cells()
    many = costs.energies(training(array)._replace(attempts=3.0))
    assert float(many.set) == pytest.approx(3 * float(one.set), rel=1e-6)
    pulses = SYNAPSES * 6000 / 1e6
    assert float(many.reset - one.reset) == pytest.approx(2 * float(cell.reset) * pulses, rel=1e-5)  # the target alone
    assert float(many.reads) == float(one.reads) and float(many.amplifiers) == float(one.amplifiers)
    # the MSBs are pulsed onto the line and written once more in each
    ones = 7 * 3.0 * 0.5 * 71.1 * 2 * pulses
    assert float(many.switching - one.switching) == pytest.approx(ones, rel=1e-3)
    assert float(costs.transfer_time(3)) - float(costs.transfer_time()) == pytest.approx(2 * 8 * 26_000)


def test_a_verified_attempt_is_read_and_converted(costs, array):
    blind = training(array)._replace(attempts=3.0)
    judged = blind._replace(verified=1)
    more, less, reads = costs.energies(judged), costs.energies(blind), 3 * SYNAPSES * 6000 / 1e6
    mean = float(
        jnp.mean(costs.line.memristor.mean_conductance(costs.line.compliance_current(costs.line.line_voltages())))
    )
    assert float(more.reads - less.reads) == pytest.approx(0.4**2 * mean * 100 * reads, rel=1e-3)
    assert float(more.converters - less.converters) == pytest.approx(2500 * reads, rel=1e-3)
    assert float(costs.time(judged) - costs.time(blind)) == pytest.approx(6000 * 3 * 8 * 100, rel=1e-3)


def test_reads_and_transfers_alone_have_a_price(costs, array):
    alone = Work.of_training(SIZES, array, samples=0, updates=0, transfers=1)
    assert float(costs.time(alone)) == pytest.approx(float(costs.transfer_time()), rel=1e-6)
    assert float(costs.energies(alone).total) > 0


def test_a_network_without_layers_is_refused(array):
    with pytest.raises(InputError, match="sizes"):
        Work.of_training((784,), array, samples=1, updates=0, transfers=0)
