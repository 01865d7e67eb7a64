"""What happens at the end of an epoch, and once before the first."""

import csv
import io
import math
import resource
import sys
import time
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint, RichProgressBar
from pytorch_lightning.utilities import rank_zero_only
from torch import Generator, Tensor, nn

from shapmix.mixing import NoMix, ShapMix
from shapmix.mixing.saliency import ExactSaliency
from shapmix.training.data import ClipData
from shapmix.training.files import write_bytes, write_npz
from shapmix.training.module import Recognizer

FEW_STEPS = 1000  # fewer than these, and mixing may cost more than it brings: docs/results.md


def is_logged(trainer: pl.Trainer, module: pl.LightningModule) -> bool:
    """Whether this epoch leaves its state: each of a short run, a hundred or two of a long one."""
    assert isinstance(module, Recognizer)
    number, config = trainer.current_epoch + 1, module.config
    return number % config.log_period == 0 or number == config.num_epochs or trainer.should_stop


class ProgressBar(RichProgressBar):
    """Lightning's, without the version number of a logger that has none."""

    def get_metrics(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule
    ) -> dict[str, int | str | float | dict[str, float]]:
        """What stands beside the bar."""
        metrics = super().get_metrics(trainer, pl_module)
        return {name: value for name, value in metrics.items() if name != "v_num"}


class RefreshMixer(pl.Callback):
    """Ends the mixer's epoch: the exact saliency evaluates its clips here."""

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Refresh, under the run's precision."""
        assert isinstance(pl_module, Recognizer)
        with trainer.precision_plugin.forward_context():
            pl_module.mixing.refresh(pl_module.model)


class History(pl.Callback):
    """The metrics of every epoch, as `history.csv`; kept in checkpoints, so a resumed run has all.

    Written with the checkpoints.

    Holds nothing that depends on the machine's speed.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "history.csv"
        self.rows: list[dict[str, float]] = []
        self.rate = 0.0

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note the rate that the epoch starts with."""
        self.rate = trainer.optimizers[0].param_groups[0]["lr"]

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Add a row and write the file anew."""
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        validated = (trainer.current_epoch + 1) % (trainer.check_val_every_n_epoch or 1) == 0
        row = {"epoch": trainer.current_epoch, "lr": self.rate, "train_loss": metrics["train/loss"]}
        for name in ("val/top1", "val/mean_class"):
            row[name.replace("/", "_")] = metrics.get(name, np.nan) if validated else np.nan
        self.rows.append(row)
        if is_logged(trainer, pl_module):
            self._write()

    @rank_zero_only
    def _write(self) -> None:
        text = io.StringIO()
        writer = csv.DictWriter(text, self.rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(
            {k: "" if v != v else repr(v) for k, v in row.items()} for row in self.rows
        )
        write_bytes(self.path, text.getvalue().encode())

    def state_dict(self) -> dict[str, Any]:
        """For the checkpoint."""
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """From the checkpoint."""
        self.rows = list(state_dict["rows"])


class SaliencyLog(pl.Callback):
    """The saliency over the epochs, as `saliency.npz`; kept in checkpoints, and noted with them."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "saliency.npz"
        self.epochs: list[int] = []
        self.scores: list[torch.Tensor] = []
        self.values: list[torch.Tensor] = []

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Record the tables of a Shap-Mix run; nothing for other mixers."""
        assert isinstance(pl_module, Recognizer)
        if not isinstance(mixer := pl_module.mixer, ShapMix) or not is_logged(trainer, pl_module):
            return
        self.epochs.append(trainer.current_epoch)
        self.scores.append(mixer.saliency.scores().detach().cpu().clone())
        if isinstance(mixer.saliency, ExactSaliency):
            self.values.append(mixer.saliency.values.detach().cpu().clone())
        self._write(mixer)

    @rank_zero_only
    def _write(self, mixer: ShapMix) -> None:
        arrays = {
            "epochs": np.array(self.epochs),
            "scores": torch.stack(self.scores).numpy(),
            "coalitions": mixer.coalitions.cpu().numpy(),
            "part_names": np.array(mixer.layout.part_names),
        }
        if self.values:
            arrays["values"] = torch.stack(self.values).numpy()
        write_npz(self.path, arrays)

    def state_dict(self) -> dict[str, Any]:
        """For the checkpoint."""
        return {"epochs": self.epochs, "scores": self.scores, "values": self.values}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """From the checkpoint."""
        self.epochs = list(state_dict["epochs"])
        self.scores = list(state_dict["scores"])
        self.values = list(state_dict["values"])


class MixedStopping(EarlyStopping):
    """Early stopping whose patience begins with the mixing."""

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Nothing while mixing waits."""
        if not pl_module.waits:
            super().on_validation_end(trainer, pl_module)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Nothing while mixing waits."""
        if not pl_module.waits:
            super().on_train_epoch_end(trainer, pl_module)


class LastCheckpoint(ModelCheckpoint):
    """The state to go on from."""

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save it, of a long run not after every epoch."""
        if is_logged(trainer, pl_module):
            super().on_train_epoch_end(trainer, pl_module)


class CostLog(pl.Callback):
    """Counts the clips of finished epochs and the seconds they took, over all legs of a run."""

    def __init__(self) -> None:
        self.seconds, self.clips, self.started = 0.0, 0, 0.0

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the watch."""
        self.started = time.perf_counter()

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Count clean and mixed clips of all processes."""
        self.clips += 2 * len(batch) * trainer.world_size

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop the watch."""
        self.seconds += time.perf_counter() - self.started

    def state_dict(self) -> dict[str, Any]:
        """For the checkpoint."""
        return {"seconds": self.seconds, "clips": self.clips}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """From the checkpoint."""
        self.seconds, self.clips = state_dict["seconds"], state_dict["clips"]


def training_cost(checkpoint: dict[str, Any]) -> dict[str, float]:
    """Seconds of training (with refreshes and validation) and clips per second, of a checkpoint."""
    state = checkpoint["callbacks"][CostLog.__qualname__]
    seconds = state["seconds"]
    return {"train_seconds": seconds, "clips_per_second": state["clips"] / max(seconds, 1e-9)}


class CostEstimate(pl.Callback):
    """Says before the first epoch what the run will cost, after a trial of a few steps.

    The trial trains a copy of the model, so it leaves no trace; without one nothing is tried.
    """

    def __init__(self, data: ClipData, most_seconds: float = 10.0) -> None:
        self.data = data
        self.most_seconds = most_seconds

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Time the trial and print what follows from it."""
        assert isinstance(pl_module, Recognizer)
        steps = int(trainer.num_training_batches)
        if trainer.is_global_zero:
            self._say_if_short(pl_module, steps)
        try:
            model = deepcopy(pl_module.model).train()
        except Exception as error:  # of a model of one's own, such as one with weight_norm
            print(f"cost: unknown, for the model cannot be copied ({error})", flush=True)
            return
        seconds, clips = self._trial(pl_module, model, steps)
        epochs = pl_module.config.num_epochs - trainer.current_epoch
        share = getattr(pl_module.mixer, "forwards_share", 0.0)
        validation = len(self.data.val or ()) / 3 / pl_module.config.validation_period
        training = 2 * clips * steps
        epoch = seconds / (2 * clips) * (training * (1 + share) + validation)
        total = epoch * epochs
        if trainer.is_global_zero:
            print(
                f"cost: {2 * clips / seconds:.0f} clips/s (clean and mixed), {epoch:.1f} s an "
                f"epoch, about {_duration(total)} for {epochs} epochs; "
                f"memory {_peak_gigabytes(pl_module.device):.1f} GB",
                flush=True,
            )

    def _say_if_short(self, module: Recognizer, steps: int) -> None:
        """A note where mixed clips are too few to learn from."""
        epochs = module.config.num_epochs
        if isinstance(module.mixer, NoMix) or steps * epochs >= FEW_STEPS:
            return
        print(
            f"note: {steps * epochs} steps are few to learn from mixed clips: leave out --epochs, "
            f"give at least {math.ceil(FEW_STEPS / steps)}, or compare with --mixer none",
            flush=True,
        )

    def _trial(self, module: Recognizer, model: nn.Module, batches: int) -> tuple[float, int]:
        """Seconds of one step, and its clips (half of what the step trains on)."""
        size = min(module.config.batch_size, len(self.data.train))
        dataset = self.data.train
        batch = dataset.collate([dataset[i] for i in range(size)]).to(module.device)
        transform = module.transform
        with torch.random.fork_rng([module.device] if module.device.type == "cuda" else []):
            begun, best = time.perf_counter(), float("inf")
            for _ in range(max(2, min(4, batches))):
                start = time.perf_counter()
                x: Tensor = transform(batch, Generator().manual_seed(0))
                with module.trainer.precision_plugin.forward_context():
                    loss = model(torch.cat([x, x])).float().logsumexp(1).mean()
                loss.backward()
                if x.is_cuda:
                    torch.cuda.synchronize()
                best = min(best, time.perf_counter() - start)
                if time.perf_counter() - begun > self.most_seconds:
                    break
        return best, size


def _peak_gigabytes(device: torch.device) -> float:
    """Peak memory of this process so far (on a GPU, of the device)."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e9
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def _duration(seconds: float) -> str:
    """Such as "45 s", "12 min" or "3 h 20 min"."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
