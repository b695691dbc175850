"""The JART VCM v1b memristor."""

import jax
import jax.numpy as jnp

import hfsim
from hfsim.devices import Pulse
from hfsim.devices.memristor.jart import JartVCM
from tests.device_cases import Case


def life(device):
    """A partial SET, a full one, a RESET that nears N_min, each read, and a day of rest: mean ln G and a current."""

    def step(state, pulse):
        state = device.wait(device.apply(state, pulse, temperature=310.0), 86400.0)
        return state, jnp.log(device.conductance(state))

    pulses = Pulse([-0.7, -1.2, 1.2], [3e4, 1e3, 1e6])
    state, logarithms = jax.lax.scan(step, device.init(()), pulses)
    return jnp.mean(logarithms) + device.current(state, 0.9) / 1e3


CASES = [
    Case("jart", lambda: JartVCM.from_card(hfsim.load_card("jart-vcm-v1b")), life),
]
