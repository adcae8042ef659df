"""`fit`, the training loop of the course: `loop.py` is the loop, `state.py` what it records, stores
and takes up again, `schedules.py` how the learning rate falls, `distributed.py` what several
processes say to each other.

What is learned is a function loss(model, batch). It returns a scalar tensor, or a pair of that and
{name: number} to be recorded beside it. `batch` is the number of the step, or what `batches(step)`
returns for it:

    def loss(model, step):                               # all data at once
        return (model(y0, t) - y).square().mean()

    history = fit(model, loss, 300, lr=0.01, schedule=cosine(300))

    def loss(model, batch):                              # mini-batches
        image, label = batch
        return cross_entropy(model(image), label)

    batches = Minibatches(images, labels, size=64)
    history = fit(model, loss, 5 * batches.per_epoch, batches=batches)

For a fair comparison of models, a budget of the processor's time takes the place of the steps; then
the place in the training is the share of the seconds that is used, from 0 to 1:

    history = fit(model, loss, seconds=30.0, schedule=cosine(), batches=batches)

The same script is one training in several processes where torchrun starts it, see `distributed.py`:

    torchrun --nproc-per-node 2 train.py
"""

from .distributed import processes, rank
from .loop import fit
from .schedules import cosine, linear
from .state import History, Minibatches

__all__ = ["History", "Minibatches", "cosine", "fit", "linear", "processes", "rank"]
