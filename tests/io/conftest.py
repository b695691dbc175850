"""Files that tests read are made as they go."""

import pytest

import hfsim.io


@pytest.fixture
def read(tmp_path):
    """Read a text, or bytes, as a file named `x.csv`."""

    def read(content, **arguments):
        path = tmp_path / "x.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return hfsim.io.read(path, **arguments)

    return read
