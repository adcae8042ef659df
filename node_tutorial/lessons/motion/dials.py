"""Lesson 13: what can be done with a learned walk: another style, another speed, a loop."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ...data.gait import LEFT_HIP, LEFT_SHOULDER, feet, walk
from ...data.motion import Seam, period, seam, slide
from ...models.latent_ode import LatentODE
from .trainings import FINE, FRAMES, PERIOD, SPACING, SPEED, Clips, clips, encoded, refined, truth

SETTLE = 12.0  # seconds before a roll-out counts as on its cycle
LOOP = 61  # frames of a loop, the first one again at the end


def clean_pair() -> Clips:
    """A stroll and a march, both at phase 0 at the first frame, with key frames without noise."""
    some = clips(2, 0)
    phase = torch.zeros(2, dtype=torch.float64)
    style = torch.tensor([0, 1])
    t = SPACING * torch.arange(FRAMES, dtype=torch.float64)
    return Clips(
        some.t, truth(t, phase, style).float(), some.mask[:1].expand(2, -1, -1), phase, style
    )


def latents_of_styles(model: LatentODE) -> Tensor:
    """The latents (2, L) of `clean_pair`, refined."""
    pair = clean_pair()
    return refined(model, pair, encoded(model, pair))


def settled(model: LatentODE, z0: Tensor, seconds: float = SETTLE) -> Tensor:
    """The latents (B, L) after some seconds, from z0 (B, L)."""
    t = torch.tensor([0.0, seconds], dtype=torch.float64)
    with torch.no_grad():
        return model.latents(z0, t)[:, -1]


def lift_and_arm(angles: Tensor) -> tuple[float, float]:
    """Of a motion (T, 9): the range of the left foot's height, half that of the left shoulder."""
    height = feet(angles)[:, 0, 1]
    shoulder = angles[:, LEFT_SHOULDER]
    return float(height.max() - height.min()), float(shoulder.max() - shoulder.min()) / 2


def rolled_out(model: LatentODE, data: Clips, t: Tensor, refine: bool = False) -> Tensor:
    """Angles (B, T, 9) at times t (T,) from the latents of the clips, refined if asked for."""
    z0 = encoded(model, data)
    if refine:
        z0 = refined(model, data, z0)
    with torch.no_grad():
        return model.decode(z0, t)


def styles(model: LatentODE, pair: Tensor, shares: Sequence[float]) -> tuple[list[float], ...]:
    """Of walks from latents between two (2, L): lifts, swings of an arm, sliding, periods."""
    t = FINE * torch.arange(round(4 * PERIOD / FINE) + 1, dtype=torch.float64)
    rows = []
    for share in shares:
        z = settled(model, (1 - share) * pair[:1] + share * pair[1:])
        with torch.no_grad():
            x = model.decode(z, t)[0]
        rows.append((*lift_and_arm(x), slide(t, x, SPEED), period(t, x[:, LEFT_HIP])))
    return tuple(map(list, zip(*rows)))


def faster(model: LatentODE, z0: Tensor, t: Tensor, factor: float) -> Tensor:
    """Angles (T, 9) of a settled walk from z0 (1, L), with the whole field times a factor."""
    z = settled(model, z0)
    func = model.ode.func
    before = func.speed
    func.speed = factor  # type: ignore[assignment]
    try:
        with torch.no_grad():
            return model.decode(z, t)[0]
    finally:
        func.speed = before


def seams(model: LatentODE, z0: Tensor, pushed: Tensor, data: Clips) -> dict[str, Seam]:
    """Of an exact walk; of a noisy clip cut at its true period; of a model's loop, cut at once from
    a latent that is off its cycle, and cut when it has settled.
    """
    frames = round(PERIOD / SPACING) + 1
    t = PERIOD * torch.linspace(0, 1, LOOP, dtype=torch.float64)
    return {
        "exact walk": seam(t, walk(t, PERIOD)),
        "noisy clip": seam(data.t[:frames].double(), data.x[0, :frames].double()),
        "model, before it has settled": loop(model, pushed, settle=0.0).seam,
        "model, on its cycle": loop(model, z0).seam,
    }


class Loop(NamedTuple):
    """Attributes: t (LOOP,); angles (LOOP, 9), the last one a period after the first; seam."""

    t: Tensor
    angles: Tensor
    seam: Seam

    @property
    def period(self) -> float:
        return float(self.t[-1])


def loop(model: LatentODE, z0: Tensor, settle: float = SETTLE) -> Loop:
    """A loop cut from a roll-out from z0 (1, L), after `settle` seconds.

    Its length is the time, near the period of the left hip, after which the latent is nearest to
    where it was: with steps of FINE first, then twice finer ones between.

    Raises:
        ValueError: if the roll-out has no period.
    """
    start = settled(model, z0, settle) if settle else z0
    t = FINE * torch.arange(round(4 * PERIOD / FINE) + 1, dtype=torch.float64)
    with torch.no_grad():
        length = period(t, model.decode(start, t)[0, :, LEFT_HIP])
        for width in (0.05, 0.001, 2e-5):
            near = torch.linspace(length * (1 - width), length * (1 + width), 41).double()
            z = model.latents(start, near)[0]
            length = float(near[int((z - start[0]).norm(dim=-1).argmin())])
        frames = length * torch.linspace(0, 1, LOOP, dtype=torch.float64)
        angles = model.decode(start, frames)[0]
    return Loop(frames, angles, seam(frames, angles))
