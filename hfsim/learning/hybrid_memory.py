"""The hybrid FeCAP/memristor memory as an optax gradient transformation.

The optimiser is the memory: its state holds the hidden words (FeCAPs), both conductances of each weight
(memristors), their clocks and the counts; the network's parameter is the read-out of G+ - G-. At every sample

    W <- clip[W - m round(lr s g)],   m ~ Bernoulli(p) for each weight and sample

(g is the mean over a mini-batch, and m one draw for it, where samples come in batches) and after every `period`
samples sign and three MSBs of all words are transferred to the memristors.
Martemucci et al., Nature Electronics 8, 921 (2025). What the article leaves open is an argument of
`HybridMemory`, with the choice made here as its default.
"""

import math
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int, Key

from hfsim.devices.memristor import Memristor, MemristorState
from hfsim.draws import EventHash, address, event_hash, hashed_bernoulli, hashed_uniform, require_key, stream
from hfsim.errors import InputError
from hfsim.estimators import AbstractEstimator, StraightThrough, relaxed_bernoulli
from hfsim.hybrid.sensing import LEADING, SensedCells, Sensing, sense
from hfsim.hybrid.transfers import AbstractTransfer, ConductancePair
from hfsim.hybrid.words import WORD_MAX, WORDS_PER_UNIT, negative
from hfsim.learning.factors import Factors
from hfsim.learning.rounding import AbstractRounding, Nearest
from hfsim.parameters import PhysicalModel, parameter
from hfsim.units import ROOM_TEMPERATURE

HALF = 0.5
"""The share of a relaxed decision from which on integer counts take it for made."""


class WeightMemory(NamedTuple):
    """The memory of one weight array: FeCAP words, both memristors, what mismatch left, integer counts.

    `updates` counts those of each word, `minus_targets` the transfers that SET the minus memristor; `cells` says how
    the words' cells read, None without errors.
    """

    words: Float[Array, "*w"]
    plus: MemristorState
    minus: MemristorState
    devices: Any
    updates: Int[Array, "*w"]
    minus_targets: Int[Array, "*w"]
    cells: SensedCells | None = None


class HybridMemoryState(NamedTuple):
    """State of the memory of a network: one `WeightMemory` per leaf of the parameters, in their order, and how
    many samples and transfers it has seen."""

    weights: tuple[WeightMemory, ...]
    samples: Int[Array, ""]
    transfers: Int[Array, ""]


class HybridMemory(PhysicalModel):
    """Learning rule and storage of the hybrid chip; `transformation()` is the optax view of it.

    Args:
        transfer: how words become conductances.
        memristor: how conductances age.
        key: addresses every draw of this memory.
        learning_rate: lr of plain SGD, no momentum.
        probability: p of the mask; 1 updates every weight at every sample.
        step_scale: s, hidden steps per unit of lr g; 512, the hidden steps in a weight of 1, makes lr that of SGD.
        period: k, samples from one transfer to the next.
        rounding: how lr s g becomes an integer.
        estimator: how the truncation to four bits is differentiated in a transfer; straight-through by default, as
            is the rounding, so that a loss after a transfer has a gradient in learning rate and words.
        rewrite_unchanged: whether a masked-in word whose step rounds to 0 is rewritten, and so counted; True
            reproduces the published p N.
        sensing: bit errors of the words' destructive reads; None reads them as they are.
        mask: how a draw of the mask is differentiated in its probability, as a step at 1 - u/p, u uniform; None does
            not. A soft one updates every word by the mask's share of the step.
    """

    transfer: AbstractTransfer
    memristor: Memristor
    key: Key[Array, ""]
    learning_rate: Float[Array, ""] = parameter(unit="1", bounds=(0.0, 1e6), doc="learning rate")
    probability: Float[Array, ""] = parameter(unit="1", bounds=(0.0, 1.0), doc="probability of the update mask")
    step_scale: Float[Array, ""] = parameter(
        unit="1", bounds=(1.0, 1e6), doc="hidden steps per unit of learning rate times gradient", default=512.0
    )
    period: int = eqx.field(static=True, default=100)
    rounding: AbstractRounding = eqx.field(default_factory=Nearest)
    estimator: AbstractEstimator = eqx.field(default_factory=StraightThrough)
    rewrite_unchanged: bool = eqx.field(static=True, default=True)
    sensing: Sensing | None = None
    mask: AbstractEstimator | None = None

    def __check_init__(self):
        if not isinstance(self.period, int) or isinstance(self.period, bool) or self.period < 1:
            raise InputError(
                "period", "be an integer >= 1", repr(self.period), "choose how many samples pass between transfers"
            )
        require_key(self.key)
        for name, kind in (
            ("transfer", AbstractTransfer),
            ("memristor", Memristor),
            ("rounding", AbstractRounding),
            ("estimator", AbstractEstimator),
        ):
            if not isinstance(getattr(self, name), kind):
                raise InputError(name, f"be a {kind.__name__}", repr(getattr(self, name)))
        if self.sensing is not None and not isinstance(self.sensing, Sensing):
            raise InputError("sensing", "be a Sensing or None", repr(self.sensing))
        if self.mask is not None and not isinstance(self.mask, AbstractEstimator):
            raise InputError("mask", "be an AbstractEstimator or None", repr(self.mask))

    def transformation(self) -> optax.GradientTransformationExtraArgs:
        """This memory as an optax gradient transformation.

        Until its first transfer a network computes with the weights that it was given; to begin with what the
        memristors hold, take `params = memory.read(params, state)` after `init`.
        """

        # plain functions: a bound method of a module holds arrays, which jax.jit and nnx.Optimizer refuse to hash
        def init(params) -> Any:
            return self.init(params)

        def update(updates, state, params=None, **extra):
            return self.update(updates, state, params, **extra)

        return optax.GradientTransformationExtraArgs(init, update)

    def init(self, params: Any) -> HybridMemoryState:
        """Store `params` (weights; clipped to the words' range) and transfer them once.

        The network must then read its weights from the memory: `params = memory.read(params, state)`.

        Raises:
            InputError: a leaf of `params` is no array of floats, or has no axis.
        """
        leaves = jax.tree.leaves(params)
        if not leaves or any(not eqx.is_inexact_array(leaf) or leaf.ndim == 0 for leaf in leaves):
            raise InputError("params", "be a tree of arrays of floats, each with an axis", jax.tree.structure(params))
        weights = []
        for index, leaf in enumerate(leaves):
            words = jnp.clip(jnp.round(leaf * WORDS_PER_UNIT), -WORD_MAX, WORD_MAX)
            plus, minus = (
                self.memristor.init(words.shape, address(stream(self.key, side), index)) for side in ("plus", "minus")
            )
            cells = None
            if self.sensing is not None:
                cells = self.sensing.fabricate(words.shape, address(stream(self.key, "sensing"), index))
            charge = None if cells is None else cells.charge
            devices = self.transfer.fabricate(words.shape, address(stream(self.key, "devices"), index), charge)
            none = jnp.zeros(words.shape, jnp.int32)
            weights.append(WeightMemory(words, plus, minus, devices, none, none, cells))
        state = HybridMemoryState(tuple(weights), jnp.int32(0), jnp.int32(0))
        return self.transfer_now(state)

    def update(
        self, updates: Any, state: HybridMemoryState, params: Any = None, *, factors: Any = None, **extra: Any
    ) -> tuple[Any, HybridMemoryState]:
        """One sample's gradient, or the factors of several samples, into the words; transfer when it is due.

        Args:
            updates: dense gradients with respect to `params`, one sample (or one mean over a batch); ignored
                where `factors` is given.
            state: the memory.
            params: the weights that the network now has.
            factors: a sequence of `Factors`, one per leaf of `params`, for at most `period` successive samples
                computed at these same weights, in axes (samples,) or (steps, batch): see `absorb`. The transfer comes
                at the end of the call in which the number of samples reaches a multiple of `period`, so a block
                should end there.
            extra: arguments of other transformations in a chain; not used.

        Returns:
            What optax adds to `params` to reach the new read-out, and the new state.

        Raises:
            InputError: `params` is missing, or its leaves or those of the gradients do not match the memory.
        """
        self._check("params", params, state)
        if factors is None:
            moved = self.store(updates, state)
        else:
            factors = tuple(factors)
            moved = self.absorb(state, factors)
            samples = math.prod(factors[0].x.shape[:-1])
            if samples > self.period:
                raise InputError(
                    "factors",
                    f"hold at most {self.period} samples, the period of the transfer",
                    f"{samples} samples",
                    "cut the block at the transfers",
                )
        due = moved.samples // self.period > state.samples // self.period
        new = jax.lax.cond(due, lambda s: self.transfer_now(s), lambda s: s, moved)
        change = jax.tree.map(lambda w, leaf: jnp.where(due, w - leaf, 0.0), self.programmed(params, new), params)
        return change, new

    def store(self, updates: Any, state: HybridMemoryState) -> HybridMemoryState:
        """Apply one sample's dense gradient to the words, without a transfer.

        Raises:
            InputError: `updates` is missing, or its leaves do not match the memory.
        """
        self._check("updates", updates, state)
        weights = tuple(
            self._store(memory, gradient, self._hashes(index, state.samples, memory.words.shape))
            for index, (memory, gradient) in enumerate(zip(state.weights, jax.tree.leaves(updates), strict=True))
        )
        return HybridMemoryState(weights, state.samples + 1, state.transfers)

    def absorb(
        self, state: HybridMemoryState, factors: tuple[Factors, ...], valid: Bool[Array, " steps"] | None = None
    ) -> HybridMemoryState:
        """Apply the updates of successive steps, without a transfer.

        The steps are walked through in order; each gradient lives only inside the fused update of its words.

        Args:
            state: the memory.
            factors: one for each matrix. `x` and `delta` of shape (steps, features): a step is a sample. Of shape
                (steps, batch, features): a step is a batch, whose outer products are added up; deltas of the mean loss
                make their mean.
            valid: False for padding, which leaves no trace.
        """
        self._check_factors(factors, state)
        steps, *batch = factors[0].x.shape[:-1]
        size = batch[0] if batch else 1
        valid = jnp.ones(steps, bool) if valid is None else valid
        # a step's draws are those of its first sample's number among those that count, wherever the padding is
        events = state.samples + size * (jnp.cumsum(valid, dtype=jnp.int32) - 1)
        hashes = tuple(
            jax.vmap(lambda e, i=i, m=m: self._hashes(i, e, m.words.shape))(events) for i, m in enumerate(state.weights)
        )

        def step(carry, inputs):
            pairs, hashed, counts = inputs
            new = (
                self._advance(words, updates, memory.cells, pair.gradient(), hashes, counts)
                for (words, updates), memory, pair, hashes in zip(carry, state.weights, pairs, hashed, strict=True)
            )
            return tuple(new), None

        carry = tuple((m.words, m.updates) for m in state.weights)
        carry, _ = jax.lax.scan(step, carry, (factors, hashes, valid))
        weights = tuple(
            m._replace(words=words, updates=updates) for m, (words, updates) in zip(state.weights, carry, strict=True)
        )
        samples = state.samples + size * jnp.sum(valid).astype(jnp.int32)
        return HybridMemoryState(weights, samples, state.transfers)

    def read(self, params: Any, state: HybridMemoryState) -> Any:
        """The weights that the memristors hold now, in the structure of `params`."""
        weights = [
            self.transfer.weights(self.conductances(memory)).astype(leaf.dtype)
            for memory, leaf in zip(state.weights, jax.tree.leaves(params), strict=True)
        ]
        return jax.tree.unflatten(jax.tree.structure(params), weights)

    def programmed(self, params: Any, state: HybridMemoryState) -> Any:
        """The weights as the last transfer left them, before anything relaxed: cheaper than `read`."""
        weights = [
            self._programmed(memory).astype(leaf.dtype)
            for memory, leaf in zip(state.weights, jax.tree.leaves(params), strict=True)
        ]
        return jax.tree.unflatten(jax.tree.structure(params), weights)

    def conductances(self, memory: WeightMemory) -> ConductancePair:
        """G+ and G- [uS] of one weight array, now."""
        return ConductancePair(self.memristor.conductance(memory.plus), self.memristor.conductance(memory.minus))

    def wait(
        self, params: Any, state: HybridMemoryState, seconds, temperature=ROOM_TEMPERATURE
    ) -> tuple[Any, HybridMemoryState]:
        """Leave the chip alone for `seconds` [s] at `temperature` [K]: (aged weights, aged state).

        The memristors relax; the FeCAP words keep what they hold (`FerroelectricCapacitor.wait` flips nothing
        at rest without a built-in field).
        """
        aged = state._replace(
            weights=tuple(
                memory._replace(
                    plus=self.memristor.wait(memory.plus, seconds, temperature),
                    minus=self.memristor.wait(memory.minus, seconds, temperature),
                )
                for memory in state.weights
            )
        )
        return self.read(params, aged), aged

    def _store(self, memory: WeightMemory, gradient, hashes: dict[str, EventHash]) -> WeightMemory:
        words, updates = self._advance(memory.words, memory.updates, memory.cells, gradient, hashes, True)
        return memory._replace(words=words, updates=updates)

    def _advance(self, words, updates, cells, gradient, hashes: dict[str, EventHash], counts):
        """The element-wise update of words and counts by one sample's gradient, where the sample `counts`."""
        uniform = hashed_uniform(hashes["rounding"]) if "rounding" in hashes else None
        step = self.rounding(self.learning_rate * self.step_scale * gradient, uniform)
        share = None
        if self.mask is None:
            hit = hashed_bernoulli(hashes["mask"], jnp.where(counts, self.probability, 0.0))
        else:
            drawn = relaxed_bernoulli(hashed_uniform(hashes["mask"]), self.probability, self.mask)
            share = jnp.where(counts, drawn, 0.0)
            hit = share >= HALF
        if not self.rewrite_unchanged:
            hit = hit & (step != 0)
        if cells is not None:
            words = jnp.where(hit, sense(words, cells, hashed_uniform(hashes["sensing"])), words)
        step = step - jax.lax.stop_gradient(jnp.where(step == 0, step, 0.0))  # no -0: a word of -0 keeps its sign
        taken = jnp.where(hit, step, 0.0) if share is None else share * step
        new = jnp.clip(words - taken, -WORD_MAX, WORD_MAX)
        return new.astype(words.dtype), updates + hit.astype(jnp.int32)

    def _hashes(self, index: int, event, shape: tuple[int, ...]) -> dict[str, EventHash]:
        needed = {"mask": True, "rounding": self.rounding.needs_uniform, "sensing": self.sensing is not None}
        names = [name for name, needs in needed.items() if needs]
        return {name: event_hash(address(stream(self.key, name), index), event, shape) for name in names}

    def transfer_now(self, state: HybridMemoryState, *, share=None, event=None) -> HybridMemoryState:
        """Transfer all words to the memristors, due or not.

        Args:
            state: the memory.
            share: g in [0, 1], for relaxed gates: conductances become g new + (1 - g) old. Counts and clocks take a
                share of a half and more for a transfer, a smaller one for none.
            event: number that addresses the draws; the transfers up to now if None.
        """
        event = state.transfers if event is None else event
        done = jnp.bool_(True) if share is None else share >= HALF
        weights = []
        for index, memory in enumerate(state.weights):
            key = address(stream(self.key, "transfer"), index, event)
            words = memory.words
            if memory.cells is not None:
                uniform = jax.random.uniform(stream(key, "sensing"), words.shape, jnp.float32)
                words = jnp.where(done, sense(words, memory.cells, uniform, LEADING), words)
            pair = self.transfer.program(words, memory.devices, key, self.estimator)
            weights.append(
                memory._replace(
                    words=words,
                    plus=self._programmed_to(memory.plus, pair.plus, share),
                    minus=self._programmed_to(memory.minus, pair.minus, share),
                    minus_targets=memory.minus_targets + (done & negative(words)).astype(jnp.int32),
                )
            )
        return HybridMemoryState(tuple(weights), state.samples, state.transfers + done.astype(jnp.int32))

    def _programmed_to(self, old: MemristorState, conductance, share) -> MemristorState:
        if share is None:
            return self.memristor.program(old, conductance)
        new = self.memristor.program(old, share * conductance + (1 - share) * old.programmed)
        clock, event = jax.tree.map(
            lambda a, b: jnp.where(share >= HALF, a, b), (new.clock, new.event), (old.clock, old.event)
        )
        return MemristorState(new.programmed, clock, event, old.key)

    def _programmed(self, memory: WeightMemory):
        """The read-out right after a transfer, before anything relaxed."""
        return self.transfer.weights(ConductancePair(memory.plus.programmed, memory.minus.programmed))

    def _check_factors(self, factors: tuple[Factors, ...], state: HybridMemoryState) -> None:
        stored = [memory.words.shape for memory in state.weights]
        shapes = [(jnp.shape(x), jnp.shape(delta)) for x, delta in factors]
        leading = shapes[0][0][:-1] if shapes else ()
        wanted = [(leading + shape[:1], leading + shape[1:]) for shape in stored if len(shape) == 2]
        if len(leading) not in (1, 2) or len(wanted) != len(stored) or shapes != wanted:
            raise InputError(
                "factors",
                f"hold one ([steps,] samples, inputs) and one ([steps,] samples, outputs) for each matrix of {stored}",
                shapes,
                "arrays that are no matrices learn from dense gradients alone",
            )

    def _check(self, name: str, tree: Any, state: HybridMemoryState) -> None:
        if tree is None:
            raise InputError(name, "be given", "None", "call update(updates, state, params)")
        shapes = [jnp.shape(leaf) for leaf in jax.tree.leaves(tree)]
        stored = [memory.words.shape for memory in state.weights]
        if shapes != stored:
            raise InputError(name, f"have leaves of shapes {stored}", shapes)
