"""Diffusion models: a net that denoises, trained by regression, is a sampler and a density.

    loss = E |net(t, alpha x_0 + sigma eps) - target|^2,   t uniform, x_0 data, eps from N(0, I)

The target is any of the five predictions (gaussian_paths.py). The mean of the target, given x_t, is
the best that a net can do, and no net has the loss 0. With the net's answer in place of that mean,
the samplers (samplers.py) make data of noise, and the probability flow, solved from the data to the
noise, gives their density: it is a continuous normalizing flow (cnf.py), whose field was found
without solving it.

Sources: Ho, Jain, Abbeel 2020, "Denoising diffusion probabilistic models", arXiv 2006.11239; Song
et al. 2021, "Score-based generative modeling through stochastic differential equations", arXiv
2011.13456; guidance: Ho, Salimans 2022, arXiv 2207.12598.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from .cnf import CNF
from .flows import normal_log_prob
from .gaussian_paths import PATHS, PREDICTIONS, Denoised, GaussianPath, denoised, predicted
from .neural_ode import Cost
from .samplers import (
    Denoiser,
    Samples,
    ddim,
    probability_flow,
    velocity_field,
)
from .sizes import check_sizes
from .time_grids import even


class Diffusion(nn.Module):
    """A net with a path and a kind of prediction (see the module).

    Args:
        net: net(t, x) -> like x; t 0-d or (B, 1, ..., 1), x (B, *shape). With classes net(t, x,
            label), labels (B,) int64, where `classes` stands for "of no class".
        path: from data to noise, or its name in PATHS.
        shape: of one point or image, such as (2,) or (1, 8, 8).
        prediction: what the net returns, one of PREDICTIONS.
        target: what the loss compares, the prediction if None. Another kind is the same regression
            with another weight on each time: the error of eps is alpha / sigma times that of x0.
        classes: how many labels there are, 0 for none.
        drop: the share of labels that training replaces by "of no class", for guidance.

    Raises:
        TypeError: if net is no module, or path no GaussianPath. ValueError: for an unknown path,
            prediction or target, a shape that is none, a negative number of classes, or a drop
            outside of [0, 1].

        >>> from node_tutorial.models import TimedMLP
        >>> model = Diffusion(TimedMLP(2, 32, 2), shape=(2,))
        >>> model.loss(torch.zeros(5, 2)).shape, model.sample(3).x.shape
        (torch.Size([]), torch.Size([3, 2]))
        >>> model.log_prob(torch.zeros(5, 2)).shape
        torch.Size([5])
    """

    def __init__(
        self,
        net: nn.Module,
        path: GaussianPath | str = "cosine",
        *,
        shape: tuple[int, ...] = (2,),
        prediction: str = "eps",
        target: str | None = None,
        classes: int = 0,
        drop: float = 0.1,
    ) -> None:
        super().__init__()
        if not isinstance(net, nn.Module):
            raise TypeError(f"net must be an nn.Module, got {type(net).__name__}")
        for name, kind in (("prediction", prediction), ("target", target or prediction)):
            if kind not in PREDICTIONS:
                raise ValueError(f"{name} must be one of {', '.join(PREDICTIONS)}, got {kind!r}")
        if isinstance(path, str):
            path = _named(path)
        if not isinstance(path, GaussianPath):
            raise TypeError(
                f"path must be a GaussianPath, such as cosine() of gaussian_paths, or the name of "
                f"one, got {type(path).__name__}"
            )
        if not isinstance(shape, tuple) or not shape:
            raise ValueError(f"shape must be a tuple, such as (2,) or (1, 8, 8), got {shape!r}")
        check_sizes(**{f"shape[{i}]": size for i, size in enumerate(shape)})
        check_sizes(0, classes=classes)
        if not 0 <= drop <= 1:
            raise ValueError(f"drop must be in [0, 1], the share of labels left out, got {drop}")
        self.net = net
        self.path = path
        self.shape = shape
        self.prediction = prediction
        self.target = target or prediction
        self.classes = classes
        self.drop = drop
        self._stats = Cost()

    @property
    def stats(self) -> Cost:
        """`Cost` of the last sampling, encoding or log_prob, evaluations of the net a sample."""
        return self._stats

    @property
    def prior_std(self) -> float:
        """The standard deviation of the noise that sampling starts from: sigma at `path.last`."""
        return float(self.path.at(torch.tensor(self.path.last, dtype=torch.float64)).sigma)

    # -- training ----------------------------------------------------------------------------------

    def loss(
        self,
        x0: Tensor,
        label: Tensor | None = None,
        *,
        t: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """The mean, over batch and entries, of (prediction - target)^2: one t for each x0.

        Args:
            x0: (B, *shape), data. label: (B,), of classes; some are dropped, see `drop`.
            t: (B,); None: uniform from path.first to path.last.
            generator: of times, noise and dropped labels.

        Raises:
            ValueError: for data of another shape, times outside of [0, 1], or labels that are not
                0 to classes - 1, are missing, or are given without classes.
        """
        self._check(x0)
        self._check_label(label, len(x0), needed=True)
        if t is None:
            share = _drawn(torch.rand, (len(x0),), x0, generator)
            t = self.path.first + (self.path.last - self.path.first) * share
        elif t.shape != (len(x0),) or t.min() < 0 or t.max() > 1:
            raise ValueError(
                f"t must be ({len(x0)},), one time in [0, 1] for each x0, got shape "
                f"{tuple(t.shape)} from {float(t.min()):g} to {float(t.max()):g}"
            )
        t = t.to(x0).reshape(-1, *[1] * len(self.shape))
        eps = _drawn(torch.randn, x0.shape, x0, generator)
        if label is not None:
            dropped = _drawn(torch.rand, (len(x0),), x0, generator) < self.drop
            label = torch.where(dropped, torch.full_like(label, self.classes), label)
        x = self.path.noised(x0, t, eps)
        found = self(t, x, label)
        if self.target != self.prediction:
            parts = denoised(self.path, self.prediction, t, x, found)
            found = predicted(self.path, self.target, t, parts)
        aim = predicted(self.path, self.target, t, Denoised(x0, eps))
        return (found - aim).square().mean()

    def forward(self, t: Tensor, x: Tensor, label: Tensor | None = None) -> Tensor:
        """The net's prediction, like x; without a label that of no class."""
        if not self.classes:
            return self.net(t, x)
        if label is None:
            label = torch.full((len(x),), self.classes, device=x.device)
        return self.net(t, x, label)

    # -- denoising and sampling --------------------------------------------------------------------

    def denoiser(self, label: Tensor | int | None = None, guidance: float = 1.0) -> Denoiser:
        """The net as a denoiser, for all samplers.

        Args:
            label: (B,) or one class for all; None: no class.
            guidance: w in eps = eps_none + w (eps_label - eps_none), Ho and Salimans' w plus one.
                0: no class; 1: the class; more: away from what is of no class, at twice the
                evaluations.

        Raises:
            ValueError: for a guidance other than 1, or a label, without classes; or guidance
                without a label.
        """
        return _NetDenoiser(self, self._check_guidance(label, guidance), guidance)

    @torch.no_grad()
    def sample(
        self,
        n: int,
        times: Tensor | None = None,
        *,
        sampler: Callable[..., Samples] = ddim,
        label: Tensor | int | None = None,
        guidance: float = 1.0,
        generator: torch.Generator | None = None,
        **options: Any,
    ) -> Samples:
        """n samples, from noise of the standard deviation `prior_std`.

        Args:
            times: of the sampler, from path.last; 50 even steps if None, the last one to the data.
            sampler: of samplers.py; its options are passed on.
            label, guidance: as for `denoiser`.
        """
        check_sizes(n=n)
        z = self.prior_std * _drawn(torch.randn, (n, *self.shape), self._like, generator)
        times = even(self.path, 50) if times is None else times
        denoise = self.denoiser(label, guidance)
        found = sampler(denoise, self.path, z, times, generator=generator, **options)
        self._stats = Cost(found.nfe)
        return found

    @torch.no_grad()
    def inpaint(
        self,
        known: Tensor,
        mask: Tensor,
        times: Tensor | None = None,
        *,
        sampler: Callable[..., Samples] = ddim,
        label: Tensor | int | None = None,
        guidance: float = 1.0,
        generator: torch.Generator | None = None,
        **options: Any,
    ) -> Samples:
        """Samples (B, *shape) that agree with known pixels: the net is shown these, noised.

        At each call the known entries of x are replaced by alpha_t known + sigma_t z, z the same
        all the way, and their guess by themselves. The others get to know them only through the
        net, and while there is much noise, hardly: the conditional density is met roughly. With
        two spots on a diagonal and one coordinate known, 85 of 100 points find theirs by `ddim`,
        91 by `predictor_corrector`, and 99 where that makes ten corrections with snr 0.3.

        Args:
            known: (B, *shape); its unknown entries are ignored.
            mask: true where known, of a shape that broadcasts to known's.
            others: as for `sample`.

        Source: Song et al. 2021, appendix I.2, with noise that is kept.
        """
        self._check(known)
        if mask.dtype != torch.bool:
            raise ValueError(f"mask must be bool, true where a pixel is known, got {mask.dtype}")
        mask = mask.expand_as(known)
        z = self.prior_std * _drawn(torch.randn, known.shape, known, generator)
        fixed = _drawn(torch.randn, known.shape, known, generator)
        denoise = _Knowing(self.denoiser(label, guidance), self.path, known, mask, fixed)
        times = even(self.path, 50) if times is None else times
        found = sampler(denoise, self.path, z, times, generator=generator, **options)
        self._stats = Cost(found.nfe)
        return found._replace(x=torch.where(mask, known, found.x))

    # -- the probability flow as a map and as a density --------------------------------------------

    @torch.no_grad()
    def encode(
        self, x: Tensor, label: Tensor | int | None = None, *, guidance: float = 1.0, **solver: Any
    ) -> Tensor:
        """The noise z (B, *shape), at path.last, to which the probability flow takes the data x.

        solver: method, rtol, atol, options, as for `odeint`.
        """
        self._check(x)
        return self._along_flow(x, label, guidance, [self.path.first, self.path.last], solver)

    @torch.no_grad()
    def decode(
        self, z: Tensor, label: Tensor | int | None = None, *, guidance: float = 1.0, **solver: Any
    ) -> Tensor:
        """The data x (B, *shape), at path.first, that the noise z is taken to; undoes `encode`."""
        self._check(z)
        return self._along_flow(z, label, guidance, [self.path.last, self.path.first], solver)

    def interpolate(self, a: Tensor, b: Tensor, n: int = 8, **solver: Any) -> Tensor:
        """From a to b (*shape) in n images (n, *shape), both included: a turn in the noise.

        Noise of high dimension lies near a sphere, and a straight line would leave it: between
        two codes z the angle grows evenly instead (Song et al. 2021, DDIM, appendix D.5).
        """
        check_sizes(2, n=n)
        z_a, z_b = self.encode(torch.stack([a, b]), **solver).flatten(1)
        cosine_between = (z_a @ z_b / (z_a.norm() * z_b.norm())).clamp(-1 + 1e-6, 1 - 1e-6)
        angle = cosine_between.acos()
        share = torch.linspace(0, 1, n).to(a)[:, None]
        turned = ((1 - share) * angle).sin() * z_a + (share * angle).sin() * z_b
        return self.decode((turned / angle.sin()).reshape(n, *self.shape), **solver)

    def flow(self, label: Tensor | int | None = None, *, guidance: float = 1.0, **cnf: Any) -> CNF:
        """The probability flow of flat points (B, D) as a CNF, whose time is that of the path.

        cnf: trace, probes, method, rtol, atol, ... as for `CNF`. Of its methods only `path` is to
        be used: its noise is at time path.last, and not at 0.
        """
        label = self._check_guidance(label, guidance)
        field = _FlatField(self, label, guidance)
        return CNF(field, math.prod(self.shape), **cnf)

    def log_prob(
        self, x: Tensor, label: Tensor | int | None = None, *, guidance: float = 1.0, **cnf: Any
    ) -> Tensor:
        """log p(x) in nats, (B, *shape) -> (B,), by the probability flow from first to last.

        It is that of p at path.first, a hair's breadth of noise from the data, and takes the noise
        at path.last for N(0, prior_std^2).

        Args:
            cnf: of the trace and the solver, as for `flow`. The exact trace takes D backward passes
                an evaluation: for images trace="rademacher".
        """
        self._check(x)
        cnf = {"rtol": 1e-5, "atol": 1e-5, **cnf}
        solved = self.flow(label, guidance=guidance, **cnf)
        times = torch.tensor([self.path.first, self.path.last], dtype=torch.float64)
        y, log_det = solved.path(x.flatten(1), times.to(x.device))
        self._stats = Cost(solved.stats.nfe * _calls(guidance))
        z = y[-1] / self.prior_std
        log_volume = math.prod(self.shape) * math.log(self.prior_std)
        return normal_log_prob(z) - log_volume + log_det[-1]

    def _along_flow(
        self, x: Tensor, label: Any, guidance: float, times: list[float], solver: dict[str, Any]
    ) -> Tensor:
        denoise = self.denoiser(label, guidance)
        found = probability_flow(denoise, self.path, x, torch.tensor(times).double(), **solver)
        self._stats = Cost(found.nfe)
        return found.x

    # -- checks ------------------------------------------------------------------------------------

    @property
    def _like(self) -> Tensor:
        """A tensor of the net's dtype and device."""
        return next(self.net.parameters(), torch.empty(0))

    def _check(self, x: Tensor) -> None:
        if x.shape[1:] != self.shape or not x.is_floating_point():
            raise ValueError(
                f"data must be floats (B, {', '.join(map(str, self.shape))}), got {x.dtype} of "
                f"shape {tuple(x.shape)}"
            )

    def _check_label(self, label: Tensor | None, n: int, needed: bool = False) -> None:
        if not self.classes:
            if label is not None:
                raise ValueError(
                    "label is given, but the model has no classes; make it with classes=10, say, "
                    "and a net with forward(t, x, label)"
                )
            return
        if label is None:
            if needed:
                raise ValueError(
                    f"label is missing: the model has {self.classes} classes, and training needs "
                    "the label (B,) of each x0"
                )
            return
        if label.shape != (n,) or label.is_floating_point():
            raise ValueError(
                f"label must be ({n},) integers, one for each x, got {label.dtype} of shape "
                f"{tuple(label.shape)}"
            )
        if label.min() < 0 or label.max() >= self.classes:
            raise ValueError(
                f"label must be from 0 to {self.classes - 1}, got {int(label.min())} to "
                f"{int(label.max())}"
            )

    def _check_guidance(self, label: Tensor | int | None, guidance: float) -> Tensor | None:
        if label is not None:
            label = torch.as_tensor(label)
            self._check_label(label.reshape(-1), label.numel())
        if guidance == 1:
            return label
        if not self.classes:
            raise ValueError(
                f"guidance = {guidance} needs classes: train the model with classes and labels, "
                "some of which are dropped"
            )
        if label is None:
            raise ValueError(f"guidance = {guidance} needs a label to guide to, such as label=3")
        if not math.isfinite(guidance):
            raise ValueError(f"guidance must be finite, such as 2.0, got {guidance}")
        return label

    def extra_repr(self) -> str:
        classes = "" if not self.classes else f", classes={self.classes}, drop={self.drop}"
        return (
            f"path={self.path.name!r}, shape={self.shape}, prediction={self.prediction!r}, "
            f"target={self.target!r}{classes}"
        )


def _named(name: str) -> GaussianPath:
    if name not in PATHS:
        raise ValueError(
            f"path must be one of {', '.join(PATHS)}, or a GaussianPath of your own, got {name!r}"
        )
    return PATHS[name]()


def _calls(guidance: float) -> int:
    """Of the net, for one x."""
    return 1 if guidance in (0, 1) else 2


class _NetDenoiser:
    """A model as a denoiser, with a label and guidance."""

    def __init__(self, model: Diffusion, label: Tensor | None, guidance: float) -> None:
        self.model = model
        self.label = label
        self.guidance = guidance
        self.evaluations = _calls(guidance)

    def __call__(self, t: Tensor, x: Tensor) -> Denoised:
        model = self.model
        label = None if self.label is None else self.label.to(x.device).expand(len(x))
        if self.guidance == 0:
            found = model(t, x)
        elif self.guidance == 1:
            found = model(t, x, label)
        else:
            of_none = model(t, x)
            found = of_none + self.guidance * (model(t, x, label) - of_none)
        return denoised(model.path, model.prediction, t, x, found)


class _Knowing(NamedTuple):
    """A denoiser that knows some of the pixels, see `Diffusion.inpaint`."""

    denoise: Any
    path: GaussianPath
    known: Tensor
    mask: Tensor
    eps: Tensor

    @property
    def evaluations(self) -> int:
        return self.denoise.evaluations

    def __call__(self, t: Tensor, x: Tensor) -> Denoised:
        x = torch.where(self.mask, self.path.noised(self.known, t, self.eps), x)
        x0, eps = self.denoise(t, x)
        return Denoised(
            torch.where(self.mask, self.known, x0), torch.where(self.mask, self.eps, eps)
        )


class _FlatField(nn.Module):
    """The probability flow's field for flat points (B, D)."""

    def __init__(self, model: Diffusion, label: Tensor | None, guidance: float) -> None:
        super().__init__()
        self.model = model
        self.field = velocity_field(_NetDenoiser(model, label, guidance), model.path)

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        x = y.reshape(-1, *self.model.shape)
        return self.field(t, x).reshape(y.shape)


def bits_per_dimension(log_prob: Tensor, size: int, level: float) -> Tensor:
    """-log2 of the probability of an image's levels, divided by its number of pixels, (B,).

    Counts k, such as gray levels, are made continuous by uniform noise, k + u with u from 0 to 1:
    then -log2 p, on average, is at least what a code for the counts would take (Theis, van den
    Oord, Bethge 2016, arXiv 1511.01844, section 3.1). Without the noise a density on counts can
    be as high as one likes.

    Args:
        log_prob: in nats (B,), of the pixels as the model sees them.
        size: D, pixels of an image.
        level: the distance, there, between two levels: 1 / 6 for pixels (k + u - 5.4) / 6.

        >>> bits_per_dimension(torch.zeros(1), 64, 1 / 16)  # the uniform density of sixteen levels
        tensor([4.])
    """
    return -(log_prob / size + math.log(level)) / math.log(2)


def _drawn(
    draw: Callable[..., Tensor],
    shape: tuple[int, ...],
    like: Tensor,
    generator: torch.Generator | None,
) -> Tensor:
    """Random numbers in the dtype of a tensor, drawn on the CPU."""
    return draw(shape, generator=generator, dtype=like.dtype, device="cpu").to(like.device)
