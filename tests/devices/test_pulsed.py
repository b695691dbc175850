"""Pulsed devices: the step of each model, what is read of it, rest, populations, measures, and what is refused."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hfsim
from hfsim.devices import Pulse
from hfsim.devices.pulsed import (
    AdditiveNoise,
    CompoundNoise,
    ConstantStep,
    ExponentialStep,
    LinearStep,
    PiecewiseStep,
    PowerStep,
    ProportionalNoise,
    SoftBounds,
    StepTable,
    WeightDecay,
    at_symmetry_point,
    fit_ramps,
    from_one_sided,
    pulsed_device,
    pulsed_metrics,
    pulsed_sections,
    symmetry_point,
)
from hfsim.devices.variability import Faults, Population
from hfsim.errors import InputError

COMMON = {"dw_min": 0.1, "up_down": 0.2, "w_min": -1.0, "w_max": 1.5, "G_0": 50.0, "g": 30.0}
QUIET = AdditiveNoise(0.0)
UP, DOWN = 0.1 * 1.2, 0.1 * 0.8  # a_up, a_down


def soft_bounds(noise=QUIET, **others):
    return SoftBounds(**{**COMMON, **others}, noise=noise)


# model, and its steps up and down as written in the articles
MODELS = {
    "constant": (ConstantStep(**COMMON, noise=QUIET), lambda w: (UP + 0 * w, DOWN + 0 * w)),
    "linear": (
        LinearStep(**COMMON, noise=QUIET, slope_up=0.3, slope_down=-0.4),
        lambda w: (UP * (1 - 0.3 * w), DOWN * (1 - 0.4 * w)),
    ),
    "soft bounds": (soft_bounds(), lambda w: (UP * (1 - w / 1.5), DOWN * (1 + w / 1.0))),
    "exponential": (
        ExponentialStep(**COMMON, noise=QUIET, A_up=0.4, A_down=0.3, gamma_up=1.5, gamma_down=0.7),
        lambda w: (
            UP * np.maximum(1 - 0.4 * np.exp(1.5 * 2 * w / 2.5), 0),
            DOWN * np.maximum(1 - 0.3 * np.exp(-0.7 * 2 * w / 2.5), 0),
        ),
    ),
    "power": (
        PowerStep(**COMMON, noise=QUIET, gamma_up=1.7, gamma_down=0.6),
        lambda w: (UP * ((1.5 - w) / 2.5) ** 1.7, DOWN * ((w + 1.0) / 2.5) ** 0.6),
    ),
    "piecewise": (
        PiecewiseStep(**COMMON, noise=QUIET, table=StepTable([0.5, 1.0, 2.0], [1.5, 0.2, 0.4])),
        lambda w: (
            UP * np.interp(w, [-1.0, 0.25, 1.5], [0.5, 1.0, 2.0]),
            DOWN * np.interp(w, [-1.0, 0.25, 1.5], [1.5, 0.2, 0.4]),
        ),
    ),
}
every_model = pytest.mark.parametrize(("device", "steps"), MODELS.values(), ids=MODELS.keys())


def at(device, w):
    """Devices at weights `w`, read without write noise."""
    return device.program(device.init(np.shape(w)), w)


def refusal(call) -> str:
    with pytest.raises(InputError) as caught:
        call()
    return str(caught.value)


# ------------------------------------------------------------------------------------------ one pulse


@every_model
def test_a_pulse_moves_by_the_published_step_inside_the_window(device, steps):
    w = np.linspace(-0.999, 1.499, 23)
    up, down = steps(w)
    for direction, moved in ((1, w + up), (-1, w - down)):
        got = device.step(at(device, w), direction).w
        np.testing.assert_allclose(got, np.clip(moved, -1.0, 1.5), rtol=1e-5, atol=2e-6)


@every_model
def test_the_sign_of_the_voltage_gives_the_direction_of_each_device(device, steps):
    state = at(device, np.full(5, 0.3))
    moved = device.apply(state, Pulse([1.0, -2.0, 0.0, 0.4, -0.1], [10.0, 10.0, 10.0, 0.0, 5.0])).w
    up, down = steps(np.array(0.3))
    expected = [0.3 + up, 0.3 - down, 0.3, 0.3, 0.3 - down]
    np.testing.assert_allclose(moved, expected, rtol=1e-5)
    assert moved[2] == state.w[2] and moved[3] == state.w[3]  # to the bit


@pytest.mark.parametrize(
    ("noise", "deviation"),
    [
        (AdditiveNoise(0.7), lambda step, w: 0.07 + 0 * w),
        (ProportionalNoise(0.7), lambda step, w: 0.7 * step),
        (CompoundNoise(0.7, 0.03, 0.05), lambda step, w: 0.7 * (0.03 + step + 0.05 * abs(w))),
    ],
    ids=["additive", "proportional", "compound"],
)
def test_a_step_varies_as_its_noise_says(noise, deviation, key):
    w = np.array([[-0.2], [0.1], [0.6]])
    count = 100_000
    device = soft_bounds(noise)
    changes = np.asarray(device.step(at(device, np.broadcast_to(w, (3, count))), -1, key).w) - w
    step = DOWN * (1 + w)
    # five standard errors of a mean and of a deviation
    np.testing.assert_allclose(changes.mean(1, keepdims=True), -step, atol=5 * 0.13 / count**0.5)
    np.testing.assert_allclose(changes.std(1, keepdims=True), deviation(step, w), rtol=5 / (2 * count) ** 0.5)


def test_a_power_below_one_keeps_a_finite_slope_at_the_bound():
    device = MODELS["power"][0]

    def moved(w, direction):
        return device.step(at(device, w), direction).w

    for w, direction in ((-1.0, -1), (1.5, 1), (-1.0, 1), (1.5, -1)):
        assert np.isfinite(jax.grad(moved)(jnp.float32(w), direction))
    near = jax.grad(moved)(jnp.float32(-1.0 + 1e-6), -1)
    assert np.isfinite(near) and abs(near) < 1e4


# ------------------------------------------------------------------------------- what is read, and rest


def test_write_noise_shows_on_what_was_touched_and_does_not_accumulate(key):
    device = soft_bounds(sigma_write=0.2)
    state = device.program(device.init((100_000,)), 0.0, key)
    assert np.std(state.error) == pytest.approx(0.2, rel=0.02) and np.all(state.w == 0)
    direction = jnp.where(jnp.arange(100_000) % 2 == 0, 1, 0)
    after = device.step(state, direction, jax.random.fold_in(key, 1))
    touched = np.asarray(direction) != 0
    assert np.all(np.asarray(after.error == state.error) == ~touched)
    assert np.std(after.error[touched]) == pytest.approx(0.2, rel=0.02)
    np.testing.assert_allclose(after.w[touched], UP, rtol=1e-5)
    np.testing.assert_allclose(device.conductance(after), 50 + 30 * (after.w + after.error), rtol=1e-5)
    np.testing.assert_allclose(device.current(after, 0.2), 0.2 * device.conductance(after), rtol=1e-6)


def test_the_reference_is_taken_off_the_weight_and_not_off_the_device():
    device = at_symmetry_point(soft_bounds(), error=jnp.array([0.0, 0.1]))
    w_star = (UP - DOWN) / (UP / 1.5 + DOWN / 1.0)
    state = at(device, np.array([w_star, w_star]))
    np.testing.assert_allclose(device.weight(state), [0.0, -0.1], atol=1e-6)
    np.testing.assert_allclose(device.conductance(state), 50 + 30 * w_star, rtol=1e-6)


def test_rest_decays_and_diffuses_exactly_and_heat_hastens_it(key):
    decay = WeightDecay(tau=100.0, w_0=0.2, D=1e-4, E_a=0.6)
    device = soft_bounds(decay=decay)
    state = eqx.tree_at(lambda s: s.w, device.init((100_000,), key), jnp.full(100_000, 0.8))
    rested = device.wait(device.wait(state, 30.0), 50.0)
    mean, variance = 0.2 + 0.6 * np.exp(-0.8), 1e-4 * 100 * (1 - np.exp(-1.6))
    assert np.mean(rested.w) == pytest.approx(mean, abs=5 * (variance / 1e5) ** 0.5)
    assert np.var(rested.w) == pytest.approx(variance, rel=5 * (2 / 1e5) ** 0.5)
    still = soft_bounds(decay=eqx.tree_at(lambda r: r.D, decay, jnp.float32(0.0)))
    alone = at(still, np.array(0.8))
    hot = still.wait(alone, 10.0, 350.0)
    faster = np.exp(0.6 / 8.617333262e-5 * (1 / 300 - 1 / 350))
    assert float(hot.w) == pytest.approx(0.2 + 0.6 * np.exp(-0.1 * faster), rel=1e-4)
    assert float(still.wait(still.wait(alone, 3.0), 4.0).w) == pytest.approx(float(still.wait(alone, 7.0).w), rel=1e-6)


def test_without_retention_nothing_happens_at_rest(key):
    device = soft_bounds()
    state = device.init((3,), key)
    assert eqx.tree_equal(device.wait(state, 1e9, 400.0), state)


# --------------------------------------------------------------------------------- measures and fits


@pytest.mark.parametrize("name", ["linear", "soft bounds", "exponential", "power"])
def test_alternating_pulses_settle_at_the_symmetry_point(name):
    device = eqx.tree_at(lambda d: d.dw_min, MODELS[name][0], jnp.float32(0.01))

    def pair(state, _):
        return device.step(device.step(state, 1), -1), None

    state = jax.jit(lambda: jax.lax.scan(pair, at(device, np.array([-0.9, 1.3])), None, length=2000)[0])()
    # between the end of a pair and the end of its first pulse, of about 0.01
    w_star = float(symmetry_point(device))
    assert np.all(state.w < w_star) and np.all(w_star < device.step(state, 1).w)


def test_measures_are_those_of_the_changes_that_are_read(key):
    device = soft_bounds(AdditiveNoise(0.6), sigma_write=0.05)
    found = pulsed_metrics(device)
    state = device.program(device.init((200_000,)), found.symmetry_point, key)
    changes = [
        direction * (device.weight(device.step(state, direction, jax.random.fold_in(key, i))) - device.weight(state))
        for i, direction in enumerate((1, -1), start=1)
    ]
    means, deviations = [float(np.mean(c)) for c in changes], [float(np.std(c)) for c in changes]
    np.testing.assert_allclose(means, 2.5 / float(found.states), rtol=0.02)
    assert np.mean(np.divide(deviations, means)) == pytest.approx(float(found.nsr), rel=0.02)
    w_star = (UP - DOWN) / (UP / 1.5 + DOWN)
    assert float(found.skew) == pytest.approx((1.5 - w_star) / 2.5, rel=1e-4)


def test_balanced_constant_steps_have_their_symmetry_point_in_the_middle():
    device = ConstantStep(**{**COMMON, "up_down": 0.0}, noise=QUIET)
    assert float(symmetry_point(device)) == pytest.approx(0.25, abs=1e-5)
    assert float(pulsed_metrics(device).states) == pytest.approx(25.0, rel=1e-5)


def test_the_symmetry_point_has_the_gradient_of_its_closed_form(x64):
    device = jax.tree.map(lambda x: jnp.asarray(np.asarray(x), jnp.float64), soft_bounds())
    gradient = jax.grad(lambda u: symmetry_point(eqx.tree_at(lambda d: d.up_down, device, u)))(jnp.float64(0.2))
    up, down = 1.2, 0.8
    closed = ((1 + 1) * (up / 1.5 + down) - (up - down) * (1 / 1.5 - 1)) / (up / 1.5 + down) ** 2
    assert float(gradient) == pytest.approx(closed, rel=1e-4)


def test_a_fit_of_ramps_finds_the_table_and_tells_write_noise_from_step_noise(key):
    truth = PiecewiseStep(
        **{**COMMON, "dw_min": 0.04, "up_down": 0.0, "w_max": 1.0},
        noise=AdditiveNoise(0.4),
        sigma_write=0.01,
        table=StepTable([1.0, 1.4, 0.9, 0.5], [0.6, 0.8, 1.2, 1.6]),
    )

    def ramp(start, direction, key):
        def one(state, i):
            state = truth.step(state, direction, jax.random.fold_in(key, i))
            return state, truth.conductance(state)

        return jax.lax.scan(one, at(truth, np.full(60, start)), jnp.arange(60))[1].T

    ramps = jax.jit(lambda k: (ramp(-1.0, 1, k), ramp(1.0, -1, jax.random.fold_in(k, 99))))(key)
    # without the pulses at a bound, where clipping and not the table rules
    up, down = ([np.asarray(r)[:40] for r in side] for side in ramps)
    fitted = fit_ramps(up, down, nodes=4)
    scale, place = float(fitted.g / truth.g), (fitted.G_0 - truth.G_0) / truth.g
    w = np.linspace(-0.8, 0.8, 9)
    for is_up in (True, False):
        expected = truth.magnitude(jnp.asarray(w), jnp.asarray(is_up))
        got = fitted.magnitude(jnp.asarray((w - float(place)) / scale), jnp.asarray(is_up)) * scale
        np.testing.assert_allclose(got, expected, rtol=0.1)
    assert float(fitted.noise.sigma * fitted.dw_min * scale) == pytest.approx(0.016, rel=0.15)
    assert float(fitted.sigma_write * scale) == pytest.approx(0.01, rel=0.15)


def test_one_sided_parameters_of_aihwkit_become_the_same_two_steps():
    for dw_min, up_down in ((0.1, -0.3), (0.1, 0.3), (0.1, 0.0)):
        ours, balance, sigma = from_one_sided(dw_min, up_down, 0.5)
        assert sigma * ours == pytest.approx(0.5 * dw_min)
        assert ours * (1 + balance) == pytest.approx(dw_min * (1 + min(up_down, 0)))
        assert ours * (1 - balance) == pytest.approx(dw_min * (1 - max(up_down, 0)))


# --------------------------------------------------------------------------------- cards, populations

PULSED_CARDS = [
    "cmo-hfox-2025-pulsed",
    "reram-om-2022",
    "reram-hfo2-2022",
    "ecram-li-2018",
    "capacitor-3t1c-2018",
    "pcm-gst-2020",
    "idealised-2016",
]


@pytest.mark.parametrize("name", PULSED_CARDS)
def test_a_card_makes_a_population_that_takes_pulses(name, key):
    card = hfsim.load_card(name)
    device = pulsed_device(card)
    population = Population.from_card(card, device, pulsed_sections(card))
    assert population.spreads
    devices = population.sample((40, 50), key)
    state = devices.init((40, 50), key)
    moved = devices.pulses(state, jnp.full((40, 50), 3), jax.random.fold_in(key, 1))
    assert np.all(np.isfinite(moved.w))
    assert np.std(moved.w) > 0 and np.mean(moved.w) > np.mean(state.w)
    assert np.all(devices.conductance(moved) >= -1.0)
    rested = devices.wait(moved, 1e-3)
    assert (device.decay is None) == bool(np.all(rested.w == moved.w))


def test_each_device_of_an_array_gets_its_own_reference(key):
    card = hfsim.load_card("reram-om-2022")
    devices = Population.from_card(card, pulsed_device(card), pulsed_sections(card)).sample((2000,), key)
    referred = at_symmetry_point(devices, error=devices.w_ref)
    balanced = referred.program(referred.init((2000,)), symmetry_point(devices))
    np.testing.assert_allclose(referred.weight(balanced), -devices.w_ref, atol=1e-5)
    assert np.std(devices.w_ref) == pytest.approx(0.05, rel=0.1)


def test_dead_devices_are_those_of_the_card(key):
    card = hfsim.load_card("reram-om-2022")
    stuck = card.build(Faults, "faults").sample(pulsed_device(card), (20_000,), key, estimator=hfsim.estimators.Exact())
    state = stuck.init((20_000,), key)
    assert np.mean(stuck.conductance(state) == 0) == pytest.approx(0.1348, abs=5 * (0.117 / 2e4) ** 0.5)


# -------------------------------------------------------------------------------------------- refusals


def test_what_is_refused_says_why(key):
    device = soft_bounds()
    state = device.init((2,))
    pulse = Pulse(1.0, 1.0)
    assert "`temperature` must be 300 K" in refusal(lambda: device.apply(state, pulse, temperature=350.0))
    assert "`n` must hold integers" in refusal(lambda: device.pulses(state, jnp.array([1.0, 2.0])))
    assert "`n` must lie within +-limit = 3" in refusal(lambda: device.pulses(state, jnp.array([1, -4]), limit=3))
    assert "`rounds` must be an integer >= 1" in refusal(lambda: device.pulses(state, jnp.array([1, 1]), rounds=0))
    assert "`key` must be a typed key" in refusal(lambda: device.step(state, 1, jnp.zeros(2, jnp.uint32)))
    assert "`w_min` must lie below w_max" in refusal(lambda: ConstantStep(**{**COMMON, "w_min": 2.0}, noise=QUIET))
    assert "`SoftBounds.w_min` must lie in" in refusal(lambda: soft_bounds(w_min=0.5))
    assert "have the same number of nodes" in refusal(lambda: StepTable([1.0, 2.0], [1.0, 2.0, 3.0]))
    assert "`seconds` must be a finite time" in refusal(lambda: device.wait(state, -1.0))
    restless = soft_bounds(decay=WeightDecay(tau=1.0, w_0=0.0, D=1e-3, E_a=0.0))
    assert "`key` must be given to `init`" in refusal(lambda: restless.wait(restless.init((2,)), 1.0))
    assert "must have one section of constant_step" in refusal(
        lambda: pulsed_device(hfsim.load_card("cea-leti-2025-hybrid"))
    )
    power = MODELS["power"][0]
    assert "`limit` must be given" in refusal(
        lambda: jax.jit(lambda n: power.pulses(power.init((2,)), n))(jnp.ones(2, int))
    )
    assert "hold ramps" in refusal(lambda: fit_ramps([], [np.ones(5)]))
