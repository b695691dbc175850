"""What one device does, as an instrument would show it."""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key

from hfsim.devices.ferroelectric import FerroelectricCapacitor, hysteresis_loop, switching_map
from hfsim.devices.interface import AbstractMemristor
from hfsim.devices.pulse import Pulse
from hfsim.devices.pulsed import AbstractPulsedDevice
from hfsim.devices.retention import AbstractRetention
from hfsim.devices.train import checkpointed_scan
from hfsim.draws import address, stream
from hfsim.errors import InputError
from hfsim.hybrid.transfers import AbstractTransfer
from hfsim.hybrid.words import CODES
from hfsim.plot.axes import new_axes
from hfsim.units import ROOM_TEMPERATURE

_YEARS = 10 * 365.25 * 86400.0
"""Ten years [s]."""
_TIMES = np.geomspace(1.0, _YEARS, 25)


def hysteresis(capacitor: FerroelectricCapacitor, voltages: Sequence[float], *, period: float = 1e6, axes=None):
    """P-V loops of a ferroelectric capacitor, one for each amplitude.

    Args:
        capacitor: one device.
        voltages: amplitudes [V] of the triangles.
        period: of a triangle [ns].
        axes: matplotlib axes to draw in; None makes a figure.

    Returns:
        The axes.
    """
    if not np.size(voltages):
        raise InputError("voltages", "hold one amplitude at least", voltages)
    axes = new_axes() if axes is None else axes
    loop = eqx.filter_jit(lambda device, V: hysteresis_loop(device, V, period, steps=200))
    for voltage in voltages:
        seen = loop(capacitor, jnp.asarray(voltage))
        axes.plot(seen.voltage, seen.polarisation, label=f"{voltage:g} V")
    axes.set(xlabel="voltage [V]", ylabel="polarisation [uC/cm2]", title=f"triangle of {period / 1e6:g} ms")
    axes.legend(frameon=False, fontsize=8)
    return axes


def switching(capacitor: FerroelectricCapacitor, voltages: Sequence[float], *, axes=None):
    """Polarisation that one pulse moves from saturation down, against its width, for each amplitude [V]."""
    axes = new_axes() if axes is None else axes
    widths = jnp.geomspace(1.0, 1e9, 46)
    found = eqx.filter_jit(switching_map)(capacitor, jnp.asarray(voltages, float), widths)
    for voltage, moved in zip(voltages, np.asarray(found.switched), strict=True):
        axes.semilogx(np.asarray(widths) * 1e-9, moved, label=f"{voltage:g} V")
    axes.set(xlabel="width of the pulse [s]", ylabel="switched polarisation [uC/cm2]", title="one pulse")
    axes.legend(frameon=False, fontsize=8)
    return axes


def staircase(
    memristor: AbstractMemristor,
    first: float,
    second: float,
    *,
    dwell: float = 1e3,
    steps: int = 40,
    key: Key[Array, ""] | None = None,
    axes=None,
):
    """Conductance at the read voltage after each pulse of a staircase 0, first, 0, second, 0.

    Args:
        memristor: one device, fresh.
        first, second: ends of the staircase [V], of either sign.
        dwell: width of each pulse [ns].
        steps: pulses of each of the four flanks.
        key: for devices whose state or pulses hold draws.
        axes: matplotlib axes to draw in; None makes a figure.

    Returns:
        The axes.
    """
    axes = new_axes() if axes is None else axes
    corners = np.array([0.0, first, 0.0, second, 0.0])
    voltages = np.interp(np.linspace(0, 4, 4 * steps + 1)[1:], np.arange(5.0), corners)
    G = np.asarray(_conductances(memristor, jnp.asarray(voltages, float), jnp.asarray(dwell, float), key))
    axes.semilogy(voltages, np.maximum(G, 1e-3))
    axes.set(xlabel="voltage of the pulse [V]", ylabel="conductance [uS]", title=f"pulses of {dwell:g} ns")
    return axes


@eqx.filter_jit
def _conductances(memristor: AbstractMemristor, voltages, width, key):
    def step(state, sample):
        voltage, number = sample
        own = None if key is None else address(key, number)
        state = memristor.apply(state, Pulse(voltage, width), own)
        return state, memristor.conductance(state)

    start = memristor.init((), None if key is None else stream(key, "device"))
    return checkpointed_scan(step, start, (voltages, jnp.arange(len(voltages))), length=len(voltages))[1]


def pulse_train(device: AbstractPulsedDevice, *, pulses: int = 60, devices: int = 4, axes=None):
    """Conductance of some fresh devices over `pulses` identical pulses up and as many down."""
    axes = new_axes() if axes is None else axes
    G = np.asarray(_pulsed(device, pulses, devices))
    axes.plot(np.arange(1, 2 * pulses + 1), G, lw=0.9)
    axes.set(xlabel=f"pulse ({pulses} up, {pulses} down)", ylabel="conductance [uS]", title="identical pulses")
    return axes


@eqx.filter_jit
def _pulsed(device: AbstractPulsedDevice, pulses: int, devices: int):
    def step(state, number):
        direction = jnp.where(number < pulses, 1, -1)
        state = device.step(state, direction, jax.random.fold_in(jax.random.key(0), number))
        return state, device.conductance(state)

    start = device.init((devices,), jax.random.key(1))
    return jax.lax.scan(step, start, jnp.arange(2 * pulses))[1]


def relaxation(model: AbstractRetention, targets: Sequence[float], *, temperature: float = ROOM_TEMPERATURE, axes=None):
    """Mean conductance and one standard deviation over ten years, programmed to each of `targets` [uS]."""
    axes = new_axes() if axes is None else axes

    @jax.jit
    def law(seconds):
        state = model.program(model.init((len(targets),), jax.random.key(0)), jnp.asarray(targets, float))
        state = model.wait(state, seconds, temperature)
        return model.mean(state), model.sigma(state)

    mean, sigma = map(np.asarray, jax.lax.map(law, jnp.asarray(_TIMES, float)))
    for place, target in enumerate(targets):
        (line,) = axes.semilogx(_TIMES, mean[:, place], label=f"{target:g} uS")
        low, high = mean[:, place] - sigma[:, place], mean[:, place] + sigma[:, place]
        axes.fill_between(_TIMES, low, high, color=line.get_color(), alpha=0.2, lw=0)
    axes.set(xlabel="time since programming [s]", ylabel="conductance [uS]", title=f"at rest, {temperature:g} K")
    axes.legend(fontsize=8, framealpha=0.7)
    return axes


def levels(transfer: AbstractTransfer, *, draws: int = 2000, axes=None):
    """Conductances of the eight codes: histograms of `draws` transfers of each, the means on top."""
    axes = new_axes() if axes is None else axes
    G = np.asarray(_transferred(transfer, draws))
    means = np.asarray(transfer.levels())
    bins = np.linspace(min(0.0, G.min()), G.max(), 80)
    for code in range(CODES):
        axes.hist(G[code], bins, histtype="stepfilled", alpha=0.5, label=f"{code}: {means[code]:.1f}")
    for mean in means:
        axes.axvline(mean, color="0.3", lw=0.6)
    axes.set(xlabel="conductance [uS]", ylabel=f"of {draws} transfers", title="levels of the codes")
    axes.legend(frameon=False, fontsize=7, title="code: mean [uS]", title_fontsize=7)
    return axes


@eqx.filter_jit
def _transferred(transfer: AbstractTransfer, draws: int):
    key = jax.random.key(0)
    codes = jnp.broadcast_to(jnp.arange(float(CODES))[:, None], (CODES, draws))
    devices = transfer.fabricate(codes.shape, jax.random.fold_in(key, 0))
    return transfer.target(codes, jnp.zeros(codes.shape, bool), devices, jax.random.fold_in(key, 1))
