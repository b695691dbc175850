"""Fits: values, errors and correlations against closed forms, what data leave open, starts, bounds, refusals."""

import warnings

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import pytest
from jaxtyping import Array, Float

from hfsim import InputError
from hfsim.parameters import PhysicalModel, parameter
from hfsim.studies import Tie, Variable
from hfsim.studies.calibration import CalibrationWarning, Prediction, calibrate
from hfsim.studies.calibration.fit import in_double
from tests.curves import DECAY, LINE, Decay, Line, curve

X = np.linspace(-1.0, 2.0, 25)


@pytest.fixture(scope="module")
def noisy():
    return curve(X, 1.5 + 0.7 * X + 0.1 * np.random.default_rng(0).normal(size=X.size))


@pytest.fixture(scope="module")
def line(noisy):
    return calibrate(Line(0.0, 1.0), noisy, LINE, ["a", "b"], starts=2)


def ordinary(x, y):
    """Values and covariance of a straight line by ordinary least squares."""
    design = np.stack([np.ones_like(x), x], 1)
    inverse = np.linalg.inv(design.T @ design)
    values = inverse @ design.T @ y
    sigma2 = np.sum((design @ values - y) ** 2) / (len(x) - 2)
    return values, sigma2 * inverse


def test_a_straight_line_has_the_errors_of_ordinary_least_squares(noisy, line):
    values, covariance = ordinary(noisy["voltage"], noisy["current"])
    np.testing.assert_allclose(line.values, values, rtol=1e-7)
    np.testing.assert_allclose(line.covariance, covariance, rtol=1e-6)
    np.testing.assert_allclose(line.errors, np.sqrt(np.diag(covariance)), rtol=1e-6)
    assert line.correlation[0, 1] == pytest.approx(covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1]))
    assert line.degrees == 23 and line.points == 25 and line.flags == ()
    assert [start.ratio for start in line.starts] == pytest.approx([1, 1])
    low, high = line.interval("a")
    assert high - line["a"] == pytest.approx(2.0687 * line.error("a"), rel=1e-4)  # t of 23 degrees of freedom
    assert line["a"] - low == pytest.approx(high - line["a"])


def test_the_model_given_is_untouched_and_so_is_the_precision(line):
    assert line.model.a.dtype == jnp.float32 and not jax.config.read("jax_enable_x64")
    assert float(line.model.a) == pytest.approx(line["a"], rel=1e-6)


def test_known_errors_of_the_data_weight_and_scale(noisy):
    sigma = np.where(X > 0.5, 0.05, 0.2)
    trace = noisy.with_column("error", sigma, "uA")
    found = calibrate(Line(0.0, 1.0), trace, LINE, ["a", "b"], errors="error", starts=1)
    design = np.stack([np.ones_like(X), X], 1) / sigma[:, None]
    inverse = np.linalg.inv(design.T @ design)
    np.testing.assert_allclose(found.values, inverse @ design.T @ (trace["current"] / sigma), rtol=1e-7)
    np.testing.assert_allclose(found.covariance, inverse, rtol=1e-6)  # absolute: not scaled by the residuals
    assert found.chi_squared == pytest.approx(np.sum((found.residuals[0] / sigma) ** 2))
    same = calibrate(Line(0.0, 1.0), trace, LINE, ["a", "b"], errors=lambda t: t["error"], starts=1)
    np.testing.assert_allclose(same.errors, found.errors)


def test_traces_of_several_lengths_are_fitted_as_their_rows(noisy, line):
    parts = [noisy.where(slice(0, 4)), noisy.where(slice(4, 15)), noisy.where(slice(15, None))]
    found = calibrate(Line(0.0, 1.0), parts, LINE, ["a", "b"], starts=1)
    np.testing.assert_allclose(found.values, line.values, rtol=1e-7)
    np.testing.assert_allclose(found.errors, line.errors, rtol=1e-6)
    assert [len(r) for r in found.residuals] == [4, 11, 10]


def test_an_unknown_constant_of_each_trace_is_taken_out(noisy):
    parts = [noisy.where(slice(0, 10)), noisy.where(slice(10, None))]
    shifted = [parts[0], curve(parts[1]["voltage"], parts[1]["current"] + 50.0)]
    centred = Prediction(LINE.function, "current", offset=True)
    one, other = (calibrate(Line(0.0, 1.0), p, centred, ["b"], starts=1) for p in (parts, shifted))
    assert one["b"] == pytest.approx(other["b"], rel=1e-6)
    # a line with an intercept of its own for each part
    design = np.stack([X, np.arange(25) < 10, np.arange(25) >= 10], 1).astype(float)
    values, left, _, _ = np.linalg.lstsq(design, noisy["current"], rcond=None)
    assert one["b"] == pytest.approx(values[0], rel=1e-6) and one.degrees == 22
    error = np.sqrt(left[0] / 22 * np.linalg.inv(design.T @ design)[0, 0])
    assert one.error("b") == pytest.approx(error, rel=1e-6)


def test_first_rows_that_set_the_state_do_not_count(noisy):
    skipping = Prediction(LINE.function, "current", given=5)
    found = calibrate(Line(0.0, 1.0), noisy, skipping, ["a", "b"], starts=1)
    np.testing.assert_allclose(found.values, ordinary(X[5:], noisy["current"][5:])[0], rtol=1e-7)
    assert found.points == 20 and len(found.residuals[0]) == 20


def test_what_the_data_leave_open_is_named():
    y = 2.0 * 1.5 * np.exp(-X / 0.8) + 0.01 * np.random.default_rng(1).normal(size=X.size)
    with pytest.warns(CalibrationWarning, match="not identified") as told:
        found = calibrate(Decay(1.0, 1.0, 1.0), curve(X, y), DECAY, ["A", "k", "tau", "idle"], starts=1)
    assert len(told) == len(found.flags) == 2
    combination, idle = sorted(found.flags, key=len, reverse=True)
    assert "+0.71 A -0.71 k" in combination.replace("+0.71 k -0.71 A", "+0.71 A -0.71 k")
    assert "idle is not in the data" in idle
    np.testing.assert_array_equal(np.isinf(found.errors), [True, True, False, True])
    assert found["A"] * found["k"] == pytest.approx(3.0, rel=0.02) and found["tau"] == pytest.approx(0.8, rel=0.02)
    assert np.isnan(found.correlation[0, 2]) and found.interval("A") == (np.float64(0.01), 100.0)
    assert "open" in str(found) and "! not identified" in str(found)
    assert "not identified" in found._repr_html_()


def test_more_noise_than_signal_is_told():
    y = 0.02 * np.exp(-X / 0.8) + np.random.default_rng(2).normal(size=X.size)
    with pytest.warns(CalibrationWarning, match="uncertain by"):
        found = calibrate(Decay(0.1, 1.0, 1.0), curve(X, y), DECAY, ["A", "tau"], starts=1)
    assert found.errors[0] > found.values[0]


def test_a_fit_that_wants_beyond_a_bound_says_so():
    trace = curve(X, 3.0 * np.exp(-X / 0.8))
    with pytest.warns(CalibrationWarning) as told:
        found = calibrate(Decay(1.0, 1.0, 1.0), trace, DECAY, [Variable("A", 0.5, 2.0), "tau"], starts=1)
    assert any("at its bound: A = 2 uA" in str(w.message) for w in told)
    assert found["A"] == pytest.approx(2.0, rel=1e-2) and not any("not converged" in f for f in found.flags)


class Capped(PhysicalModel):
    a: Float[Array, ""] = parameter(unit="uA", bounds=(0.0, 0.1), doc="offset")
    b: Float[Array, ""] = parameter(unit="uS", bounds=(-100.0, 100.0), doc="slope")


@pytest.mark.parametrize(
    ("model", "free"), [(Capped(0.1, 1.0), ["a", "b"]), (Line(0.1, 1.0), [Variable("a", 0.0, 0.1), "b"])]
)
def test_a_search_may_begin_at_a_bound(model, free):
    # 0.1 in single precision is 0.10000000149: above the bound in double
    found = calibrate(model, curve(X, 0.05 + 0.7 * X), LINE, free, starts=2)
    np.testing.assert_allclose(found.values, [0.05, 0.7], rtol=1e-5)


def test_numbers_in_double_precision_are_those_of_the_model_but_for_bounds(x64):
    model = Capped(jnp.float32(0.1), jnp.float32(0.3))
    found = in_double(model)
    assert found.a.dtype == found.b.dtype == jnp.float64
    assert float(found.a) == 0.1 and float(found.b) == float(np.float32(0.3))


def test_exact_data_are_found_again_without_a_warning():
    found = calibrate(Decay(1.0, 1.0, 1.0), curve(X, 3.0 * np.exp(-X / 0.8)), DECAY, ["A", "tau"], starts=3)
    np.testing.assert_allclose(found.values, [3.0, 0.8], rtol=1e-6)
    assert found.flags == () and found.rms < 1e-6 and np.all(found.errors < 1e-6)


def test_as_many_values_as_parameters_have_no_errors():
    with pytest.warns(CalibrationWarning, match="not enough data"):
        found = calibrate(Line(0.0, 1.0), curve([0.0, 1.0], [1.0, 3.0]), LINE, ["a", "b"], starts=1)
    np.testing.assert_allclose(found.values, [1.0, 2.0], rtol=1e-6)
    assert np.all(np.isinf(found.errors))


def test_several_starts_leave_a_local_minimum():
    wave = Prediction(lambda m, trace: jnp.sin(m.b * trace["voltage"]), "current")
    x = np.linspace(0.0, 3.0, 25)
    trace, free = curve(x, np.sin(7.0 * x)), [Variable("b", 0.5, 20.0)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CalibrationWarning)
        stuck = calibrate(Line(0.0, 1.0), trace, wave, free, starts=1)
        found = calibrate(Line(0.0, 1.0), trace, wave, free, starts=4)
    assert stuck.rms > 0.5 and found["b"] == pytest.approx(7.0, rel=1e-6)
    assert max(start.ratio for start in found.starts) > 10


def test_a_wrong_model_is_noticed_in_its_residuals():
    with pytest.warns(CalibrationWarning, match="leaves a pattern"):
        calibrate(Line(0.0, 1.0), curve(X, X**2), LINE, ["a", "b"], starts=1)


def test_ties_follow(noisy):
    found = calibrate(Line(1.0, 1.0), noisy, LINE, ["b"], ties=[Tie("a", "b", 2.0)], starts=1)
    assert float(found.model.a) == pytest.approx(2 * found["b"], rel=1e-6)


def test_figures_show_data_fit_and_residuals(line):
    axes = line.plot()
    assert axes[0].get_ylabel() == "current (uA)" and axes[1].get_ylabel() == "residual (uA)"
    np.testing.assert_allclose(axes[0].lines[1].get_ydata(), line.predicted[0])
    np.testing.assert_allclose(axes[1].lines[0].get_ydata(), line.residuals[0])
    with pytest.raises(InputError, match="be two"):
        line.plot(axes[0])
    plt.close("all")


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"prediction": lambda m, t: t["current"]}, "prediction"),
        ({"prediction": Prediction(lambda m, t: m.a, "current")}, "prediction"),
        ({"prediction": Prediction(lambda m, t: m.a * t["time"], "current")}, "column"),
        ({"prediction": Prediction(lambda m, t: jnp.nan * m.a * t["voltage"], "current")}, "model"),
        ({"traces": []}, "traces"),
        ({"traces": [3]}, "traces"),
        ({"traces": [curve(X, np.full(X.size, np.nan))]}, "traces"),
        ({"free": []}, "variables"),
        ({"free": ["c"]}, "variables"),
        ({"errors": 0.0}, "errors"),
        ({"errors": "time"}, "column"),
        ({"starts": 0}, "starts"),
        ({"steps": 1.5}, "steps"),
    ],
)
def test_what_cannot_be_fitted_is_refused(noisy, changes, name):
    arguments = {"traces": noisy, "prediction": LINE, "free": ["a"]} | changes
    with pytest.raises(InputError) as error:
        calibrate(
            Line(0.0, 1.0), arguments.pop("traces"), arguments.pop("prediction"), arguments.pop("free"), **arguments
        )
    assert error.value.argument == name


def test_traces_in_different_units_are_refused(noisy):
    other = curve(X, X)
    other.units["current"] = "nA"
    with pytest.raises(InputError, match="have one unit for current"):
        calibrate(Line(0.0, 1.0), [noisy, other], LINE, ["a"])
