"""MNIST and Fashion-MNIST: IDX files, raw or gzipped.

An IDX file is 0, 0, 8 (unsigned bytes), the number of axes, the sizes as big-endian 32-bit integers, the bytes.

Y. LeCun, C. Cortes, C. Burges, The MNIST database; H. Xiao, K. Rasul, R. Vollgraf, arXiv:1708.07747 (MIT licence). Sums
of the contents are of files whose md5 sums are the published ones; those of what mirrors send are published.
"""

from pathlib import Path

import numpy as np
from jaxtyping import Int, UInt8

from hfsim.errors import InputError
from training.data.sets import Dataset, Split
from training.data.sources import Source, contents

VALIDATION = 5000
"""Of the 60,000 training images: for choosing, never for training or reporting."""
SPLIT_SEED = 20250101
"""Which 5,000 those are."""
NAMES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
_MNIST_MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
_FASHION_MIRRORS = (
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
)
_MNIST = (
    (
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "sha256:440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    ),
    (
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "sha256:3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    ),
    (
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "sha256:8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    ),
    (
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        "sha256:f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    ),
)
_FASHION = (
    (
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "md5:8d4fb7e6c68d591d4c3dfef9ec88bf0d",
    ),
    (
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "md5:25c81989df183df01b3e8a0aad5dffbe",
    ),
    (
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "md5:bef4ecab320f06d8554ea6380940ec79",
    ),
    (
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        "md5:bb300cfdad3c16e7a12a480ee83cd310",
    ),
)


def load_mnist(data: Path | None = None) -> Dataset:
    """MNIST from mnist/ of a data directory or a mirror: 55,000 + 5,000 + 10,000 images of 784 pixels in [-1, 1].

    Raises:
        InputError: the files are damaged, or not to be had.
    """
    return _load("mnist", _MNIST, _MNIST_MIRRORS, data)


def load_fashion_mnist(data: Path | None = None) -> Dataset:
    """Fashion-MNIST from fashion-mnist/, in the same form.

    Raises:
        InputError: the files are damaged, or not to be had.
    """
    return _load("fashion-mnist", _FASHION, _FASHION_MIRRORS, data)


def decode(raw: bytes, name: str) -> UInt8[np.ndarray, "..."]:
    """The array of an IDX file's contents.

    Raises:
        InputError: they are none.
    """
    axes = raw[3] if len(raw) > 3 and raw[:3] == b"\0\0\x08" else 0
    shape = tuple(np.frombuffer(raw[4 : 4 + 4 * axes], ">u4").tolist()) if len(raw) >= 4 + 4 * axes else ()
    if not axes or len(raw) != 4 + 4 * axes + int(np.prod(shape, dtype=np.int64)):
        raise InputError(name, "be an IDX file of unsigned bytes", f"{len(raw)} bytes of something else")
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * axes).reshape(shape)


def parts(labels: Int[np.ndarray, " samples"], validation: int) -> tuple[np.ndarray, np.ndarray]:
    """Which training images are for training, and which `validation` of them for choosing: the same in every run."""
    order = np.random.default_rng(SPLIT_SEED).permutation(len(labels))
    return np.sort(order[:-validation]), np.sort(order[-validation:])


def _load(name: str, sums: tuple, mirrors: tuple[str, ...], data: Path | None) -> Dataset:
    arrays = []
    for file, (sha256, packed) in zip(NAMES, sums, strict=True):
        source = Source(f"{name}/{file}", sha256, [f"{mirror}{file}.gz" for mirror in mirrors], packed)
        arrays.append(decode(contents(source, data), source.path))
    images, labels, test_images, test_labels = arrays
    train, validation = parts(labels, VALIDATION)
    return Dataset(
        name,
        _split(images[train], labels[train]),
        _split(images[validation], labels[validation]),
        _split(test_images, test_labels),
        classes=10,
    )


def _split(images: UInt8[np.ndarray, "samples rows columns"], labels: UInt8[np.ndarray, " samples"]) -> Split:
    pixels = images.reshape(len(images), -1).astype(np.float32)
    return Split(pixels / 127.5 - 1, labels.astype(np.int32))
