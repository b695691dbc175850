"""A network at ten years as a design sees it: from the window, the write-verify and the training to one loss.

Devices are CMO/HfOx (D. F. Falcone et al., Adv. Funct. Mater. (2025)), one for each weight, all laws those of
`hfsim.devices.retention`:

    target = overshoot^-1[G_0 + g w],      w = W/max|W| of each column,   g = (G_max - G_min)/2
    G(t)   = clip{target + N(0, slope(a) target + offset(a)) + drift ln t + N(0, sigma(t))} + read noise
    W~     = max|W| [(G - G_0)/g - c (R - G_0)/g],      R the mean of n reference devices of the row

slope and offset lie on the power law of the acceptance a through the two published spreads (0.2 and 2 %). The mean of
n devices deviates by sigma/sqrt(n), which is taken for every real n.

The network is trained in floating point and then retrained with noise of zero mean: each step sees the weights of a
chip at ten years without its drift, its errors multiplied by `training_noise` (`hfsim.nn.hardware_aware`). So gradients
of what comes after ten years pass through the retraining, all of whose steps are kept and differentiated in reverse:
some 100 MB, and a third of the compilation of checkpointed chunks.
"""

import dataclasses
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Int, Key

from hfsim.cards import load_card
from hfsim.crossbar.compensation import Overshoot
from hfsim.crossbar.encoding import SingleEnded
from hfsim.crossbar.weight_scaling import LargestWeight, UnscaledWeights
from hfsim.devices.retention import CMORetention
from hfsim.devices.retention.cmo import LinearSpread
from hfsim.draws import address, normal, stream
from hfsim.errors import InputError
from hfsim.nn.hardware_aware import FixedTime, HardwareAware, matrices
from hfsim.nn.read_noise import CMOReadNoise, read_noise
from hfsim.parameters import PhysicalModel, parameter
from hfsim.studies.objective import Judged, Objective
from hfsim.units import seconds
from training.data.sets import Dataset, Split

CARD = "cmo-hfox-2025"
LIFE = seconds("10 years")
ROOM, HOT = 298.15, 358.15
"""25 and 85 C [K]."""
HIDDEN = (12, 12)
"""Units of the hidden layers (chosen: narrow, so that errors of the devices are seen; digits, in a second)."""
FLOAT_STEPS, FLOAT_RATE = 400, 0.01
"""Of the training in floating point, with Adam on all images at once (chosen: the training loss is flat by then)."""
STEPS, BATCH, RATE, MOMENTUM = 200, 128, 0.02, 0.9
"""Of the retraining with noise (chosen: short, so that every iterate of a design can have its own)."""


class Layer(NamedTuple):
    """Weights that devices hold, and biases that stay digital."""

    W: Float[Array, "inputs outputs"]
    b: Float[Array, " outputs"]


Network = tuple[Layer, ...]


class Task(eqx.Module):
    """What the network is to learn and by what it is chosen, with the network trained in floating point."""

    images: Float[Array, "train pixels"]
    labels: Int[Array, " train"]
    judged_images: Float[Array, "validation pixels"]
    judged_labels: Int[Array, " validation"]
    network: Network
    steps: int = eqx.field(static=True, default=STEPS)

    @classmethod
    def of(
        cls, data: Dataset, key: Key[Array, ""], steps: int = STEPS, samples: int | None = None, hidden=HIDDEN
    ) -> "Task":
        """Of the training and the validation part; `samples` of the training part, all if None."""
        train = Split(*(part[:samples] for part in data.train))
        parts = (jnp.asarray(part) for part in (*train, *data.validation))
        images, labels, judged, judged_labels = parts
        sizes = (images.shape[1], *hidden, data.classes)
        return cls(images, labels, judged, judged_labels, _trained(_initial(sizes, key), images, labels), steps)


class TenYears(PhysicalModel):
    """What may be chosen of chips, their programming and their training; the laws of the devices come with it.

    With the card's numbers and these defaults it is the published point: the widest window, the finest acceptance,
    nothing else.
    """

    retention: CMORetention
    read: CMOReadNoise
    coarse: LinearSpread
    G_min: Float[Array, ""] = parameter(unit="uS", bounds=(9.0, 45.0), doc="conductance of weight -1", default=9.0)
    G_max: Float[Array, ""] = parameter(unit="uS", bounds=(50.0, 88.2), doc="conductance of weight 1", default=88.2)
    acceptance: Float[Array, ""] = parameter(
        unit="1", bounds=(0.2, 2.0), doc="of write-verify, in per cent of the target", logarithmic=True, default=0.2
    )
    overshoot: Float[Array, ""] = parameter(
        unit="s", bounds=(1.0, 1e12), doc="time at which the mean is right", logarithmic=True, default=1.0
    )
    references: Float[Array, ""] = parameter(unit="1", bounds=(0.0, 8.0), doc="reference columns a layer", default=0.0)
    reference_weight: Float[Array, ""] = parameter(
        unit="1", bounds=(0.0, 1.5), doc="share of their mean that is subtracted", default=0.0
    )
    training_noise: Float[Array, ""] = parameter(
        unit="1", bounds=(0.0, 6.0), doc="factor on the devices' errors in retraining", default=0.0
    )

    def __check_init__(self):
        if self.retention.window is None:
            raise InputError("TenYears.retention", "have a window", "None", "build it with clip=True")

    @classmethod
    def from_card(cls, name: str = CARD, **chosen: Any) -> "TenYears":
        """The published point of a card, with `chosen` parameters in place of its own."""
        card = load_card(name)
        models = [CMORetention.from_card(card, acceptance) for acceptance in (0.2, 2.0)]
        read: Any = read_noise(card)
        return cls(retention=models[0], read=read, coarse=models[1].programming, **chosen)

    @property
    def encoding(self) -> SingleEnded:
        """One device for a weight in the chosen window."""
        return SingleEnded(G_min=self.G_min, G_max=self.G_max)

    @property
    def programmed(self) -> CMORetention:
        """The devices with the spread of the chosen acceptance."""
        fine = self.retention.programming
        decades = jnp.log10(self.acceptance / 0.2)
        spread = LinearSpread(
            slope=fine.slope * (self.coarse.slope / fine.slope) ** decades,
            offset=fine.offset * (self.coarse.offset / fine.offset) ** decades,
        )
        return dataclasses.replace(self.retention, programming=spread)

    def targets(self, w: Float[Array, "*devices"]) -> Float[Array, "*devices"]:
        """What is programmed [uS] for weights in [-1, 1], overshoot included."""
        window: Any = self.retention.window
        ahead = Overshoot(seconds=self.overshoot, G_min=window.G_min, G_max=window.G_max, temperature=jnp.asarray(ROOM))
        return ahead(self.retention, self.encoding.targets(w))

    def aware(self) -> HardwareAware:
        """What retraining sees: the chip at ten years without its mean law and its window's ends, errors multiplied.

        Its weights are scaled already. The slope of a maximum and of a clipped number jumps, and with it the steps of
        a training that follows it: so the scale is held in each step, and nothing is clipped.
        """
        still = dataclasses.replace(self.programmed, drift=jnp.zeros_like(self.retention.drift), window=None)
        return HardwareAware(
            still,
            self.encoding,
            FixedTime(time=jnp.asarray(LIFE)),
            scaling=UnscaledWeights(),
            spread_factor=self.training_noise,
            temperature=jnp.asarray(ROOM),
            analog=matrices,
        )

    def retrained(self, task: Task, key: Key[Array, ""]) -> Network:
        """The network after retraining with noise; step i draws its batch and its chip at (key, i)."""
        aware = self.aware()
        optimiser = optax.sgd(RATE, MOMENTUM)
        count = len(task.labels)

        def step(carry, number):
            network, state = carry
            drawn = address(stream(key, "steps"), number)
            batch = jax.random.randint(stream(drawn, "batch"), (min(BATCH, count),), 0, count)

            scales = [LargestWeight().scale(layer.W) for layer in network]

            def loss(network):
                w = [layer.W / scale for layer, scale in zip(network, scales, strict=True)]
                read = zip(network, aware.perturbed(w, drawn), scales, strict=True)
                chip = tuple(Layer(W * scale, layer.b) for layer, W, scale in read)
                return cross_entropy(chip, task.images[batch], task.labels[batch])

            change, state = optimiser.update(jax.grad(loss)(network), state)
            return (optax.apply_updates(network, change), state), None

        start = (task.network, optimiser.init(task.network))
        end: Any = jax.lax.scan(step, start, jnp.arange(task.steps))[0]
        return end[0]

    def planned(self, network: Network) -> "Planned":
        """What is to be programmed for a network."""
        scaled = [LargestWeight()(layer.W) for layer in network]
        # one solution for all layers and the reference
        wanted, back = ravel_pytree([*(part.w for part in scaled), jnp.zeros((), network[0].W.dtype)])
        *targets, reference = back(self.targets(wanted))
        return Planned(self, network, tuple(part.scale for part in scaled), tuple(targets), reference)


class Planned(NamedTuple):
    """A design with its own network and what is programmed for it [uS]: what terms measure.

    Args:
        model, network: the design, and what it is to compute.
        scales: of each layer's columns.
        targets: of each layer's devices.
        reference: of all reference devices.
    """

    model: TenYears
    network: Network
    scales: tuple[Float[Array, "1 outputs"], ...]
    targets: tuple[Float[Array, "inputs outputs"], ...]
    reference: Float[Array, ""]

    def aged(self, key: Key[Array, ""], age, temperature=ROOM) -> Network:
        """The network as one chip reads it `age` [s] after programming at `temperature` [K]."""
        model = self.model
        target, split = ravel_pytree(self.targets)
        number = jnp.maximum(model.references, 1e-3)
        rows = sum(len(W) for W in self.targets)
        G = self._read(target, 1.0, stream(key, "weights"), age, temperature)
        R = self._read(jnp.broadcast_to(self.reference, (rows,)), number, stream(key, "references"), age, temperature)
        held = split(model.encoding.weights(G[:, None])[:, 0])
        common = jnp.split(model.encoding.weights(R[:, None]), np.cumsum([len(W) for W in self.targets])[:-1])
        return tuple(
            Layer((w - model.reference_weight * r) * scale, layer.b)
            for w, r, scale, layer in zip(held, common, self.scales, self.network, strict=True)
        )

    def _read(self, target, number, key, age, temperature):
        """One read [uS] of the mean of `number` devices at each target: it deviates by theirs over sqrt(number)."""
        spread = self.model.programmed
        now = spread.wait(spread.place(spread.init(target.shape, key), target), age, temperature)
        deviation = jnp.hypot(spread.programming_sigma(target), spread.sigma(now)) / jnp.sqrt(number)
        device, read = (normal(stream(key, name), target.shape, target.dtype) for name in ("device", "read"))
        G = spread.mean(now) + deviation * device
        G = G if spread.window is None else spread.window.clip(G)
        reads = dataclasses.replace(self.model.read, age=jnp.asarray(age, G.dtype))
        return G + reads.sigma(G) * read / jnp.sqrt(number)


class RetrainedObjective(Objective):
    """Terms of a design's networks: each is retrained at a key of its own and has its own chips; the mean of all.

    Of one retraining alone the search would find a design that suits its draws.
    """

    task: Task
    retrainings: int

    def __init__(self, terms, task: Task, retrainings: int = 1):
        super().__init__(terms)
        self.task, self.retrainings = task, retrainings

    def __call__(self, model: TenYears, key: Key[Array, ""], limits: Float[Array, " terms"] | None = None) -> Judged:
        def one(own):
            planned = model.planned(model.retrained(self.task, stream(own, "retraining")))
            return Objective.__call__(self, planned, own, limits)

        keys = jax.vmap(lambda n: address(key, n))(jnp.arange(self.retrainings))
        return jax.tree.map(lambda each: jnp.mean(each, axis=0), jax.vmap(one)(keys))


def loss_after(task: Task, age: float = LIFE, temperature: float = ROOM):
    """Measure: mean cross-entropy of one chip over the validation part."""

    def measure(it: Planned, key: Key[Array, ""]) -> Float[Array, ""]:
        return cross_entropy(it.aged(key, age, temperature), task.judged_images, task.judged_labels)

    return measure


def logits(network: Network, x: Float[Array, "*batch inputs"]) -> Float[Array, "*batch classes"]:
    """The perceptron: tanh between its layers."""
    for layer in network[:-1]:
        x = jnp.tanh(x @ layer.W + layer.b)
    return x @ network[-1].W + network[-1].b


def cross_entropy(network: Network, x, labels) -> Float[Array, ""]:
    """Mean over a batch, in nats."""
    return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits(network, x), labels))


def drives(network: Network, x: Float[Array, "samples inputs"]) -> list[Float[Array, " inputs"]]:
    """Mean square of the inputs of each layer's rows, every vector scaled to its largest as converters do."""
    found = []
    for layer in network:
        scaled = x / jnp.maximum(jnp.max(jnp.abs(x), axis=-1, keepdims=True), 1e-6)
        found.append(jnp.mean(scaled**2, axis=0))
        x = jnp.tanh(x @ layer.W + layer.b)
    return found


def _initial(sizes, key) -> Network:
    pairs = zip(sizes[:-1], sizes[1:], strict=True)
    return tuple(
        Layer(normal(address(key, i), (a, b), jnp.result_type(float)) / np.sqrt(a), jnp.zeros(b))
        for i, (a, b) in enumerate(pairs)
    )


@jax.jit
def _trained(network: Network, images, labels) -> Network:
    optimiser = optax.adam(optax.cosine_decay_schedule(FLOAT_RATE, FLOAT_STEPS))

    def step(carry, _):
        network, state = carry
        change, state = optimiser.update(jax.grad(cross_entropy)(network, images, labels), state)
        return (optax.apply_updates(network, change), state), None

    end: Any = jax.lax.scan(step, (network, optimiser.init(network)), None, FLOAT_STEPS)[0]
    return end[0]
