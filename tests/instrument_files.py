"""Small files in the formats of instruments, made here; the numbers are synthetic."""

import numpy as np


def loop(steps=40, amplitude=3.0, period=1e-3):
    """Time [s], voltage [V], current [A] and polarisation [uC/cm2] of a capacitor of 1e4 um2."""
    time = np.linspace(0.0, period, steps + 1)
    voltage = amplitude * np.interp(time / period, [0, 0.25, 0.75, 1], [0, 1, -1, 0])
    polarisation = 15 * np.sin(2 * np.pi * time / period - 0.6)
    current = np.gradient(polarisation, time) * 1e-6 * 1e-4
    return time, voltage, current, polarisation


def number(x):
    """As aixACCT writes it, with three digits of exponent."""
    mantissa, exponent = f"{x:.6e}".split("e")
    return f"{mantissa}e{exponent[0]}{int(exponent[1:]):03d}"


def aixacct():
    t, v, i, p = loop()
    head = "Time s\tVplus V\tVminus V\tI1 A\tP1 uC_per_cm2\tI2 A\tP2 uC_per_cm2\tI3 A\tP3 uC_per_cm2"
    rows = ["\t".join(map(number, row)) for row in zip(t, v, -v, i, p, i, p, -i, -p, strict=True)]
    return "\n".join([head, *rows]) + "\n"


def aixacct_ascii():
    """The export with notes: two tables."""
    t, v, i, p = loop(20)
    lines = ["DynamicHysteresis", "Program: TF 3", "TimeStamp: 2020", ""]
    for table in (1, 2):
        lines += [f"Table {table}", "SampleName: A7", "Area [mm2]: 0.01", "Thickness [nm]: 13", ""][: 4 + (table == 1)]
        lines += ["Time [s]\tV+ [V]\tV- [V]\tI1 [A]\tP1 [uC/cm2]\tI2 [A]\tP2 [uC/cm2]\tI3 [A]\tP3 [uC/cm2]\t"]
        lines += ["\t".join(map(number, row)) + "\t" for row in zip(t, v, -v, i, p, i, p, -i, -p, strict=True)] + [""]
    return "\n".join(lines)


def easyexpert(steps=1):
    v = np.linspace(-0.05, 0.05, 11)
    lines = ["", "SetupTitle, IV Sweep", "PrimitiveTest, I/V Sweep", "TestParameter, Context.MainFrame, B1500A"]
    lines += ["TestParameter, Channel.IName, DrainI, SrcI", "TestParameter, Channel.VName, DrainV, SrcV"]
    lines += ["MetaData, TestRecord.Remarks, ", "Dimension1, 11, 11", f"Dimension2, {steps}, {steps}"]
    lines += ["DataName, DrainV, DrainI"]
    lines += [f"DataValue, {x!r}, {x * 1.25e-6 * (k + 1)!r}" for k in range(steps) for x in v.tolist()]
    return "\r\n".join(lines)


def keithley_loop():
    t, v, i, p = loop()
    rows = [f"{0 if k == 0 else ''},{a},{b},{c * 1e-10}" for k, (a, b, c) in enumerate(zip(v, i, p, strict=True))]
    return "\n".join(["doubleSweepSeg,Vforce,Imeas,Charge", *rows]) + "\n"


def keithley_pund():
    t = np.arange(0, 50) * 1e-6
    v = 3.0 * (np.arange(50) % 10 > 4) * np.where(np.arange(50) < 25, 1, -1)
    rows = [f"{0 if k == 0 else ''}\t{a}\t{b}\t{c}" for k, (a, b, c) in enumerate(zip(v, v * 1e-5, t, strict=True))]
    return "\n".join(["pundTest\tV\tI\tt", *rows]) + "\n"


def keithley_endurance():
    rows = [f"{0 if k == 0 else ''},{10**k},1e-10,1e-11,{3e-10 * (1 - 0.1 * k)},{-3e-10}" for k in range(5)]
    return "\n".join(["pundEndurance,iteration,P,U,Psw,Qsw", *rows]) + "\n"


def keithley_sweep():
    v = np.concatenate([np.linspace(0, 1, 11), np.linspace(1, 0, 11)])
    return "\n".join(["V,I,t", *(f"{x},{x * 1e-5},{k * 0.01}" for k, x in enumerate(v))]) + "\n"


def radiant():
    t, v, _, p = loop()
    lines = [
        "Hysteresis",
        "Sample Name: A7",
        "Sample Area (cm2):\t1.0E-04",
        "Sample Thickness (µm):\t0.013",
        "Points: 41",
        "",
    ]
    lines += ["Data", "Point\tTime (ms)\tDrive Voltage\tMeasured Polarization"]
    rows = zip(range(1, 42), t * 1e6, v, p, strict=True)  # a slow loop: times beyond 1000 ms are grouped
    return "\n".join(lines + [f"{k}\t{a:,.2f}\t{b:.4f}\t{c:.4f}" for k, a, b, c in rows]) + "\n"


def ramps():
    """Read currents [A] at 0.1 V, ragged."""
    columns = [1e-6 * (16 + 9 * (1 - np.exp(-np.arange(n) / 6))) for n in (12, 14, 11)]
    rows = [",".join(f"{c[k]:.6g}" if k < len(c) else "" for c in columns) for k in range(14)]
    return "\n".join(["rmp1,rmp2,rmp3", *rows]) + "\n"


def up_and_down():
    k = np.arange(20)
    return "\n".join(f"{10 + 2 * a}\t{50 - a}" for a in k) + "\n"


def switching():
    rows = [f"{w:.2E},{a},{-20 + 40 / (1 + (1e-5 / w) ** a)}" for a in (0.8, 1.2) for w in (1e-6, 1e-5, 1e-4)]
    return "pw,amp,P\n" + "\n".join(rows) + "\n"


def german():
    """Semicolons, decimal commas, a mark of byte order."""
    t, v, i, p = loop(12)
    rows = [f"{a * 1e3};{b};{c}".replace(".", ",") for a, b, c in zip(t, v, p, strict=True)]
    return "\ufeffZeit (ms);Spannung / V;Polarisation [µC/cm²]\n" + "\n".join(rows) + "\n"


def two_line_header():
    rows = [f"{k * 0.1} {k * 2.0}" for k in range(10)]
    return "# two rows above the numbers\nVoltage Current\nV uA\n" + "\n".join(rows) + "\n"


FILES = {
    "aixacct": (aixacct, {}),
    "aixacct_ascii": (aixacct_ascii, {}),
    "easyexpert": (easyexpert, {}),
    "easyexpert_two_sweeps": (lambda: easyexpert(2), {}),
    "keithley_loop": (keithley_loop, {"area": 1e4}),
    "keithley_pund": (keithley_pund, {"area": 1e4}),
    "keithley_endurance": (keithley_endurance, {"area": 1e4}),
    "keithley_sweep": (keithley_sweep, {}),
    "radiant": (radiant, {}),
    "ramps": (ramps, {"units": "A", "read_voltage": 0.1}),
    "up_and_down": (up_and_down, {"units": "uS"}),
    "switching": (switching, {}),
    "german": (german, {}),
    "two_line_header": (two_line_header, {}),
}
"""Text and the arguments that it needs, by format."""
