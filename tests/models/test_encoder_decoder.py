"""The encoder-decoder: causal in the target, all eyes on the source, and it learns to reverse."""

import pytest
import torch

from node_tutorial.models import EncoderDecoder
from node_tutorial.training import fit


def made(seed=0):
    torch.manual_seed(seed)
    return EncoderDecoder(5, 7, 16).double()


def tokens(n, seed=1):
    return torch.randint(7, (n, 5), generator=torch.Generator().manual_seed(seed))


def test_an_entry_does_not_see_itself_or_later_ones_of_the_target():
    net = made()
    source, target = tokens(4), tokens(4, 2)
    logits = net(source, target)
    for j in range(5):
        other = target.clone()
        other[:, j] = (other[:, j] + 1) % 7
        changed = (net(source, other) - logits).abs().amax((0, 2))
        assert (changed[: j + 1] == 0).all() and (changed[j + 1 :] > 0).all()


def test_every_entry_sees_all_of_the_source():
    net = made()
    source, target = tokens(4), tokens(4, 2)
    logits = net(source, target)
    for j in range(5):
        other = source.clone()
        other[:, j] = (other[:, j] + 1) % 7
        assert ((net(other, target) - logits).abs().amax((0, 2)) > 0).all()


def test_attention_weights_are_shares():
    weights = made().attention(tokens(4), tokens(4, 2))
    assert weights.shape == (4, 5, 5) and (weights > 0).all()
    assert torch.allclose(weights.sum(-1), torch.ones(4, 5).double())


def test_it_learns_to_reverse_and_looks_where_the_answer_is():
    torch.manual_seed(0)
    net = EncoderDecoder(5, 7, 16)

    def batches(step):
        source = torch.randint(7, (64, 5))
        return source, source.flip(1)

    def loss(net, pair):
        return torch.nn.functional.cross_entropy(net(*pair).flatten(0, 1), pair[1].flatten())

    fit(net, loss, 500, lr=5e-3, batches=batches, progress=False)
    source = tokens(200, 3)
    right = (net.translate(source) == source.flip(1)).all(1).double().mean()
    looks = net.attention(source, source.flip(1)).mean(0).argmax(1)
    assert right > 0.95 and looks.tolist() == [4, 3, 2, 1, 0]


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match=r"source must be \(B, 5\)"):
        made()(tokens(4)[:, :3], tokens(4))
    with pytest.raises(ValueError, match=r"target must be \(B, 5\)"):
        made()(tokens(4), tokens(4)[0])
    with pytest.raises(ValueError, match="levels"):
        EncoderDecoder(5, 0)
