"""Data sets are real, split once, taken from this machine first, and refused where they are damaged.

Files that are no part of the project are looked for, and what needs them is skipped where they are missing. Nothing
here needs the internet: mirrors are local servers.
"""

import gzip
import hashlib
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from hfsim.errors import InputError
from training.data import load_beats, load_digits, load_fashion_mnist, load_mnist, load_text, mitdb, text
from training.data.idx import NAMES, decode, parts
from training.data.sources import Source, checked, contents, directories, download, find
from training.data.text import batches

SHARED = Path(__file__).parents[3] / "shared" / "data"
RAW = b"\0\0\x08\x03" + np.asarray([2, 3, 1], ">u4").tobytes() + bytes(range(6))
SOURCE = Source("some/file", hashlib.sha256(RAW).hexdigest())


def needs(path: str, data: Path | None = None) -> None:
    """Skip where a file of the data directories is missing."""
    if find(path, data, packed=True) is None:
        pytest.skip(f"{path} is in none of {', '.join(map(str, directories(data)))}")


@pytest.fixture
def alone(monkeypatch, tmp_path):
    """A machine without data."""
    monkeypatch.setenv("HFSIM_DATA", str(tmp_path / "variable"))
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    return tmp_path


def put(folder: Path, content: bytes, name: str = "file") -> Path:
    """A file some/NAME of a data directory."""
    (folder / "some").mkdir(parents=True)
    (folder / "some" / name).write_bytes(content)
    return folder / "some" / name


def test_digits_are_disjoint_stratified_and_complete():
    data = load_digits()
    parts = (data.train, data.validation, data.test)
    assert [len(p.labels) for p in parts] == [1149, 288, 360]
    rows = np.concatenate([p.images for p in parts])
    assert rows.min() == -1 and rows.max() == 1 and len(rows) == 1797
    for part in parts:
        share = np.bincount(part.labels, minlength=10) / len(part.labels)
        np.testing.assert_allclose(share, 0.1, atol=0.012)


def test_the_split_is_the_same_every_time():
    np.testing.assert_array_equal(load_digits().test.images, load_digits().test.images)


@pytest.mark.parametrize(
    ("name", "load", "first"),
    # the first labels of both test sets, as everyone has seen them
    [("mnist", load_mnist, [7, 2, 1, 0, 4]), ("fashion-mnist", load_fashion_mnist, [9, 2, 1, 1, 6])],
)
def test_the_idx_sets_are_whole(name, load, first):
    for file in NAMES:
        needs(f"{name}/{file}")
    data = load()
    assert [p.images.shape for p in (data.train, data.validation, data.test)] == [(55000, 784), (5000, 784), (1e4, 784)]
    assert data.train.images.dtype == np.float32 and data.train.images.min() == -1 and data.train.images.max() == 1
    assert data.test.labels[:5].tolist() == first
    assert set(np.unique(data.validation.labels)) == set(range(10))


def test_validation_images_are_no_training_images():
    train, validation = parts(np.zeros(60000), 5000)
    assert len(validation) == 5000 and sorted([*train, *validation]) == list(range(60000))
    assert not np.array_equal(validation, np.arange(55000, 60000))  # chosen, not the last ones
    np.testing.assert_array_equal(validation, parts(np.zeros(60000), 5000)[1])


def test_idx_files_are_decoded():
    np.testing.assert_array_equal(decode(RAW, "x"), np.arange(6).reshape(2, 3, 1))
    for broken in (RAW[:-1], b"", RAW[:5], b"\0\0\x0d" + RAW[3:], RAW + b"1"):
        with pytest.raises(InputError, match="`x`.*IDX"):
            decode(broken, "x")


def test_local_directories_come_in_their_order_raw_or_packed(alone):
    home = put(alone / "home" / ".cache" / "hfsim", gzip.compress(RAW, mtime=0), "file.gz")
    assert find("some/file", None) is None and find("some/file", None, packed=True) == home
    assert contents(SOURCE, None) == RAW
    variable = put(alone / "variable", RAW)
    assert find("some/file", None, packed=True) == variable
    given = put(alone / "given", RAW)
    assert find("some/file", alone / "given", packed=True) == given
    assert contents(SOURCE, alone / "given") == RAW
    with pytest.raises(InputError, match="--data"):
        find("some/file", alone / "nowhere")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("file", RAW[:-1]),
        ("file.gz", gzip.compress(RAW, mtime=0)[:-9]),
        ("file.gz", gzip.compress(RAW + b"1", mtime=0)),
        ("file.gz", b""),
    ],
)
def test_a_damaged_file_is_refused_by_name(alone, name, content):
    place = put(alone / "variable", content, name)
    with pytest.raises(InputError, match=str(place)):
        contents(SOURCE, None)
    with pytest.raises(InputError, match="remove it"):
        checked(place, SOURCE.sha256)


@pytest.fixture
def mirror(tmp_path):
    """A local server of a folder: the folder and its address."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    folder = tmp_path / "mirror"
    folder.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()
        thread.join()


def test_what_is_not_here_comes_from_the_first_mirror_that_has_it(alone, mirror):
    packed = gzip.compress(RAW, mtime=0)
    source = SOURCE._replace(
        addresses=[f"{mirror[1]}{folder}file.gz" for folder in ("none/", "damaged/", "")],
        sent=f"sha256:{hashlib.sha256(packed).hexdigest()}",
    )
    (mirror[0] / "damaged").mkdir()
    (mirror[0] / "damaged" / "file.gz").write_bytes(packed[:-1])
    with pytest.raises(InputError) as told:  # both ways are named, and nothing damaged is kept
        contents(source, None)
    assert all(word in str(told.value) for word in ("--data", "$HFSIM_DATA", mirror[1], "another sum"))
    assert not list((alone / "variable").rglob("*file*"))
    (mirror[0] / "file.gz").write_bytes(packed)
    assert contents(source, None) == RAW
    (mirror[0] / "file.gz").unlink()
    assert contents(source, None) == RAW  # kept in the first directory
    assert (alone / "variable" / "some" / "file.gz").is_file()


@pytest.mark.parametrize("sent", [RAW, RAW[:-1]])
def test_a_file_that_is_sent_as_it_is(alone, mirror, sent):
    (mirror[0] / "file").write_bytes(sent)
    source = SOURCE._replace(addresses=[f"{mirror[1]}file"])
    if sent == RAW:
        assert contents(source, None) == RAW == (alone / "variable" / "some" / "file").read_bytes()
    else:
        with pytest.raises(InputError, match="another sum"):
            contents(source, None)


def test_a_text_is_summed_and_kept_in_its_plain_form(alone, mirror, monkeypatch):
    words = "Well, Prince,\nso Genoa\n" * 100
    (mirror[0] / "sent.txt").write_bytes(b"\xef\xbb\xbf" + words.replace("\n", "\r\n", 150).encode())
    novel = text.NOVEL._replace(sha256=hashlib.sha256(words.encode()).hexdigest(), addresses=[f"{mirror[1]}sent.txt"])
    monkeypatch.setattr(text, "NOVEL", novel)
    loaded = load_text()
    (mirror[0] / "folder").write_text("")
    with pytest.raises(InputError, match="directory to keep data in"):
        download(text.NOVEL._replace(path="file/novel.txt"), mirror[0] / "folder")
    assert loaded.decode(loaded.train) == words[: int(0.9 * len(words))] and loaded.sha256 == novel.sha256
    assert (alone / "variable" / "war_and_peace.txt").read_text() == words
    (mirror[0] / "sent.txt").unlink()
    assert load_text().sha256 == novel.sha256


def test_a_machine_without_data_says_both_ways(alone, mirror, monkeypatch):
    monkeypatch.setattr(text, "NOVEL", text.NOVEL._replace(addresses=[f"{mirror[1]}none"]))
    monkeypatch.setattr(mitdb, "MIRRORS", (f"{mirror[1]}none/",))
    for load in (load_beats, partial(load_text, None)):
        with pytest.raises(InputError, match=rf"--data, \$HFSIM_DATA.*{mirror[1]}"):
            load(None)


def test_beats_keep_patients_apart():
    needs("mitbih_online_task.npz", SHARED if SHARED.is_dir() else None)
    data = load_beats(SHARED if SHARED.is_dir() else None).dataset()
    assert len(data.test.labels) == 2953 and data.classes == 2
    assert len(data.train.labels) + len(data.validation.labels) == 20000
    assert 0.4 < data.train.labels.mean() < 0.6 and set(data.validation.labels) == {0, 1}
    assert data.train.images.shape[1] == 504 and 0.1 < data.train.images.std() < 1  # mV
    # PhysioNet counts 992 + 373 + 2 + 2 abnormal ones among the 2,955 beats of record 208; two lie at its ends
    assert 1360 <= int(data.test.labels.sum()) <= 1375


def written(folder: Path, number: int, marks: str, samples: int = 3000) -> np.ndarray:
    """A record in PhysioNet's form, a beat at every 300th sample; returns its counts."""
    import wfdb

    counts = np.random.default_rng(number).integers(0, 2048, (samples, 2))
    leads = {"units": ["mV"] * 2, "sig_name": ["MLII", "V1"], "fmt": ["212"] * 2, "adc_gain": [200] * 2}
    wfdb.wrsamp(str(number), 360, d_signal=counts, baseline=[1024] * 2, write_dir=str(folder), **leads)
    at = 100 + 300 * np.arange(len(marks))
    wfdb.wrann(str(number), "atr", at, symbol=list(marks), write_dir=str(folder))
    return counts


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of pandas, in wfdb
def test_beats_are_cut_from_the_records_of_physionet(alone, mirror, monkeypatch):
    # the first window begins before the record; + is a change of rhythm and no beat
    marks = {100: "NNVN+NAN", 208: "NVVFNN", 234: "NNN+NNNNQ"}
    counts = {number: written(mirror[0], number, beats) for number, beats in marks.items()}
    files = sorted(mirror[0].iterdir())
    sums = "".join(f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in files)
    (alone / "sums").write_text(sums)
    monkeypatch.setattr(mitdb, "SUMS", alone / "sums")
    monkeypatch.setattr(mitdb, "MIRRORS", (mirror[1],))
    cut = mitdb.load_selection()
    assert "".join(cut.symbol) == "NVNNAN" + "VVFNN" + "NNNNNNQ"
    assert cut.record.tolist() == [100] * 6 + [208] * 5 + [234] * 7
    for window, number, center in zip(
        cut.beats[[0, 1, 5, 6]], (100, 100, 100, 208), (400, 700, 2200, 400), strict=True
    ):
        np.testing.assert_array_equal(window, counts[number][center - 126 : center + 126])
    few = mitdb.selected((mitdb.cut(n, s, None) for n, s in mitdb.sources().items()), each=2)
    assert np.sum((few.symbol == "N") & (few.record != 208)) == np.sum((few.symbol != "N") & (few.record != 208)) == 2
    assert np.sum(few.record == 208) == 5
    beats = load_beats()  # what was fetched is used again
    (mirror[0] / "100.dat").unlink()
    np.testing.assert_array_equal(load_beats().signal, beats.signal)
    np.testing.assert_array_equal(beats.signal, (cut.beats - 1024) / np.float32(200))
    (alone / "variable" / "mitdb" / "208.dat").write_bytes(b"short")
    with pytest.raises(InputError, match=r"208\.dat"):
        load_beats()


def test_all_records_of_the_database_have_their_sums():
    files = mitdb.sources()
    assert len(files) == 48 and mitdb.TESTED in files
    sums = {source.sha256 for record in files.values() for source in record}
    assert len(sums) == 144 and all(len(bytes.fromhex(sum)) == 32 for sum in sums)
    for number, record in files.items():
        assert [s.path for s in record] == [f"mitdb/{number}.{kind}" for kind in ("atr", "dat", "hea")]


@pytest.mark.parametrize(
    "held", [{}, {"symbol": np.asarray([b"N", b"V"]), "record": np.arange(2)}, {"symbol": ["N"], "record": [100]}]
)
def test_a_file_without_beats_is_refused(alone, held):
    (alone / "variable").mkdir()
    np.savez(alone / "variable" / "mitbih_online_task.npz", beats=np.zeros((2, 252, 2)), **held)
    with pytest.raises(InputError, match="mitbih_online_task"):
        load_beats()


def test_a_text_is_cut_by_position(tmp_path):
    words = "Grüße, Welt!\n" * 200
    (tmp_path / "text.txt").write_bytes(b"\xef\xbb\xbf" + words.replace("\n", "\r\n").encode())
    text = load_text(tmp_path / "text.txt")
    assert text.vocabulary == "".join(sorted(set(words)))
    assert [len(p) for p in (text.train, text.validation, text.test)] == [2340, 130, 130]
    assert text.decode(np.concatenate([text.train, text.validation, text.test])) == words


@pytest.mark.parametrize(("content", "told"), [(b"short", "1,000"), (b"\xff\xfe" * 1000, "UTF-8")])
def test_what_is_no_text_is_refused(tmp_path, content, told):
    (tmp_path / "text.txt").write_bytes(content)
    with pytest.raises(InputError, match=told):
        load_text(tmp_path / "text.txt")
    with pytest.raises(InputError, match="--text"):
        load_text(tmp_path / "none.txt")


def test_the_novel_is_read_from_a_data_directory():
    needs("war_and_peace.txt", SHARED if SHARED.is_dir() else None)
    text = load_text(None, SHARED if SHARED.is_dir() else None)
    assert 80 <= len(text.vocabulary) <= 90 and len(text.train) > 2_500_000


def test_batches_are_streams_with_the_next_character_as_target():
    codes = np.arange(3 * 2 * 5 + 4)
    inputs, targets = batches(codes, batch=3, length=5)
    assert inputs.shape == targets.shape == (2, 3, 5)
    np.testing.assert_array_equal(targets, inputs + 1)
    for stream in range(3):  # each stream goes on where its last chunk ended
        np.testing.assert_array_equal(inputs[:, stream].ravel(), 10 * stream + np.arange(10))
    with pytest.raises(InputError, match="3 x 12"):
        batches(codes, batch=3, length=12)
