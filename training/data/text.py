"""Texts as sequences of characters.

The vocabulary is that of the file, in the order of code points. The text is cut by position: the first 90 % to train,
then 5 % to choose by, then 5 % to test, so that what is tested was not read before.

`batches` walks through a part in `batch` streams side by side: stream b is the b-th of as many equal stretches, so a
network that carries its state from chunk to chunk reads each stream in order. What does not fill the last chunk is
left out. The targets are the characters that come next.
"""

import hashlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from hfsim.errors import InputError
from training.data.sources import Source, download, find, plain

NOVEL = Source(
    "war_and_peace.txt",
    "2f4885a73244ab9204a7a031f3d009aece5205f8caa9603c157957cda586f0fd",
    ("https://cs.stanford.edu/people/karpathy/char-rnn/warpeace_input.txt",),
    text=True,
)
"""Tolstoy's novel (public domain) as used for character networks since A. Karpathy, J. Johnson, L. Fei-Fei,
arXiv:1506.02078; the sum is that of the plain text. A local file of that name may be another edition."""
SHARES = (0.9, 0.95)
"""Where the training part ends, and where the validation part does."""


class Text(NamedTuple):
    """Three parts of a text as numbers of the vocabulary's characters; `sha256` is that of the plain text."""

    vocabulary: str
    train: Int[np.ndarray, " characters"]
    validation: Int[np.ndarray, " characters"]
    test: Int[np.ndarray, " characters"]
    sha256: str

    def decode(self, codes: Int[np.ndarray, " characters"]) -> str:
        """The characters of numbers."""
        return "".join(self.vocabulary[code] for code in np.asarray(codes))


def text_file(path: Path | None = None, data: Path | None = None) -> Path:
    """The file of a text: `path` (--text), else war_and_peace.txt of a data directory, else of a mirror.

    Raises:
        InputError: there is none.
    """
    place = path or find(NOVEL.path, data) or download(NOVEL, data)
    if not place.is_file():
        raise InputError("--text", "be a file", str(place))
    return place


def load_text(path: Path | None = None, data: Path | None = None) -> Text:
    """A text in UTF-8.

    Raises:
        InputError: it is not to be had, is no text, or too short to be cut.
    """
    place = text_file(path, data)
    raw = plain(place.read_bytes())
    try:
        characters = raw.decode()
    except UnicodeDecodeError as error:
        raise InputError("--text", "be a text in UTF-8", f"{place} ({error.reason})") from error
    if len(characters) < 1000:
        raise InputError("--text", "have at least 1,000 characters", f"{len(characters)} in {place}")
    points = np.frombuffer(characters.encode("utf-32-le"), np.uint32)
    used, codes = np.unique(points, return_inverse=True)
    ends = [int(share * len(codes)) for share in SHARES]
    parts = np.split(codes.astype(np.int32), ends)
    return Text("".join(map(chr, used)), *parts, sha256=hashlib.sha256(raw).hexdigest())


def batches(
    codes: Int[np.ndarray, " characters"], batch: int, length: int
) -> tuple[Int[np.ndarray, "chunks batch length"], Int[np.ndarray, "chunks batch length"]]:
    """Inputs and targets of all chunks of a part.

    Raises:
        InputError: the part does not fill one chunk.
    """
    chunks = (len(codes) - 1) // batch // length
    if chunks < 1:
        raise InputError("codes", f"have more than {batch} x {length} characters", len(codes))

    def cut(part):
        return np.swapaxes(part[: batch * chunks * length].reshape(batch, chunks, length), 0, 1)

    stretch = chunks * length
    inputs = np.stack([codes[b * stretch : (b + 1) * stretch] for b in range(batch)])
    targets = np.stack([codes[b * stretch + 1 : (b + 1) * stretch + 1] for b in range(batch)])
    return cut(inputs.ravel()), cut(targets.ravel())
