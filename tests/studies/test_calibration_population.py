"""Populations whose truth is known: spreads of devices apart from those of cycles and from the data's noise."""

import warnings

import jax
import matplotlib.pyplot as plt
import numpy as np
import pytest

import hfsim
from hfsim import InputError
from hfsim.devices.variability import Population
from hfsim.studies.calibration import CalibrationWarning, calibrate, calibrate_population
from tests.curves import DECAY, Decay, curve

X = np.linspace(0.05, 3.0, 20)
DEVICES, CYCLES, NOISE = 50, 3, 0.12
SD, SC, RHO = (0.10, 0.20), (0.06, 0.0), 0.7  # of ln A and ln tau, over devices and over cycles


@pytest.fixture(scope="module")
def devices():
    rng = np.random.default_rng(5)
    L = np.diag(SD) @ np.linalg.cholesky([[1.0, RHO], [RHO, 1.0]])
    found = {}
    for i in range(DEVICES):
        of_device = np.log([3.0, 0.8]) + L @ rng.normal(size=2)
        found[f"d{i}"] = []
        for c in range(CYCLES):
            A, tau = np.exp(of_device + np.array(SC) * rng.normal(size=2))
            y = A * np.exp(-X / tau) + NOISE * rng.normal(size=X.size)
            found[f"d{i}"].append(curve(X, y, name=f"d{i}, {c}"))
    return found


@pytest.fixture(scope="module")
def fitted(devices):
    with pytest.warns(CalibrationWarning, match="not told from none: the spread of tau over cycles"):
        return calibrate_population(Decay(1.0, 1.0, 1.0), devices, DECAY, ["A", "tau"], starts=1)


def test_the_spreads_are_those_that_made_the_data(fitted):
    for i, label in enumerate(fitted.labels):
        assert fitted.sigma(label) == pytest.approx(SD[i], abs=3 * fitted.device_errors[i])
        assert fitted.sigma(label, "cycles") == pytest.approx(SC[i], abs=3 * fitted.cycle_errors[i] + 1e-3)
        assert fitted.values[i] == pytest.approx((3.0, 0.8)[i], abs=3 * fitted.errors[i])
        # as uncertain as a sample of this size is: sd/sqrt(2 n)
        assert 1 < fitted.device_errors[i] / (SD[i] / np.sqrt(2 * DEVICES)) < 1.6
    assert fitted.correlation()[0, 1] == pytest.approx(RHO, abs=0.2)
    assert fitted.noise == pytest.approx(NOISE, rel=0.05)
    assert fitted.sigma("A", "both") == pytest.approx(np.hypot(fitted.sigma("A"), fitted.sigma("A", "cycles")))


def test_errors_of_single_fits_are_not_taken_for_spread(devices, fitted):
    """The deviation of values fitted one by one is too large: by the errors of the fits, and by the cycles'."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CalibrationWarning)
        taus = [
            calibrate(fitted.model, curves[0], DECAY, ["A", "tau"], starts=1)["tau"]
            for curves in [*devices.values()][:25]
        ]
    naive = np.std(np.log(taus), ddof=1)
    assert naive > fitted.sigma("tau") and naive**2 > SD[1] ** 2 + 0.02**2
    assert fitted.sigma("tau", "cycles") < 0.03


def test_each_device_has_its_own_values_drawn_to_the_mean(devices, fitted):
    assert fitted.devices.shape == (DEVICES, 2) and fitted.curves.shape == (DEVICES * CYCLES, 2)
    assert np.std(np.log(fitted.devices[:, 0])) < fitted.sigma("A") * 1.02
    worst = fitted.residuals[0]
    assert len(worst) == X.size and np.std(np.concatenate(fitted.residuals)) < NOISE


def test_a_population_of_a_card_draws_these_spreads(fitted, tmp_path):
    card = fitted.card("decays", "Fifty decays", date="2025-11-03", data="simulated")
    hfsim.write_card(card, tmp_path / "decays.toml")
    card = hfsim.load_card(tmp_path / "decays.toml")
    assert "50 devices and 150 curves" in card.section("decay_spread")["tau"].source
    again = Population.from_card(card, card.build(Decay, "decay"), {"": "decay"})
    drawn = again.sample((20_000,), jax.random.key(0))
    logs = np.log(np.stack([drawn.A, drawn.tau]))
    np.testing.assert_allclose(logs.std(1), [fitted.sigma("A"), fitted.sigma("tau")], rtol=0.03)
    assert np.corrcoef(logs)[0, 1] == pytest.approx(fitted.correlation()[0, 1], abs=0.03)
    same = fitted.population().sample((20_000,), jax.random.key(0))
    np.testing.assert_allclose(same.tau, drawn.tau, rtol=1e-4)
    cycles = fitted.population("cycles")
    assert float(cycles.spreads["A"].s) == pytest.approx(fitted.sigma("A", "cycles"), rel=1e-5)


def test_it_prints_and_draws_itself(fitted):
    text = str(fitted)
    assert "50 devices, 150 curves" in text and "over cycles" in text and "correlated over devices" in text
    assert "<table>" in fitted._repr_html_()
    axes = fitted.plot()
    assert len(axes) == 2 and axes[1].get_ylabel() == "tau (V)"
    plt.close("all")


def test_one_curve_a_device_and_what_is_shared(devices):
    single = {name: curves[:1] for name, curves in [*devices.items()][:20]}
    with pytest.warns(CalibrationWarning, match="holds that of cycles"):
        found = calibrate_population(
            Decay(3.0, 1.0, 0.8), single, DECAY, ["A", "tau"], shared=["A"], distributions={"tau": "normal"}, starts=1
        )
    assert found.sigma("A") == 0 and np.ptp(found.curves[:, 0]) < 1e-6
    assert found.sigma("tau", "cycles") == 0 and 0.08 < found.sigma("tau") < 0.35  # in V
    assert found.kinds == ("lognormal", "normal")


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"devices": {}}, "devices"),
        ({"devices": {"a": [curve(X, X)]}}, "devices"),
        ({"devices": {"a": []}}, "devices"),
        ({"shared": ["k"]}, "shared"),
        ({"distributions": {"tau": "weibull"}}, "distributions"),
        ({"distributions": {"k": "normal"}}, "distributions"),
        ({"rounds": 0}, "rounds"),
    ],
)
def test_what_is_no_population_is_refused(devices, changes, name):
    arguments = {"devices": {k: devices[k] for k in ("d0", "d1")}, "free": ["A", "tau"], "starts": 1} | changes
    with pytest.raises(InputError) as error, warnings.catch_warnings():
        warnings.simplefilter("ignore", CalibrationWarning)
        calibrate_population(Decay(3.0, 1.0, 0.8), arguments.pop("devices"), DECAY, arguments.pop("free"), **arguments)
    assert error.value.argument == name
