"""Images of handwritten digits: scikit-learn's, small and shipped with it, and MNIST."""

from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from .drawing import drawn_on_cpu

FOLDS = 4  # parts of the digits, each of which can be the test set


class Split(NamedTuple):
    """Images (N, 1, height, width), to train and to test with, and labels (N,) from 0 to 9."""

    images: Tensor
    labels: Tensor
    test_images: Tensor
    test_labels: Tensor


@drawn_on_cpu
def digits(fold: int = 0, normalize: bool = True) -> Split:
    """scikit-learn's 1797 digits of 8 by 8 pixels, three quarters to train with, one to test with.

    One random order, the same for ever, is dealt out in four parts of 449 or 450; `fold` says which
    of them is the test set. Over the four folds every image is tested once.

    The pixels count dark dots, 0 to 16. They are divided by 16; with `normalize`, the mean of all
    training pixels is then subtracted and the result divided by their standard deviation.

    The images are by 13 people (they are the test set of the UCI collection), and a random split
    has all of them on both sides: the errors are those for hands that are known.

    Args:
        fold: 0, 1, 2 or 3.
        normalize: to mean 0 and standard deviation 1; else pixels are between 0 and 1.

    Returns:
        Split, images float32.

    Raises:
        ValueError: for another fold.

    Source: Alpaydin, Kaynak 1998, "Optical recognition of handwritten digits", UCI machine learning
    repository.

        >>> split = digits()
        >>> split.images.shape, split.test_images.shape
        (torch.Size([1347, 1, 8, 8]), torch.Size([450, 1, 8, 8]))
    """
    from sklearn.datasets import load_digits  # here, because it takes half a second

    if fold not in range(FOLDS):
        raise ValueError(
            f"fold must be one of 0 to {FOLDS - 1}, the part that is the test set, got {fold!r}"
        )
    data = load_digits()
    images = torch.tensor(data.images, dtype=torch.float32).unsqueeze(1) / 16
    labels = torch.tensor(data.target, dtype=torch.int64)
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    part = torch.arange(len(labels)) % FOLDS
    train = order[part != fold]
    test = order[part == fold]
    return _normalized(Split(images[train], labels[train], images[test], labels[test]), normalize)


@drawn_on_cpu
def mnist(folder: str | Path, download: bool = False, normalize: bool = True) -> Split:
    """MNIST through torchvision: digits of 28 by 28 pixels, 60 000 to train with, 10 000 to test.

    Args:
        folder: where torchvision keeps it, or puts it.
        download: from the network, if it is not there.
        normalize: as for `digits`.

    Returns:
        Split, images float32.

    Raises:
        ImportError: without torchvision, which this package does not require.
        FileNotFoundError: if the data is not in the folder, and `download` is False.

    Source: LeCun, Bottou, Bengio, Haffner 1998, "Gradient-based learning applied to document
    recognition".
    """
    try:
        make = import_module("torchvision.datasets").MNIST
    except ImportError as error:
        raise ImportError(
            "mnist needs torchvision, which is not installed: `pip install torchvision`; or use "
            "digits(), smaller images that need no download"
        ) from error
    try:
        parts = [make(str(folder), train=train, download=download) for train in (True, False)]
    except RuntimeError as error:
        if download:
            raise
        raise FileNotFoundError(
            f"there is no MNIST in {str(folder)!r} ({error}); call mnist({str(folder)!r}, "
            "download=True) once, with a network, or use digits()"
        ) from error
    tensors = [x for part in parts for x in (part.data.unsqueeze(1).float() / 255, part.targets)]
    return _normalized(Split(*tensors), normalize)


def a_digit(digit: int) -> str:
    """A digit in a sentence.

    >>> a_digit(3), a_digit(8)
    ('a 3', 'an 8')
    """
    return f"{'an' if digit == 8 else 'a'} {digit}"


def _normalized(split: Split, normalize: bool) -> Split:
    """The split with the training images' mean and standard deviation taken out of all images."""
    if not normalize:
        return split
    mean = split.images.mean()
    std = split.images.std()
    return split._replace(
        images=(split.images - mean) / std, test_images=(split.test_images - mean) / std
    )
