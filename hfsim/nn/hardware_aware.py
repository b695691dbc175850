"""Hardware-aware training: a loss on weights as some chip would read them at some time.

    aware = HardwareAware.from_card("cmo-hfox-2025", time=LogUniformTime(first=1.0, last=seconds("10 years")))
    loss(aware.perturbed(params, key))                  # key: another chip, time and read for each step

Each chosen leaf W of the parameters passes, as one matrix (inputs, outputs),

    w, scale = scaling(W)               digital scale of each column; clipping at k deviations
    w <- nearest of `levels`            where devices are programmed to some levels only
    target = encoding(w)
    G = m(t) + a [G(t) - m(t)]          programming error and relaxation at time t; m: the mean law from the target
    G <- G + read noise
    W~ = encoding^-1(G) scale

so that any optimiser of optax trains any network of flax or plain JAX: it keeps float parameters and sees the
gradient through one chip in each step. `spread_factor` a amplifies what differs between devices and leaves the
mean law alone; training with more noise than the chip has often generalises better to it.

Gradients: the errors are reparameterised, their deviation's dependence on the weight included; the window of the
devices and that of the weights are clipped exactly (`WeightDeviations(gradient="straight-through")` for the other);
levels are rounded by `estimator`, straight-through by default; scales are differentiated with the rest.

Traps: one read of each weight is drawn for a call, and all inputs of a batch see the same, while a chip draws anew
for each input: the mean gradient is right, its variance larger. With `sampling="moments"`, the default, G(t) is normal
with the mean and the deviation of the retention model at t, exact for CMO/HfOx and Wan et al., and not in the tails for
phase change, whose drift is a power law with a normal exponent. "trajectory" takes the model's own draws: for CMO/HfOx
at 14 times as many of them.

After V. Joshi et al., Nature Communications 11, 2473 (2020); M. J. Rasch et al., Nature Communications 14, 5282 (2023).
"""

import abc
import dataclasses
import math
from collections.abc import Callable
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from hfsim.cards import Card, load_card
from hfsim.circuits.converters import DAC
from hfsim.crossbar.design import CrossbarDesign
from hfsim.crossbar.encoding import AbstractEncoding
from hfsim.crossbar.inputs import AbstractScaling, LargestInput
from hfsim.crossbar.weight_scaling import AbstractWeightScaling, WeightDeviations
from hfsim.devices.retention import AbstractRetention, CMORetention, RetentionState
from hfsim.devices.retention.from_card import retention as retention_of
from hfsim.draws import address, normal, require_key, stream
from hfsim.errors import InputError
from hfsim.estimators import AbstractEstimator, StraightThrough
from hfsim.nn.read_noise import CMOReadNoise, PCMReadNoise, read_noise
from hfsim.parameters import PhysicalModel, parameter
from hfsim.units import ROOM_TEMPERATURE

Chooser = Callable[[tuple[str, ...], Any], bool | int]
"""From the names on the way to a leaf, and the leaf: whether devices hold it; a count says how many of its axes are
inputs (True: all but the last)."""


def kernels(names: tuple[str, ...], leaf: Any) -> bool:
    """Every leaf of two axes or more with "kernel" among its names: all layers of flax."""
    return jnp.ndim(leaf) >= 2 and "kernel" in names


def matrices(names: tuple[str, ...], leaf: Any) -> bool:
    """Every leaf of two axes or more, whatever its name: trees of `AnalogWeight` alone, lists of matrices."""
    return jnp.ndim(leaf) >= 2


class AbstractTimeOfUse(PhysicalModel):
    """When, after its programming, the chip is used."""

    @abc.abstractmethod
    def seconds(self, key: Key[Array, ""]) -> Float[Array, ""]:
        """A time [s]."""


class FixedTime(AbstractTimeOfUse):
    """Always the same."""

    time: Float[Array, ""] = parameter(unit="s", bounds=(0.0, 1e15), doc="since programming")

    def seconds(self, key):
        return self.time


class LogUniformTime(AbstractTimeOfUse):
    """ln t uniform between two times: each decade is as likely as the next one."""

    first: Float[Array, ""] = parameter(unit="s", bounds=(1e-6, 1e15), doc="earliest", logarithmic=True)
    last: Float[Array, ""] = parameter(unit="s", bounds=(1e-6, 1e15), doc="latest", logarithmic=True)

    def seconds(self, key):
        share = jax.random.uniform(key, (), jnp.float32).astype(self.first.dtype)
        return self.first * jnp.exp(share * (jnp.log(self.last) - jnp.log(self.first)))


class HardwareAware(PhysicalModel):
    """What stands between trained weights and the weights that a chip reads.

    Args:
        retention: spread of programming, mean law and relaxation.
        encoding: how weights are held.
        time: when the chip is used, drawn once for each call and the same for all leaves.
        noise: of reads, at the time of use; None for none.
        scaling: how a matrix is brought into the window.
        analog: which leaves devices hold (`kernels`, `matrices`, or your own `Chooser`).
        levels: how many equally spaced weights from -1 to 1 are programmed; None for any.
        estimator: of the rounding to levels.
        sampling: of relaxation: "moments" or "trajectory".
    """

    retention: AbstractRetention
    encoding: AbstractEncoding
    time: AbstractTimeOfUse
    noise: CMOReadNoise | PCMReadNoise | None = None
    scaling: AbstractWeightScaling = eqx.field(kw_only=True, default_factory=WeightDeviations)
    spread_factor: Float[Array, ""] = parameter(
        unit="1", bounds=(0.0, 1e3), doc="factor on programming error and relaxation about their mean law", default=1.0
    )
    temperature: Float[Array, ""] = parameter(
        unit="K", bounds=(100.0, 600.0), doc="of the time until use", default=ROOM_TEMPERATURE
    )
    analog: Chooser = eqx.field(kw_only=True, static=True, default=kernels)
    levels: int | None = eqx.field(kw_only=True, static=True, default=None)
    estimator: AbstractEstimator = eqx.field(kw_only=True, default_factory=StraightThrough)
    sampling: Literal["moments", "trajectory"] = eqx.field(kw_only=True, static=True, default="moments")

    def __check_init__(self):
        for name, kind in (
            ("retention", AbstractRetention),
            ("encoding", AbstractEncoding),
            ("time", AbstractTimeOfUse),
            ("scaling", AbstractWeightScaling),
            ("estimator", AbstractEstimator),
        ):
            if not isinstance(getattr(self, name), kind):
                raise InputError(name, f"be a {kind.__name__}", repr(getattr(self, name)))
        if self.levels is not None and (not isinstance(self.levels, int) or self.levels < 2):
            raise InputError("levels", "be an integer >= 2, or None", repr(self.levels))
        if self.sampling not in ("moments", "trajectory"):
            raise InputError("sampling", "be 'moments' or 'trajectory'", repr(self.sampling))

    @classmethod
    def from_card(
        cls,
        card: Card | str,
        *,
        time: AbstractTimeOfUse,
        acceptance: float | None = None,
        encoding: AbstractEncoding | None = None,
        **options: Any,
    ) -> "HardwareAware":
        """The chip of a card, its read noise included where it has any.

        Args:
            card: a card, or the name of one, with sections [crossbar] and [retention].
            time: when the chip is used.
            acceptance: of write-verify [per cent], for CMO/HfOx alone: 0.2 (taken if none is given) or 2.
            encoding: how weights are held; None as the card says.
            options: other fields.

        Raises:
            InputError: an acceptance for a card that has one spread alone.
        """
        card = load_card(card) if isinstance(card, str) else card
        model = retention_of(card)
        if isinstance(model, CMORetention):
            model = CMORetention.from_card(card, 0.2 if acceptance is None else acceptance)
        elif acceptance is not None:
            raise InputError("acceptance", f"be None: {card.name} states one spread", acceptance)
        encoding = CrossbarDesign.from_card(card).encoding if encoding is None else encoding
        return cls(model, encoding, time, **{"noise": read_noise(card), **options})

    def perturbed(self, params: Any, key: Key[Array, ""], seconds: Float[Array, ""] | float | None = None) -> Any:
        """The parameters as one chip reads them; digital leaves stay as they are.

        Args:
            params: any tree of arrays (a dictionary, an `nnx.State`, an equinox module's arrays, ...).
            key: of the chip, its time and its read; leaf number i of the tree draws at (key, i).
            seconds: time since programming [s]; None draws it.

        Raises:
            InputError: no leaf is held by devices, or one of fewer than two axes.
        """
        require_key(key)
        seconds = self.time.seconds(stream(key, "time")) if seconds is None else seconds
        leaves, structure = jax.tree_util.tree_flatten_with_path(params)
        result, held = [], 0
        for number, (path, leaf) in enumerate(leaves):
            names = tuple(jax.tree_util.keystr(path, simple=True, separator="/").split("/"))
            chosen = self.analog(names, leaf)
            if chosen:
                leaf, held = self._leaf(names, leaf, chosen, address(key, number), seconds), held + 1
            result.append(leaf)
        if not held:
            remedy = "give `analog` another chooser, such as hfsim.nn.hardware_aware.matrices"
            raise InputError("params", "have a leaf that devices hold", f"{len(leaves)} leaves, all digital", remedy)
        return jax.tree_util.tree_unflatten(structure, result)

    def matrix(self, W: Float[Array, "inputs outputs"], key: Key[Array, ""], seconds) -> Float[Array, "inputs outputs"]:
        """One matrix as a chip reads it `seconds` [s] after programming."""
        w, scale = self.scaling(W)
        if self.levels is not None:
            w = self.estimator.round((w + 1) / 2 * (self.levels - 1)) * (2 / (self.levels - 1)) - 1
        target = self.encoding.targets(w)
        state = self.retention.program(self.retention.init(target.shape, stream(key, "devices")), target)
        temperature: Any = self.temperature
        expected, now = (
            self.retention.wait(begun, seconds, temperature) for begun in (self.retention.place(state, target), state)
        )
        mean = self.retention.mean(expected)
        G = self._clipped(mean + self.spread_factor * (self._drawn(now, key) - mean))
        if self.noise is not None:
            read = dataclasses.replace(self.noise, age=jnp.asarray(seconds, G.dtype))
            G = G + read.sigma(G) * normal(stream(key, "read"), G.shape, G.dtype)
        return self.encoding.weights(G) * scale

    def _drawn(self, now: RetentionState, key):
        """Conductances at the time of use, before clipping."""
        if self.sampling == "trajectory":
            return self.retention.trajectory(now)
        draw = normal(stream(key, "relaxation"), now.programmed.shape, now.programmed.dtype)
        return self.retention.mean(now) + self.retention.sigma(now) * draw

    def _clipped(self, G):
        window = self.retention.window
        return G if window is None else window.clip(G)

    def _leaf(self, names, leaf, chosen: bool | int, key, seconds):
        axes = jnp.ndim(leaf) - 1 if isinstance(chosen, bool) else int(chosen)
        if not eqx.is_inexact_array(leaf) or not 1 <= axes < leaf.ndim:
            was = f"{axes} of {jnp.shape(leaf)} in {'.'.join(names)}"
            raise InputError("analog", "choose arrays of floats, with axes of inputs before those of outputs", was)
        W = leaf.reshape(math.prod(leaf.shape[:axes]), -1)
        return self.matrix(W, key, seconds).reshape(leaf.shape).astype(leaf.dtype)


def quantised(x: Float[Array, "*batch features"], dac: DAC, scaling: AbstractScaling | None = None):
    """Numbers behind a converter: for the activations of a network that is trained without analogue layers.

    Args:
        x: vectors on the last axis.
        dac: its bits and range; its rounding's gradient is its own, straight-through by default.
        scaling: what each vector is divided by and multiplied by again; None brings its largest magnitude to the range.
    """
    scaling = LargestInput(dac.range) if scaling is None else scaling
    flat = x.reshape(-1, x.shape[-1])
    scale = scaling.scale(flat)
    return (dac.code(flat / scale) * dac.range * scale).reshape(x.shape)
