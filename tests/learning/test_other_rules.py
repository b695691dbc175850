"""Tiki-Taka v1, mixed precision, reads of rows, and what all rules share.

Ideal devices make the rules' identities exact to rounding; each is compared with numpy or with a closed form.
"""

import os
import subprocess
import sys
from pathlib import Path

import equinox as eqx
import flax.nnx as nnx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import hfsim
from hfsim.circuits.converters import ADC, DAC
from hfsim.crossbar.encoding import SingleEnded
from hfsim.crossbar.kernel import Kernel
from hfsim.devices.pulsed import ConstantStep, PiecewiseStep, StepTable, WeightDecay
from hfsim.devices.retention import CMORetention
from hfsim.draws import address, stream
from hfsim.errors import InputError
from hfsim.learning import (
    AGAD,
    DeterministicTrain,
    Factors,
    FixedScale,
    MeanCount,
    MixedPrecision,
    OneSided,
    PulsedSGD,
    PulsedSynapse,
    RowRead,
    TikiTaka,
)
from hfsim.learning.factors import factors_of
from hfsim.learning.rows import row_of, with_row
from tests.pulsed_rules import (
    CMO,
    DW,
    IDEAL,
    INPUTS,
    KEY,
    OUTPUTS,
    QUIET,
    WIDE,
    WINDOW,
    factors,
    gradients,
    learned,
    started,
    updated,
    zeros,
)

# ----------------------------------------------------------------------------------------- mixed precision


def test_mixed_precision_is_sgd_to_a_granule_and_loses_nothing():
    # 500 batches on an ideal device: w + X is floating-point SGD, and X stays below a granule
    rule = MixedPrecision(IDEAL, key=KEY, learning_rate=0.003, most_pulses=100)
    given = factors(2000)
    state, weights = learned(rule, started(rule, zeros(0.25)), given, 4)
    exact = 0.25 - 0.003 * gradients(given, 4)
    assert np.abs(np.asarray(weights) - exact).max() < DW * 1.001
    array = state.arrays[0]
    np.testing.assert_allclose(array.accumulator + array.array.devices.device.w, exact[-1], atol=2e-5)
    assert np.abs(array.accumulator).max() < DW
    assert np.abs(exact[-1] - 0.25).max() > 50 * DW
    moved = np.abs(np.diff(np.asarray(weights), axis=0, prepend=0.25)).sum(axis=0) / DW
    np.testing.assert_allclose(array.array.pulses, moved, atol=1e-3)


def test_mixed_precision_sends_in_its_turn_and_no_more_than_it_may():
    given = factors(64, drift=0.5)
    rule = MixedPrecision(IDEAL, key=KEY, learning_rate=0.05, transfer_every=3, most_pulses=2)
    state, weights = learned(rule, started(rule, zeros()), given, 4)
    steps = np.diff(np.asarray(weights), axis=0, prepend=0.0) / DW
    turns = (np.arange(1, 17) % 3) == 0
    assert not np.any(steps[~turns]) and np.all(np.abs(steps[turns]) <= 2) and np.abs(steps[turns]).max() == 2
    array = state.arrays[0]
    np.testing.assert_allclose(
        array.accumulator + array.array.devices.device.w, -0.05 * gradients(given)[-1], rtol=1e-5
    )
    assert int(array.batches) == 16


def test_devices_rest_until_mixed_precision_pulses_them():
    retention = CMORetention.from_card(hfsim.load_card("cmo-hfox-2025"), clip=False)
    synapse = PulsedSynapse(CMO.device, retention)
    rule = MixedPrecision(synapse, key=KEY, learning_rate=0.1, transfer_every=2)
    state = started(rule, zeros(0.3))
    params, state = eqx.filter_jit(lambda s: rule.wait((zeros(),), s, 100.0))(state)
    same, state = updated(rule, state, params, factors(1))
    assert float(state.arrays[0].array.devices.rest.clock.seconds) == 100.0
    np.testing.assert_allclose(same[0], params[0], atol=3e-7)
    _, state = updated(rule, state, same, factors(1))
    assert float(state.arrays[0].array.devices.rest.clock.seconds) == 0.0


# -------------------------------------------------------------------------------------------- Tiki-Taka v1


def test_tiki_taka_is_its_equations():
    # deterministic trains: C gets round(31 p 31 q/31) pulses towards v, with the rate r = lr/(dw_C dw_A s)
    dw_a, strength, gamma = 2.0**-8, 8.0, 0.375
    fast = PulsedSynapse(ConstantStep(dw_min=dw_a, up_down=0.0, **WIDE, noise=QUIET))
    train = DeterministicTrain(bits=31, balanced=False, adaptive=False)
    rule = TikiTaka(
        fast, IDEAL, key=KEY, learning_rate=2.0**-11, scale=FixedScale(strength * dw_a), train=train, gamma=gamma
    )
    given = factors(300, drift=0.2)
    state, weights = learned(rule, started(rule, zeros(0.5)), given, 10)

    def counts(x, delta, s):
        n = [np.round(np.minimum(np.abs(v) * np.float32(np.sqrt(s / 31)), 1.0) * 31).astype(int) for v in (x, delta)]
        return -np.sign(x[:, None] * delta) * ((2 * n[0][:, None] * n[1] + 31) // 62)

    A, C = np.zeros((INPUTS, OUTPUTS)), np.full((INPUTS, OUTPUTS), 0.5)
    rate = 2.0**-11 / (dw_a * DW * strength)
    x, delta = (np.asarray(side) for side in given)
    for b in range(300):
        A += dw_a * counts(x[b], delta[b], np.float32(strength))
        row = b % INPUTS
        C[row] += DW * np.clip(counts(np.ones(1), -A[row], np.float32(rate))[0], -10, 10)
    array = state.arrays[0]
    np.testing.assert_array_equal(array.fast.devices.device.w, A)
    np.testing.assert_array_equal(array.slow.devices.device.w, C)
    np.testing.assert_allclose(weights[-1], C + gamma * A, rtol=1e-6)
    assert np.abs(C - 0.5).max() > 20 * DW and np.abs(gamma * A).max() > 0.1


def test_a_rest_ages_both_arrays():
    decay = WeightDecay(tau=100.0, w_0=0.0, D=0.0, E_a=0.0)
    slow = PulsedSynapse(ConstantStep(dw_min=DW, up_down=0.0, **WIDE, noise=QUIET, decay=decay))
    fast = PulsedSynapse(
        ConstantStep(
            dw_min=DW, up_down=0.0, **WIDE, noise=QUIET, decay=eqx.tree_at(lambda d: d.tau, decay, jnp.float32(50.0))
        )
    )
    rule = TikiTaka(fast, slow, key=KEY, learning_rate=0.01, gamma=1.0, train=MeanCount())
    state, _ = learned(rule, started(rule, zeros(0.5)), factors(30, drift=0.5), 10)
    A, C = fast.weight(state.arrays[0].fast.devices), slow.weight(state.arrays[0].slow.devices)
    aged, _ = eqx.filter_jit(lambda s: rule.wait((zeros(),), s, 25.0))(state)
    np.testing.assert_allclose(aged[0], C * np.exp(-0.25) + A * np.exp(-0.5), rtol=2e-6)
    assert float(jnp.abs(A).max()) > 0.05


# ----------------------------------------------------------------------------------------- reads and devices


def test_reads_are_counted_by_samples():
    given = factors(13)
    for rule, rows in (
        (PulsedSGD(IDEAL, key=KEY, learning_rate=0.1), 0),
        (TikiTaka(IDEAL, IDEAL, key=KEY, learning_rate=0.1, transfer_every=3), 4),
    ):
        state, _ = learned(rule, started(rule, zeros()), given, 13)
        assert [tuple(map(int, reads)) for reads in rule.reads(state)] == [(26, rows)]


FOUR_DEVICES = """
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import NamedSharding, PartitionSpec as P
import hfsim
from hfsim.learning import AGAD, Factors, PulsedSynapse

assert jax.device_count() == 4
mesh = jax.make_mesh((4,), ("chips",), axis_types=(jax.sharding.AxisType.Auto,))
devices = PulsedSynapse.from_card(hfsim.load_card("cmo-hfox-2025-pulsed"))
rule = AGAD(devices, devices, key=jax.random.key(0), learning_rate=0.5, reads_per_period=2)
weights = jnp.zeros((8, 6, 4))  # eight chips
x, delta = jax.random.normal(jax.random.key(1), (40, 8, 6)), jax.random.normal(jax.random.key(2), (40, 8, 4))
run = jax.jit(lambda w, x, delta: rule.update(None, rule.init([w]), [w], factors=[Factors(x, delta)])[0][0])
one = np.asarray(run(weights, x, delta))
place = NamedSharding(mesh, P("chips"))
factors = [jax.device_put(side, NamedSharding(mesh, P(None, "chips"))) for side in (x, delta)]
many = run(jax.device_put(weights, place), *factors)
np.testing.assert_array_equal(np.asarray(many), one)
assert np.abs(one).max() > 0 and len({part.tobytes() for part in one}) == 8
few = run(weights[:2], x[:, :2], delta[:, :2])
np.testing.assert_array_equal(np.asarray(few), one[:2])
print("equal", len(many.sharding.device_set))
"""


def test_chips_learn_the_same_to_the_bit_on_any_number_of_devices():
    root = Path(__file__).parents[2]
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=4"
    environment = {**os.environ, "XLA_FLAGS": flags.strip(), "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(root)}
    done = subprocess.run(
        [sys.executable, "-c", FOUR_DEVICES], cwd=root, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.stdout.startswith("equal"), done.stderr


# -------------------------------------------------------------------------------------------- reads of rows


def test_a_read_of_a_row_has_its_noise_and_its_converter():
    w = jnp.linspace(-0.91, 0.87, 7)
    np.testing.assert_array_equal(RowRead()(w, KEY), w)
    noisy = np.asarray(jax.vmap(lambda k: RowRead(sigma=0.07)(w, k))(jax.random.split(KEY, 4000)) - w, np.float64)
    assert noisy.std() == pytest.approx(0.07, rel=4 / np.sqrt(2 * noisy.size))
    assert abs(noisy.mean()) < 4 * 0.07 / np.sqrt(noisy.size)
    # full scale is 39.6 uS x 0.2 V = 7.92 uA; 5 bits have 15 codes on either side
    kernel = Kernel(SingleEnded(9.0, 88.2), DAC(bits=None), ADC(bits=None, range=7.92), V_read=0.2)
    np.testing.assert_allclose(RowRead(kernel=kernel)(w, KEY), w, atol=2e-6)
    coarse = Kernel(SingleEnded(9.0, 88.2), DAC(bits=None), ADC(bits=5, range=7.92), V_read=0.2)
    np.testing.assert_allclose(RowRead(kernel=coarse)(w, KEY), np.round(15 * np.asarray(w)) / 15, atol=1e-6)


def test_a_row_is_cut_from_all_that_is_of_the_devices():
    # also where a table has its nodes first, and as many of them as the array has inputs
    shape = (3, 3)
    place = jnp.arange(9.0).reshape(shape)
    tree = {
        "w": place,
        "table": jnp.stack([place, 10 + place, 20 + place]),
        "scalar": jnp.float32(7.0),
        "list": jnp.ones(3),
    }
    part = row_of(tree, shape, jnp.int32(1))
    np.testing.assert_array_equal(part["w"], place[1:2])
    np.testing.assert_array_equal(part["table"][:, 0], jnp.stack([place[1], 10 + place[1], 20 + place[1]]))
    assert part["table"].shape == (3, 1, 3) and part["scalar"] == 7.0 and part["list"].shape == (3,)
    back = with_row(
        tree,
        {"w": -part["w"], "table": -part["table"], "scalar": jnp.float32(8.0), "list": 2 * jnp.ones(3)},
        shape,
        jnp.int32(1),
    )
    np.testing.assert_array_equal(back["w"], place.at[1].multiply(-1))
    np.testing.assert_array_equal(back["table"], tree["table"].at[:, 1].multiply(-1))
    assert back["scalar"] == 8.0


def test_devices_of_a_row_are_their_own_where_parameters_are_spread():
    # a step table and a granularity of each device: a transfer pulses row i with the parameters of row i
    rng = np.random.default_rng(0)
    shape = (3, 4)
    up, down = (jnp.asarray(rng.uniform(0.5, 1.5, (2, *shape)), jnp.float32) for _ in range(2))
    granules = jnp.asarray(rng.uniform(0.01, 0.03, shape), jnp.float32)
    slow = PulsedSynapse(PiecewiseStep(dw_min=granules, up_down=0.0, **WINDOW, noise=QUIET, table=StepTable(up, down)))
    rule = AGAD(IDEAL, slow, key=KEY, learning_rate=0.5, train=MeanCount(), reads_per_period=1, ceiling=1e6)
    given = factors(24, drift=0.5, inputs=3)
    state, _ = learned(rule, started(rule, jnp.zeros(shape)), given, 8)
    pulses = np.asarray(state.arrays[0].slow.pulses)
    assert np.all(pulses > 0)
    assert np.all(np.isfinite(state.arrays[0].slow.devices.device.w))
    # devices that got one pulse moved by their own step at w = 0, where the table's nodes at -1 and 1 have equal parts
    once = pulses == 1
    moved = np.asarray(state.arrays[0].slow.devices.device.w)
    steps = granules * jnp.where(moved > 0, up.mean(axis=0), down.mean(axis=0))
    if once.any():
        np.testing.assert_allclose(np.abs(moved)[once], steps[once], rtol=1e-5)
    single = TikiTaka(IDEAL, slow, key=KEY, learning_rate=1.0, most_pulses=1, train=DeterministicTrain())
    state, _ = learned(single, started(single, jnp.zeros(shape)), factors(4, drift=0.8, inputs=3)._replace(), 4)
    pulses, moved = (np.asarray(a) for a in (state.arrays[0].slow.pulses, state.arrays[0].slow.devices.device.w))
    steps = np.asarray(granules * jnp.where(moved > 0, up.mean(axis=0), down.mean(axis=0)))
    assert np.sum(pulses == 1) >= 4
    np.testing.assert_allclose(np.abs(moved)[pulses == 1], steps[pulses == 1], rtol=1e-5)


# ----------------------------------------------------------------------------------------- what rules share


def test_factors_are_those_of_the_leaves():
    leaves = [jnp.zeros((5, 4)), jnp.zeros((2, 3, 4))]
    one, group = factors(6), Factors(jnp.ones((7, 6, 2, 3)), jnp.ones((7, 6, 2, 4)))
    found = factors_of({"a": one, "b": group}, leaves)
    assert found[0].x.shape == (6, 5) and found[1].x.shape == (42, 2, 3) and found[1].delta.shape == (42, 2, 4)
    for wrong, message in (
        ([one], "`factors` must hold one Factors for each of 2"),
        ([one, group.x], "`factors` must hold one Factors"),
        ([one, Factors(group.x[..., 0, :], group.delta)], "`factors.x` must have shape"),
        ([Factors(one.x, one.delta[:, :3]), group], "`factors.delta` must have shape"),
        ([Factors(one.x[0], one.delta[0]), group], "`factors.x` must have shape"),
    ):
        with pytest.raises(InputError, match=message):
            factors_of(wrong, leaves)


def test_updates_without_what_they_need_are_refused():
    rule = PulsedSGD(synapse=IDEAL, key=KEY, learning_rate=0.1)
    state = started(rule, zeros())
    with pytest.raises(InputError, match="`params` must be given"):
        rule.update(None, state)
    with pytest.raises(InputError, match="`factors` must be given: pulses come from x and delta"):
        rule.update(None, state, (zeros(),))
    for params in ((), (jnp.zeros(3),), (jnp.zeros((2, 2), int),)):
        with pytest.raises(InputError, match="`params` must be a tree of matrices of floats"):
            rule.init(params)
    with pytest.raises(InputError, match="`key` must be a typed key"):
        PulsedSGD(synapse=IDEAL, key=jax.random.PRNGKey(0), learning_rate=0.1).init((zeros(),))
    for kind, names in (
        (MixedPrecision, ("transfer_every", "most_pulses")),
        (OneSided, ("refresh_every", "rounds", "most_pulses")),
    ):
        for name in names:
            for value in (0, 2.0, True):
                with pytest.raises(InputError, match=f"`{name}` must be an integer >= 1"):
                    kind(IDEAL, key=KEY, learning_rate=0.1, **{name: value})


def test_arrays_of_several_leaves_and_of_a_group_have_streams_of_their_own():
    # the same factors for all: a matrix, and a leaf of 2 x 1 matrices
    rule, one = PulsedSGD(synapse=CMO, key=KEY, learning_rate=0.1), factors(6)
    group = jax.tree.map(lambda f: jnp.broadcast_to(f[:, None, None], (6, 2, 1, f.shape[-1])), one)
    params = {"a": zeros(0.1), "b": jnp.broadcast_to(zeros(0.1), (2, 1, INPUTS, OUTPUTS))}
    change, state = eqx.filter_jit(lambda p: rule.update(None, rule.init(p), p, factors={"a": one, "b": group}))(params)
    assert [int(n) for n in state.samples] == [6, 6]
    alone = eqx.filter_jit(
        lambda key: rule.learn(rule.start(zeros(0.1), key), one, jnp.float32(1.0), key, jnp.int32(0))
    )
    single, several = (address(stream(KEY, "arrays"), leaf) for leaf in (0, 1))
    places = [(state.arrays[0], change["a"], single)]
    places += [
        (jax.tree.map(lambda leaf, n=n: leaf[n, 0], state.arrays[1]), change["b"][n, 0], address(several, n))
        for n in (0, 1)
    ]
    for array, moved, key in places:
        expected = alone(key)
        np.testing.assert_array_equal(array.pulses, expected.pulses)
        np.testing.assert_allclose(0.1 + moved, rule.weight(expected), atol=1e-6)
    assert len({np.asarray(array.pulses).tobytes() for array, _, _ in places}) == 3


def test_a_chain_with_a_digital_optimiser():
    # optax.partition: analogue leaves to the rule, others to SGD, and optax.apply_updates gives what devices read
    rule = PulsedSGD(synapse=CMO, key=KEY, learning_rate=0.1)
    params = {"analog": 0.2 + zeros(), "bias": jnp.ones(3)}
    tx = optax.partition({"chip": rule.transformation(), "float": optax.sgd(0.5)}, {"analog": "chip", "bias": "float"})
    gradient = {"analog": zeros(), "bias": jnp.full(3, 2.0)}

    @jax.jit
    def step(params, state):
        change, state = tx.update(gradient, state, params, factors=[factors(6)])
        return optax.apply_updates(params, change), state

    state = jax.jit(tx.init)(params)
    after, state = step(params, state)
    np.testing.assert_array_equal(after["bias"], 0.0)
    array = state.inner_states["chip"].inner_state.arrays[0]
    np.testing.assert_allclose(after["analog"], CMO.weight(array.devices), atol=1e-6)
    assert int(array.pulses.sum()) > 10


def test_an_nnx_optimiser_learns_by_pulses():
    class Analog(nnx.Param):
        pass

    class Net(nnx.Module):
        def __init__(self):
            self.w = Analog(0.1 + zeros())
            self.bias = nnx.Param(jnp.zeros(OUTPUTS))

    rule, model = PulsedSGD(synapse=CMO, key=KEY, learning_rate=0.1), Net()
    optimizer = nnx.Optimizer(model, rule.transformation(), wrt=Analog)

    @nnx.jit
    def step(model, optimizer, given):
        optimizer.update(model, nnx.state(model, Analog), factors=[given])

    expected, state = (0.1 + zeros(),), started(rule, 0.1 + zeros())
    for seed in range(2):
        step(model, optimizer, factors(6, seed))
        expected, state = updated(rule, state, expected, factors(6, seed))
    np.testing.assert_allclose(model.w.get_value(), expected[0], atol=1e-6)
    np.testing.assert_array_equal(model.bias.get_value(), 0.0)
