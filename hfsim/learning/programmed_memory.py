"""Trained weights programmed into devices: what the chip reads right after programming, and years later.

    memory = ProgrammedMemory.from_card("cmo-hfox-2025", key=key)
    state = memory.init(params)                                # write-verify of every weight
    params = memory.read(params, state)                        # the weights that conductances hold now
    params, state = memory.wait(params, state, seconds)        # the same devices, later

    W = w scale,  target = encoding(w),  G(0) = programming(target),  G(t) = retention,  read-out = encoding^-1(G) scale

A network's matrices are leaves (inputs, outputs), or with leading axes for arrays of their own: read-outs in [-1, 1]
as `hfsim.nn` keeps them (what lies beyond is clipped), or any float matrices with another `scaling`, whose digital
scale stays in the state. Any tree of such leaves will do; biases and norms are not programmed and stay outside.

One clock: every device follows one trajectory (see `hfsim.devices.retention`), `wait` adds to its time, and reading
changes nothing. Another key is another chip: `jax.vmap` over keys gives a population. Everything is differentiable in
`params` and in the models' numbers, noise being reparameterised; what pulses decide is differentiated as the
programming says (`hfsim.crossbar.write_verify`).
"""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, Int, Key

from hfsim.cards import Card, load_card
from hfsim.crossbar.compensation import Correction, DriftCompensation, Overshoot
from hfsim.crossbar.design import CrossbarDesign
from hfsim.crossbar.encoding import AbstractEncoding
from hfsim.crossbar.kernel import Cells, Kernel
from hfsim.crossbar.programming import AbstractProgramming, PublishedProgramming
from hfsim.crossbar.weight_scaling import AbstractWeightScaling, UnscaledWeights
from hfsim.devices.retention import AbstractRetention, CMORetention, RetentionState
from hfsim.devices.retention.from_card import retention as retention_of
from hfsim.draws import address, normal, require_key, stream
from hfsim.errors import InputError
from hfsim.parameters import PhysicalModel
from hfsim.units import ROOM_TEMPERATURE


class ProgrammedArray(NamedTuple):
    """The devices of one leaf, its digital scale, and the pulses and `ProgrammingResult` of each device.

    The last two are None where the programming does not count pulses.
    """

    devices: RetentionState
    scale: Float[Array, "*arrays 1 outputs"]
    pulses: Int[Array, "*arrays inputs columns"] | None
    result: Int[Array, "*arrays inputs columns"] | None


class ProgrammedMemoryState(NamedTuple):
    """One `ProgrammedArray` per leaf of the parameters, in their order."""

    arrays: tuple[ProgrammedArray, ...]


class ProgrammedMemory(PhysicalModel):
    """A chip that was programmed once.

    Args:
        retention: how conductances age, and the spread of programming where `programming` is None.
        encoding: how weights are held.
        key: addresses every draw of this chip.
        programming: how devices come to their targets; None draws from the retention model's published spread and
            counts no pulses.
        scaling: how a matrix is brought into the window.
        overshoot: what is programmed in place of the wanted conductance; None is that itself.
    """

    retention: AbstractRetention
    encoding: AbstractEncoding
    key: Key[Array, ""]
    programming: AbstractProgramming | None = None
    scaling: AbstractWeightScaling = eqx.field(default_factory=UnscaledWeights)
    overshoot: Overshoot | None = None

    def __check_init__(self):
        require_key(self.key)
        for name, kind, optional in (
            ("retention", AbstractRetention, False),
            ("encoding", AbstractEncoding, False),
            ("programming", AbstractProgramming, True),
            ("scaling", AbstractWeightScaling, False),
            ("overshoot", Overshoot, True),
        ):
            value = getattr(self, name)
            if not isinstance(value, kind) and not (optional and value is None):
                raise InputError(name, f"be a {kind.__name__}{' or None' if optional else ''}", repr(value))
        if self.programming is not None:
            least = jnp.min(self.encoding.targets(jnp.asarray([[-1.0, 0.0, 1.0]])))
            if not isinstance(least, Tracer) and float(least) <= 0:
                remedy = "raise the window's G_min, or take programming=None"
                raise InputError("encoding", "have targets above 0 uS for this programming", f"{least} uS", remedy)

    @classmethod
    def from_card(
        cls,
        card: Card | str,
        *,
        key: Key[Array, ""],
        acceptance: float | None = None,
        encoding: AbstractEncoding | None = None,
        **options: Any,
    ) -> "ProgrammedMemory":
        """The chip of a card: its retention model, its encoding, its published programming.

        Args:
            card: a card, or the name of one, with sections [crossbar] and [retention].
            key: of this chip.
            acceptance: of write-verify [per cent], for a card that states its spread for several: CMO/HfOx 0.2 (taken
                if none is given) or 2.
            encoding: how weights are held; None as the card says.
            options: other fields, such as `programming=PulsedProgramming.from_card(...)`.

        Raises:
            InputError: an acceptance for a card that has one spread alone.
        """
        card = load_card(card) if isinstance(card, str) else card
        model = retention_of(card)
        if isinstance(model, CMORetention):
            published = PublishedProgramming.from_card(card, 0.2 if acceptance is None else acceptance)
            model = published.retention
            options = {"programming": published, **options}
        elif acceptance is not None:
            raise InputError("acceptance", f"be None: {card.name} states one spread", acceptance)
        encoding = CrossbarDesign.from_card(card).encoding if encoding is None else encoding
        return cls(model, encoding, key, **options)

    def init(self, params: Any) -> ProgrammedMemoryState:
        """Program `params` into fresh devices.

        Raises:
            InputError: `params` is no tree of matrices of floats.
        """
        leaves = jax.tree.leaves(params)
        if not leaves or any(not eqx.is_inexact_array(leaf) or leaf.ndim < 2 for leaf in leaves):
            remedy = "program the matrices alone, as `nnx.split(network, AnalogWeight, ...)` gives them"
            raise InputError("params", "be a tree of matrices of floats", jax.tree.structure(params), remedy)
        return ProgrammedMemoryState(tuple(self._programmed(i, jnp.asarray(leaf)) for i, leaf in enumerate(leaves)))

    def read(self, params: Any, state: ProgrammedMemoryState, corrections: tuple[Correction, ...] | None = None) -> Any:
        """The weights that conductances hold now, in the structure of `params`.

        Args:
            params: any tree of the same structure; its values are not looked at.
            state: the devices.
            corrections: from `corrections`; then the weights that array and correction compute with together.
        """
        return self._tree(params, state, [self.retention.conductance(a.devices) for a in state.arrays], corrections)

    def reading(self, params: Any, state: ProgrammedMemoryState, key: Key[Array, ""]) -> Any:
        """The weights of one noisy read of every device; array number i draws at (key, i).

        As in the crossbar's kernel the noise is that of the current, which the devices' window does not cut.
        """
        require_key(key)
        reads = []
        for number, cells in enumerate(self.cells(state)):
            assert cells.sigma is not None
            reads.append(cells.G + cells.sigma * normal(address(key, number), cells.G.shape, cells.G.dtype))
        return self._tree(params, state, reads, None)

    def read_sigma(self, params: Any, state: ProgrammedMemoryState) -> Any:
        """Standard deviation of each weight in one read now, in the structure of `params`.

        Weights share no device but with a reference column, whose noise is common to a row; `cells` has all devices.
        """
        spreads = []
        for cells, array, leaf in zip(self.cells(state), state.arrays, jax.tree.leaves(params), strict=True):
            # weights are affine in the conductances: their variance is the squared matrix of that times the devices'
            one = jnp.eye(cells.G.shape[-1], dtype=cells.G.dtype)
            linear = self.encoding.weights(one) - self.encoding.weights(jnp.zeros_like(one))
            assert cells.sigma is not None
            variance = jnp.matmul(jnp.square(cells.sigma), jnp.square(linear), precision="highest")
            positive = variance > 0
            root = jnp.where(positive, jnp.sqrt(jnp.where(positive, variance, 1.0)), 0.0)
            spreads.append((root * array.scale).astype(leaf.dtype))
        return jax.tree.unflatten(jax.tree.structure(params), spreads)

    def cells(self, state: ProgrammedMemoryState) -> tuple[Cells, ...]:
        """Conductances now and deviation of one read [uS] of every array, for `hfsim.crossbar.Kernel`."""
        devices = [array.devices for array in state.arrays]
        return tuple(Cells(self.retention.conductance(d), self.retention.read_sigma(d)) for d in devices)

    def wait(
        self, params: Any, state: ProgrammedMemoryState, seconds, temperature=ROOM_TEMPERATURE
    ) -> tuple[Any, ProgrammedMemoryState]:
        """Leave the chip alone for `seconds` [s] at `temperature` [K]: (aged weights, aged state)."""
        aged = tuple(
            array._replace(devices=self.retention.wait(array.devices, seconds, temperature)) for array in state.arrays
        )
        aged = ProgrammedMemoryState(aged)
        return self.read(params, aged), aged

    def calibrate(
        self, state: ProgrammedMemoryState, compensation: DriftCompensation, kernel: Kernel, key: Key[Array, ""] | None
    ) -> tuple[Array, ...]:
        """Reference reads of every array; array number i draws at (key, i).

        The kernel's encoding should be the memory's own.
        """
        return tuple(
            compensation.calibrate(kernel, cells, None if key is None else address(key, i))
            for i, cells in enumerate(self.cells(state))
        )

    def corrections(
        self,
        state: ProgrammedMemoryState,
        references: tuple[Array, ...],
        compensation: DriftCompensation,
        kernel: Kernel,
        key: Key[Array, ""] | None,
    ) -> tuple[Correction, ...]:
        """The digital correction of every array now, towards the references of `calibrate`."""
        return tuple(
            compensation.correction(kernel, cells, reference, None if key is None else address(key, i))
            for i, (cells, reference) in enumerate(zip(self.cells(state), references, strict=True))
        )

    def _programmed(self, index: int, W) -> ProgrammedArray:
        w, scale = self.scaling(W)
        wanted = self.encoding.targets(w)
        target = wanted if self.overshoot is None else self.overshoot(self.retention, wanted)
        blank = self.retention.init(target.shape, address(stream(self.key, "devices"), index))
        if self.programming is None:
            return ProgrammedArray(self.retention.program(blank, target), scale, None, None)
        done = self.programming.program(address(stream(self.key, "programming"), index), target)
        if isinstance(done.state, RetentionState):  # it ages by itself
            return ProgrammedArray(done.state, scale, done.pulses, done.result)
        placed = self.retention.place(blank, done.conductance)
        return ProgrammedArray(eqx.tree_at(lambda s: s.target, placed, target), scale, done.pulses, done.result)

    def _tree(self, params: Any, state: ProgrammedMemoryState, conductances, corrections) -> Any:
        leaves, structure = jax.tree.flatten(params)
        shapes = [jnp.shape(leaf) for leaf in leaves]
        weights = [self.encoding.weights(G) for G in conductances]
        if shapes != [w.shape for w in weights]:
            raise InputError("params", f"have leaves of shapes {[w.shape for w in weights]}", shapes)
        if corrections is not None:
            weights = [correction.weights(w) for correction, w in zip(corrections, weights, strict=True)]
        scaled = [w * a.scale for w, a in zip(weights, state.arrays, strict=True)]
        return jax.tree.unflatten(structure, [w.astype(leaf.dtype) for w, leaf in zip(scaled, leaves, strict=True)])


def pulses_spent(state: ProgrammedMemoryState) -> int:
    """Pulses that programming took, over all devices; outside of jit.

    Raises:
        InputError: a programming that does not count them.
    """
    if any(array.pulses is None for array in state.arrays):
        raise InputError("state", "come from a programming that counts pulses", "a retention model's spread")
    return int(sum(np.sum(np.asarray(array.pulses), dtype=np.int64) for array in state.arrays))
