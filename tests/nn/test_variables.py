"""Equinox models as nnx variables: what is trained, what is kept, and back again."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from hfsim import InputError
from hfsim.nn import AnalogArray, AnalogWeight, Frozen, lifted, lowered
from tests.layer_peripheries import coarse


class Holder(nnx.Module):
    def __init__(self, model, learned=()):
        self.model = lifted(model, learned)


def names(state):
    return {".".join(map(str, path)) for path, _ in nnx.to_flat_state(state)}


def test_every_array_is_a_variable_and_comes_back():
    periphery = coarse()
    holder = Holder(periphery)
    assert len(jax.tree.leaves(nnx.state(holder, Frozen))) == len(jax.tree.leaves(periphery))
    assert not jax.tree.leaves(nnx.state(holder, nnx.Param))
    back = lowered(holder.model)
    assert jax.tree.structure(back) == jax.tree.structure(periphery)
    jax.tree.map(np.testing.assert_array_equal, back, periphery)


def test_numbers_are_learned_by_name_and_parts_with_all_they_hold():
    holder = Holder(coarse(), ("kernel.adc.range", "noise"))
    learned = names(nnx.state(holder, nnx.Param))
    assert learned == {
        "model.kernel.adc.range",
        "model.noise.K_read",
        "model.noise.read_factor",
        "model.noise.t_read",
        "model.noise.age",
    }


@pytest.mark.parametrize("name", ["kernel.adc.rang", "adc.range", "kernel.adc.sigma"])
def test_a_name_that_fits_nothing_is_refused(name):
    with pytest.raises(InputError, match=f"`learned` must hold names of .*kernel.adc.range.* but was {name}"):
        Holder(coarse(), (name, "kernel.dac.range"))


def test_an_optimiser_changes_what_is_learned_and_nothing_else():
    array = AnalogArray(3, 2, periphery=coarse(), learned=("kernel.adc.range",), rngs=nnx.Rngs(0))
    x = jax.random.normal(jax.random.key(0), (4, 3))
    optimizer = nnx.Optimizer(array, optax.sgd(1.0), wrt=nnx.Param)
    before = jax.tree.map(np.asarray, nnx.to_pure_dict(nnx.state(array)))

    @nnx.jit
    def step(array, optimizer):
        # pushed so hard that the converters' ranges, and not the codes inside them, matter
        gradients = nnx.grad(lambda a: jnp.sum(a(1e3 * x)))(array)
        optimizer.update(array, gradients)

    step(array, optimizer)
    after = jax.tree.map(np.asarray, nnx.to_pure_dict(nnx.state(array)))
    changed = jax.tree.map(lambda a, b: bool(np.any(a != b)), before, after)
    assert changed["periphery"]["kernel"]["adc"].pop("range") and changed.pop("weight")
    assert not any(jax.tree.leaves(changed))


def test_analogue_weights_are_parameters_of_their_own_kind():
    array = AnalogArray(3, 2, periphery=coarse(), learn_scale=True, rngs=nnx.Rngs(0))
    _, analogue, digital, frozen = nnx.split(array, AnalogWeight, nnx.Param, Frozen)
    assert names(analogue) == {"weight"} and names(digital) == {"scale"}
    assert all(name.startswith("periphery.") for name in names(frozen))
