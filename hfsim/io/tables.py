"""Tables of numbers in a text: header, units, rows, and the notes above them."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from hfsim.io.numbers import Style, cells, is_number, numeric_cells, value
from hfsim.io.text import Text, refusal, shown

MOST_COLUMNS = 4096
_COMMENT = "#%!;* \t"


class Table(NamedTuple):
    """A table of a file.

    Args:
        names: of its columns, as written; None where there is no header.
        units: a row of units below the names; None where there is none.
        line: of its first row, counted from 1.
        rows: NaN stands for an empty cell.
        notes: "key: value" lines above it, keys in small letters.
    """

    names: list[str] | None
    units: list[str] | None
    line: int
    rows: Float[np.ndarray, "rows columns"]
    notes: dict[str, str]


def find_tables(text: Text, style: Style) -> list[Table]:
    """All tables of a text, in order.

    Raises:
        InputError: a row that is cut, too long or no numbers, a header that does not fit, or no table at all.
    """
    widths = [numeric_cells(line, style.separator) for line in text.lines]
    least = 2 if any(width > 1 for width in widths) else 1
    found, notes, number, last = [], {}, 0, 0
    while number < len(text.lines):
        if widths[number] < least:
            _note(text.lines[number], notes)
            number += 1
            continue
        end = number
        while end < len(text.lines) and not _ends(text.lines[end], widths[end], style):
            end += 1
        header = _header(text, style, number)
        if header[0] is None and found and not any(line.strip() for line in text.lines[last:number]):
            header = found[-1].names, found[-1].units  # blank lines alone: another run of the same columns
        found.append(_table(text, style, number, end, header, dict(notes)))
        number = last = end
    if not found:
        raise refusal(text.name, "hold a table of numbers", "none", "see hfsim.io.read for the formats that it knows")
    return found


def _ends(line: str, width: int, style: Style) -> bool:
    """Whether a line is no row of the table above it: blank, a line of text, or the header of another table."""
    if width:
        return False
    parts = [part for part in cells(line, style.separator) if part]
    return not any(is_number(part) or part[0] in "+-.0123456789" for part in parts)


def _note(line: str, notes: dict[str, str]) -> None:
    key, colon, rest = line.strip(_COMMENT).partition(":")
    if colon and 0 < len(key) <= 80:
        notes[key.strip().lower()] = rest.strip(" \t,;")


def _table(text: Text, style: Style, start: int, end: int, header, notes: dict[str, str]) -> Table:
    rows = [cells(line, style.separator) for line in text.lines[start:end]]
    names, units = header
    width = len(names) if names else max(map(len, rows))
    while names is None and width > 1 and all(len(row) < width or not row[width - 1] for row in rows):
        width -= 1  # separators at the ends of lines
    if width > MOST_COLUMNS:
        raise refusal(text.name, f"hold at most {MOST_COLUMNS} columns", width, line=start + 1)
    numbers = np.full((len(rows), width), np.nan)
    for place, row in enumerate(rows):
        line = start + place + 1
        while len(row) > width and not row[-1]:
            row.pop()
        if len(row) != width:
            _refuse_row(text, style, line, len(row), width, names)
        for column, cell in enumerate(row):
            if cell:
                label = repr(names[column]) if names else str(column + 1)
                numbers[place, column] = value(text.name, line, cell, style.decimal, label)
    return Table(names, units, start + 1, numbers, notes)


def _refuse_row(text: Text, style: Style, line: int, length: int, width: int, names) -> None:
    wanted = f"hold {width} cells{' as the header does' if names else ''}"
    if line == len(text.lines) and length < width:
        remedy = "the file looks cut off: export it again"
    elif style.separator == "comma" and length == 2 * width:
        remedy = "its decimals look like commas: export with semicolons or tabs between the columns"
    else:
        remedy = "export it again, or mend the line"
    raise refusal(text.name, wanted, f"{length} cells", remedy, line=line)


def _header(text: Text, style: Style, start: int) -> tuple[list[str] | None, list[str] | None]:
    """Names and units in the lines above a table's first row."""
    above = [number for number in range(start) if text.lines[number].strip()][-2:]
    if not above or start - above[-1] > 2:
        return None, None
    width = len(_trimmed(cells(text.lines[start], style.separator)))
    last = _names(text.lines[above[-1]], style)
    if not last or any(map(is_number, last)):
        return None, None
    if len(above) == 2 and above[0] == above[1] - 1 and all(part.strip("[]() ") in _BARE_UNITS for part in last):
        names = _names(text.lines[above[0]], style)
        if len(names) == len(last):
            return names, [part.strip("[]() ") for part in last]
    if len(last) >= width or (len(last) > 1 and ":" not in text.lines[above[-1]]):
        if len(last) < width:
            double = style.separator == "comma" and width == 2 * len(last)
            remedy = (
                "its decimals look like commas: export with semicolons or tabs between the columns" if double else ""
            )
            raise refusal(
                text.name,
                f"name {width} columns, as the rows below it hold",
                f"{len(last)} names, {shown(text.lines[above[-1]].strip())}",
                remedy,
                line=above[-1] + 1,
            )
        return last, None
    return None, None


def _names(line: str, style: Style) -> list[str]:
    return _trimmed(cells(line.strip().lstrip("#%!* "), style.separator))


def _trimmed(parts: list[str]) -> list[str]:
    while parts and not parts[-1]:
        parts.pop()
    return parts


_BARE_UNITS = frozenset(
    f"{prefix}{unit}"
    for prefix in ("", "f", "p", "n", "u", "m", "k", "M", "G")
    for unit in ("V", "A", "C", "s", "S", "ohm", "Ohm")
) | {"uC/cm2", "uC/cm^2", "C/m2", "MV/cm", "kV/cm", "1", "-", "#", "sec", "Volts", "A/cm2", "min", "h", "d", "days"}
