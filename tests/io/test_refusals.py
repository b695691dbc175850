"""What is no measurement is refused in one line that names file, line and what to do."""

import re

import numpy as np
import pytest

import hfsim.io
from hfsim import InputError
from hfsim.io import Trace
from hfsim.io.text import MOST_BYTES
from tests import instrument_files


def refusal(read, content, **arguments):
    with pytest.raises(InputError) as error:
        read(content, **arguments)
    text = str(error.value)
    assert "\n" not in text and len(text) < 400
    return text


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b" \n\t\n", "empty"),
        (b"\x00\x01\x02\x03" * 99, "line 1` must be text, but was binary"),
        (b"PK\x03\x04rest", "save the sheet"),
        (b"\xd0\xcf\x11\xe0rest", "save the sheet"),
        (b"\x89HDF rest", "HDF5"),
        (b"\xff\xfe\x00", "as its first bytes say"),
        ("just words\nand more", "must hold a table of numbers"),
        ("V (V),I (A)\n", "must hold a table of numbers"),
        ("V (V),I (A)\n1,2\n3,x\n", "line 3` must hold a number in column 'I (A)', but was 'x'"),
        ("V (V),I (A)\n1,2\n3,4 mA\n", "write units in the header only"),
        ("V (V),I (A)\n1,2\n3,NaN\n", "line 3` must hold a measured number"),
        ("V (V),I (A)\n1,2\n3,9.91E37\n", "overflow"),
        ("V (V),I (A)\n1,2\n,4\n3,4\n", "line 3` must hold a number in column 'V (V)', but was an empty cell"),
        ("V (V),I (A)\n1,2\n3\n", "line 3` must hold 2 cells as the header does, but was 1 cells: the file looks cut"),
        ("V (V),I (A)\n1,2\n3,4,5\n1,2\n", "line 3` must hold 2 cells"),
        ("V (V),I (A)\n0,5,1,5\n1,5,2,5\n", "decimals look like commas"),
        ("V (V);I (A)\n0,5;1.5\n", "line 2` must write all of its decimals with one mark"),
        ("V (V);I (A)\n0,5;1,5\n0.7;1.5\n", "line 3` must write all of its decimals with one mark"),
        ("V (A),I (A)\n1,2\n3,4\n", "a voltage, a unit such as V, but was 'A'"),
        ("V,I,x\n1,2,3\n3,4,5\n", "`units` must say the unit of column 'V'"),
        ("alpha,beta\n1,2\n3,4\n", "must have columns of known names"),
        ("1,2,3\n3,4,5\n", "`columns` must name the 3 columns"),
        ("1,2\n3,4\n", "`columns` must name the 2 columns"),
        ("t (s),V (V),I (A)\n0,1,1\n2,1,1\n1,1,1\n", "line 4` must have times that rise"),
        ("V (V)\n1\n2\n", "two columns that belong together"),
        ("n\n1\n2\n", "two columns that belong together"),
        ("V (V),I (A),I (A),V (V)\n1,2,3,4\n", "line 1` must name its columns so that it is clear which belong"),
        ("V (V),I (A),V (V),I (A),t (s)\n1,2,3,4,5\n", "number them, as in V1, I1, V2, I2, or remove one"),
        ("V (V),I (A),V (V),I (A),V1 (V),I1 (A)\n1,2,3,4,5,6\n", "clear which belong together"),
        ("V2 (V),I2 (A),V1 (V),I1 (A),I1 (A)\n1,2,3,4,5\n", "clear which belong together"),
        ("V_force (V),V_meas (V),I (A)\n1,2,3\n", "clear which belong together"),
        ("t (s),V (V),t (s),I (A)\n1,2,3,4\n", "clear which belong together"),
        ("Cycle,R (ohm)\n1,2\n2,0\n", "line 3` must hold resistances other than 0"),
        ("V (V)\tI (uA)\n1,000\t2,000\n", "line 2` must have commas that either mark decimals or group thousands"),
        ("Area (um2): 10,000\nV (V)\tP (uC/cm2)\n1\t2\n", "but was '10,000', 10 or 10000 um2: pass area= in um2"),
        ("Thickness (nm): 1,200\nV (V)\tP (uC/cm2)\n1\t2\n", "1.2 or 1200 nm: pass thickness= in nm"),
        ("cell1\n5\n", "must have columns of known names"),
    ],
)
def test_bad_files_are_refused(read, content, says):
    assert says in refusal(read, content)


def test_what_is_missing_from_a_file_is_asked_for(read):
    assert "`area` must be given in um2" in refusal(read, instrument_files.keithley_loop())
    assert "`area`" in refusal(read, instrument_files.keithley_pund())
    assert "`area`" in refusal(read, instrument_files.keithley_endurance())
    assert "`units` must say" in refusal(read, instrument_files.ramps())
    assert "`read_voltage`" in refusal(read, instrument_files.ramps(), units="A")
    assert "current, conductance or resistance" in refusal(read, instrument_files.ramps(), units="V")
    assert "0 ohm" in refusal(read, "run1\n0\n5\n", units="ohm")


def test_cut_files_are_noticed(read):
    text = instrument_files.easyexpert()
    assert "Dimension1" in refusal(read, text[: text.rindex("DataValue")])
    assert "cut off" in refusal(read, text[: text.rindex(",")])
    assert "must hold DataValue lines" in refusal(read, text[: text.index("DataValue")])
    table = instrument_files.aixacct()
    assert "clear which belong together" in refusal(read, table.replace("I3 A", "Time s"))
    assert "cut off" in refusal(read, table[: table.rindex("\t")])


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"area": -1.0}, "area"),
        ({"area": "big"}, "area"),
        ({"thickness": float("nan")}, "thickness"),
        ({"read_voltage": 0}, "read_voltage"),
        ({"separator": "|"}, "separator"),
        ({"decimal": ";"}, "decimal"),
        ({"columns": ["V [V]"]}, "columns"),
        ({"columns": "V"}, "columns"),
        ({"units": 3}, "units"),
        ({"units": {"V (V)": "parsec"}}, "units"),
    ],
)
def test_wrong_arguments_are_named(read, arguments, name):
    assert refusal(read, "V (V),I (A)\n1,2\n3,4\n", **arguments).startswith(f"`{name}`")


def test_paths_that_lead_nowhere(tmp_path):
    for path in (tmp_path / "none.csv", tmp_path, "\0", None):
        with pytest.raises(InputError):
            hfsim.io.read(path)
    huge = tmp_path / "huge.csv"
    with huge.open("wb") as file:
        file.truncate(MOST_BYTES + 1)
    with pytest.raises(InputError, match="must be at most 64 MiB"):
        hfsim.io.read(huge)


def test_a_trace_says_what_it_lacks(read):
    trace = read("V (V),P (uC/cm2)\n1,2\n3,4\n")[0]
    with pytest.raises(InputError, match="thickness= in nm"):
        trace["field"]
    with pytest.raises(InputError, match=re.escape("be one of voltage, polarisation")):
        trace["current"]
    for columns, units in (
        ({}, {}),
        ({"a": np.ones(2)}, {}),
        ({"a": np.ones(2), "b": np.ones(3)}, {"a": "V", "b": "V"}),
        ({"a": np.ones((2, 2))}, {"a": "V"}),
    ):
        with pytest.raises(InputError):
            Trace("x", "table", columns, units)
