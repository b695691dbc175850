"""Crossbars: the noisy product, a thousand chips through ten years, the network of wires."""

from benchmarks import crossbar_rows_kernel, crossbar_rows_wires
from benchmarks.measure import Row

FAMILIES = (crossbar_rows_kernel, crossbar_rows_wires)


def rows() -> list[Row]:
    """The rows of every family."""
    return [row for family in FAMILIES for row in family.rows()]
