"""Element-wise roots of increasing functions: against closed forms and scipy, with implicit derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
from hypothesis import given, settings
from hypothesis import strategies as st

from hfsim.roots import increasing_root


def cubic(scale):
    """x^3 + x = scale, of slope 1 at the least."""
    return lambda x: x**3 + x - scale


def diode(current):
    """x + exp(x/0.026) 1e-6 = current: flat, then steep by e^40."""
    return lambda x: x + 1e-6 * jnp.expm1(x / 0.026) - current


SCALES = np.array([-50.0, -1.0, 0.0, 0.3, 2.0, 29.0])


def test_roots_agree_with_brentq(x64):
    root = increasing_root(cubic(jnp.asarray(SCALES)), -5.0 * jnp.ones(6), 5.0 * jnp.ones(6))
    expected = [scipy.optimize.brentq(lambda x, s=s: x**3 + x - s, -5, 5, xtol=1e-14) for s in SCALES]
    np.testing.assert_allclose(root, expected, atol=1e-13)


def test_a_steep_exponential_agrees_with_brentq(x64):
    current = np.array([0.1, 1.0, 10.0, 1e4])
    root = increasing_root(diode(jnp.asarray(current)), jnp.zeros(4), 2.0 * jnp.ones(4))
    for x, target in zip(root, current, strict=True):
        expected = scipy.optimize.brentq(
            lambda y, target=target: y + 1e-6 * np.expm1(y / 0.026) - target, 0, 2, xtol=1e-15
        )
        assert float(x) == pytest.approx(expected, abs=1e-12)


def test_single_precision_ends_within_roundings_of_its_bracket():
    root = increasing_root(cubic(jnp.asarray(SCALES)), -5.0 * jnp.ones(6), 5.0 * jnp.ones(6))
    expected = [scipy.optimize.brentq(lambda x, s=s: x**3 + x - s, -5, 5) for s in SCALES]
    assert root.dtype == jnp.float32
    np.testing.assert_allclose(root, expected, atol=8 * 5 * np.finfo(np.float32).eps)


@settings(max_examples=50, deadline=None)
@given(st.floats(-20.0, 20.0), st.floats(1e-3, 1e3))
def test_lines_are_solved_exactly(offset, slope):
    root = SOLVE_LINE(jnp.float32(offset), jnp.float32(slope))
    assert abs(float(root) - offset) < 1e-4


SOLVE_LINE = jax.jit(lambda b, a: increasing_root(lambda x: a * (x - b), jnp.float32(-25.0), jnp.float32(25.0)))


def test_a_saturating_function_does_not_throw_newton_out(x64):
    # tanh is flat far from its root: an unguarded Newton step from 10 leaves every bracket
    root = increasing_root(lambda x: jnp.tanh(x - 3.0), jnp.array([-40.0, 2.9]), jnp.array([60.0, 1e3]))
    np.testing.assert_allclose(root, 3.0, atol=1e-11)


def test_newton_does_not_cycle_between_the_ends(x64):
    # A current of 80,000 uA that a resistor throttles to nothing at 210 uA: from 0 Newton's step lands on the flat
    # ground beyond the kink, and from there on 0 again, for ever. Found on the transfer line.
    def excess(x, maximum=jnp.maximum):
        share = x / 210
        return x - 8e4 * maximum(1 - 0.3 * share - 0.7 * share**2, 0.0)

    expected = scipy.optimize.brentq(lambda x: excess(x, max), 0, 210, xtol=1e-12)
    assert float(increasing_root(excess, jnp.array(0.0), jnp.array(8e4))) == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize("double", [False, True], ids=["float32", "float64"])
def test_an_element_does_not_depend_on_its_neighbours(double):
    # easy ones end first and have to rest where they are while the others go on
    with jax.enable_x64(double):

        def root(place, width):
            return increasing_root(
                lambda x: jnp.tanh((x - place) / width) + 1e-4 * (x - place), jnp.full(place.shape, -50.0), 70.0
            )

        places, widths = jnp.array([10.0, 10.5, 3.0, 69.0, -49.9]), jnp.array([50.0, 9.0, 0.1, 0.01, 1.0])
        together = jax.jit(root)(places, widths)
        alone = [jax.jit(root)(places[i : i + 1], widths[i : i + 1])[0] for i in range(5)]
        np.testing.assert_allclose(together, alone, atol=1e-13 if double else 3e-5)
        np.testing.assert_allclose(together, places, atol=1e-3 if not double else 1e-11)


def test_a_kink_is_no_obstacle(x64):
    root = increasing_root(lambda x: jnp.maximum(x, 3 * x) - 1.0, jnp.array(-1.0), jnp.array(1.0))
    assert float(root) == pytest.approx(1 / 3, abs=1e-15)


@pytest.mark.parametrize(("target", "end"), [(-1e3, -5.0), (1e3, 5.0)])
def test_a_root_outside_the_bracket_gives_the_nearer_end(x64, target, end):
    assert float(increasing_root(cubic(target), jnp.array(-5.0), jnp.array(5.0))) == pytest.approx(end, abs=1e-12)


def test_a_root_at_the_end_and_an_empty_bracket_are_found(x64):
    assert float(increasing_root(cubic(0.0), jnp.array(0.0), jnp.array(1.0))) == pytest.approx(0.0, abs=1e-15)
    assert float(increasing_root(cubic(5.0), jnp.array(0.5), jnp.array(0.5))) == 0.5


def test_the_ends_may_broadcast(x64):
    root = increasing_root(lambda x: x - 0.25, jnp.zeros((2, 1)), jnp.ones(3))
    np.testing.assert_allclose(root, np.full((2, 3), 0.25), atol=1e-15)


# ------------------------------------------------------------------------------------------- derivatives


@jax.jit
def cubic_root(scale):
    return increasing_root(cubic(scale), jnp.array(-5.0), jnp.array(5.0))


@pytest.mark.parametrize("mode", [jax.jacfwd, jax.jacrev])
def test_the_derivative_is_implicit_in_both_modes(mode, x64):
    # dx/ds = 1/(3 x^2 + 1)
    slope = jax.jit(mode(cubic_root))
    for scale in SCALES:
        x = float(cubic_root(scale))
        assert float(slope(scale)) == pytest.approx(1 / (3 * x**2 + 1), rel=1e-12)


@pytest.mark.parametrize(
    "mode", [(jax.jacfwd, jax.jacfwd), (jax.jacfwd, jax.jacrev), (jax.jacrev, jax.jacfwd)], ids=["ff", "fr", "rf"]
)
def test_the_second_derivative_is_implicit_too(mode, x64):
    # d2x/ds2 = -6 x/(3 x^2 + 1)^3
    outer, inner = mode
    x = float(cubic_root(2.0))
    assert float(outer(inner(cubic_root))(2.0)) == pytest.approx(-6 * x / (3 * x**2 + 1) ** 3, rel=1e-10)


def test_the_bracket_and_the_start_have_no_derivative(x64):
    def root(lower, upper):
        return increasing_root(cubic(2.0), lower, upper)

    assert jax.grad(root, argnums=(0, 1))(-5.0 * jnp.ones(()), 5.0 * jnp.ones(())) == (0.0, 0.0)


def test_roots_are_mapped_and_compiled(x64):
    # each element stops when all have, and the extra steps move it by a rounding at most
    scales = jnp.asarray(SCALES)
    mapped = jax.jit(jax.vmap(cubic_root))(scales)
    np.testing.assert_allclose(mapped, [cubic_root(s) for s in scales], atol=1e-14)
    slopes = jax.jit(jax.vmap(jax.grad(cubic_root)))(scales)
    np.testing.assert_allclose(slopes, 1 / (3 * mapped**2 + 1), rtol=1e-10)


@pytest.mark.parametrize("double", [False, True], ids=["float32", "float64"])
def test_nothing_is_nan_outside_the_bracket_or_on_flat_ground(double):
    with jax.enable_x64(double):
        for function in (cubic, diode, lambda s: lambda x: jnp.tanh(x - s) + 1e-3 * x):
            for scale in (-1e6, 0.0, 1e6):
                root, slope = jax.value_and_grad(
                    lambda s, function=function: increasing_root(function(s), jnp.array(0.0), jnp.array(1.5))
                )(scale)
                assert np.isfinite(root) and np.isfinite(slope)
                assert 0.0 <= float(root) <= 1.5
