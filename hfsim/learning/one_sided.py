"""One-sided pairs: two devices that are only ever pulsed up, and are refreshed before they are full.

    w = w+ - w-,    a wish to go up pulses the one, a wish to go down the other

For devices whose steps are gradual in one direction alone. After every `refresh_every` batches the pairs of which a
device has passed the share `full` of its window are read, both devices are reset to the window's end, and the
difference is written again by up pulses on one of them: in `rounds`, each after a read, and while dw_min or more is
missing. The first is one pulse, the others are trunc(what is missing/step), the step being what the last round's pulses
rose by in the mean, at least dw_min. Where steps shrink on the way up each round falls short rather than beyond. With
rounds enough the difference ends less than dw_min below, or above by less than what a step there exceeds dw_min.

S. Agarwal et al., IEEE Symp. VLSI Technol. (2017), periodic carry; G. W. Burr et al., IEEE Trans. Electron Devices 62,
3498 (2015), occasional reset.
"""

from dataclasses import KW_ONLY
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from hfsim.draws import address, event_hash, stream
from hfsim.errors import InputError
from hfsim.learning.pulse_trains import AbstractPulseTrain, StochasticTrain
from hfsim.learning.pulsed_rule import AbstractPulsedRule
from hfsim.learning.pulsed_update import PulsedArray, make_trains
from hfsim.learning.synapse import AbstractSynapse
from hfsim.parameters import parameter


class Pair(NamedTuple):
    """Both arrays of a matrix, the batches so far, and how often each pair was refreshed."""

    plus: PulsedArray
    minus: PulsedArray
    batches: Int[Array, ""]
    refreshes: Int[Array, "inputs outputs"]


class OneSided(AbstractPulsedRule):
    """SGD on pairs of devices that go up alone."""

    synapse: AbstractSynapse
    _: KW_ONLY
    full: Float[Array, ""] = parameter(
        unit="1", bounds=(0.0, 1.0), doc="share of the window beyond which a pair is refreshed", default=0.75
    )
    train: AbstractPulseTrain = eqx.field(default_factory=StochasticTrain)
    refresh_every: int = eqx.field(static=True, default=1)
    rounds: int = eqx.field(static=True, default=5)
    most_pulses: int = eqx.field(static=True, default=1000)

    def __check_init__(self):
        for name in ("refresh_every", "rounds", "most_pulses"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise InputError(name, "be an integer >= 1", repr(value))

    def start(self, w, key):
        none, low = jnp.zeros(w.shape, jnp.int32), self.synapse.window[0]

        def side(name, rise):
            devices = self.synapse.init(w.shape, stream(key, name))
            return PulsedArray(self.synapse.place(devices, low + jnp.maximum(rise, 0.0)), none)

        return Pair(side("plus", w), side("minus", -w), jnp.int32(0), none)

    def learn(self, array, factors, rate, key, first):
        trains = make_trains(self.train, factors, self.learning_rate * rate / self.synapse.granularity, key, first)
        awake = [side._replace(devices=self.synapse.awake(side.devices)) for side in (array.plus, array.minus)]

        def sample(sides, inputs):
            rows, columns, event, number = inputs
            counts = self.train.counts(rows, columns, event)
            own = address(stream(key, "devices"), number)
            return tuple(
                self._up(side, jnp.maximum(wish, 0), event, address(own, i))
                for i, (side, wish) in enumerate(zip(sides, (counts, -counts), strict=True))
            ), None

        sides, _ = jax.lax.scan(sample, tuple(awake), trains)
        pair = Pair(sides[0], sides[1], array.batches + 1, array.refreshes)
        due = pair.batches % self.refresh_every == 0
        return jax.lax.cond(due, lambda p: self._refreshed(p, key), lambda p: p, pair)

    def weight(self, array):
        return self.synapse.weight(array.plus.devices) - self.synapse.weight(array.minus.devices)

    def rest(self, array, seconds, temperature):
        plus, minus = (
            side._replace(devices=self.synapse.wait(side.devices, seconds, temperature))
            for side in (array.plus, array.minus)
        )
        return array._replace(plus=plus, minus=minus)

    def _up(self, side: PulsedArray, counts, event, key) -> PulsedArray:
        """A side after these numbers of pulses up, drawn at its own (`event`, `key`)."""
        devices = self.synapse.pulses(side.devices, counts, event, key, self.most_pulses)
        return PulsedArray(self.synapse.written(devices, counts != 0, event), side.pulses + counts)

    def _refreshed(self, pair: Pair, key) -> Pair:
        """The pairs that are full, reset and written again."""
        low, high = self.synapse.window
        w = [self.synapse.weight(side.devices) for side in (pair.plus, pair.minus)]
        due = jnp.maximum(*w) > low + self.full * (high - low)
        wanted, sides = w[0] - w[1], []
        for i, (side, rise) in enumerate(zip((pair.plus, pair.minus), (wanted, -wanted), strict=True)):
            own = address(stream(key, "refresh"), pair.batches, i)
            reset = self.synapse.place(side.devices, jnp.broadcast_to(low, due.shape))
            side = side._replace(devices=_where(due, reset, side.devices))
            sides.append(self._raised(side, due, low + jnp.maximum(rise, 0.0), own))
        return Pair(sides[0], sides[1], pair.batches, pair.refreshes + due.astype(jnp.int32))

    def _raised(self, side: PulsedArray, due, target, key) -> PulsedArray:
        """A side whose devices `due` were pulsed up to `target`, as nearly as `rounds` reads allow."""

        def one(number, carry):
            side, step, now = carry
            most, missing = jnp.where(number == 0, 1, self.most_pulses), target - now
            wanted = due & (missing >= self.synapse.granularity)
            counts = jnp.where(wanted, jnp.clip(jnp.trunc(missing / step), 1, most), 0).astype(jnp.int32)
            event = event_hash(stream(key, "pulses"), number, counts.shape)
            side = self._up(side, counts, event, address(key, number))
            after = self.synapse.weight(side.devices)
            seen = jnp.maximum((after - now) / jnp.maximum(counts, 1), self.synapse.granularity)
            return side, jnp.where(wanted, seen, step), after

        now = self.synapse.weight(side.devices)
        begun = side, jnp.broadcast_to(self.synapse.granularity, now.shape).astype(now.dtype), now
        return jax.lax.fori_loop(0, self.rounds, one, begun)[0]


def _where(due, new: Any, old: Any) -> Any:
    """The state `new` of the devices `due` and `old` of the others; of leaves that are not of devices, the new ones."""
    return jax.tree.map(lambda a, b: jnp.where(due, a, b) if jnp.shape(a) == due.shape else a, new, old)
