"""Device models: pulses a second, errors against tight-tolerance references, the price of gradients."""

from benchmarks import (
    device_rows_cmo,
    device_rows_ferroelectric,
    device_rows_jart,
    device_rows_pulsed,
    device_rows_switching,
)
from benchmarks.measure import Row

FAMILIES = (
    device_rows_ferroelectric,
    device_rows_switching,
    device_rows_cmo,
    device_rows_jart,
    device_rows_pulsed,
)


def rows() -> list[Row]:
    """The rows of every family of devices."""
    return [row for family in FAMILIES for row in family.rows()]
