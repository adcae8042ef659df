"""`fit`, the training loop of the course: `loop.py` is the loop, `state.py` what it records, stores
and takes up again.

What is learned is a function loss(model, batch). It returns a scalar tensor, or a pair of that and
{name: number} to be recorded beside it. `batch` is the number of the step, or what `batches(step)`
returns for it:

    def loss(model, step):                               # all data at once
        return (model(y0, t) - y).square().mean()

    history = fit(model, loss, 300, lr=0.01)

    def loss(model, batch):                              # mini-batches
        image, label = batch
        return cross_entropy(model(image), label)

    batches = Minibatches(images, labels, size=64)
    history = fit(model, loss, 5 * batches.per_epoch, batches=batches)
"""

from .loop import fit
from .state import History, Minibatches
