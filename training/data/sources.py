"""Where files of data are: directories of this machine first, then public mirrors, contents checked either way.

Directories are looked through in the order --data, $HFSIM_DATA, ~/.cache/hfsim. A download goes to the first of them.
"""

import gzip
import hashlib
import os
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hfsim.errors import InputError

VARIABLE = "HFSIM_DATA"
DOWNLOAD_SECONDS = 60
"""Of silence, after which a mirror counts as out of reach."""


BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Source(NamedTuple):
    """A file: its place below a directory, sha256 of its contents, and addresses that send it.

    Contents are those without gzip: a file NAME and a file NAME.gz are the same to us. `sent` is pooch's
    "algorithm:sum" of what the addresses send, where that is not the contents: gzip at addresses that end in .gz. A
    `text` is brought to its plain form before it is summed and kept.
    """

    path: str
    sha256: str
    addresses: Sequence[str] = ()
    sent: str = ""
    text: bool = False


def directories(data: Path | None) -> list[Path]:
    """Where data are looked for, in this order."""
    named = [data, os.environ.get(VARIABLE) or None, Path.home() / ".cache" / "hfsim"]
    return [Path(place) for place in named if place is not None]


def find(path: str, data: Path | None, *, packed: bool = False) -> Path | None:
    """The first of the directories' files `path`, or with `packed` `path`.gz."""
    if data is not None and not data.is_dir():
        raise InputError("--data", "be a directory", str(data))
    places = (folder / name for folder in directories(data) for name in ((path, f"{path}.gz") if packed else (path,)))
    return next((place for place in places if place.is_file()), None)


def contents(source: Source, data: Path | None) -> bytes:
    """The contents of a file, from this machine or from a mirror.

    Raises:
        InputError: it is damaged, or neither way leads to it.
    """
    place = find(source.path, data, packed=True)
    if place is None:
        place = download(source, data)
    return checked(place, source.sha256)


def checked(place: Path, sha256: str) -> bytes:
    """What is in a file, without gzip.

    Raises:
        InputError: it cannot be read, or its sum is another.
    """
    try:
        raw = gzip.decompress(place.read_bytes()) if place.suffix == ".gz" else place.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(str(place), "be a whole file", f"damaged ({error})", "remove it") from error
    found = hashlib.sha256(raw).hexdigest()
    if found != sha256:
        raise InputError(str(place), f"have sha256 {sha256[:12]}...", f"{found[:12]}...", "it is damaged: remove it")
    return raw


def missing(path: str, data: Path | None, how: str) -> InputError:
    """The error for a file that is nowhere."""
    looked = ", ".join(str(folder) for folder in directories(data))
    return InputError(path, f"lie in one of {looked} (--data, ${VARIABLE})", "in none", how)


def plain(raw: bytes) -> bytes:
    """A text without byte-order mark, its lines ended by a newline alone, and nothing after the last."""
    return raw.removeprefix(BYTE_ORDER_MARK).replace(b"\r\n", b"\n").replace(b"\r", b"\n").rstrip() + b"\n"


def download(source: Source, data: Path | None) -> Path:
    """Fetch a file into the first directory; returns its place.

    Raises:
        InputError: no address sends what it should.
    """
    import pooch
    import requests

    target = directories(data)[0] / source.path
    pooch.get_logger().setLevel("WARNING")
    told = []
    for address in source.addresses:
        name = f"{target.name}.gz" if address.endswith(".gz") else target.name
        try:
            known = source.sent or f"sha256:{source.sha256}"
            pooch.retrieve(address, known, name, target.parent, downloader=_downloader(source.text))
            return target.with_name(name)
        except requests.RequestException as error:
            told.append(f"{address} ({type(error).__name__})")
        except ValueError:
            told.append(f"{address} (what it sends has another sum)")
        except OSError as error:  # of this machine
            raise InputError(str(target.parent), "be a directory to keep data in", f"of no use ({error})") from error
    tried = f"nor could it be downloaded from {', '.join(told)}; " if told else ""
    raise missing(source.path, data, f"{tried}put it there, or try again with the internet")


def _downloader(text: bool):
    """What pooch calls to fetch an address into a file, before it takes the sum."""
    import pooch

    http: Any = pooch.HTTPDownloader(timeout=DOWNLOAD_SECONDS)

    def fetch(address: str, place: str, pooch_: Any) -> None:
        http(address, place, pooch_)
        if text:
            Path(place).write_bytes(plain(Path(place).read_bytes()))

    return fetch
