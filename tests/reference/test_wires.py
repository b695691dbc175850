"""Wires of a crossbar against published numbers and closed forms."""

import numpy as np
import pytest

from hfsim.circuits.wires import Wires


def test_badcrossbar_s_worked_example(x64):
    # Joksas and Mehonic, SoftwareX 12, 100617 (2020): 3 x 5 devices, segments 0.5 ohm; currents in mA
    R = np.array([[345, 903, 755, 257, 646], [652, 401, 508, 166, 454], [442, 874, 190, 244, 635]])
    I = Wires(0.5, 0.5).currents(1e6 / R, np.array([1.5, 2.3, 1.7]))
    np.testing.assert_allclose(I / 1e3, [11.585025, 9.190642, 15.115681, 25.833208, 9.811793], atol=5e-7)


def test_badcrossbar_s_worked_example_in_single_precision():
    R = np.array([[345, 903, 755, 257, 646], [652, 401, 508, 166, 454], [442, 874, 190, 244, 635]])
    I = Wires(0.5, 0.5).currents(1e6 / R, np.array([1.5, 2.3, 1.7]))
    np.testing.assert_allclose(I / 1e3, [11.585025, 9.190642, 15.115681, 25.833208, 9.811793], rtol=1e-6)


def ladder(n, r, R):
    """Potentials of a line of n cells R to ground behind segments r: cosh((n - j + 1/2) g)/cosh((n + 1/2) g)."""
    g = np.arccosh(1 + r / (2 * R))
    j = np.arange(1, n + 1)
    return np.cosh((n - j + 0.5) * g) / np.cosh((n + 0.5) * g)


def test_a_word_line_is_the_cosh_ladder(x64):
    V = Wires(2.0, 0.0).solve(np.full((1, 16), 100.0), np.ones(1)).word[0]
    np.testing.assert_allclose(V[np.array([0, 7, 15])], [0.99685856, 0.98042074, 0.97340405], atol=5e-9)
    np.testing.assert_allclose(V, ladder(16, 2.0, 1e4), rtol=1e-13)


@pytest.mark.parametrize(("n", "r"), [(512, 0.35), (512, 2.0)])
def test_a_long_ladder_keeps_its_digits_in_single_precision(n, r):
    # potentials are V - R D: a rounding of each cell's voltage is worth r G n^2/2 = 4.6 or 26 roundings at the far end
    V = Wires(r, 0.0).solve(np.full((1, n), 100.0), np.ones(1)).word[0]
    roundings = 2 + r * 1e-4 * n**2 / 2
    np.testing.assert_allclose(V, ladder(n, r, 1e4), atol=4 * roundings * np.finfo(np.float32).eps)


def test_a_bit_line_is_the_same_ladder_read_from_its_sensed_end(x64):
    back = Wires(0.0, 2.0).backward_currents(np.full((16, 1), 100.0), np.ones(1))
    np.testing.assert_allclose(back, 100.0 * ladder(16, 2.0, 1e4)[::-1], rtol=1e-13)


@pytest.mark.parametrize("double", [False, True], ids=["float32", "float64"])
def test_sneak_paths_of_floating_lines(double, request):
    # one cell is read, all other lines float: the rest is R [1/(m-1) + 1/(n-1) + 1/((m-1)(n-1))] beside it
    if double:
        request.getfixturevalue("x64")
    m, n, R = 6, 9, 1e4
    floating = 1e12
    R_drive, R_sense = np.full((m, 1), floating), np.full(n, floating)
    R_drive[2] = R_sense[4] = 0.0
    V = np.zeros(m)
    V[2] = 0.1
    s = Wires(0.0, 0.0, R_drive, R_sense).solve(np.full((m, n), 1e6 / R), V)
    sneak = R * (1 / (m - 1) + 1 / (n - 1) + 1 / ((m - 1) * (n - 1)))
    assert float(s.currents[4]) == pytest.approx(0.1e6 * (1 / R + 1 / sneak), rel=1e-6 if double else 1e-5)
