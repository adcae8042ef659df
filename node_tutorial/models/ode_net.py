"""ODE-Nets: a classifier whose residual blocks are replaced by one differential equation."""

from typing import Any

import torch
from torch import Tensor, nn

from .fields import ConvField
from .neural_ode import NeuralODE
from .resnet import classifier, downsampling
from .sizes import check_sizes


class ODENet(nn.Module):
    """Downsampling, x(0); the solution x(1) of dx/dt = f(t, x); a classifier.

    Args:
        channels, classes, inputs, halvings: as for `ResNet`.
        field: f, for features (B, channels, height, width); `ConvField(channels)` if None.
        **solver: method, rtol, atol, gradient, options, as for `NeuralODE`.

    With method "rk4" and options {"step_size": 0.5}, eight evaluations, it is what the paper calls
    an RK-Net: gradients by backpropagation through fixed steps. The paper's ODE-Net takes gradient
    "adjoint".

    Attributes:
        stem, block, head: the three parts; `block` is a `NeuralODE`, whose `stats` are the
            evaluations of the last solve, forward and backward. `fit` records them at every step.

    Shapes: images (B, inputs, height, width) -> scores (B, classes), before the softmax.

    Raises:
        TypeError, ValueError: as `ResNet` and `NeuralODE`.

    Source: Chen, Rubanova, Bettencourt, Duvenaud 2018, arXiv 1806.07366, section 3.

        >>> net = ODENet(rtol=1e-3, atol=1e-3, gradient="adjoint")
        >>> net(torch.zeros(5, 1, 8, 8)).shape
        torch.Size([5, 10])
        >>> net.block.stats.nfe > 0
        True
    """

    def __init__(
        self,
        channels: int = 32,
        classes: int = 10,
        *,
        inputs: int = 1,
        halvings: int = 1,
        field: nn.Module | None = None,
        **solver: Any,
    ) -> None:
        super().__init__()
        check_sizes(channels=channels, classes=classes, inputs=inputs)
        check_sizes(0, halvings=halvings)
        self.stem = downsampling(inputs, channels, halvings)
        self.block = NeuralODE(ConvField(channels) if field is None else field, **solver)
        self.head = classifier(channels, classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.features(images, torch.tensor([0.0, 1.0]))[-1])

    def features(self, images: Tensor, t: Tensor) -> Tensor:
        """The features (T, B, channels, height', width') at the times t (T,), from 0 on."""
        x = self.stem(images)
        return self.block(x, t.to(x))
