"""The game that saliency is about: what a model makes of clips with parts replaced."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from shapmix.mixing.functional import impute, presence

Model = Callable[[Tensor], Tensor]


@contextmanager
def evaluation(model: Model) -> Iterator[Model]:
    """Run a model in eval mode without gradients; every submodule gets its own flag back.

    A DistributedDataParallel wrapper is looked through, since its forward may communicate.
    """
    if isinstance(model, nn.parallel.DistributedDataParallel):
        model = model.module
    modules = list(model.modules()) if isinstance(model, nn.Module) else []
    flags = [module.training for module in modules]
    try:
        if isinstance(model, nn.Module):
            model.eval()
        with torch.no_grad():
            yield model
    finally:
        for module, flag in zip(modules, flags, strict=True):
            module.training = flag


def class_values(
    model: Model,
    x: Tensor,
    y: Tensor,
    joints: Tensor,
    background: Tensor,
    bodies: Tensor | None = None,
    batch_size: int = 256,
) -> Tensor:
    """`v_y(S; x)` for clips and coalitions: the probability of each clip's own class.

    Args:
        model: from `(B, C, T, V, M)` to logits `(B, K)`, as `evaluation` hands it out.
        x: `(N, C, T, V, M)` clips.
        y: `(N,)` int64 classes.
        joints: `(Q, V)` bool, the joints each coalition keeps.
        background: `(C, T, V, M)`, stands in for the other joints.
        bodies: `(N, M)` bool, bodies that are there; the background stands in only for these.
        batch_size: masked clips in one forward.

    Returns:
        `(N, Q)` float32 in `[0, 1]`.
    """
    pairs = torch.arange(len(x) * len(joints), device=x.device)
    values = []
    for chunk in pairs.split(batch_size):
        clip, coalition = chunk // len(joints), chunk % len(joints)
        here = None if bodies is None else bodies[clip]
        masked = impute(x[clip], joints[coalition], background, here)
        probability = model(masked).float().softmax(-1)
        values.append(probability.gather(1, y[clip, None]).squeeze(1))
    return torch.cat(values).view(len(x), len(joints))


def clip_values(
    model: Model,
    x: Tensor,
    joints: Tensor,
    background: Tensor,
    *,
    heed_bodies: bool = True,
    batch_size: int = 256,
) -> Tensor:
    """`v_k(S; x)` of one clip for every class k, from one forward a coalition.

    Args:
        model: from `(B, C, T, V, M)` to logits `(B, K)`, as `evaluation` hands it out.
        x: `(C, T, V, M)` clip.
        joints: `(Q, V)` bool, the joints each coalition keeps.
        background: `(C, T, V, M)`, stands in for the other joints.
        heed_bodies: let the background stand in only for bodies that are there.
        batch_size: masked clips in one forward.

    Returns:
        `(K, Q)` float32; a column sums to 1.
    """
    bodies = presence(x)[None] if heed_bodies else None
    found = [
        model(impute(x[None], chunk, background, bodies)).float().softmax(-1)
        for chunk in joints.split(batch_size)
    ]
    return torch.cat(found).T


def class_statistics(found: Tensor, y: Tensor, num_classes: int) -> tuple[Tensor, Tensor]:
    """Mean and standard error over the clips of each class.

    Args:
        found: `(N, ...)`, a number or several for each clip.
        y: `(N,)` int64 classes.
        num_classes: K.

    Returns:
        Means `(K, ...)`, zero for a class without clips, and standard errors `sd / sqrt(n)`
        `(K, ...)`, NaN for a class with fewer than two.
    """
    flat = found.flatten(1).double()
    number = torch.bincount(y, minlength=num_classes)[:, None]
    empty = flat.new_zeros(num_classes, flat.shape[1])
    mean = empty.index_add(0, y, flat) / number.clamp(min=1)
    squares = empty.index_add(0, y, (flat - mean[y]).square())
    error = (squares / (number - 1).clamp(min=1) / number.clamp(min=1)).sqrt()
    error = error.masked_fill(number < 2, torch.nan)
    shape = (num_classes, *found.shape[1:])
    return mean.view(shape).to(found), error.view(shape).to(found)
