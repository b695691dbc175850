"""One network under one rule: forward and backward through its layers, factors into the arrays, digital parts by SGD.

Weights live in the rule's arrays; biases, norms and scales are digital. Factors are handed over in units of the float
matrix, so that a learning rate means the same for every rule, layer and scale: a layer computes y = scale x w, so a
step of -lr x delta_W in W = scale w is one of -lr x (delta/scale^2) in w, delta being the cotangent before the scale.
"""

import copy
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jaxtyping import Array, Float, Key

from hfsim.draws import address, stream
from hfsim.learning import Factors
from hfsim.learning.pulsed_rule import AbstractPulsedRule
from hfsim.nn import AnalogWeight

Loss = Callable[[nnx.Module, Any, Any, Any, Key[Array, ""] | None], tuple[Float[Array, ""], Any]]
"""Of (network, taps, carry, batch, key): the loss, and (the next carry, what else is wanted)."""


class Parts(NamedTuple):
    """A network in parts: its structure, what devices hold, what is digital and trained, what is left alone."""

    graph: Any
    weights: Any
    digital: Any
    rest: Any

    def network(self, weights: Any = None, digital: Any = None) -> Any:
        """The network again, with other weights or digital parameters."""
        return nnx.merge(
            self.graph,
            self.weights if weights is None else weights,
            self.digital if digital is None else digital,
            self.rest,
            copy=True,  # else setting the age of one network sets that of all
        )


class Trained(NamedTuple):
    """What training changes: weights as read, digital parameters, the rule's arrays, the loss's carry."""

    weights: Any
    digital: Any
    arrays: Any
    carry: Any


class Learner:
    """A network's training under a rule, or in floating point for a rule of None."""

    def __init__(
        self,
        network: nnx.Module,
        loss: Loss,
        rule: AbstractPulsedRule | None,
        *,
        learning_rate: float,
        key: Key[Array, ""],
        noisy: bool = False,
        clip: float | None = None,
    ):
        self.parts = Parts(*nnx.split(network, AnalogWeight, nnx.Param, ...))
        self.loss, self.rule, self.key, self.noisy, self.clip = loss, rule, key, noisy, clip
        self.learning_rate = learning_rate
        self._scales = [_scale(self.parts, path) for path, _ in nnx.to_flat_state(self.parts.weights)]

    def under(self, rule: AbstractPulsedRule | None) -> "Learner":
        """The same training under another rule, or the same rule on other devices."""
        other = copy.copy(self)
        other.rule = rule
        return other

    def start(self, carry: Any = None) -> Trained:
        """Before the first batch."""
        weights, digital = self.parts.weights, self.parts.digital
        if self.rule is None:
            return Trained(weights, digital, None, carry)
        arrays = self.rule.init(weights)
        return Trained(self.rule.read(weights, arrays), digital, arrays, carry)

    def train(self, trained: Trained, batch: Any, number, rate=1.0) -> tuple[Trained, Any]:
        """After batch `number`, with the learning rate times `rate`; also what the loss gave beside itself."""
        key = address(stream(self.key, "forward"), number) if self.noisy else None
        if self.rule is None:

            def loss(weights, digital):
                return self.loss(self.parts.network(weights, digital), None, trained.carry, batch, key)

            gradients, (carry, seen) = jax.grad(loss, (0, 1), has_aux=True)(trained.weights, trained.digital)
            weights, digital = self._descended((trained.weights, trained.digital), self._clipped(gradients), rate)
            return Trained(weights, digital, None, carry), seen

        network = self.parts.network(trained.weights)

        def tapped(taps, digital):
            return self.loss(self.parts.network(trained.weights, digital), taps, trained.carry, batch, key)

        taps = network.zero_taps(batch[0])
        (factors, gradients), (carry, seen) = jax.grad(tapped, (0, 1), has_aux=True)(taps, trained.digital)
        pairs = jax.tree.leaves(factors, is_leaf=lambda node: isinstance(node, Factors))
        own = [Factors(p.x, p.delta / s**2) for p, s in zip(pairs, self._scales, strict=True)]
        updates, arrays = self.rule.update(None, trained.arrays, trained.weights, factors=own, rate=rate)
        weights = optax.apply_updates(trained.weights, updates)
        return Trained(weights, self._descended(trained.digital, self._clipped(gradients), rate), arrays, carry), seen

    def aged(self, trained: Trained, seconds: float, compensated: bool = False) -> Any:
        """The weights after `seconds` [s] at rest; in floating point the same.

        `compensated`: without the mean shift of each column, which the digital side takes from a read of known inputs
        before and after (`hfsim.crossbar.DriftCompensation(common="column")`; here reads without error).
        """
        if self.rule is None:
            return trained.weights
        later = self.rule.wait(trained.weights, trained.arrays, seconds)[0]
        if not compensated:
            return later
        return jax.tree.map(lambda w, w0: w - jnp.mean(w - w0, axis=-2, keepdims=True), later, trained.weights)

    def _descended(self, parameters: Any, gradients: Any, rate) -> Any:
        step = self.learning_rate * rate
        return jax.tree.map(lambda p, g: p - step * g, parameters, gradients)

    def _clipped(self, gradients: Any) -> Any:
        if self.clip is None:
            return gradients
        factor = jnp.minimum(1.0, self.clip / jnp.maximum(optax.tree.norm(gradients), 1e-12))
        return jax.tree.map(lambda g: factor * g, gradients)


def _scale(parts: Parts, path) -> Any:
    """The digital scale that belongs to the weights at `path`; 1 for a layer without."""
    own = (*path[:-1], "scale")
    for state in (parts.rest, parts.digital):
        for other, variable in nnx.to_flat_state(state):
            if other == own:
                return jnp.asarray(variable.get_value() if isinstance(variable, nnx.Variable) else variable)
    return jnp.ones(())
