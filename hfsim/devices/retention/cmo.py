"""Programming, relaxation and read noise of the CMO/HfOx memristor: the published statistical model.

D. F. Falcone et al., Adv. Funct. Mater. (2025), doi 10.1002/adfm.202504688; coefficients of `ReRamCMONoiseModel` in
IBM's analog hardware kit. G in uS, t in s since programming:

    G(t) = G_prog + m ln(t/t_0) + N(0, sigma(t)),   sigma(t) = sigma_0 + sigma_1 ln(t/t_0)
    G_prog = target + N(0, slope target + offset)
    one read: N(0, f K log10(G) sqrt(ln((t + t_r)/(2 t_r))))

independent of the level but for programming and reads. The law is stated from t_0 = 1 s on, where sigma is sigma_0;
measured from 1 s to a week, so that ten years extrapolate it.

As a trajectory: in u = ln(t/t_0), dG = m du + s(u) dW with s^2 = d(sigma^2)/du = 2 (sigma_0 + sigma_1 u) sigma_1 and
N(0, sigma_0^2) at u = 0. One Brownian path at the time sigma(u)^2 is this process, and its marginals are exact at
every t. Before t_0 the same law runs back to where sigma is 0 (55 us with the published numbers) and rests there, so
that G starts at G_prog and a verifying read finds what was programmed; the mean moves from t_0 on (our choice: nothing
is published below 1 s).
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from hfsim.cards import Card
from hfsim.devices.relaxation import arrhenius_acceleration, log_read_time, normalised_path
from hfsim.devices.retention.interface import AbstractRetention, RetentionState, Window
from hfsim.draws import coarse_normals, normal
from hfsim.errors import InputError
from hfsim.parameters import PhysicalModel, parameter
from hfsim.units import NANOSECONDS, ROOM_TEMPERATURE

ACCEPTANCES = {0.2: "programming_0p2_percent", 2.0: "programming_2_percent"}
U_MAX = 64.0  # ln(t/t_0) at which the Brownian path ends: 6e27 s


class LinearSpread(PhysicalModel):
    """Spread of write-verify programming: sigma = slope G + offset."""

    slope: Float[Array, "..."] = parameter(unit="1", bounds=(0.0, 1.0), doc="spread per conductance")
    offset: Float[Array, "..."] = parameter(unit="uS", bounds=(0.0, 50.0), doc="spread at 0 uS")

    def sigma(self, target: Float[Array, "..."]) -> Float[Array, "..."]:
        """Standard deviation [uS] at `target` [uS]."""
        return self.slope * target + self.offset


class CMORetention(AbstractRetention):
    """CMO/HfOx devices after write-verify programming."""

    programming: LinearSpread
    drift: Float[Array, "..."] = parameter(unit="uS", bounds=(-10.0, 10.0), doc="shift of the mean per e-fold of time")
    sigma_0: Float[Array, ""] = parameter(unit="uS", bounds=(0.0, 20.0), doc="standard deviation at t_0")
    sigma_1: Float[Array, ""] = parameter(unit="uS", bounds=(0.0, 5.0), doc="its growth per e-fold of time")
    t_0: Float[Array, ""] = parameter(unit="s", bounds=(1e-9, 1e6), doc="start of the law", logarithmic=True)
    E_relax: Float[Array, ""] = parameter(unit="eV", bounds=(0.0, 4.0), doc="activation energy of relaxation")
    K_read: Float[Array, "..."] = parameter(unit="uS", bounds=(0.0, 10.0), doc="read noise per decade of conductance")
    read_factor: Float[Array, "..."] = parameter(unit="1", bounds=(0.0, 10.0), doc="factor on the read noise")
    t_read: Float[Array, "..."] = parameter(unit="ns", bounds=(1.0, 1e9), doc="duration of a read", logarithmic=True)
    window: Window | None = None

    def __check_init__(self):
        self._require_one_clock("sigma_0", "sigma_1", "t_0", "E_relax")

    @classmethod
    def from_card(cls, card: Card, acceptance: float = 0.2, *, clip: bool = True) -> "CMORetention":
        """The card's model with write-verify to `acceptance` per cent (0.2 or 2), clipped to its window or not."""
        if acceptance not in ACCEPTANCES:
            raise InputError("acceptance", f"be one of {', '.join(map(str, ACCEPTANCES))} per cent", acceptance)
        return card.build(
            cls,
            "retention",
            programming=card.build(LinearSpread, ACCEPTANCES[acceptance]),
            window=card.build(Window, "window") if clip else None,
        )

    def programming_sigma(self, target):
        return self.programming.sigma(target)

    def mean(self, state: RetentionState):
        return state.programmed + self.drift * jnp.maximum(self._log_time(state), 0.0)

    def sigma(self, state: RetentionState):
        return jnp.broadcast_to(self._deviation(state), state.programmed.shape)

    def trajectory(self, state: RetentionState):
        end = self.sigma_0 + self.sigma_1 * U_MAX
        share = (self._deviation(state) / jnp.where(end > 0, end, 1.0)) ** 2
        path = normalised_path(self.event_key(state, "relaxation"), share, state.programmed.shape)
        return self.mean(state) + self._deviation(state) * path

    def snapshots(
        self,
        state: RetentionState,
        seconds: Float[Array, " times"],
        temperature=ROOM_TEMPERATURE,
        *,
        coarse: bool = False,
    ) -> Float[Array, "times *devices"]:
        """Conductances [uS] at several times since programming, clipped: the same process by its increments.

        One draw per device and time where the Brownian path of `conductance` takes 14, for studies that want the
        same times of many arrays. The joint law of all times is that of a trajectory; the draws are others, so do
        not mix both for one array.

        Args:
            state: devices as programmed; their clock is not looked at.
            seconds: times [s], rising.
            temperature: of the whole rest [K].
            coarse: whether to take the cheaper `hfsim.draws.coarse_normals`, which end at 4.32 deviations.

        Raises:
            InputError: times that do not rise from 0 on.
        """
        if not isinstance(seconds, Tracer) and (np.ndim(seconds) != 1 or np.any(np.diff(seconds, prepend=0.0) < 0)):
            raise InputError("seconds", "be one axis of times that rise from 0 on", seconds)
        aged = jnp.asarray(seconds, state.programmed.dtype) * arrhenius_acceleration(self.E_relax, temperature)
        u = jnp.log(jnp.maximum(aged, 1e-30)) - jnp.log(self.t_0)
        variance = jnp.square(jnp.maximum(self.sigma_0 + self.sigma_1 * u, 0.0)) * (aged > 0)
        gained = variance - jnp.concatenate([jnp.zeros_like(variance[:1]), variance[:-1]])
        step = jnp.where(gained > 0, jnp.sqrt(jnp.where(gained > 0, gained, 1.0)), 0.0)
        draw, count = (coarse_normals, len(aged) + len(aged) % 2) if coarse else (normal, len(aged))
        draws = draw(self.event_key(state, "snapshots"), (count, *state.programmed.shape), state.programmed.dtype)
        # the sums below read each number once more; without the barrier XLA would draw it again for each
        draws = jax.lax.optimization_barrier(draws)
        G, result = state.programmed, []
        for i in range(len(aged)):
            G = G + step[i] * draws[i]
            result.append(self._clipped(G + self.drift * jnp.maximum(u[i], 0.0)))
        return jax.lax.optimization_barrier(jnp.stack(result))

    def read_sigma(self, state: RetentionState):
        decades = jnp.log10(jnp.maximum(self.conductance(state), 1.0))  # the law's own zero is at 1 uS
        return self.read_factor * self.K_read * decades * log_read_time(state.clock.seconds, self.t_read / NANOSECONDS)

    def _log_time(self, state: RetentionState):
        """ln(t/t_0), at t = 0 far below the time at which sigma is 0."""
        return jnp.log(jnp.maximum(state.clock.seconds, 1e-30)) - jnp.log(self.t_0)

    def _deviation(self, state: RetentionState):
        begun = state.clock.seconds > 0
        return jnp.where(begun, jnp.maximum(self.sigma_0 + self.sigma_1 * self._log_time(state), 0.0), 0.0)
