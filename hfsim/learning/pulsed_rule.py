"""What all learning rules of pulsed arrays share: leaves, samples, clocks, keys, and the optax view.

A rule holds one or more arrays of devices for each weight matrix; the network's parameter is their read-out. It
learns from the two factors of each sample's gradient alone (`Factors`): the dense gradient that optax hands over is
not looked at. With `optax.partition` the digital parameters of a network go to any other transformation.

    rule = PulsedSGD(synapse=PulsedSynapse.from_card(card), key=key, learning_rate=0.05)
    state = rule.init(params);  params = rule.read(params, state)
    updates, state = rule.update(None, state, params, factors=factors);  params = optax.apply_updates(params, updates)
    params, state = rule.wait(params, state, seconds("10 years"))

A leaf of shape (inputs, outputs) is one array; with leading axes it is as many (grouped convolutions), and the factors
carry the same axes before their last.
"""

import abc
from dataclasses import KW_ONLY
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, Key

from hfsim.draws import address, require_key, stream
from hfsim.errors import InputError
from hfsim.learning.factors import Factors, factors_of
from hfsim.parameters import PhysicalModel, parameter
from hfsim.units import ROOM_TEMPERATURE


class RuleState(NamedTuple):
    """Arrays of each leaf of the parameters, in their order; samples that each leaf has seen."""

    arrays: tuple[Any, ...]
    samples: tuple[Int[Array, ""], ...]


class Reads(NamedTuple):
    """How often one matrix was read since `init`: products of samples, there and back, and rows for transfers."""

    products: Int[Array, ""]
    rows: Int[Array, ""]


class AbstractPulsedRule(PhysicalModel):
    """A learning rule; its subclasses say what happens to one matrix."""

    _: KW_ONLY
    key: Key[Array, ""]
    learning_rate: Float[Array, ""] = parameter(unit="1", bounds=(0.0, 1e6), doc="learning rate")

    @abc.abstractmethod
    def start(self, w: Float[Array, "inputs outputs"], key: Key[Array, ""]) -> Any:
        """The arrays of one matrix that read `w`, as nearly as they can."""

    @abc.abstractmethod
    def learn(self, array: Any, factors: Factors, rate: Float[Array, ""], key: Key[Array, ""], first) -> Any:
        """The arrays after a batch; `rate` is a schedule's factor, `first` the number of the first sample."""

    @abc.abstractmethod
    def weight(self, array: Any) -> Float[Array, "inputs outputs"]:
        """The weights with which the network computes."""

    @abc.abstractmethod
    def rest(self, array: Any, seconds, temperature) -> Any:
        """The arrays after `seconds` [s] at rest at `temperature` [K]."""

    def transformation(self) -> optax.GradientTransformationExtraArgs:
        """This rule as an optax gradient transformation."""

        # plain functions: a bound method of a module holds arrays, which jax.jit and nnx.Optimizer refuse to hash
        def init(params) -> Any:
            return self.init(params)

        def update(updates, state, params=None, **extra):
            return self.update(updates, state, params, **extra)

        return optax.GradientTransformationExtraArgs(init, update)

    def init(self, params: Any) -> RuleState:
        """Write the weights `params` into arrays, as far as their windows reach; then `read` what they hold.

        Raises:
            InputError: a leaf is no array of floats with at least two axes.
        """
        require_key(self.key)
        leaves = jax.tree.leaves(params)
        if not leaves or any(not eqx.is_inexact_array(leaf) or leaf.ndim < 2 for leaf in leaves):
            raise InputError("params", "be a tree of matrices of floats", jax.tree.structure(params))
        arrays = tuple(
            _over_arrays(self.start, leaf.ndim - 2)(leaf, self._keys(index, leaf)) for index, leaf in enumerate(leaves)
        )
        return RuleState(arrays, tuple(jnp.int32(0) for _ in leaves))

    def update(
        self, updates: Any, state: RuleState, params: Any = None, *, factors: Any = None, rate=1.0, **extra: Any
    ) -> tuple[Any, RuleState]:
        """A batch into the arrays.

        Args:
            updates: not used; dense gradients cannot be sent as pulses.
            state: the arrays.
            params: the weights that the network now has.
            factors: `Factors` for each leaf, in a tree or a sequence of the same order.
            rate: factor on the learning rate, of a schedule; on the rate after a rule's ceiling, where it has one.
            extra: arguments of other transformations in a chain; not used.

        Returns:
            What optax adds to `params` to reach the new read-out, and the new state.

        Raises:
            InputError: `params` or `factors` are missing or do not fit the arrays.
        """
        if params is None:
            raise InputError("params", "be given", "None", "call update(updates, state, params, factors=...)")
        if factors is None:
            raise InputError("factors", "be given: pulses come from x and delta", "None", "differentiate the taps")
        leaves, now = jax.tree.leaves(params), jnp.asarray(rate, jnp.result_type(self.learning_rate))
        arrays, samples = [], []
        for index, (array, leaf, pair, first) in enumerate(
            zip(state.arrays, leaves, factors_of(factors, leaves), state.samples, strict=True)
        ):

            def learn(array, key, x, delta, first=first):
                return self.learn(array, Factors(x, delta), now, key, first)

            x, delta = (jnp.moveaxis(side, 0, -2) for side in pair)
            arrays.append(_over_arrays(learn, leaf.ndim - 2)(array, self._keys(index, leaf), x, delta))
            samples.append(first + pair.x.shape[0])
        new = RuleState(tuple(arrays), tuple(samples))
        return jax.tree.map(lambda w, leaf: w - leaf, self.read(params, new), params), new

    def read(self, params: Any, state: RuleState) -> Any:
        """The weights that the arrays read as now, in the structure of `params`."""
        leaves = jax.tree.leaves(params)
        weights = [
            _over_arrays(self.weight, leaf.ndim - 2)(array).astype(leaf.dtype)
            for array, leaf in zip(state.arrays, leaves, strict=True)
        ]
        return jax.tree.unflatten(jax.tree.structure(params), weights)

    def reads(self, state: RuleState) -> tuple[Reads, ...]:
        """Reads of each leaf's arrays by learning: two products a sample, and the rows that the rule itself reads.

        Not in it: products of samples that nothing was learned from, and the reads with which pairs are refreshed.
        """
        return tuple(Reads(2 * samples, self.rows_read(samples)) for samples in state.samples)

    def rows_read(self, samples: Int[Array, ""]) -> Int[Array, ""]:
        """Rows that the rule read of a matrix that has learned from `samples`."""
        return jnp.zeros_like(samples)

    def wait(self, params: Any, state: RuleState, seconds, temperature=ROOM_TEMPERATURE) -> tuple[Any, RuleState]:
        """Leave the chip alone for `seconds` [s] at `temperature` [K]: (aged weights, aged state)."""
        leaves = jax.tree.leaves(params)
        arrays = tuple(
            _over_arrays(lambda a: self.rest(a, seconds, temperature), leaf.ndim - 2)(array)
            for array, leaf in zip(state.arrays, leaves, strict=True)
        )
        aged = state._replace(arrays=arrays)
        return self.read(params, aged), aged

    def _keys(self, index: int, leaf) -> Key[Array, "*arrays"]:
        """The constant stream of each array of a leaf."""
        key = address(stream(self.key, "arrays"), index)
        if leaf.ndim == 2:
            return key
        numbers = jnp.arange(leaf[..., 0, 0].size).reshape(leaf.shape[:-2])
        keys = jax.vmap(lambda n: address(key, n))(numbers.ravel())
        return keys.reshape(leaf.shape[:-2])


def _over_arrays(function: Any, axes: int):
    """`function` of one array, mapped over this number of leading axes."""
    for _ in range(axes):
        function = jax.vmap(function)
    return function
