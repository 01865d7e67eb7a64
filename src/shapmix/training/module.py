"""The LightningModule: it composes transform, mixer, model and loss, and holds no method itself."""

import math
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Generator, Tensor, nn
from torch.optim import SGD
from torch.optim.lr_scheduler import LambdaLR

from shapmix.data.loader import RaggedBatch
from shapmix.data.transforms import Transform
from shapmix.losses import FollowsEpochs, classifier_input, two_term_loss
from shapmix.metrics import evaluate
from shapmix.mixing import Mixer, NoMix
from shapmix.mixing.stmix import unmixed
from shapmix.training.config import TrainConfig
from shapmix.training.graphs import can_capture, capture
from shapmix.training.schedule import lr_factor

CHECKED_EVERY = 50  # steps between looks at the loss on a GPU


class TrainingError(ValueError):
    """Training cannot go on; the text says why and what to try."""


class Recognizer(pl.LightningModule):
    """Trains `model` on clean and mixed clips, as one batch of 2N, by the two-term objective.

    What is mixed is a view of its own: the same clips augmented once more (`mixed_view`). Without
    a mixer (`NoMix`), and before mixing begins (`mix_from`), that view is the second half as it is.
    So every method trains on as many views of as many clips in as many steps.

    All randomness of an epoch follows from (seed, epoch, process), so a run that is resumed at an
    epoch's start goes on exactly as if it had never stopped.
    """

    def __init__(
        self,
        config: TrainConfig,
        transform: Transform,
        model: nn.Module,
        mixer: nn.Module,
        criterion: nn.Module,
        class_counts: np.ndarray[Any, np.dtype[np.int64]],
    ) -> None:
        super().__init__()
        self.config = config
        self.transform = transform
        self.model = model
        self.mixer = mixer
        self.criterion = criterion
        self.class_counts = class_counts
        self.augmentation = Generator()
        self._scores: list[tuple[Tensor, Tensor]] = []
        self._last_loss: Tensor | None = None
        self._graph: tuple[torch.Size, Callable[[Tensor], Tensor]] | None = None

    @property
    def mixing(self) -> Mixer:
        """The mixer, as the protocol it fulfils."""
        return cast(Mixer, self.mixer)

    @property
    def waits(self) -> bool:
        """Whether this epoch is before those that mix; none is in a trial of one batch."""
        config = self.config
        first = min(round(config.mix_from * config.num_epochs), config.num_epochs - 1)
        mixed = not (config.fast_dev_run or isinstance(self.mixer, NoMix))
        return mixed and self.current_epoch < first

    @property
    def mixes(self) -> bool:
        """Whether the second half of a batch is mixed in this epoch."""
        return not (self.waits or isinstance(self.mixer, NoMix))

    def forward(self, batch: RaggedBatch) -> Tensor:
        """Logits `(N, K)` of a ragged batch, by the deterministic transform."""
        logits: Tensor = self.model(self.transform(batch))
        return logits

    def on_train_epoch_start(self) -> None:
        """Seed this epoch's augmentation, mixing and dropout; tell the loss where the run is."""
        if isinstance(self.criterion, FollowsEpochs):
            self.criterion.set_progress(self.current_epoch, self.config.num_epochs)
        generators = [self.augmentation]
        if isinstance(mixing := getattr(self.mixer, "generator", None), Generator):
            generators.append(mixing)
        entropy = (self.config.seed, self.current_epoch, self.global_rank)
        states = np.random.SeedSequence(entropy).generate_state(len(generators) + 1)
        torch.manual_seed(int(states[-1]))
        for generator, state in zip(generators, states, strict=False):
            generator.manual_seed(int(state))

    def training_step(self, batch: RaggedBatch, step: int) -> Tensor:
        """Loss of one batch: the mean over clean clips plus the mean over mixed clips."""
        x, y = self.transform(batch, self.augmentation), batch.labels
        same = self.mixes and self.config.mixed_view == "same"
        second = x if same else self.transform(batch, self.augmentation)
        mixed = self.mixing(second, y)  # in waiting, too: the mixer learns from what it sees
        if not self.mixes:
            mixed = unmixed(second, y, len(self.class_counts))
        loss = self._loss(torch.cat([x, mixed.x]), y, mixed.target)
        self._last_loss = loss.detach()
        if not loss.is_cuda or step % CHECKED_EVERY == 0:  # to look stalls a GPU
            self._check_loss()
        self.mixing.observe(self.model, x, y)
        self.log(
            "train/loss",
            loss,
            on_step=False,
            on_epoch=True,
            sync_dist=True,  # the mean of all processes
            batch_size=len(batch),
        )
        return loss

    def on_train_epoch_end(self) -> None:
        """Look at the last loss, before a checkpoint is written."""
        self._check_loss()

    def _check_loss(self) -> None:
        """TrainingError when the loss is no longer finite; once it is not, it stays so."""
        if self._last_loss is None or math.isfinite(loss := float(self._last_loss)):
            return
        raise TrainingError(
            f"the loss became {loss} in epoch {self.current_epoch}. Likely "
            f"causes: a learning rate that is too high (lr is {self.config.lr}), data in "
            "unusual units (look at `shapmix info`; metres are expected for 3D), or fp16 "
            "overflow (try bf16). Lower lr, or set clip_grad"
        )

    def _logits(self, x: Tensor) -> Tensor:
        """The model in training; on a GPU by a captured graph where that is possible."""
        graphs = self.config.cuda_graphs and x.is_cuda and self.trainer.world_size == 1
        if not graphs or not can_capture(self.model):
            logits: Tensor = self.model(x)
            return logits
        if self._graph is None:
            self._graph = x.shape, capture(self.model, x)
        shape, captured = self._graph
        return captured(x) if x.shape == shape else self.model(x)

    def _loss(self, x: Tensor, y: Tensor, target: Tensor) -> Tensor:
        """Of N clean clips with labels `y` and, behind them, N mixed ones with targets."""
        features = None
        if getattr(self.criterion, "uses_features", False):
            with classifier_input(self.model, len(self.class_counts)) as seen:
                both = self.model(x)
            features = seen[-1].chunk(2)
        else:
            both = self._logits(x)
        logits, logits_mixed = both.chunk(2)
        return two_term_loss(self.criterion, logits, y, logits_mixed, target, features)

    def validation_step(self, batch: RaggedBatch, _: int) -> None:
        """Keep the scores of a batch."""
        self._scores.append((self(batch).float().cpu(), batch.labels.cpu()))

    def on_validation_epoch_end(self) -> None:
        """Accuracies of the validation part; mean-class accuracy selects the best epoch."""
        self._check_loss()
        logits, labels = (torch.cat(part).numpy() for part in zip(*self._scores, strict=True))
        self._scores.clear()
        found = evaluate(logits, labels, self.class_counts, resamples=0)
        # Of the first process, whose weights are kept: batch norm's means differ between them, and
        # all must choose the same epoch.
        found = self.trainer.strategy.broadcast(found)
        for name in ("top1", "mean_class"):
            self.log(f"val/{name}", float(found[name]), prog_bar=name == "mean_class")

    def configure_optimizers(self) -> Any:
        """SGD with Nesterov momentum, its rate set before every step."""
        config = self.config
        # a fused optimiser unscales fp16 gradients itself, and Lightning clips none beside it
        clipped = config.precision == "bf16" and config.clip_grad is not None
        fused = self.device.type == "cuda" and config.precision != "fp16" and not clipped
        optimizer = SGD(
            self.model.parameters(),
            lr=config.lr,
            momentum=config.momentum,
            weight_decay=config.weight_decay,
            nesterov=config.momentum > 0,
            fused=True if fused else None,
        )
        steps = max(int(self.trainer.estimated_stepping_batches) // config.num_epochs, 1)

        def factor(step: int) -> float:
            return lr_factor(
                step / steps,
                config.num_epochs,
                schedule=config.schedule,
                milestones=config.milestones,
                gamma=config.gamma,
                warmup_epochs=config.lr_warmup_epochs,
            )

        scheduler = LambdaLR(optimizer, factor)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }

    def transfer_batch_to_device(
        self, batch: RaggedBatch, device: torch.device, dataloader_idx: int
    ) -> RaggedBatch:
        """Ragged batches move themselves."""
        return batch.to(device)
