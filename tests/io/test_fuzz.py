"""No file, however damaged, raises anything but an `InputError` of one line."""

import string

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import hfsim.io
from hfsim import InputError
from tests.instrument_files import FILES

FUZZED = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
PIECES = st.sampled_from(
    [
        b",",
        b";",
        b"\t",
        b"\n",
        b"\n\n",
        b"abc",
        b"1e99",
        b"NaN",
        b"-",
        b'"',
        b"(",
        b"[V]",
        b"1,5",
        b"\x00",
        b":",
        b"\xff",
    ]
)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz") / "x.csv"


def check(path, content, arguments):
    """A measurement that can be printed, or one line."""
    path.write_bytes(content)
    try:
        found = hfsim.io.read(path, **arguments)
    except InputError as error:
        assert "\n" not in str(error) and len(str(error)) < 500
        return False
    assert str(found) and found._repr_html_() and all(len(trace) for trace in found)
    return True


@FUZZED
@given(content=st.binary(max_size=300))
def test_random_bytes(path, content):
    check(path, content, {"area": 1.0, "units": "A", "read_voltage": 0.1})


@FUZZED
@given(content=st.text(alphabet=string.digits + ".,;\t\n eE+-VIt()#:", max_size=200))
def test_random_tables(path, content):
    check(path, content.encode(), {"area": 1.0, "units": "A", "read_voltage": 0.1})


@FUZZED
@given(data=st.data(), name=st.sampled_from([*FILES]))
def test_cut_and_damaged_files(path, data, name):
    make, arguments = FILES[name]
    content = bytearray(make().encode())
    for _ in range(data.draw(st.integers(1, 4))):
        if not content:
            break
        place = data.draw(st.integers(0, len(content) - 1))
        damage = data.draw(st.sampled_from(["cut", "byte", "piece", "lose", "swap"]))
        if damage == "cut":
            del content[place:]
        elif damage == "byte":
            content[place] = data.draw(st.integers(0, 255))
        elif damage == "piece":
            content[place:place] = data.draw(PIECES)
        elif damage == "lose":
            del content[place : place + data.draw(st.integers(1, 40))]
        else:
            lines = content.split(b"\n")
            first, second = (data.draw(st.integers(0, len(lines) - 1)) for _ in range(2))
            lines[first], lines[second] = lines[second], lines[first]
            content = bytearray(b"\n".join(lines))
    check(path, bytes(content), arguments)
