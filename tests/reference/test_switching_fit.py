"""Fit on five amplitudes of a measured switching map, predict the other eight: GB2 against Lorentzian and KAI.

Data: 8.3 nm Hf0.5Zr0.5O2, C. Alessandri et al., IEEE Electron Device Lett. 39, 1780 (2018), 286 pulses; no part of
the project. The fits start at the cards' values; the published GB2 set, fitted to all amplitudes, is tested in
tests/physics/test_published_devices.py.
"""

import functools

import pytest

import hfsim
from hfsim.errors import InputError
from training import fit_switching
from training.fit_switching import COMPARISON, DATA, MODELS, compare, free_names, read_pulses, shares


@functools.cache
def measured(name):
    return compare(name, read_pulses(DATA))


def needs_data():
    if not DATA.exists():
        pytest.skip(f"needs {DATA.name}, which is no part of the project, in {DATA.parent}")


def test_gb2_predicts_the_held_out_amplitudes_within_1_percent():
    # Measured: 0.76 % of 2 P_r on what is fitted, 0.89 % on what is held out.
    needs_data()
    assert max(shares(measured("gb2"))) < 0.01


@pytest.mark.parametrize("name", ["lorentzian", "kai"])
def test_one_distribution_of_times_or_none_is_5_to_9_times_worse(name):
    # Lorentzian 7.27 % and 7.34 %, KAI 7.90 % and 7.70 %: 8.2 and 8.6 times the held-out error of GB2.
    needs_data()
    fitted, held_out = shares(measured(name))
    assert 5 < held_out / shares(measured("gb2"))[1] < 9
    assert 0.05 < fitted < 0.1


def test_the_comparison_s_card_holds_the_fits():
    needs_data()
    shipped = hfsim.load_card(COMPARISON)
    card = fit_switching.fitted_card(shipped, {name: measured(name) for name in ("lorentzian", "kai")}, "today")
    assert card.header == shipped.header and set(card.sections) == set(shipped.sections)
    for section, entries in shipped.sections.items():
        for key, entry in entries.items():
            assert card.section(section)[key].value == pytest.approx(entry.value, rel=2e-3), (section, key)
    assert "today" in card.section("kai")["n"].source


def test_the_models_are_the_three_of_the_report():
    assert set(MODELS) == {"gb2", "lorentzian", "kai"}
    assert [len(free_names(name)) for name in MODELS] == [8, 5, 5]


def test_a_table_without_its_columns_is_refused(tmp_path):
    table = tmp_path / "table.csv"
    table.write_text("V (V),I (A)\n1.0,2.0\n2.0,3.0\n")
    with pytest.raises(InputError, match="`data` must be a table with columns pw, amp and P"):
        read_pulses(table)
    with pytest.raises(InputError, match="`path` must be a readable file"):
        read_pulses(tmp_path / "none.csv")
