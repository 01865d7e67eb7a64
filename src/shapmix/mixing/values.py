"""The game that saliency is about: what a model makes of clips with parts replaced."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_pre_hook
from torch.nn.parallel import DistributedDataParallel

from shapmix.mixing.functional import impute, presence

Model = Callable[[Tensor], Tensor]


@contextmanager
def evaluation(model: Model) -> Iterator[Model]:
    """Run a model in eval mode without gradients; every submodule gets its own flag back.

    So do the modules that a function calls, as `lambda x: net(x)[0]`. DistributedDataParallel,
    outermost or inside of a compiled or other module, does not communicate meanwhile: not every
    process may have something to evaluate.
    """
    if isinstance(model, DistributedDataParallel):
        model = model.module
    quiet = _Quiet()
    hook = None if isinstance(model, nn.Module) else register_module_forward_pre_hook(quiet.called)
    try:
        if isinstance(model, nn.Module):
            quiet.add(model)
        with torch.no_grad():
            yield model
    finally:
        if hook is not None:
            hook.remove()
        quiet.restore()


class _Quiet:
    """Modules in eval mode for a while, and the flags they had."""

    def __init__(self) -> None:
        self.training: dict[nn.Module, bool] = {}
        self.syncs: dict[DistributedDataParallel, bool] = {}

    def add(self, module: nn.Module) -> None:
        """Put a module and all inside of it into eval mode."""
        for each in module.modules():
            self.training.setdefault(each, each.training)
            if isinstance(each, DistributedDataParallel):
                self.syncs.setdefault(each, each.require_forward_param_sync)
                each.require_forward_param_sync = False
        module.eval()

    def called(self, module: nn.Module, _args: object) -> None:
        """The same when a module is met first as it is called."""
        if module not in self.training:
            self.add(module)

    def restore(self) -> None:
        """Give all flags back."""
        for module, flag in self.training.items():
            module.training = flag
        for wrapper, sync in self.syncs.items():
            wrapper.require_forward_param_sync = sync


def giving_logits(model: Model, classes: int) -> Model:
    """The model; ValueError when what it gives is not one logit for each class."""

    def checked(clips: Tensor) -> Tensor:
        logits: object = model(clips)
        expected = (len(clips), classes)
        if not isinstance(logits, Tensor) or logits.shape != expected:
            found = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
            raise ValueError(
                f"the model gives {found} for {len(clips)} clips; expected logits of shape "
                f"{expected}, one for each entry of class_counts. If it has several outputs, pass "
                "the mixer what returns the logits alone, such as lambda x: model(x)[0]"
            )
        return logits

    return checked


def class_values(
    model: Model,
    x: Tensor,
    y: Tensor,
    joints: Tensor,
    background: Tensor,
    bodies: Tensor | None = None,
    batch_size: int = 256,
    chosen: Tensor | None = None,
) -> Tensor:
    """`v_y(S; x)` for clips and coalitions: the probability of each clip's own class.

    The empty coalition leaves nothing of a clip but which bodies it has: it is evaluated once for
    each distinct row of `bodies`, not for each clip.

    Args:
        model: from `(B, C, T, V, M)` to logits `(B, K)`, as `evaluation` hands it out.
        x: `(N, C, T, V, M)` clips.
        y: `(N,)` int64 classes.
        joints: `(Q, V)` bool, the joints each coalition keeps.
        background: `(C, T, V, M)`, stands in for the other joints.
        bodies: `(N, M)` bool, bodies that are there; the background stands in only for these.
        batch_size: masked clips in one forward.
        chosen: `(N, Q)` bool, what to evaluate; everything when not given.

    Returns:
        `(N, Q)` float32 in `[0, 1]`; 0 where not chosen.
    """
    if chosen is None:
        chosen = torch.ones(len(x), len(joints), dtype=torch.bool, device=x.device)
    empty = ~joints.any(1)
    values = x.new_zeros(len(x), len(joints), dtype=torch.float32)
    if bool((chosen & empty).any()):
        of_clips = _empty_values(model, x, y, background, bodies, batch_size)
        values = torch.where(chosen & empty, of_clips[:, None], values)
    for clip, coalition in zip(
        *(part.split(batch_size) for part in (chosen & ~empty).nonzero(as_tuple=True)), strict=True
    ):
        here = None if bodies is None else bodies[clip]
        masked = impute(x[clip], joints[coalition], background, here)
        values[clip, coalition] = _of_class(model(masked), y[clip])
    return values


def _empty_values(
    model: Model,
    x: Tensor,
    y: Tensor,
    background: Tensor,
    bodies: Tensor | None,
    batch_size: int,
) -> Tensor:
    """`v_y` of clips of which the background took everything: `(N,)`."""
    here = torch.ones(len(x), 1, dtype=torch.bool, device=x.device) if bodies is None else bodies
    patterns, which = here.unique(dim=0, return_inverse=True)
    blank = torch.zeros_like(x[:1]).expand(len(patterns), *x.shape[1:])
    nothing = torch.zeros(len(patterns), x.shape[3], dtype=torch.bool, device=x.device)
    masked = impute(blank, nothing, background, None if bodies is None else patterns)
    logits = torch.cat([model(chunk) for chunk in masked.split(batch_size)])
    return _of_class(logits[which], y)


def _of_class(logits: Tensor, y: Tensor) -> Tensor:
    """The probability of one class each: `(N, K)` and `(N,)` to `(N,)` float32."""
    return logits.float().softmax(-1).gather(1, y[:, None]).squeeze(1)


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
