"""Lesson 11: train with a net as encoder, each way with five seeds, and store where that ends.

python benchmarks/continuous_vae.py     a minute on one CPU thread
"""

import torch

from node_tutorial.course.runs import save
from node_tutorial.lessons.continuous_vae.runs import over_seeds

torch.set_num_threads(1)
found = over_seeds(anew=True)
save(
    "continuous_vae.json",
    {
        way: {name: [round(value, 4) for value in ends] for name, ends in each._asdict().items()}
        for way, each in found.items()
    },
)
