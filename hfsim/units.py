"""The unit system, physical constants, and conversions.

Inside hfsim every number is in one system, chosen so that float32 values sit near 1:

    V, uA, uS, fF, fC, fJ, ns      (uA ns = fC, uS V = uA, fF V = fC, fC V = fJ)
    um, nm, K                      lengths and temperature
    uC/cm2, MV/cm                  polarisation and field, by the habit of the field
    s                              retention and drift times

SI appears only at the edges. `convert` goes between any two units of the same dimension; the
parser reads what a device card writes: "uS", "fF", "uC/cm2", "MV/cm", "uA/V2", "mV um", "1/K", "1".
"""

import re
from typing import NamedTuple

from hfsim.errors import InputError


class Unit(NamedTuple):
    """A unit as a factor to SI and its exponents over (kg, m, s, A, K)."""

    scale: float
    dimension: tuple[int, int, int, int, int]


BASE_UNITS: dict[str, Unit] = {
    "1": Unit(1.0, (0, 0, 0, 0, 0)),
    "m": Unit(1.0, (0, 1, 0, 0, 0)),
    "s": Unit(1.0, (0, 0, 1, 0, 0)),
    "A": Unit(1.0, (0, 0, 0, 1, 0)),
    "K": Unit(1.0, (0, 0, 0, 0, 1)),
    "V": Unit(1.0, (1, 2, -3, -1, 0)),
    "C": Unit(1.0, (0, 0, 1, 1, 0)),
    "F": Unit(1.0, (-1, -2, 4, 2, 0)),
    "S": Unit(1.0, (-1, -2, 3, 2, 0)),
    "ohm": Unit(1.0, (1, 2, -3, -2, 0)),
    "J": Unit(1.0, (1, 2, -2, 0, 0)),
    "eV": Unit(1.602176634e-19, (1, 2, -2, 0, 0)),
}
PREFIXES = {"f": 1e-15, "p": 1e-12, "n": 1e-9, "u": 1e-6, "m": 1e-3, "c": 1e-2, "k": 1e3, "M": 1e6, "G": 1e9}

BOLTZMANN = 8.617333262e-5
"""Boltzmann constant [eV/K]; times K it is also the thermal voltage kT/q in V."""
VACUUM_PERMITTIVITY = 8.8541878128e-3
"""Permittivity of vacuum [fF/um]."""
FIELD_OF_VOLT_PER_NM = 10.0
"""1 V/nm in MV/cm: E[MV/cm] = 10 V/t[nm]."""
CHARGE_OF_POLARISATION = 10.0
"""1 uC/cm2 in fC/um2: Q[fC] = 10 P[uC/cm2] A[um2]."""
FIELD_OF_POLARISATION = 1e-2 * CHARGE_OF_POLARISATION / VACUUM_PERMITTIVITY
"""Field of 1 uC/cm2 in vacuum, P/eps0 [MV/cm]: 11.29."""
NANOSECONDS = 1e9
"""Nanoseconds in a second: between pulse widths [ns] and waiting times [s]."""
ROOM_TEMPERATURE = 300.0
"""The temperature at which cards state their values [K]."""

_TIMES = {"s": 1.0, "min": 60.0, "h": 3600.0, "day": 86400.0, "week": 604800.0, "month": 2629800.0, "year": 31557600.0}
_TIME_NAMES = {"second": "s", "minute": "min", "hour": "h", "a": "year", "d": "day"}
_TIME = re.compile(r"\s*([0-9]+(?:\.[0-9]*)?(?:e[+-]?[0-9]+)?)\s*([a-z]+?)\s*")

_FACTOR = re.compile(r"([A-Za-z]+)(-?[1-9])?|1")


def _symbol(text: str, symbol: str) -> Unit:
    if symbol in BASE_UNITS:
        return BASE_UNITS[symbol]
    if symbol[0] in PREFIXES and symbol[1:] in BASE_UNITS and symbol[1:] != "1":
        base = BASE_UNITS[symbol[1:]]
        return Unit(PREFIXES[symbol[0]] * base.scale, base.dimension)
    raise InputError("unit", "be built of known symbols such as uS, fF, uC/cm2, MV/cm", repr(text))


def parse_unit(text: str) -> Unit:
    """Read a unit such as "uC/cm2" or "uA/V2": factors split by blanks, at most one "/" before the divisors.

    Raises:
        InputError: the text is no unit, or holds an unknown symbol.
    """
    scale, dimension = 1.0, [0, 0, 0, 0, 0]
    if not isinstance(text, str) or not text.strip():
        raise InputError("unit", "be a text such as uS or MV/cm", repr(text), 'write "1" for a pure number')
    parts = [part.split() for part in text.split("/")]
    if len(parts) > 2 or not all(parts):
        raise InputError("unit", 'have its divisors after one "/", as uC/cm2 has', repr(text))
    for position, part in enumerate(parts):
        for token in part:
            match = _FACTOR.fullmatch(token)
            if match is None:
                raise InputError("unit", "be built of known symbols such as uS, fF, uC/cm2, MV/cm", repr(text))
            unit = _symbol(text, match[1] or "1")
            exponent = int(match[2] or 1) * (1 if position == 0 else -1)
            scale *= unit.scale**exponent
            dimension = [d + exponent * e for d, e in zip(dimension, unit.dimension, strict=True)]
    return Unit(scale, (dimension[0], dimension[1], dimension[2], dimension[3], dimension[4]))


def factor(source: str, target: str) -> float:
    """The number that turns a value in unit `source` into one in unit `target`.

    Raises:
        InputError: the two units have different dimensions.
    """
    a, b = parse_unit(source), parse_unit(target)
    if a.dimension != b.dimension:
        raise InputError("unit", f"be of the same dimension as {target}", source)
    return a.scale / b.scale


def convert(value, source: str, target: str):
    """Convert `value` (number or array) from unit `source` to unit `target`."""
    return value * factor(source, target)


def thermal_voltage(temperature):
    """Thermal voltage kT/q [V] at `temperature` [K]."""
    return BOLTZMANN * temperature


def seconds(text: str) -> float:
    """A time such as "1 h", "7 days" or "10 years" in seconds; a year has 365.25 days, a month a twelfth of it.

    Raises:
        InputError: the text is no number followed by a unit of time.
    """
    match = _TIME.fullmatch(text) if isinstance(text, str) else None
    name = match[2] if match else ""
    for candidate in (name, name[:-1] if name.endswith("s") and len(name) > 3 else name):
        unit = _TIME_NAMES.get(candidate, candidate)
        if match and unit in _TIMES:
            return float(match[1]) * _TIMES[unit]
    raise InputError(
        "time", 'be a number with a unit of time, as in "10 years"', repr(text), f"units: {', '.join(_TIMES)}"
    )


def duration(time: float) -> str:
    """A time in seconds as a person says it: the largest unit that it holds, three digits."""
    for name, length in reversed(_TIMES.items()):
        if time >= length:
            number = f"{time / length:.3g}"
            return f"{number} {name}{'' if number == '1' or name in ('s', 'min', 'h') else 's'}"
    return f"{time:.3g} s"
