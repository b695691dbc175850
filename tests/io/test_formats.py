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


@pytest.mark.parametrize(
    ("header", "curves"),
    [
        ("V [V],I [A],V [V],I [A]", {"1": (0, 1), "2": (2, 3)}),
        ("V [V],I [A],I [A]", {"1": (0, 1), "2": (0, 2)}),
        ("V [V],Drain current [A],Gate current [A]", {"1": (0, 1), "2": (0, 2)}),
        ("t [s],V [V],I [A],V [V],I [A]", {"1": (1, 2), "2": (3, 4)}),
        ("V1 [V],I1 [A],V1 [V],I1 [A],V2 [V],I2 [A]", {"1 (1)": (0, 1), "1 (2)": (2, 3), "2": (4, 5)}),
    ],
)
def test_columns_alike_are_numbered(read, header, curves):
    columns = header.count(",") + 1
    content = "\n".join(",".join(f"{10 * place + row}" for place in range(columns)) for row in range(3))
    for found in (
        read(f"{header}\n{content}\n"),
        read(f"{content}\n", columns=header.split(",")),
    ):
        assert [trace.name for trace in found] == [*curves]
        for name, (voltage, current) in curves.items():
            np.testing.assert_array_equal(found[name]["voltage"], 10 * voltage + np.arange(3))
            np.testing.assert_allclose(found[name]["current"], (10 * current + np.arange(3)) * 1e6)
            assert ("time" in found[name]) == header.startswith("t ")
        assert "columns alike, numbered: 1" in str(found)


def test_loops_alike_side_by_side(read):
    found = read("V [V],P [uC/cm2],V [V],P [uC/cm2]\n0,1,2,3\n1,2,3,5\n")
    assert [(trace.kind, trace.name) for trace in found] == [("loop", "1"), ("loop", "2")]
    np.testing.assert_array_equal(found["1"]["polarisation"], [1, 2])
    np.testing.assert_array_equal(found["2"]["voltage"], [2, 3])
    assert "numbered: 1 of V [V], P [uC/cm2]; 2 of V [V], P [uC/cm2]" in str(found)


def test_easyexpert_names_that_recur_or_have_one_letter(read):
    text = instrument_files.easyexpert(2).replace("DataName,", "DataName, DrainV, DrainI,")
    found = read(text.replace("DataValue,", "DataValue, 7, 8,"))
    assert [trace.name for trace in found] == ["Drain (1) 1", "Drain (2) 1", "Drain (1) 2", "Drain (2) 2"]
    np.testing.assert_array_equal(found["Drain (1) 2"]["current"], np.full(11, 8e6))
    np.testing.assert_allclose(found["Drain (2) 2"]["current"], 2.5 * found["Drain (2) 2"]["voltage"], rtol=1e-12)
    assert str(found).count("numbered") == 1
    text = instrument_files.easyexpert().replace("DrainI, SrcI", "Id, Ig").replace("DrainV, SrcV", "Vd, Vg")
    text = text.replace("DataName, DrainV, DrainI", "DataName, Vg, Ig, Vd, Id").replace(
        "DataValue,", "DataValue, 7, 8,"
    )
    found = read(text)
    assert [trace.name for trace in found] == ["g", "d"]
    np.testing.assert_array_equal(found["g"]["voltage"], np.full(11, 7.0))
    np.testing.assert_allclose(found["d"]["current"], 1.25 * found["d"]["voltage"], rtol=1e-12)


def test_aixacct_loops_of_one_name(read):
    t, v, i, p = loop()
    text = instrument_files.aixacct().replace("I2 A\tP2", "I1 A\tP1")
    found = read(text)
    assert [trace.name for trace in found] == ["P1 (1)", "P1 (2)", "P3"]
    np.testing.assert_allclose(found["P1 (2)"]["polarisation"], p, atol=1e-5)


def test_a_voltage_without_a_current_is_said_to_be_left_out(read):
    found = read("V1 (V),I1 (A),V3 (V),I2 (A)\n0,1,2,3\n1,2,3,5\n")
    assert [trace.name for trace in found] == ["1", "2"] and "of no curve, left out: V3 (V)" in str(found)


@pytest.mark.parametrize(
    ("header", "key", "unit", "factor"),
    [
        ("Time (s),G (uS)", "time", "ns", 1e9),
        ("t (min),R (kohm)", "time", "ns", 60e9),
        ("Time [days],I (nA)", "time", "ns", 86400e9),
        ("Zeit / h,I (nA)", "time", "ns", 3600e9),
        ("Cycle,R [kohm]", "cycle", "1", 1.0),
        ("Cycle,I (nA)", "cycle", "1", 1.0),
    ],
)
def test_conductance_over_time_or_cycles_is_a_table(read, header, key, unit, factor):
    x, value = np.array([1.0, 10, 100, 1000]), np.array([50.0, 40, 25, 20])
    content = "\n".join([header, *(f"{a},{b}" for a, b in zip(x, value, strict=True))])
    trace = read(content, read_voltage=0.1)["table"]
    # 1e6/R[ohm] is 1e3/R[kohm]; I[nA] 1e-3/0.1 V
    wanted = {"G": value, "R": 1e3 / value, "I": value * 1e-2}[header.partition(",")[2][0]]
    np.testing.assert_allclose(trace["conductance"], wanted)
    np.testing.assert_allclose(trace[key], x * factor)
    assert (trace.units[key], trace.units["conductance"]) == (unit, "uS")
    assert trace.kind == "table" and trace.axes == (key, "conductance")
    turned = "\n".join(",".join(reversed(line.split(","))) for line in content.split("\n"))
    assert read(turned, read_voltage=0.1)[0].axes == (key, "conductance")


def test_currents_over_minutes_need_no_read_voltage(read):
    trace = read("t (min),I (A)\n1,5e-6\n10,4e-6\n")[0]
    np.testing.assert_allclose(trace["time"], [60e9, 600e9])
    np.testing.assert_allclose(trace["current"], [5, 4])
    assert "conductance" not in trace
    rows = read("t\tI\nhours\tA\n1\t2\n2\t3\n".replace("hours", "h"))[0]
    np.testing.assert_allclose(rows["time"], [3600e9, 7200e9])
    called = read("t,I (A)\n1,2\n2,3\n", units={"t": "days"})[0]
    np.testing.assert_allclose(called["time"], [86400e9, 172800e9])


def test_min_beside_another_name_is_no_unit(read):
    found = read("t (s),V_min [V],I min,I_d [A],t_d [ns],V (V)\n1,2,3,4,5,6\n2,3,4,5,6,7\n")
    assert [*found[0].columns] == ["time", "voltage"] and "left out: V_min [V], I min, I_d [A], t_d [ns]" in str(found)
    np.testing.assert_array_equal(found[0]["voltage"], [6, 7])


def test_pulses_keep_their_other_columns(read):
    train = read("t (s),V (V),width (us),G (uS)\n1,1.2,1,10\n2,1.2,1,12\n")[0]
    assert train.kind == "train" and train.units["time"] == "ns"
    np.testing.assert_allclose(train["time"], [1e9, 2e9])
    both = read("V (V),amp (V),width (us),G (uS)\n0.1,1.2,1,10\n0.1,1.3,1,12\n")
    np.testing.assert_allclose(both[0]["voltage"], [1.2, 1.3])
    assert "the other voltage left out" in str(both)
    ramp = read("Pulse,V (V),I (uA),R (kohm)\n3,1.2,5,10\n4,1.3,6,8\n")[0]
    assert ramp.kind == "ramp" and [*ramp.columns] == ["pulse", "direction", "voltage", "current", "conductance"]
    np.testing.assert_allclose(ramp["conductance"], [100, 125])
    np.testing.assert_allclose(ramp["voltage"], [1.2, 1.3])
    sweep = read("V (V),I (uA),R (kohm)\n1,2,0.5\n2,5,0.4\n")[0]
    assert sweep.kind == "sweep" and [*sweep.columns] == ["voltage", "current", "resistance"]


@pytest.mark.parametrize(
    ("stated", "area"),
    [
        ("1,234,567", 1234567.0),
        ("1.234.567", 1234567.0),
        ("10,000.5", 10000.5),
        ("1.000,5", 1000.5),
        ("1,5", 1.5),
        ("0,0001", 1e-4),
        ("0,125", 0.125),
        ("12345,678", 12345.678),
        ("1,000E+04", 1e4),
        ("10.000", 10.0),
        ("100, by eye", 100.0),
    ],
)
def test_grouped_thousands_and_decimal_commas_of_an_area(read, stated, area):
    found = read(f"Sample Area (um2): {stated}\nV (V)\tP (uC/cm2)\n1\t2\n2\t3\n")[0]
    assert found.about["area"] == pytest.approx(area, rel=1e-12)


def test_an_area_of_two_readings_is_not_used_beside_the_caller_s(read):
    found = read("Sample Area (um2): 10,000\nV (V)\tP (uC/cm2)\n1\t2\n2\t3\n", area=500.0)
    np.testing.assert_array_equal(found[0]["polarisation"], [2, 3])
    assert found[0].about["area"] == 500 and "rescaled" not in str(found)
    assert "the file's can be read in two ways and is not used: '10,000', 10 or 10000 um2" in str(found)


def test_decimal_commas_of_three_digits(read):
    for content, arguments in (
        ("V (V);I (uA)\n1,250;2,000\n2,500;3,000\n", {}),  # semicolons are there for decimal commas
        ("V (V)\tI (uA)\n1,250\t2,000\n2,500\t3,000\n", {"decimal": ","}),
        ("V (V)\tI (uA)\n1,250\t2,000\n2,500\t3,000\n0,000\t0,000\n", {}),
    ):
        found = read(content, **arguments)[0]
        np.testing.assert_allclose(found["voltage"][:2], [1.25, 2.5])
        np.testing.assert_allclose(found["current"][:2], [2, 3])


def test_radiant_with_decimal_commas(read):
    text = instrument_files.radiant()
    commas = read(text.replace(",", "").replace(".", ","))["loop"]
    for key, values in read(text)["loop"].columns.items():
        np.testing.assert_array_equal(commas[key], values)
    assert read(text.replace("1.0E-04", "0,0001"))["loop"].about["area"] == pytest.approx(1e4)


def test_fields_become_voltages_with_the_thickness(read):
    text = "E (MV/cm),P (uC/cm2)\n-1,-3\n0,1\n1,4\n"
    np.testing.assert_allclose(read(text, thickness=8.0)[0]["voltage"], [-0.8, 0, 0.8])
    with pytest.raises(ValueError, match="`thickness` must be given in nm"):
        read(text)
