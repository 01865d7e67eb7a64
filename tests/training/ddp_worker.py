"""One of two processes that train together on halves of the same batches."""

import os
import sys
from pathlib import Path

import torch
from torch import distributed as dist
from torch import nn

from shapmix.losses import BalancedSoftmaxLoss, two_term_loss
from shapmix.mixing import ShapMix

COUNTS = [400, 120, 90]
EPOCHS, STEPS, CLIPS = 3, 4, 16


def make_model():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Flatten(), nn.Linear(3 * 8 * 20, 8), nn.Tanh(), nn.Linear(8, 3)
    ).double()


def make_batch(epoch, step):
    generator = torch.Generator().manual_seed(100 * epoch + step)
    x = torch.randn(CLIPS, 3, 8, 20, 1, generator=generator, dtype=torch.float64)
    return x, torch.randint(0, 3, (CLIPS,), generator=generator)


def make_mixer(estimator, rank):
    return ShapMix(
        "kinect20",
        COUNTS,
        torch.zeros(3, 8, 20, 1),
        estimator=estimator,
        warmup_epochs=1,
        saliency_budget=1e9,
        clips_per_class=100,
        generator=torch.Generator().manual_seed(rank),
    )


def halves(batch):
    """Of each batch: they have different classes, as far as that goes."""
    x, y = batch
    return [(x[half], y[half]) for half in y.argsort(stable=True).chunk(2)]


def loss_of(model, mixer, x, y):
    mixed = mixer(x, y)
    logits, logits_mixed = model(torch.cat([x, mixed.x])).chunk(2)
    return two_term_loss(
        BalancedSoftmaxLoss(COUNTS).double(), logits, y, logits_mixed, mixed.target
    )


class Whole(nn.Module):
    """Model and mixer as one module, which is how Lightning wraps them."""

    def __init__(self, model, mixer):
        super().__init__()
        self.model, self.mixer = model, mixer

    def forward(self, x, y):
        return loss_of(self.model, self.mixer, x, y)


def work(rank, folder, estimator):
    model = make_model()
    mixer = make_mixer(estimator, rank)
    parallel = nn.parallel.DistributedDataParallel(Whole(model, mixer))
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    gradients = []
    for epoch in range(EPOCHS):
        for step in range(STEPS):
            x, y = halves(make_batch(epoch, step))[rank]
            optimizer.zero_grad()
            parallel(x, y).backward()
            gradients.append(torch.cat([p.grad.flatten() for p in model.parameters()]).clone())
            optimizer.step()
            mixer.observe(model, x, y)
        mixer.refresh(model)
    torch.save({"mixer": mixer.state_dict(), "gradients": gradients}, Path(folder) / f"{rank}.pt")


if __name__ == "__main__":
    torch.set_num_threads(1)
    number, place = int(sys.argv[1]), sys.argv[2]
    dist.init_process_group("gloo", f"file://{place}/store", rank=number, world_size=2)
    work(number, place, sys.argv[3])
    dist.barrier()  # neither goes while the other still talks to it
    dist.destroy_process_group()
    os._exit(0)  # threads of gloo that have not ended yet may abort a usual exit
