"""What a column holds: its quantity from the name in the header, its unit, and the values in hfsim's units."""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from hfsim.errors import InputError
from hfsim.io.text import shown
from hfsim.units import factor, parse_unit, seconds

UNITS = {
    "time": "ns",
    "width": "ns",
    "voltage": "V",
    "amplitude": "V",
    "current": "uA",
    "charge": "fC",
    "polarisation": "uC/cm2",
    "switched": "uC/cm2",
    "field": "MV/cm",
    "conductance": "uS",
    "resistance": "ohm",
    "switched_positive": "fC",
    "switched_negative": "fC",
    "cycle": "1",
    "pulse": "1",
}
"""The quantities that readers know, with the unit in which a trace holds them (charges become polarisations later)."""
# the first that fits the whole name, in small letters and without its tag, decides
_PATTERNS = {
    "index": r"point|index|no\.?|sample|doublesweepseg|doublesweep|pundtest|pundendurance|reramsweep|line",
    "switched_positive": r"psw",
    "switched_negative": r"qsw",
    "width": r"pw|t_?pulse|t_?p|(pulse ?)?(width|length|duration)|pulsbreite",
    "amplitude": r"amp|amplitude|v_?pulse|v_?amp|pulse ?(amplitude|voltage|height)",
    "switched": r"del ?p|d_?p|delta ?p|δp|(switched|switching) ?polari[sz]ation",
    "time": r"t|time|timestamp|zeit|elapsed ?time",
    "voltage": r"[vu]|volt|voltage|spannung|v_?(force|meas|bias|plus|minus|app|drive|in)|[vu][+-]|\w+ voltage",
    "current": r"i|strom|stromstärke|i_?(meas|force)|(\w+ )?current",
    "charge": r"q|ladung|(\w+ )?charge",
    "polarisation": r"p|pol|polarisierung|(\w+ )?polari[sz]ation|p_?meas",
    "conductance": r"g|conductance|leitwert",
    "resistance": r"r|resistance|widerstand",
    "field": r"e|(electric )?field|feld(stärke)?",
    "cycle": r"cycles?|iterations?|zyklus",
    "pulse": r"n|#|pulses?( ?(no|number|#|index))?\.?|puls(nummer)?",
}
_NAMES = {quantity: re.compile(pattern) for quantity, pattern in _PATTERNS.items()}
_SPELLED = {
    "sec": "s", "secs": "s", "second": "s", "seconds": "s", "msec": "ms", "usec": "us", "nsec": "ns", "volt": "V",
    "volts": "V", "v": "V", "amp": "A", "amps": "A", "ampere": "A", "a": "A", "ohms": "ohm", "kohms": "kohm",
    "coulomb": "C", "siemens": "S", "micron": "um", "microns": "um", "min": "min", "mins": "min", "minute": "min",
    "minutes": "min", "hr": "h", "hrs": "h", "hour": "h", "hours": "h", "d": "day", "days": "day",
}  # fmt: skip
_LONG_TIMES = ("min", "h", "day")  # which `hfsim.units.seconds` knows


class Column(NamedTuple):
    """A column of a file, recognised.

    Args:
        header: its name as written, with its unit.
        quantity: one of `UNITS`, or "index", or "" where it is not known.
        tag: what tells it from others of its quantity: "1" of P1, "Drain" of DrainI.
        unit: as the file, the caller or the instrument says; "" where none does.
    """

    header: str
    quantity: str
    tag: str
    unit: str


def recognise(header: str, unit: str | None = None) -> Column:
    """The column of a name such as "V [V]", "Time (ms)", "P1 uC_per_cm2", "I/uA", "DrainI".

    Args:
        header: as written.
        unit: of a row of units below the names.
    """
    name, written = _split(header)
    written = unit if unit else written
    for candidate, found in ((name, written), _suffixed(name, written)):
        quantity, tag = _quantity(candidate)
        if quantity and (candidate == name or _fits(found, quantity)):
            return Column(header, quantity, tag, _spelled(found))
    return Column(header, "", "", _spelled(written))


def _split(header: str) -> tuple[str, str]:
    """(name, unit) of a header with brackets, a slash or a blank between them."""
    header = header.strip().strip('"').strip()
    for pattern in (r"(.+?)\s*[\[(]\s*([^\[\]()]*?)\s*[\])]", r"([^/]+?)\s*/\s*(.+)", r"([^,]+),\s*(.+)"):
        match = re.fullmatch(pattern, header)
        if match and _is_unit_of(match[1], match[2]):
            return match[1], match[2]
    match = re.fullmatch(r"(.+?)\s*[\[(]\s*([^\[\]()]+?)\s*[\])](.*)", header)
    if match and match[2].isdigit():  # a number that tells runs apart: "AnodeI (2)"
        return f"{match[1].strip()}{match[2]}", _split(f"x {match[3]}")[1] if match[3].strip() else ""
    name, blank, last = header.rpartition(" ")
    return (name, last) if blank and _is_unit_of(name, last) else (header, "")


def _suffixed(name: str, written: str) -> tuple[str, str]:
    """The name without a unit joined by "_": I_uA, P_uC_cm2."""
    parts = name.split("_")
    for place in range(1, len(parts)):
        unit = "/".join(parts[place:]) if len(parts) - place == 2 else "_".join(parts[place:])
        stem = "_".join(parts[:place])
        if _is_unit_of(stem, unit) and not (written and _spelled(unit) in _LONG_TIMES):  # t_d [ns] is a delay
            return stem, written or unit
    return name, written


def _spelled(unit: str) -> str:
    """A unit in the spelling of `hfsim.units`; unchanged where it is none."""
    text = unit.strip().replace("_per_", "/").replace("^", "").replace("*", " ").replace("·", " ").replace("Ohm", "ohm")
    known = _SPELLED.get(text) or (_SPELLED.get(text.lower()) if len(text) > 2 else None)
    return known or text


def _is_unit_of(name: str, text: str) -> bool:
    """Whether a text beside a name is a unit: "min" is one beside a time; "V min" is the least voltage."""
    spelled = _spelled(text)
    if spelled in _LONG_TIMES:
        return _quantity(name)[0] in ("time", "width")
    if not spelled or spelled.isdigit():
        return False
    try:
        parse_unit(spelled)
    except InputError:
        return False
    return True


def _fits(unit: str, quantity: str) -> bool:
    """Whether a unit may be one of the quantity, or there is none."""
    if not unit or quantity not in UNITS:
        return True
    try:
        _factor(unit, UNITS[quantity])
    except InputError:
        return False
    return True


def _factor(unit: str, wanted: str) -> float:
    """`factor` of a unit as people write it."""
    spelled = _spelled(unit)
    if spelled in _LONG_TIMES:
        return seconds(f"1 {spelled}") * factor("s", wanted)
    return factor(spelled, wanted)


def _quantity(name: str) -> tuple[str, str]:
    """(quantity, tag) of a name without its unit."""
    if name == "T":
        return "", ""  # a temperature
    small = re.sub(r"\s+", " ", name.strip().lower())
    small = {"vplus": "v+", "vminus": "v-"}.get(small, small)
    for text, tag in ((small, ""), _tagged(small)):
        for quantity, pattern in _NAMES.items():
            if text and pattern.fullmatch(text):
                return quantity, tag or (text[1:] if text in ("v+", "v-") else "")
    electrode = re.fullmatch(r"(\w*[A-Za-z])_?([VI])([0-9]*)", name.strip())
    if electrode:
        return {"V": "voltage", "I": "current"}[electrode[2]], electrode[1] + electrode[3]
    return "", ""


def _tagged(name: str) -> tuple[str, str]:
    match = re.fullmatch(r"(.*?)[ _(]*([0-9]+)\)?", name)
    return (match[1], match[2]) if match else ("", "")


def converted(name: str, column: Column, values: Float[np.ndarray, " rows"], units: Mapping[str, str] | str | None):
    """Values of a column in the unit of its quantity.

    Args:
        name: of the file.
        column: recognised.
        values: as written.
        units: what the caller says: by header or quantity, or one unit for all.

    Raises:
        InputError: there is no unit, or it is none of the quantity.
    """
    given = units if isinstance(units, str) else (units or {}).get(column.header, (units or {}).get(column.quantity))
    unit = given if given else column.unit
    wanted = UNITS[column.quantity]
    if not unit:
        if wanted == "1":
            return values
        raise InputError(
            "units",
            f"say the unit of column {shown(column.header)} of {name}, a {column.quantity}",
            "missing from the file",
            f"pass units={{{column.header!r}: {wanted!r}}} or another unit of it",
        )
    try:
        return values * _factor(unit, wanted)
    except InputError as error:
        where = "units" if given else name
        raise InputError(
            where,
            f"give {shown(column.header)}, a {column.quantity}, a unit such as {wanted}",
            shown(unit),
            "rename the column, or pass units=" if not given else "",
        ) from error


def seen(columns: Sequence[Column]) -> str:
    """A line on what columns were taken for, as `Measurement` prints it."""
    known, rest = [], []
    for column in columns:
        if column.quantity in ("", "index"):
            rest.append(column.header)
        else:
            known.append(f"{column.header} = {column.quantity}{f' in {column.unit}' if column.unit else ''}")
    return f"columns: {'; '.join(known)}{f'; left out: {", ".join(rest)}' if rest else ''}"
