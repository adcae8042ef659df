"""Residual networks: x + f(x), again and again, each time with weights of its own.

With h = 1 a residual block is a step of Euler's method; `ode_net.py` has the same field f in an
ODE.
"""

import torch
from torch import Tensor, nn

from .fields import ConvField, conv3x3, group_norm
from .sizes import check_sizes


class Residual(nn.Module):
    """x + f(x), a residual block.

    Args:
        field: f, called with the time 0; for instance `ConvField(32, time=None)`, or
            `VectorField(MLP(2, 16, 2))`.

    Shapes: x as for the field, unchanged.

        >>> from node_tutorial.models import MLP, VectorField
        >>> net = nn.Sequential(*(Residual(VectorField(MLP(2, 16, 2))) for _ in range(6)))
        >>> net(torch.zeros(5, 2)).shape
        torch.Size([5, 2])
    """

    def __init__(self, field: nn.Module) -> None:
        super().__init__()
        self.field = field

    def forward(self, x: Tensor) -> Tensor:
        return x + self.field(x.new_zeros(()), x)


def downsampling(inputs: int, channels: int, halvings: int) -> nn.Sequential:
    """From an image to features: a convolution, and one of 4 by 4 pixels with stride 2 for each
    halving of the size.
    """
    layers: list[nn.Module] = [conv3x3(inputs, channels)]
    for _ in range(halvings):
        layers += [
            group_norm(channels),
            nn.SiLU(),
            nn.Conv2d(channels, channels, 4, stride=2, padding=1),
        ]
    return nn.Sequential(*layers)


def classifier(channels: int, classes: int) -> nn.Sequential:
    """From features to a score for each class: activation, mean over positions, a linear layer."""
    return nn.Sequential(
        nn.SiLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes)
    )


class ResNet(nn.Module):
    """Downsampling, L residual blocks, a classifier.

    Args:
        channels: of the features.
        blocks: L; 0 leaves downsampling and classifier alone.
        classes: how many.
        inputs: channels of the images, 1 if gray.
        halvings: how often the size of the images is halved.

    Shapes: images (B, inputs, height, width) -> scores (B, classes), before the softmax.

    Raises:
        ValueError: for a number of blocks or halvings below zero, or any other number below one.

    Sources: He, Zhang, Ren, Sun 2016, "Identity mappings in deep residual networks", arXiv
    1603.05027, whose blocks have no third norm; Chen et al. 2018, section 3 (64 channels, 6 blocks,
    2 halvings, ReLU, on MNIST).

        >>> net = ResNet(blocks=6)
        >>> net(torch.zeros(5, 1, 8, 8)).shape
        torch.Size([5, 10])
    """

    def __init__(
        self,
        channels: int = 32,
        blocks: int = 6,
        classes: int = 10,
        *,
        inputs: int = 1,
        halvings: int = 1,
    ) -> None:
        super().__init__()
        check_sizes(channels=channels, classes=classes, inputs=inputs)
        check_sizes(0, blocks=blocks, halvings=halvings)
        self.stem = downsampling(inputs, channels, halvings)
        self.blocks = nn.Sequential(
            *(Residual(ConvField(channels, time=None)) for _ in range(blocks))
        )
        self.head = classifier(channels, classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.blocks(self.stem(images)))

    def features(self, images: Tensor) -> Tensor:
        """What enters the first block, what leaves each: (L + 1, B, channels, height', width')."""
        states = [self.stem(images)]
        for block in self.blocks:
            states.append(block(states[-1]))
        return torch.stack(states)
