"""What the hybrid memory refuses, by name."""

import jax
import jax.numpy as jnp
import pytest

from hfsim import InputError
from hfsim.learning import Factors
from tests.hybrid_memories import make


def test_a_block_longer_than_the_period_is_refused():
    memory = make(period=3)
    params = {"a": jnp.zeros((4, 2))}
    state = memory.init(params)
    factors = (Factors(jnp.ones((4, 4)), jnp.ones((4, 2))),)
    with pytest.raises(InputError, match="hold at most 3 samples"):
        memory.update(None, state, params, factors=factors)


@pytest.mark.parametrize("name", ["transfer", "memristor", "rounding", "estimator"])
def test_parts_of_another_kind_are_refused(name):
    with pytest.raises(InputError, match=name):
        make(**{name: "measured"})


@pytest.mark.parametrize("period", [0, -3, True, 2.5, "100", None])
def test_periods_that_are_no_counts_are_refused(period):
    with pytest.raises(InputError, match="`period` must be an integer >= 1"):
        make(period=period)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("probability", 1.2),
        ("probability", -0.1),
        ("learning_rate", -0.1),
        ("step_scale", 0.0),
        ("learning_rate", float("nan")),
    ],
)
def test_parameters_out_of_their_bounds_are_refused(name, value):
    with pytest.raises(InputError, match=name):
        make(**{name: value})


@pytest.mark.parametrize("raw", [lambda: jax.random.PRNGKey(0), lambda: 0, lambda: None])
def test_keys_that_are_not_typed_are_refused(raw):
    with pytest.raises(InputError, match="`key` must be a typed key"):
        make(key=raw())


@pytest.mark.parametrize(
    "bad",
    [{}, {"a": jnp.ones((2, 2), jnp.int32)}, {"a": 0.5}, {"a": jnp.float32(0.5)}, {"a": "kernel"}],
)
def test_params_that_are_no_arrays_of_floats_are_refused(bad):
    with pytest.raises(InputError, match="`params` must be a tree of arrays of floats"):
        make().init(bad)


def test_an_update_without_params_is_refused(params):
    memory = make()
    with pytest.raises(InputError, match="`params` must be given"):
        memory.update(params, memory.init(params))


def test_params_of_another_network_are_refused(params):
    memory = make()
    state = memory.init(params)
    for other in ({"a": params["a"]}, {"a": params["a"], "b": params["a"]}, {**params, "c": params["a"]}):
        with pytest.raises(InputError, match="`params` must have leaves of shapes"):
            memory.update(params, state, other)


def test_gradients_of_another_network_are_refused(params):
    # one that would broadcast is refused too
    memory = make()
    state = memory.init(params)
    for other in (
        None,
        {"a": params["a"]},
        {"a": params["a"], "b": jnp.ones((3,))},
        {**params, "c": params["a"]},
    ):
        with pytest.raises(InputError, match="`updates` must"):
            memory.update(other, state, params)


def test_factors_of_another_network_are_refused(params, factors):
    memory = make()
    state = memory.init(params)
    a, b = factors
    for other in (
        (),
        (a,),
        (b, a),
        (a, b, b),
        (a, Factors(b.x[:5], b.delta)),
        (a, Factors(b.x, b.delta[:, :1])),
    ):
        with pytest.raises(InputError, match="`factors` must hold"):
            memory.update(params, state, params, factors=other)
