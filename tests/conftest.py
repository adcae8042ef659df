"""What holds for all tests."""

import torch

# As in the lessons: the tensors are small, and two threads on a machine that does other work too
# would mostly wait for each other. (Measured: an update of an explorable took 0.9 s instead of 0.1
# s.)
torch.set_num_threads(1)
