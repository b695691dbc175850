"""Traces: rows, new columns, figures, xarray, simulated curves and the measured files."""

from pathlib import Path

import numpy as np
import pytest

import hfsim.io
from hfsim.devices.ferroelectric.measurements import HysteresisLoop
from hfsim.io import Trace
from tests.instrument_files import FILES

MEASURED = Path(__file__).resolve().parents[2] / "../shared/data/measured"


@pytest.fixture
def sweep():
    return Trace(
        "a", "sweep", {"voltage": np.arange(4.0), "current": np.arange(4.0) ** 2}, {"voltage": "V", "current": "uA"}
    )


def test_rows_and_columns(sweep):
    assert len(sweep) == 4 and "voltage" in sweep and "time" not in sweep
    np.testing.assert_array_equal(sweep.where(sweep["voltage"] > 1)["current"], [4, 9])
    more = sweep.with_column("conductance", np.ones(4), "uS")
    assert more.units["conductance"] == "uS" and "conductance" not in sweep
    assert "current [uA]" in repr(sweep)


def test_one_trace_after_another(sweep):
    timed = sweep.with_column("time", np.arange(4.0) + 1, "ns")
    both = timed.then(timed.where(slice(0, 2)), "both")
    np.testing.assert_array_equal(both["time"], [1, 2, 3, 4, 5, 6])
    np.testing.assert_array_equal(both["current"], [0, 1, 4, 9, 0, 1])
    assert both.name == "both" and "time" not in sweep.then(timed)
    with pytest.raises(hfsim.InputError, match="have current in uA"):
        sweep.then(sweep.with_column("current", np.ones(4), "nA"))


def test_an_xarray_dataset_keeps_units(sweep):
    found = sweep.to_xarray()
    assert found["current"].attrs["units"] == "uA" and found.attrs["kind"] == "sweep"
    np.testing.assert_array_equal(found["current"], sweep["current"])


def test_a_simulated_loop_is_a_trace():
    v = np.linspace(0, 1, 5)
    seen = HysteresisLoop(v, 10 * v, v**2, v**3, v)
    trace = Trace.of(seen, "simulated")
    assert trace.units["field"] == "MV/cm" and trace.axes == ("voltage", "polarisation")
    with pytest.raises(hfsim.InputError, match="labelled result"):
        Trace.of((1, 2), "no")


def test_figures_have_labels_with_units(read, sweep):
    import matplotlib.pyplot as plt

    axes = sweep.plot()
    assert axes.get_xlabel() == "voltage (V)" and axes.get_ylabel() == "current (uA)"
    make, arguments = FILES["switching"]
    axes = read(make(), **arguments).plot()
    assert axes.get_xscale() == "log" and len(axes.lines) == 2
    with pytest.raises(hfsim.InputError):
        sweep.plot(x="time")
    plt.close("all")


def test_the_measured_files_are_what_their_page_says():
    needed = ["aixacct_hfo2_100Hz_4V.tsv", "b1500_easyexpert_iv.csv", "hzo_switching_kinetics_literature.csv"]
    if not all((MEASURED / name).exists() for name in needed):
        pytest.skip(f"needs {', '.join(needed)}, no part of the project, in {MEASURED}")
    loop, sweep, table = (hfsim.io.read(MEASURED / name) for name in needed)
    assert loop["P1"].about["area"] == pytest.approx(1e4, rel=1e-3)  # stated: 1e4 um2
    assert np.ptp(loop["P1"]["time"]) == pytest.approx(1e7) and np.max(loop["P3"]["voltage"]) == pytest.approx(
        4, rel=0.02
    )
    assert len(sweep[0]) == 201 and np.max(sweep[0]["voltage"]) == pytest.approx(0.05)
    assert sum(map(len, table)) == 286 and len(table) == 13
