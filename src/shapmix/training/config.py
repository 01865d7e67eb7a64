"""Everything a training run can be told. Plain data: importing it does not import torch."""

import math
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Literal

from shapmix.settings import Range, SettingError, as_typed, check_range

Value = bool | int | float | str | list[float] | None
Options = dict[str, Value]

MIN_EPOCHS, MIN_STEPS = 100, 2000  # of a training whose epochs are not given: docs/results.md
MIN_FRAMES = 8  # that a window of mixing can be cut from: `shapmix.mixing.batch`
MOST_FRAMES = 100_000  # no memory holds batches of more
MOST_PROCESSES = 1024  # more bring any machine to a stand


RANGES = {
    "seed": Range(0, 2**63 - 1),
    "mix_from": Range(0, 1, below=True),
    "num_frames": Range(MIN_FRAMES, MOST_FRAMES),
    "num_persons": Range(1),
    "epochs": Range(1),
    "batch_size": Range(1),
    "lr": Range(0, above=True),
    "momentum": Range(0, 1, below=True),
    "weight_decay": Range(0),
    "gamma": Range(0, 1),
    "lr_warmup_epochs": Range(0),
    "clip_grad": Range(0, above=True),
    "validate_every": Range(1),
    "early_stop": Range(1),
    "devices": Range(1, MOST_PROCESSES),
    "threads": Range(1, MOST_PROCESSES),
    "workers": Range(0, MOST_PROCESSES),
}


@dataclass(frozen=True)
class TrainConfig:
    """Train a recogniser and evaluate it; all that it makes is in the run folder.

    Args:
        archive: the data set, an .arrow file made by `shapmix import`.
        split: which clips train, validate and test, a .json file made by `shapmix split`; without
            it the archive's own first protocol is used as it is.
        out: the run folder; runs/<split>-<model>-<stream>-<mixer>-<loss>-<sampler>-s<seed> when not
            given, without the stream "joint" and the sampler "instance".
        seed: decides weights, order of clips, augmentation and mixing.
        mixer: how training clips are mixed: shapmix, stmix, mixup, cutmix, remix, cmo or none.
        mixer_options: options of the mixer, such as {estimator: exact, tau: 0.2} or
            {preset: paper}; see the method card.
        mixed_view: own, what is mixed is a second view of the clips, augmented anew; or same, the
            augmented clips of the clean half, as published.
        mix_from: share of the epochs before mixing begins; until then the second half of each
            batch is a second view of its clips, and saliency is learnt. For short trainings.
        loss: balanced-softmax, ce for plain cross-entropy, class-balanced, focal,
            influence-balanced or ldam-drw.
        loss_options: options of the loss, such as {tau: 1.5}; see the card of the losses.
        sampler: how the training clips of an epoch are drawn: instance (each once),
            class-balanced, square-root or repeat-factor; as many clips for all.
        sampler_options: options of the sampler, such as {threshold: 0.001}; see the card of the
            samplers.
        model: ctrgcn, stgcn, tcn (small and fast), or the import path of your own nn.Module
            (package.module:Class).
        model_options: options of the model, such as {width: 64}.
        stream: what the model sees: joint, bone, joint_motion or bone_motion.
        num_frames: frames of the model's input, 8 or more.
        transform_options: further options of the input transform, such as {rotation: 0.3} or
            {sampling: segments}.
        num_persons: bodies of the model's input; as many as the archive has when not given.
        epochs: passes over the training clips; when not given 100, or as many more as make 2,000
            steps, since mixed clips take long to learn from.
        batch_size: clips in a step; as many mixed ones come on top. Per process.
        lr: learning rate of SGD with Nesterov momentum.
        momentum: momentum of SGD.
        weight_decay: weight decay of SGD.
        schedule: step divides the rate at each milestone; cosine falls to a thousandth.
        milestones: where the rate falls, as shares of the epochs.
        gamma: factor at a milestone.
        lr_warmup_epochs: epochs over which the rate rises to its full value.
        drop_last: leave out a last batch that is not full.
        clip_grad: largest norm of the gradient; unlimited when not given.
        validate_every: validate every so many epochs; about a hundred times when not given.
        early_stop: end after so many validations without a better mean-class accuracy, counted from
            where mixing begins; off when not given.
        precision: 32; tf32 for faster, rounder products and convolutions on a GPU; bf16 or fp16
            (mixed).
        accelerator: auto, cpu, gpu or mps.
        devices: processes (cpu) or devices (gpu) to train on.
        cuda_graphs: on one GPU, replay the model's passes as CUDA graphs where shapes are fixed.
        compile: compile the blocks of the model by torch.compile: minutes before the first step,
            faster ones after it.
        threads: CPU threads of a process; torch decides when not given.
        workers: processes that load clips; 0 loads in the training process.
        resume: a run folder to go on with, from its last checkpoint; its own configuration is used.
        init_from: a run whose weights are the start, on this or another data set of the same
            layout.
        fast_dev_run: one batch of everything, to see that it runs.
        progress: show a progress bar.
        artefacts: write the examples and the explanation that reports show; a run without them gets
            them by `shapmix evaluate`.

    Raises:
        SettingError: a setting has another type than its own, or is not in `RANGES`.
    """

    archive: Path
    split: Path | None = None
    out: Path | None = None
    seed: int = 0
    mixer: Literal["shapmix", "stmix", "mixup", "cutmix", "remix", "cmo", "none"] = "shapmix"
    mixer_options: Options = field(default_factory=dict)
    mixed_view: Literal["own", "same"] = "own"
    mix_from: float = 0.0
    loss: Literal[
        "balanced-softmax", "ce", "class-balanced", "focal", "influence-balanced", "ldam-drw"
    ] = "balanced-softmax"
    loss_options: Options = field(default_factory=dict)
    sampler: Literal["instance", "class-balanced", "square-root", "repeat-factor"] = "instance"
    sampler_options: Options = field(default_factory=dict)
    model: str = "ctrgcn"
    model_options: Options = field(default_factory=dict)
    stream: Literal["joint", "bone", "joint_motion", "bone_motion"] = "joint"
    num_frames: int = 64
    transform_options: Options = field(default_factory=dict)
    num_persons: int | None = None
    epochs: int | None = None
    batch_size: int = 64
    lr: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 4e-4
    schedule: Literal["step", "cosine"] = "step"
    milestones: tuple[float, ...] = (0.6, 0.8)
    gamma: float = 0.1
    lr_warmup_epochs: int = 5
    drop_last: bool = True
    clip_grad: float | None = None
    validate_every: int | None = None
    early_stop: int | None = None
    precision: Literal["32", "tf32", "bf16", "fp16"] = "32"
    accelerator: Literal["auto", "cpu", "gpu", "mps"] = "auto"
    devices: int = 1
    cuda_graphs: bool = True
    compile: bool = False
    threads: int | None = None
    workers: int = 0
    resume: Path | None = None
    init_from: Path | None = None
    fast_dev_run: bool = False
    progress: bool = True
    artefacts: bool = True

    def __post_init__(self) -> None:
        for field_ in fields(self):
            value = as_typed(field_.name, getattr(self, field_.name), field_.type)
            object.__setattr__(self, field_.name, value)
        for name, allowed in RANGES.items():
            check_range(name, getattr(self, name), allowed)
        if any(not 0 < share < 1 for share in self.milestones):
            raise SettingError(
                f"milestones are {list(self.milestones)}; expected shares of the epochs between 0 "
                "and 1, such as [0.6, 0.8]"
            )

    @property
    def folder(self) -> Path:
        """The run folder."""
        if self.resume is not None:
            return self.resume
        data = self.archive.stem if self.split is None else self.split.stem
        stream = "" if self.stream == "joint" else f"-{self.stream.replace('_', '-')}"
        sampler = "" if self.sampler == "instance" else f"-{self.sampler}"
        name = f"{data}-{self.model}{stream}-{self.mixer}-{self.loss}{sampler}-s{self.seed}"
        return self.out if self.out is not None else Path("runs") / name

    @property
    def num_epochs(self) -> int:
        """`epochs`, of a configuration that is `settled`."""
        assert self.epochs is not None
        return self.epochs

    @property
    def validation_period(self) -> int:
        """Epochs from one validation to the next, of a configuration that is `settled`."""
        return min(self.validate_every or self.log_period, self.num_epochs)

    @property
    def log_period(self) -> int:
        """Epochs from one checkpoint to the next, of a configuration that is `settled`."""
        return max(self.num_epochs // 100, 1)

    def settled(self, steps: int) -> "TrainConfig":
        """The same with as many epochs as the data ask for, where it had not said.

        Args:
            steps: of an epoch.
        """
        if self.epochs is not None:
            return self
        return replace(self, epochs=max(MIN_EPOCHS, math.ceil(MIN_STEPS / steps)))


# Fields that say how to run, not what is trained: they may differ between a run and its resumption.
# `devices` is not among them: the batch is each one's, so steps and learning rate depend on it.
RUNTIME_FIELDS = frozenset(
    {"out", "accelerator", "cuda_graphs", "threads", "workers", "resume", "fast_dev_run"}
    | {"progress", "artefacts", "compile"}
)
