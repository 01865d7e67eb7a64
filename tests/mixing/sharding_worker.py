"""One of two processes that refresh together, or one alone with the clips of both."""

import os
import sys
from pathlib import Path

import torch
from torch import distributed as dist

from shapmix.mixing import ShapMix

COUNTS = [60, 30, 9, 6]
# clips of each class in each process
HELD = torch.tensor([[5, 1, 3, 0], [3, 4, 1, 2]])
# name: forwards that all may spend together, most clips of a class
CASES = {"some": (120, 8), "deeper": (300, 8), "all": (10**6, 8), "few": (200, 3)}


def clips_of(rank):
    """The clips of a process: each knows who it is."""
    y = torch.repeat_interleave(torch.arange(4), HELD[rank])
    generator = torch.Generator().manual_seed(rank)
    return torch.randn(len(y), 3, 8, 20, 1, generator=generator), y


def refresh(batches, budget, most):
    """The table after three refreshes, and the forwards that this process spent on each."""
    weights = torch.randn(3, 4, generator=torch.Generator().manual_seed(7))
    calls = []

    def model(x):
        calls.append(len(x))
        return x.mean((2, 3, 4)).tanh() @ weights

    generator = torch.Generator().manual_seed(0)
    background = torch.zeros(3, 8, 20, 1)
    mixer = ShapMix(
        "kinect20",
        COUNTS,
        background,
        clips_per_class=most,
        eval_batch_size=16,
        generator=generator,
    )
    mixer.saliency_budget = budget / 6 / int(HELD.sum())
    spent = []
    for _ in range(3):
        for x, y in batches:
            mixer(x, y)
        mixer.refresh(model)
        spent.append(sum(calls))
        calls.clear()
    return {"spent": torch.tensor(spent), **mixer.state_dict()}


def work(rank, folder):
    found = {name: refresh([clips_of(rank)], *case) for name, case in CASES.items()}
    torch.save(found, Path(folder) / f"{rank}.pt")


if __name__ == "__main__":
    torch.set_num_threads(1)
    number, place = int(sys.argv[1]), sys.argv[2]
    dist.init_process_group("gloo", f"file://{place}/store", rank=number, world_size=2)
    work(number, place)
    dist.barrier()  # neither goes while the other still talks to it
    dist.destroy_process_group()
    os._exit(0)  # threads of gloo that have not ended yet may abort a usual exit
