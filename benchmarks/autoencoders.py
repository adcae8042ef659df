"""The long run of lesson 10, stored in node_tutorial/data/stored/autoencoders.json; a minute on one
core.

    python benchmarks/autoencoders.py

A VAE with 16 latents is trained with the bound of 50 draws in place of the ELBO, and judged by the
bounds of 1, 5, 50 and 500 draws on the test images. Settings:
node_tutorial/explore/autoencoders.py. One thread, float64.
"""

import platform

import torch

from node_tutorial.course.runs import save
from node_tutorial.lessons.autoencoders import runs as lab

LATENT, DRAWS = 16, 50


def main():
    torch.set_num_threads(1)
    model, _ = lab.trained(LATENT, draws=DRAWS)
    bounds = lab.importance_bounds(model, lab.ink_digits().test)
    found = {"latent": LATENT, "draws": DRAWS, "bounds": {k: round(bounds[k], 4) for k in bounds}}
    found |= {"torch": torch.__version__, "processor": platform.machine()}
    print(found)
    save("autoencoders.json", found)


if __name__ == "__main__":
    main()
