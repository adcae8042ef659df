"""Autoregressive models: causal to the last bit, sums to one, draws as the likelihood says."""

import itertools
import math

import pytest
import torch

from node_tutorial.data.ising import Ising
from node_tutorial.models import Autoregressive, MaskedMLP, Recurrent, Transformer
from node_tutorial.models.causal_nets import influence
from node_tutorial.training import fit

NETS = {
    "masked": lambda **of: MaskedMLP(5, 3, (32, 32), **of),
    "transformer": lambda **of: Transformer(5, 3, width=16, **of),
    "recurrent": lambda **of: Recurrent(5, 3, width=16, **of),
}
ALL = torch.tensor(list(itertools.product(range(3), repeat=5)))
ORDER = torch.tensor([3, 0, 4, 1, 2])


@pytest.fixture(params=NETS)
def make(request):
    """A maker of nets far from their start, in double precision."""

    def far(**of):
        torch.manual_seed(0)
        net = NETS[request.param](**of).double()
        with torch.no_grad():
            for p in net.parameters():
                p.add_(0.5 * torch.randn_like(p))
        return net

    return far


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("order", [None, ORDER])
def test_the_probabilities_of_all_sequences_sum_to_one(make, order):
    model = Autoregressive(make(), order)
    assert model.log_prob(ALL).exp().sum().item() == pytest.approx(1, abs=1e-12)


def test_no_entry_sees_itself_or_a_later_one(make):
    net = make()
    found = influence(net, ALL[::7])
    assert found.triu().abs().max() == 0  # exactly
    assert found.tril(-1)[1:].sum(1).min() > 0  # and it sees those before
    assert (found + torch.ones_like(found).triu()).min() > 0  # each of them


def test_a_mask_that_lets_the_present_through_is_caught():
    torch.manual_seed(0)
    net = MaskedMLP(4, 2, (8,))
    for layer in net.layers:
        layer.mask.fill_(1)
    assert influence(net, torch.zeros(3, 4, dtype=torch.int64)).triu().max() > 0


def test_draws_with_and_without_a_memory_are_the_same(make):
    model = Autoregressive(make(), ORDER)
    one = model.sample(60, generator=seeded())
    other = model.sample(60, cached=False, generator=seeded())
    assert torch.equal(one.x, other.x)
    assert torch.allclose(one.log_prob, other.log_prob, atol=1e-12)
    assert torch.allclose(one.log_prob, model.log_factors(one.x), atol=1e-12)


@pytest.mark.parametrize("net, cached", [("transformer", 5), ("recurrent", 5), ("masked", 25)])
def test_a_memory_saves_the_places_that_it_says(net, cached):
    model = Autoregressive(NETS[net]())
    model.sample(2)
    assert model.net.cost == cached
    model.net.cost = 0
    model.sample(2, cached=False)
    assert model.net.cost == 25


def test_draws_come_as_often_as_the_likelihood_says(make):
    model = Autoregressive(make(), ORDER)
    n = 20_000
    drawn = model.sample(n, generator=seeded()).x
    code = drawn @ torch.tensor([81, 27, 9, 3, 1])
    counts = torch.bincount(code, minlength=243).double()
    expected = n * model.log_prob(ALL).exp()
    large = expected > 5
    chi2 = ((counts - expected).square() / expected)[large].sum()
    freedom = int(large.sum())
    assert chi2 < freedom + 5 * math.sqrt(2 * freedom)


def test_what_is_known_stays_and_the_rest_is_drawn(make):
    model = Autoregressive(make(), ORDER)
    known = torch.tensor([2, 0])
    x = model.sample(40, known=known, generator=seeded()).x
    assert torch.equal(x[:, ORDER[:2]], known.expand(40, 2))
    assert len(x.unique(dim=0)) > 3


def test_temperature_and_top_k_narrow_the_draws(make):
    model = Autoregressive(make())
    greedy = model.sample(20, top_k=1, generator=seeded()).x
    assert len(greedy.unique(dim=0)) == 1
    cold = model.sample(20, temperature=1e-4, generator=seeded()).x
    assert torch.equal(cold, greedy)
    kinds = [
        len(model.sample(300, temperature=t, generator=seeded()).x.unique(dim=0))
        for t in (0.2, 1.0, 5.0)
    ]
    assert kinds[0] < kinds[1] < kinds[2]


@pytest.mark.parametrize(
    "temperature, entropy", [(0.5, 0.441057), (1.0, 0.832396), (2.0, 1.020191)]
)
def test_a_temperature_has_the_entropy_of_its_softmax(temperature, entropy):
    """Of logits (2, 1, 0), in nats."""
    model = Autoregressive(MaskedMLP(1, 3, (2,)))
    with torch.no_grad():
        model.net.layers[-1].weight.zero_()
        model.net.layers[-1].bias.copy_(torch.tensor([2.0, 1.0, 0.0]))
    drawn = model.sample(40_000, temperature=temperature, generator=seeded()).x[:, 0]
    share = torch.bincount(drawn, minlength=3) / 40_000
    assert float(-(share * share.log()).sum()) == pytest.approx(entropy, abs=0.01)


def test_a_label_changes_the_likelihood_and_must_be_there(make):
    model = Autoregressive(make(classes=2))
    zeros = torch.zeros(len(ALL), dtype=torch.int64)
    for label in (zeros, zeros + 1):
        assert model.log_prob(ALL, label).exp().sum().item() == pytest.approx(1, abs=1e-12)
    assert not torch.allclose(model.log_prob(ALL, zeros), model.log_prob(ALL, zeros + 1))
    with pytest.raises(ValueError, match="classes=2 and needs a label"):
        model.log_prob(ALL)
    with pytest.raises(ValueError, match="from 0 to 1"):
        model.log_prob(ALL, zeros + 2)
    with pytest.raises(ValueError, match="has no labels"):
        Autoregressive(make()).log_prob(ALL, zeros)


def test_it_learns_the_ising_model_to_its_entropy(make):
    ising = Ising()
    torch.manual_seed(0)
    model = Autoregressive(MaskedMLP(4, 2, (32,)))
    x = ising.sample(4000, seeded())
    fit(model, lambda model, step: model.loss(x), 300, lr=0.02, progress=False)
    p = ising.log_prob(ising.states).exp()
    with torch.no_grad():
        cross_entropy = float(-(p * model.log_prob(ising.states)).sum())
    assert ising.entropy <= cross_entropy < ising.entropy + 0.01
    assert model.bits(ising.states).max().item() > 0.9


def test_the_ising_model_has_its_closed_forms():
    ising = Ising()
    assert math.exp(ising.log_partition) == pytest.approx(27.048782765, abs=1e-8)
    assert float(ising.log_prob(torch.ones(4, dtype=torch.int64))) == pytest.approx(
        -1.297642005, abs=1e-9
    )
    assert ising.entropy == pytest.approx(2.224954797, abs=1e-9)
    assert ising.entropy / (4 * math.log(2)) == pytest.approx(0.802482814, abs=2e-9)
    lost = ising.entropy_of_independent_spins - ising.entropy
    assert lost == pytest.approx(0.547633925, abs=1e-9)


@pytest.mark.parametrize(
    "order, factors",
    [
        ((0, 1, 2, 3), (0.5, 0.768171802, 0.807489730, 0.880797078)),
        ((0, 3, 1, 2), (0.5, 0.704238077, 0.880797078, 0.880797078)),
    ],
)
def test_the_chain_rule_holds_in_any_order(order, factors):
    ising = Ising()
    known = {}
    product = 1.0
    for entry, expected in zip(order, factors):
        found = ising.conditional(known, entry, 1)
        assert found == pytest.approx(expected, abs=1e-9)
        product *= found
        known[entry] = 1
    assert product == pytest.approx(0.273175180, abs=1e-9)


@pytest.mark.parametrize(
    "call, match",
    [
        (lambda: Autoregressive(torch.nn.Linear(2, 2)), "must be a CausalNet"),
        (lambda: Autoregressive(NETS["masked"](), [0, 1, 2, 3, 3]), "permutation"),
        (lambda: Autoregressive(NETS["masked"](), [0.5, 1, 2, 3, 4]), "permutation"),
        (lambda: Autoregressive(NETS["masked"]()).sample(0), "n must be"),
        (lambda: Autoregressive(NETS["masked"]()).sample(2, temperature=0), "top_k=1"),
        (lambda: Autoregressive(NETS["masked"]()).sample(2, top_k=4), "from 1 to 3"),
        (lambda: Autoregressive(NETS["masked"]()).sample(2, known=torch.zeros(6)), "up to 5"),
        (lambda: Autoregressive(NETS["masked"]()).log_prob(ALL[:, :4]), r"\(B, 5\)"),
        (lambda: Autoregressive(NETS["masked"]()).log_prob(ALL + 1), "from 0 to 2"),
        (lambda: Autoregressive(NETS["masked"]()).log_prob(ALL / 2), "integers"),
        (lambda: Transformer(5, 3, width=10, heads=4), "divide"),
        (lambda: MaskedMLP(0, 3), "size"),
        (lambda: Ising(5, 5), "up to|from 1 to 16"),
    ],
)
def test_what_cannot_be_is_refused_with_the_remedy(call, match):
    with pytest.raises((TypeError, ValueError), match=match):
        call()
