"""Each format becomes the curves that were written, in hfsim's units, and says what it was taken for."""

import numpy as np
import pytest

from tests import instrument_files
from tests.instrument_files import FILES, loop


@pytest.mark.parametrize("name", FILES)
def test_every_format_is_recognised_and_prints_itself(read, name):
    make, arguments = FILES[name]
    found = read(make(), **arguments)
    assert len(found) >= 1 and len({trace.name for trace in found}) == len(found)
    assert "split by" in str(found) or "EasyEXPERT" in str(found)
    assert found.file == "x.csv" and len(found.checksum) == 64
    assert "<table>" in found._repr_html_() and "<table>" in found[0]._repr_html_()


def test_aixacct_has_three_loops_each_with_its_own_drive(read):
    t, v, i, p = loop()
    found = read(instrument_files.aixacct(), thickness=13.0)
    assert found.instrument == "aixACCT hysteresis" and [trace.name for trace in found] == ["P1", "P2", "P3"]
    np.testing.assert_allclose(found["P1"]["time"], t * 1e9, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(found["P1"]["voltage"], v, atol=1e-6)
    np.testing.assert_allclose(found["P3"]["voltage"], -v, atol=1e-6)
    np.testing.assert_allclose(found["P3"]["polarisation"], -p, atol=1e-5)
    np.testing.assert_allclose(found["P1"]["current"], i * 1e6, rtol=1e-5)
    np.testing.assert_allclose(found["P1"]["field"], 10 * v / 13, atol=1e-6)
    # the instrument divided by 1e4 um2: seen in its current
    assert found["P1"].about["area"] == pytest.approx(1e4, rel=0.02)
    assert "area used by the instrument" in str(found)


def test_an_area_of_the_caller_rescales_what_the_instrument_divided(read):
    _, _, _, p = loop()
    found = read(instrument_files.aixacct(), area=2e4)
    np.testing.assert_allclose(found["P1"]["polarisation"], p / 2, rtol=0.02, atol=0.05)
    assert "rescaled" in str(found)
    same = read(instrument_files.aixacct(), area=1e4)
    np.testing.assert_allclose(same["P1"]["polarisation"], p, atol=1e-5)


def test_aixacct_notes_give_area_and_thickness(read):
    found = read(instrument_files.aixacct_ascii())
    assert len(found) == 6
    assert found[0].about["area"] == 1e4 and found[0].about["thickness"] == 13
    halved = read(instrument_files.aixacct_ascii(), area=2e4)
    np.testing.assert_allclose(halved[0]["polarisation"], found[0]["polarisation"] / 2, rtol=1e-6)


def test_charge_over_area_is_polarisation(read):
    # P[uC/cm2] = Q[C]/(A[um2] 1e-8) 1e6
    _, v, i, p = loop()
    found = read(instrument_files.keithley_loop(), area=250.0)["loop"]
    charge = p * 1e-10
    np.testing.assert_allclose(found["polarisation"], charge / (250.0 * 1e-8) * 1e6, rtol=1e-12)
    np.testing.assert_allclose(found["charge"], charge * 1e15, rtol=1e-12)
    np.testing.assert_allclose(found["voltage"], v)
    np.testing.assert_allclose(found["current"], i * 1e6)


def test_pund_currents_are_integrated(read):
    found = read(instrument_files.keithley_pund(), area=100.0)["pund"]
    step = np.diff(found["time"]) * 0.5 * (found["current"][1:] + found["current"][:-1])
    np.testing.assert_allclose(np.diff(found["charge"]), step, rtol=1e-9)  # uA ns = fC
    np.testing.assert_allclose(found["polarisation"], found["charge"] / 1e3)


def test_endurance_is_switched_polarisation_over_cycles(read):
    found = read(instrument_files.keithley_endurance(), area=1e4)["endurance"]
    np.testing.assert_allclose(found["cycle"], [1, 10, 100, 1000, 10000])
    np.testing.assert_allclose(found["switched_positive"], 3.0 * (1 - 0.1 * np.arange(5)))
    assert found.units["switched_positive"] == "uC/cm2"


def test_a_second_sweep_of_easyexpert_makes_a_trace_of_each_step(read):
    found = read(instrument_files.easyexpert(2))
    assert [trace.kind for trace in found] == ["sweep", "sweep"]
    np.testing.assert_allclose(found[1]["current"], 2 * found[0]["current"])
    np.testing.assert_allclose(found[0]["current"], 1.25 * found[0]["voltage"], rtol=1e-12)


def test_radiant_groups_of_thousands_and_sample_are_read(read):
    t, v, _, p = loop()
    found = read(instrument_files.radiant())["loop"]
    np.testing.assert_allclose(found["time"], np.round(t * 1e6, 2) * 1e6, rtol=1e-12)
    np.testing.assert_allclose(found["polarisation"], p, atol=1e-4)
    assert found.about["area"] == pytest.approx(1e4) and found.about["thickness"] == pytest.approx(13.0)


def test_ramps_are_ragged_conductances(read):
    found = read(instrument_files.ramps(), units="A", read_voltage=0.1)
    assert [len(trace) for trace in found] == [12, 14, 11]
    assert found[0]["conductance"][0] == pytest.approx(160.0) and np.all(found[0]["direction"] == 1)
    same = read(instrument_files.ramps(), units={"rmp1": "A"}, read_voltage=0.1)
    np.testing.assert_array_equal(same[2]["conductance"], found[2]["conductance"])
    resistances = read("run1\n2000\n1000\n", units="ohm")
    np.testing.assert_allclose(resistances[0]["conductance"], [500, 1000])


def test_two_columns_without_a_header_are_pulses_up_and_down(read):
    found = read(instrument_files.up_and_down(), units="uS")
    assert [trace.name for trace in found] == ["up", "down"]
    np.testing.assert_allclose(found["down"]["conductance"], 50 - np.arange(20.0))
    assert np.all(found["down"]["direction"] == -1)


def test_pulses_of_given_voltage_and_width_are_a_train(read):
    found = read("V (V),width (us),G (uS)\n1.2,1,10\n1.2,1,12\n-1,10,7\n")[0]
    assert found.kind == "train"
    np.testing.assert_allclose(found["width"], [1e3, 1e3, 1e4])
    np.testing.assert_allclose(found["voltage"], [1.2, 1.2, -1])


def test_a_table_of_pulses_has_a_trace_for_each_amplitude(read):
    found = read(instrument_files.switching())
    assert [trace.name for trace in found] == ["0.8 V", "1.2 V"]
    np.testing.assert_allclose(found[0]["width"], [1e3, 1e4, 1e5])
    microseconds = read(instrument_files.switching(), units={"pw": "us"})
    np.testing.assert_allclose(microseconds[0]["width"], np.array([1e-3, 1e-2, 1e-1]))
    assert "taken as usual" in str(found)


def test_decimal_commas_semicolons_and_german_names(read):
    t, v, _, p = loop(12)
    text = instrument_files.german()
    for content in (text, text.encode("utf-16"), text.removeprefix("\ufeff").encode("cp1252")):
        found = read(content)["loop"]
        np.testing.assert_allclose(found["time"], t * 1e9, rtol=1e-9, atol=1e-6)
        np.testing.assert_allclose(found["voltage"], v, atol=1e-12)
        np.testing.assert_allclose(found["polarisation"], p)
    assert "decimal commas" in str(read(text))
    quoted = read('V (V),I (uA)\n"0,5","1,25"\n"1,0","2,5"\n')[0]
    np.testing.assert_allclose(quoted["current"], [1.25, 2.5])


@pytest.mark.parametrize(
    ("header", "factor"),
    [("I (mA)", 1e3), ("I/nA", 1e-3), ("Current [A]", 1e6), ("I_uA", 1.0), ("I3 A", 1e6), ("AnodeI (pA)", 1e-6)],
)
def test_units_in_the_header_are_converted(read, header, factor):
    found = read(f"V [V];{header}\n0.1;2.0\n0.2;4.0\n")[0]
    np.testing.assert_allclose(found["current"], [2 * factor, 4 * factor])


def test_a_row_of_units_below_the_names(read):
    found = read(instrument_files.two_line_header())[0]
    np.testing.assert_allclose(found["current"], 2.0 * np.arange(10))


def test_runs_side_by_side_and_below_one_another(read):
    side = read("AV(1),AI(1),AV(2),AI(2)\n0,1,0,2\n1,3,1,4\n", units={"voltage": "V", "current": "A"})
    np.testing.assert_allclose(side[1]["current"], [2e6, 4e6])
    below = read("V (V)\tI (A)\n0\t1\n1\t2\n\n0\t3\n1\t4\n")
    np.testing.assert_allclose(below[1]["current"], [3e6, 4e6])
    several = read("Vd (V),I1 (A),I2 (A)\n0,1,5\n1,2,6\n".replace("Vd", "V"))
    assert len(several) == 2 and np.all(several[0]["voltage"] == several[1]["voltage"])


def test_fields_become_voltages_with_the_thickness(read):
    text = "E (MV/cm),P (uC/cm2)\n-1,-3\n0,1\n1,4\n"
    np.testing.assert_allclose(read(text, thickness=8.0)[0]["voltage"], [-0.8, 0, 0.8])
    with pytest.raises(ValueError, match="`thickness` must be given in nm"):
        read(text)
