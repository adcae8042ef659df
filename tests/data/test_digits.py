"""The digits: the split as documented. MNIST: through torchvision, with messages without it."""

import sys
import types

import pytest
import torch
from sklearn.datasets import load_digits

from node_tutorial.data import digits, mnist
from node_tutorial.data.digits import FOLDS


def rows(images):
    """The images as a set of byte strings, and their number."""
    return [bytes((16 * image).round().to(torch.uint8).flatten().tolist()) for image in images]


def test_every_digit_is_tested_once_and_never_trained_with_where_it_is_tested():
    everything = sorted(rows(torch.tensor(load_digits().images)[:, None] / 16))
    tested = []
    for fold in range(FOLDS):
        split = digits(fold, normalize=False)
        assert len(split.images) == len(split.labels) == 1797 - len(split.test_labels)
        assert sorted(rows(split.images) + rows(split.test_images)) == everything
        tested += rows(split.test_images)
    assert sorted(tested) == everything
    assert [len(digits(fold).test_images) for fold in range(FOLDS)] == [450, 449, 449, 449]


def test_labels_stay_with_their_images():
    known = dict(
        zip(rows(torch.tensor(load_digits().images)[:, None] / 16), load_digits().target.tolist())
    )
    split = digits(2, normalize=False)
    assert [known[row] for row in rows(split.images)] == split.labels.tolist()
    assert [known[row] for row in rows(split.test_images)] == split.test_labels.tolist()


def test_the_split_is_the_same_for_ever():
    assert digits(0).test_labels[:12].tolist() == [6, 9, 6, 6, 2, 5, 5, 8, 3, 2, 6, 2]


def test_every_class_has_its_share_of_the_test_images():
    for fold in range(FOLDS):
        assert (
            30 <= min(digits(fold).test_labels.bincount())
            and max(digits(fold).test_labels.bincount()) <= 60
        )


def test_only_the_training_images_say_how_to_normalize():
    raw, split = digits(1, normalize=False), digits(1)
    assert 0 == raw.images.min() and raw.images.max() == 1 and raw.images.dtype == torch.float32
    assert abs(split.images.mean()) < 1e-6 and float(split.images.std()) == pytest.approx(
        1, abs=1e-6
    )
    expected = (raw.test_images - raw.images.mean()) / raw.images.std()
    assert torch.allclose(split.test_images, expected) and abs(split.test_images.mean()) > 1e-4


@pytest.mark.parametrize("fold", [-1, 4, 0.5, "0"])
def test_another_fold_is_refused(fold):
    with pytest.raises(ValueError, match="fold must be one of 0 to 3"):
        digits(fold)


def test_without_torchvision_mnist_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision.datasets", None)
    with pytest.raises(ImportError, match=r"pip install torchvision.*or use digits"):
        mnist("somewhere")


def fake_torchvision(monkeypatch, error=None):
    class MNIST:
        def __init__(self, root, train, download):
            if error:
                raise RuntimeError(error)
            n = 6 if train else 4
            self.data = torch.arange(n * 784, dtype=torch.uint8).reshape(n, 28, 28)
            self.targets = torch.arange(n)

    module = types.ModuleType("torchvision.datasets")
    module.MNIST = MNIST
    monkeypatch.setitem(sys.modules, "torchvision", types.ModuleType("torchvision"))
    monkeypatch.setitem(sys.modules, "torchvision.datasets", module)


def test_mnist_is_a_split_like_the_digits(monkeypatch):
    fake_torchvision(monkeypatch)
    split = mnist("somewhere", normalize=False)
    assert split.images.shape == (6, 1, 28, 28) and split.test_images.shape == (4, 1, 28, 28)
    assert split.images.max() == 1 and split.test_labels.tolist() == [0, 1, 2, 3]
    assert abs(mnist("somewhere").images.mean()) < 1e-6


def test_mnist_that_is_not_there_is_not_downloaded_without_being_asked(monkeypatch):
    fake_torchvision(monkeypatch, "Dataset not found")
    with pytest.raises(
        FileNotFoundError, match=r"no MNIST in 'somewhere'.*mnist\('somewhere', download=True\)"
    ):
        mnist("somewhere")
    with pytest.raises(RuntimeError, match="Dataset not found"):
        mnist("somewhere", download=True)
