"""The ledger: the published rule and its table, and exact counts of a network."""

import jax.numpy as jnp
import numpy as np
import pytest

import hfsim
from hfsim import InputError
from hfsim.hybrid import OperationPrices, cell_cost, count_network, published_rule

SAMPLES = 600_000  # ten epochs of MNIST
PROBABILITY = 0.2

PUBLISHED = [  # period k, FeCAP operations, memristor operations, nJ
    (1, 2_640_000, 1_200_000, 1464.0),
    (10, 480_000, 120_000, 168.0),
    (50, 288_000, 24_000, 52.8),
    (100, 264_000, 12_000, 38.4),
    (200, 252_000, 6_000, 31.2),
    (600, 244_000, 2_000, 26.4),
]


@pytest.fixture(scope="module")
def prices():
    return OperationPrices.from_card(hfsim.load_card("cea-leti-2025-hybrid"))


def rule(prices, period):
    return published_rule(prices, samples=SAMPLES, probability=PROBABILITY, period=period)


@pytest.mark.parametrize(("period", "fecap", "memristor", "energy"), PUBLISHED)
def test_the_published_table(prices, period, fecap, memristor, energy):
    cost = rule(prices, period)
    assert cost.fecap_operations == fecap
    assert cost.memristor_operations == memristor
    assert cost.energy_nJ == pytest.approx(energy, rel=1e-6)


def test_a_hundred_samples_a_transfer_save_38_times_the_energy(prices):
    assert rule(prices, 1).energy_nJ / rule(prices, 100).energy_nJ == pytest.approx(38.1, abs=0.05)


def test_endurance_margins_at_a_period_of_100(prices):
    cost = rule(prices, 100)
    assert cost.memristor_margin == pytest.approx(16.7, abs=0.05)
    assert cost.fecap_margin == pytest.approx(75.8, abs=0.05)


def test_what_was_never_operated_never_wears(prices):
    cost = cell_cost(prices, 0, 0)
    assert cost.energy_nJ == 0
    assert cost.fecap_margin == cost.memristor_margin == float("inf")


def test_energy_is_linear_in_both_counts(prices):
    assert prices.energy(10, 0) == pytest.approx(1e-3)  # ten times 100 fJ is 1 pJ
    assert prices.energy(0, 10) == pytest.approx(1e-2)
    assert prices.energy(10, 10) == pytest.approx(1.1e-2)


def test_a_networks_exact_counts_have_a_price(prices):
    # a Python integer beyond int32, as `count_network` gives them
    assert prices.energy(10**15, 2 * 10**12) == pytest.approx(1e11 + 2e9, rel=1e-6)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("samples", -1),
        ("samples", float("nan")),
        ("probability", 1.2),
        ("probability", -0.1),
        ("period", 0),
        ("period", float("nan")),
    ],
)
def test_the_rule_refuses_what_has_no_meaning(prices, name, value):
    arguments = {"samples": SAMPLES, "probability": PROBABILITY, "period": 100, name: value}
    with pytest.raises(InputError, match=f"`{name}`"):
        published_rule(prices, **arguments)


def test_prices_are_refused_below_zero():
    with pytest.raises(InputError, match="fecap_operation_energy"):
        OperationPrices(-1.0, 1000.0, 1e7, 1e5)


def test_a_network_counts_each_cell_of_each_synapse():
    updates = [np.array([[3, 0], [1, 2]], np.int32), np.array([5], np.int32)]
    count = count_network(updates, 4)
    assert (count.synapses, count.updates, count.worst_updates, count.transfers) == (5, 11, 5, 4)
    # 14 cells sensed and written at each update; at a transfer 2 on the sign and 4 on each of the 7 MSB cells
    assert count.fecap_operations == 14 * 2 * 11 + (2 + 7 * 4) * 5 * 4
    assert count.memristor_operations == 3 * 5 * 4  # RESET both, SET one
    assert count.worst_fecap_operations == 2 * 5 + 4 * 4
    assert count.worst_memristor_operations == 2 * 4


def test_the_worst_cell_of_a_network_costs_what_the_rule_says(prices):
    period, samples = 100, 10_000
    updates = [np.full((3, 2), int(PROBABILITY * samples))]
    count = count_network(updates, samples // period)
    cost = cell_cost(prices, count.worst_fecap_operations, count.worst_memristor_operations)
    assert cost == published_rule(prices, samples=samples, probability=PROBABILITY, period=period)


@pytest.mark.parametrize("as_array", [np.asarray, jnp.asarray])
def test_totals_beyond_int32_and_beyond_float64_are_exact(as_array):
    most = 2**31 - 1
    updates = [as_array(np.full((1000, 1000), most, np.int32)), as_array(np.array([most - 1], np.int32))]
    count = count_network(updates, 10**9)
    total = 1_000_000 * most + most - 1
    assert count.updates == total
    assert count.fecap_operations == 28 * total + 30 * 1_000_001 * 10**9
    assert count.memristor_operations == 3 * 1_000_001 * 10**9
    assert count.worst_fecap_operations == 2 * most + 4 * 10**9
    # the point of exact integers: as a float64 this total would be another number
    assert count.fecap_operations > 2**53 and int(float(count.fecap_operations)) != count.fecap_operations
    assert all(type(value) is int for value in count)


def test_an_empty_network_counts_nothing():
    assert set(count_network([], 0)) == {0}
    assert count_network([np.zeros((0, 5), int)], 3).fecap_operations == 0


@pytest.mark.parametrize("updates", [np.ones(3), np.ones(3, bool), np.array([1, -1])])
def test_counts_that_are_no_counts_are_refused(updates):
    with pytest.raises(InputError, match="`updates`"):
        count_network([updates], 1)


@pytest.mark.parametrize("transfers", [-1, 2.5, "3", True])
def test_numbers_of_transfers_that_are_no_counts_are_refused(transfers):
    with pytest.raises(InputError, match="`transfers`"):
        count_network([np.ones(3, int)], transfers)
