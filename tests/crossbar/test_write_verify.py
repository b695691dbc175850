"""Write-verify programming: what is accepted, what is counted, what is refused, and what the gradients are."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hfsim
from hfsim.crossbar.programming import (
    Programmed,
    ProgrammingResult,
    ProgrammingStatistics,
    PublishedProgramming,
    require_accepted,
    staircase,
    statistics,
)
from hfsim.crossbar.write_verify import (
    HeldDecisions,
    PhysicalProgramming,
    PulsedProgramming,
    RateNoise,
    VerifyRead,
)
from hfsim.devices import Pulse, apply_train
from hfsim.devices.memristor import CMOCell, SelectResistance, Stanford
from hfsim.devices.retention import CMORetention, RelaxingMemristor
from hfsim.draws import address, normal, stream
from hfsim.errors import InputError
from hfsim.parameters import parameters

CARD, PULSED = hfsim.load_card("cmo-hfox-2025"), hfsim.load_card("cmo-hfox-2025-pulsed")
run = eqx.filter_jit(lambda programming, key, target, state=None: programming.program(key, target, state))


@pytest.fixture
def pulsed():
    return PulsedProgramming.from_card(PULSED, 2.0)


@pytest.fixture
def physical():
    return PhysicalProgramming.from_card(CARD, 2.0)


@pytest.fixture
def targets():
    return jnp.linspace(32.0, 84.0, 12).reshape(3, 4)


@pytest.fixture(params=["pulsed", "physical", "rate", "relaxing"])
def loop(request):
    """Each kind of loop: a pulsed device, the compact model with either noise, and a device with more of a state."""
    rate = CARD.build(RateNoise, "rate_noise")
    if request.param == "pulsed":
        return PulsedProgramming.from_card(PULSED, 2.0)
    if request.param == "relaxing":
        device = RelaxingMemristor(cell=CARD.build(CMOCell, "cell"), retention=CMORetention.from_card(CARD))
        return PhysicalProgramming.from_card(CARD, 2.0, cell=device, noise=rate)
    return PhysicalProgramming.from_card(CARD, 2.0, **({"noise": rate} if request.param == "rate" else {}))


def same(a: Programmed, b: Programmed) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(a[1:], b[1:], strict=True))


# ----------------------------------------------------------------------------------------- the loop


def test_every_device_ends_inside_the_acceptance(loop, key, targets):
    done = run(loop, key, targets)
    assert np.all(done.result == ProgrammingResult.ACCEPTED)
    assert np.max(np.abs(done.conductance / targets - 1)) <= 0.02 * (1 + 1e-5)
    assert done.pulses.dtype == jnp.int32 and np.max(done.pulses) >= 10
    np.testing.assert_allclose(loop.true_conductance(done.state), done.conductance, rtol=1e-6)
    assert require_accepted(done) is done


def test_the_loop_is_that_of_single_pulses(pulsed, key, targets):
    # each device by itself in plain Python: read, compare, pulse; the draws are those of the whole array
    device, shape = pulsed.device, targets.shape
    done = run(pulsed, key, targets)
    steps = jax.jit(lambda w, up, n: device.step(w, up, address(stream(key, "pulses"), n)))
    state, taken, rest = pulsed.init(shape, key), np.zeros(shape, int), np.ones(shape, bool)
    for number in range(int(done.pulses.max()) + 1):
        G = np.asarray(device.conductance(state))
        for place in np.ndindex(shape):
            rest[place] &= abs(G[place] - float(targets[place])) > 0.02 * float(targets[place])
            taken[place] += rest[place]
        state = steps(state, jnp.asarray(np.where(rest, np.where(G < targets, 1, -1), 0)), number)
    np.testing.assert_array_equal(done.pulses, taken)
    np.testing.assert_allclose(done.conductance, device.conductance(state), rtol=1e-6)


def test_pulses_of_a_device_without_noise_are_those_of_the_closed_form(pulsed, key):
    # soft bounds: 1 - w falls by the factor 1 - a_up with each pulse, from 1 at w = 0; no pulse jumps the acceptance
    quiet = eqx.tree_at(lambda p: p.device.noise.sigma, pulsed, jnp.asarray(0.0))
    target = jnp.array([60.0, 70.0, 80.0, 84.0])
    done = run(quiet, key, target)
    a, least = 0.0956 * (1 - 0.22), (0.98 * target - 48.6) / 39.6
    expected = np.ceil(np.log(1 - least) / np.log(1 - a))
    np.testing.assert_array_equal(done.pulses, expected)
    assert np.all(done.result == ProgrammingResult.ACCEPTED)


def test_a_cell_is_pulsed_and_read_at_the_ambient(physical, key):
    # without noise the loop towards a far target is the train of SET pulses
    quiet = dataclasses.replace(physical, noise=None, limit=3, temperature=jnp.asarray(340.0))
    done = run(quiet, key, jnp.array([85.0]))
    train = jax.jit(lambda s: apply_train(quiet.cell, s, Pulse(jnp.full(3, 1.35), 1000.0), temperature=340.0)[0])
    after = train(quiet.cell.init((1,)))
    np.testing.assert_allclose(done.state.log_C, after.log_C, rtol=1e-6)
    np.testing.assert_allclose(done.conductance, quiet.cell.conductance(after, temperature=340.0), rtol=1e-5)
    assert abs(float(done.conductance[0] - run(dataclasses.replace(quiet, temperature=jnp.asarray(293.0)), key,
                                               jnp.array([85.0])).conductance[0])) > 0.1  # fmt: skip


def test_a_device_at_its_target_gets_no_pulse(loop, key, targets):
    first = run(loop, key, targets)
    again = run(loop, jax.random.key(9), targets, first.state)
    np.testing.assert_array_equal(again.pulses, 0)
    np.testing.assert_array_equal(again.conductance, first.conductance)
    assert np.all(again.result == ProgrammingResult.ACCEPTED)


def test_a_target_that_cannot_be_reached_gives_a_code(key):
    for loop, beyond in (
        (PulsedProgramming.from_card(PULSED, 0.2, limit=50), 95.0),
        (PhysicalProgramming.from_card(CARD, 0.2, limit=50), 120.0),
    ):
        done = run(loop, key, jnp.array([50.0, beyond]))
        np.testing.assert_array_equal(done.result[1], ProgrammingResult.NOT_REACHED)
        assert int(done.pulses[1]) == 50
        with pytest.raises(InputError, match="missed by . of 2: allow more pulses"):
            require_accepted(done)


def test_no_pulse_allowed_is_a_reading(pulsed, key):
    still = dataclasses.replace(pulsed, limit=0)
    for differentiation in (still.differentiation, HeldDecisions()):
        read = run(dataclasses.replace(still, differentiation=differentiation), key, jnp.array([48.6, 60.0]))
        np.testing.assert_array_equal(read.pulses, 0)
        np.testing.assert_array_equal(read.result, [ProgrammingResult.ACCEPTED, ProgrammingResult.NOT_REACHED])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -3.0, 0.0])
def test_no_target_is_refused_or_marked(pulsed, key, bad):
    target = jnp.array([50.0, bad])
    for programming in (pulsed, PublishedProgramming.from_card(CARD)):
        with pytest.raises(InputError, match="`target` must be positive and finite"):
            programming.program(key, target)
    for programming in (pulsed, PublishedProgramming.from_card(CARD, clip=False)):
        done = run(programming, key, target)
        if not (isinstance(programming, PublishedProgramming) and np.isinf(bad)):
            assert int(done.result[1]) == ProgrammingResult.NO_TARGET and int(done.pulses[1]) == 0
        assert int(done.result[0]) == ProgrammingResult.ACCEPTED and np.isfinite(done.conductance[0])


# -------------------------------------------------------------------------------------- addresses


def test_the_key_is_the_history(loop, key, targets):
    once = run(loop, key, targets)
    assert same(once, run(loop, key, targets))
    assert not same(once, run(loop, jax.random.key(1), targets))


def test_a_device_does_not_notice_the_others(loop, key, targets):
    # the others' targets are far, near, or unreachable for a while: one device's history stays the same, bit by bit
    alone = run(loop, key, targets)
    others = run(loop, key, targets.at[0, 1:].set(85.0).at[1:].set(30.0))
    for a, b in zip(alone[1:], others[1:], strict=True):
        np.testing.assert_array_equal(a[0, 0], b[0, 0])
    assert not np.array_equal(alone.pulses[1:], others.pulses[1:])


def test_eager_is_jit(pulsed, key, targets):
    eager, compiled = pulsed.program(key, targets), run(pulsed, key, targets)
    np.testing.assert_array_equal(eager.pulses, compiled.pulses)
    np.testing.assert_allclose(eager.conductance, compiled.conductance, rtol=1e-6)


def test_the_scan_is_the_loop(pulsed, key, targets):
    short = dataclasses.replace(pulsed, limit=100)
    assert same(
        run(short, key, targets), run(dataclasses.replace(short, differentiation=HeldDecisions()), key, targets)
    )


# ------------------------------------------------------------------------------------------- reads


def test_the_verifying_read_has_the_published_noise():
    retention = CMORetention.from_card(CARD)
    read = VerifyRead.from_card(CARD, delay=20e3)
    G = jnp.array([9.0, 30.0, 88.2])
    state = retention.wait(retention.place(retention.init((3,), jax.random.key(0)), G), 20e-6)
    np.testing.assert_allclose(read.sigma(G), retention.read_sigma(state), rtol=1e-5)
    np.testing.assert_array_equal(VerifyRead.from_card(CARD, delay=1000.0).sigma(G), 0.0)  # one read's duration


def test_noisy_reads_are_what_is_accepted(pulsed, key):
    # accepted on N(G, s) in a window far narrower than s: G - target scatters by s, however narrow the window
    target, noisy = jnp.full((2000,), 50.0), VerifyRead.from_card(CARD, delay=1e6)
    loud = dataclasses.replace(pulsed, read=dataclasses.replace(noisy, read_factor=jnp.asarray(6.0)))
    done = run(eqx.tree_at(lambda p: p.acceptance, loud, jnp.asarray(2e-3)), key, target)
    s = float(loud.read.sigma(50.0))
    assert s > 5 * 0.002 * 50
    assert float(jnp.std(done.conductance - 50.0)) == pytest.approx(s, rel=0.1)
    assert np.all(done.result == ProgrammingResult.ACCEPTED)


# --------------------------------------------------------------------------------------- gradients


def test_held_error_gives_the_derivative_of_mean_and_spread(pulsed, key, targets, x64):
    pulsed = PulsedProgramming.from_card(PULSED, 2.0, limit=60)
    # a device without a chance keeps none
    targets = jnp.asarray(targets, float).at[0, 0].set(120.0)
    done = run(pulsed, key, targets)
    by_target = jax.jit(jax.grad(lambda t: jnp.sum(pulsed.program(key, t).conductance)))(targets)
    expected = np.array(done.conductance / targets)
    expected[0, 0] = 0.0
    np.testing.assert_allclose(by_target, expected, rtol=1e-9)
    gradient = eqx.filter_jit(eqx.filter_grad(lambda p: jnp.sum(p.program(key, targets).conductance[1:])))(pulsed)
    error = np.asarray(done.conductance - targets)[1:].sum()
    assert float(gradient.acceptance) == pytest.approx(error / 0.02, rel=1e-9)
    assert all(not np.any(v) for name, _, v in parameters(gradient) if name != "acceptance")


@pytest.mark.parametrize("kind", ["pulsed", "physical"])
def test_held_decisions_give_the_exact_derivative(kind, key, x64):
    # central differences of a step so small that no decision changes, which is checked
    options = {"limit": 6, "differentiation": HeldDecisions()}
    if kind == "pulsed":
        loop = PulsedProgramming.from_card(PULSED, 2.0, **options)
    else:
        cell = CARD.build(CMOCell, "cell", series=CARD.build(SelectResistance, "series"), substeps=2)
        loop = PhysicalProgramming.from_card(CARD, 2.0, cell=cell, **options)
    targets = jnp.array([40.0, 50.0, 60.0, 70.0])
    start = run(loop, key, targets)
    assert np.ptp(np.asarray(start.pulses)) > 0

    names = [n for n, _, _ in parameters(loop) if "w_ref" not in n and "sigma_write" not in n and "acceptance" not in n]
    wanted = {"device.dw_min", "device.up_down", "device.noise.sigma"} if kind == "pulsed" else {
        "cell.E_set", "cell.R_th", "set_pulse.voltage", "reset_pulse.width", "noise.sigma", "temperature",
        "cell.series.R_reset",
    }  # fmt: skip
    assert wanted <= set(names)

    def at(shift, name):
        where = [n for n, _, _ in parameters(loop)].index(name)
        moved = [v for _, _, v in parameters(loop)]
        moved[where] = moved[where] * (1 + shift)
        return eqx.tree_at(lambda p: [v for _, _, v in parameters(p)], loop, moved)

    whole = eqx.filter_jit(lambda p: p.program(key, targets))
    if kind == "pulsed":
        gradient = eqx.filter_jit(eqx.filter_grad(lambda p: jnp.sum(p.program(key, targets).conductance)))(loop)
        of = {n: float(v) for n, _, v in parameters(gradient)}
    else:  # forward: compiles in a third of the time
        dynamic, static = eqx.partition(loop, eqx.is_inexact_array)
        push = jax.jit(lambda p, d: jax.jvp(
            lambda p: jnp.sum(eqx.combine(p, static).program(key, targets).conductance), (p,), (d,)
        )[1])  # fmt: skip
        zero = jax.tree.map(jnp.zeros_like, dynamic)
        leaves = [n for n, _, _ in parameters(loop)]

        def along(name):
            def leaf(p):
                return [v for _, _, v in parameters(p)][leaves.index(name)]

            return float(push(dynamic, eqx.tree_at(leaf, zero, jnp.ones_like(leaf(zero)))))

        of = {name: along(name) for name in wanted}
    value = {n: float(v) for n, _, v in parameters(loop)}
    for name in wanted:
        up, down = whole(at(1e-6, name)), whole(at(-1e-6, name))
        np.testing.assert_array_equal(up.pulses, down.pulses)
        difference = float(jnp.sum(up.conductance) - jnp.sum(down.conductance)) / 2e-6
        assert of[name] * value[name] == pytest.approx(difference, rel=1e-5), name
        assert difference != 0, name


def test_rate_noise_is_a_factor_on_the_width(physical, key):
    cell, pulse, n = physical.cell, Pulse(1.35, jnp.full((4000,), 1000.0)), 0.8717
    state = cell.init((4000,))
    noisy = jax.jit(lambda s: RateNoise(sigma=n).apply(cell, state, pulse, key, 293.0).log_C)(n)
    factor = np.exp(n * np.asarray(normal(stream(key, "rate"), (4000,), jnp.float32)) - n**2 / 2)
    assert factor.mean() == pytest.approx(1.0, abs=4 * np.sqrt(np.expm1(n**2) / 4000))
    expected = jax.jit(lambda w: cell.apply(state, Pulse(1.35, w), temperature=293.0).log_C)(1000.0 * factor)
    np.testing.assert_allclose(noisy, expected, rtol=1e-5)
    assert np.all(noisy > state.log_C)


# ------------------------------------------------------------------------------------- statistics


def test_published_programming_is_its_statistics():
    fine, coarse = PublishedProgramming.from_card(CARD), PublishedProgramming.from_card(CARD, 2.0)
    targets = jnp.full((40_000,), 50.0)
    for model, sigma, count in ((fine, 0.00106879 * 50 + 0.00081107, 89), (coarse, 0.01129027 * 50 + 0.01121854, 11)):
        done = run(model, jax.random.key(3), targets)
        error = np.asarray(done.conductance, float) - 50
        assert error.std() == pytest.approx(sigma, rel=4 / np.sqrt(2 * error.size))
        assert abs(error.mean()) < 4 * sigma / np.sqrt(error.size)
        np.testing.assert_array_equal(done.pulses, count)
        assert done.pulses.dtype == jnp.int32
        assert same(done, run(model, jax.random.key(3), targets))
        assert not same(done, run(model, jax.random.key(4), targets))
        # its state is the retention model's own, whose clock starts here
        np.testing.assert_array_equal(model.retention.conductance(done.state), done.conductance)
        assert float(model.retention.wait(done.state, 3600.0).clock.seconds) == 3600.0


def test_programming_again_draws_again():
    model, targets = PublishedProgramming.from_card(CARD), jnp.full((8,), 50.0)
    first = run(model, jax.random.key(0), targets)
    second = run(model, jax.random.key(0), targets, first.state)
    assert int(second.state.event) == 2 and not np.any(second.conductance == first.conductance)
    assert not same(second, run(model, jax.random.key(1), targets, first.state))


def test_published_programming_knows_its_window(key):
    done = run(PublishedProgramming.from_card(CARD), key, jnp.array([8.0, 9.0, 88.2, 89.0]))
    np.testing.assert_array_equal(done.result, [1, 0, 0, 1])
    assert float(done.conductance.min()) >= 9.0 and float(done.conductance.max()) <= 88.2
    free = run(PublishedProgramming.from_card(CARD, clip=False), key, jnp.array([8.0, 89.0]))
    np.testing.assert_array_equal(free.result, 0)


def test_published_programming_is_reparameterised(x64):
    model, targets = PublishedProgramming.from_card(CARD), jnp.linspace(20.0, 80.0, 5)
    key = jax.random.key(0)
    error = np.asarray(model.program(key, targets).conductance - targets)
    slope = jax.grad(lambda t: jnp.sum(model.program(key, t).conductance))(targets)
    z = error / (0.00106879 * np.asarray(targets) + 0.00081107)
    np.testing.assert_allclose(slope, 1 + 0.00106879 * z, rtol=1e-9)


def test_a_staircase_goes_from_level_to_level(pulsed, key):
    levels = jnp.array([40.0, 42.0, 44.0])
    whole = eqx.filter_jit(staircase)(pulsed, key, levels, (5,))
    state = pulsed.init((5,), key)
    for number, level in enumerate(levels):
        one = run(pulsed, address(key, number), jnp.full((5,), level), state)
        state = one.state
        np.testing.assert_array_equal(whole.pulses[number], one.pulses)
        np.testing.assert_allclose(whole.conductance[number], one.conductance, rtol=1e-6)
    np.testing.assert_allclose(whole.state.w, state.w, rtol=1e-6)


def test_statistics_are_over_accepted_devices():
    G = jnp.array([[9.0, 11.0, 77.0], [20.0, 22.0, 24.0]])
    done = Programmed(None, G, jnp.array([[1, 3, 99], [2, 2, 2]]), jnp.array([[0, 0, 1], [0, 0, 0]]))
    found = statistics(jnp.array([10.0, 20.0]), done)
    np.testing.assert_allclose(found.bias, [0.0, 2.0], atol=1e-6)
    np.testing.assert_allclose(found.sigma, [1.0, np.sqrt(8 / 3)], rtol=1e-6)
    np.testing.assert_allclose(found.pulses, [2.0, 2.0])
    np.testing.assert_allclose(found.accepted, [2 / 3, 1.0], rtol=1e-6)


def test_the_spread_of_measured_levels_makes_a_published_model(key):
    levels = jnp.array([10.0, 50.0, 90.0])
    spread = ProgrammingStatistics(levels, levels, 0.01 * levels + 0.2, levels, levels).spread()
    assert (float(spread.slope), float(spread.offset)) == (pytest.approx(0.01), pytest.approx(0.2))
    kept = ProgrammingStatistics(levels, levels, 0.01 * levels - 0.02, levels, levels).spread()
    assert float(kept.offset) == 0.0 and float(kept.slope) == pytest.approx(0.01, rel=0.05)
    model = eqx.tree_at(lambda m: m.retention.programming, PublishedProgramming.from_card(CARD), spread)
    done = run(model, key, jnp.full((20_000,), 50.0))
    assert float(jnp.std(done.conductance)) == pytest.approx(0.7, rel=0.03)


# --------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize("limit", [-1, 2.0, True, None])
def test_a_limit_that_is_no_number_of_pulses_is_refused(limit):
    for kind, card in ((PulsedProgramming, PULSED), (PhysicalProgramming, CARD)):
        with pytest.raises(InputError, match=f"`{kind.__name__}.limit` must be an integer >= 0"):
            kind.from_card(card, limit=limit)


def test_what_does_not_fit_is_refused(pulsed, physical, key):
    with pytest.raises(InputError, match=r"`target` must have the devices' shape \(3,\), but was of shape \(2,\)"):
        pulsed.program(key, jnp.full((2,), 50.0), pulsed.init((3,), key))
    with pytest.raises(InputError, match="`acceptance` must be one of 0.2, 2.0 per cent"):
        PublishedProgramming.from_card(CARD, 1.0)
    with pytest.raises(InputError, match="acceptance` must lie in"):
        PulsedProgramming.from_card(PULSED, 0.0)
    with pytest.raises(InputError, match="`key` must be a typed key"):
        pulsed.program(jnp.zeros(2, jnp.uint32), 50.0)
    stanford = hfsim.load_card("stanford-gap-2014").build(Stanford, "stanford")
    with pytest.raises(InputError, match="was StateNoise of a Stanford: take RateNoise"):
        dataclasses.replace(physical, cell=stanford)


def test_noise_may_be_left_out(physical, key):
    # pulses that repeat themselves step over some targets for ever, and the loop says so
    quiet = dataclasses.replace(physical, noise=None, acceptance=jnp.asarray(2e-4), limit=60)
    done = run(quiet, key, jnp.linspace(40.0, 80.0, 8))
    assert np.any(done.result == ProgrammingResult.NOT_REACHED)
