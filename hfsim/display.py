"""How objects show themselves in a notebook: tables with units, in HTML."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

import numpy as np

_LISTED = 8
"""Most numbers of an array that are listed one by one; of more, mean, spread and shape are shown."""


def number(value: Any) -> str:
    """A value in few characters: itself, the list, or mean, standard deviation and shape of a population."""
    values = np.asarray(value)
    if values.ndim == 0:
        return f"{values.item():.4g}" if np.issubdtype(values.dtype, np.number) else str(value)
    if values.size <= _LISTED and values.ndim == 1:
        return ", ".join(f"{x:.4g}" for x in values)
    shape = " × ".join(map(str, values.shape))
    return f"{values.mean():.4g} ± {values.std():.2g} ({shape})"


def table(caption: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """An HTML table; every text is escaped."""

    def row(cells: Sequence[str], tag: str) -> str:
        return "<tr>" + "".join(f'<{tag} style="text-align:left">{escape(cell)}</{tag}>' for cell in cells) + "</tr>"

    body = "".join(row(cells, "td") for cells in rows)
    return (
        f'<table><caption style="text-align:left"><b>{escape(caption)}</b></caption>'
        f"<thead>{row(head, 'th')}</thead><tbody>{body}</tbody></table>"
    )


class Tabular(ABC):
    """What shows itself as a table, in a terminal and in a notebook."""

    @abstractmethod
    def table(self) -> list[list[str]]:
        """Rows of texts of one length, the head first."""

    @abstractmethod
    def _title(self) -> str: ...

    def __repr__(self) -> str:
        rows = self.table()
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        return "\n".join([self._title(), *lines])

    def _repr_html_(self) -> str:
        head, *rows = self.table()
        return table(self._title(), head, rows)
