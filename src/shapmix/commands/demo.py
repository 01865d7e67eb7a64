"""Show the whole thing on the embedded data, in a few minutes.

Writes the synthetic actions, cuts them to a long tail, trains a small network with cross-entropy,
with balanced softmax and with Shap-Mix, and compares them: many, medium and few-shot classes, and
the parts that the model finds salient beside the parts that truly move. Ends with a report to open.
Run again, it goes on where it was stopped.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonargparse import ArgumentParser, Namespace

from shapmix.training.config import TrainConfig

if TYPE_CHECKING:
    from shapmix.inference.explain import Explanation
    from shapmix.reporting import Table

HELP = "show it all on the embedded data, in a few minutes"

METHODS: dict[str, dict[str, Any]] = {
    "cross-entropy": {"mixer": "none", "loss": "ce"},
    "balanced-softmax": {"mixer": "none", "loss": "balanced-softmax"},
    "shap-mix": {"mixer": "shapmix", "mixer_options": {"saliency_budget": 0.1}},
}
SHOWN_CLASSES = 8  # of the saliency table, the rarest ones


def add_arguments(parser: ArgumentParser, words: Sequence[str]) -> None:
    """Arguments of the command."""
    parser.add_argument("--out", type=Path, default=Path("runs/demo"), help="folder of the demo")
    parser.add_argument("--epochs", type=int, default=100, help="epochs of each of the three runs")
    parser.add_argument(
        "--clips_per_class", type=int, default=100, help="clips of each of the 20 actions in all"
    )
    parser.add_argument("--seed", type=int, default=0, help="of data, split and training")


def run(args: Namespace) -> None:
    """Make the data, train three methods, compare, explain, write the report."""
    from rich.console import Console

    from shapmix.reporting import compare_table, load_run
    from shapmix.reporting.report import write_report
    from shapmix.training.run import finish

    console = Console()
    archive, split = make_data(args.out, args.clips_per_class, args.seed)
    runs = []
    for name, method in METHODS.items():
        console.print(f"[bold]training: {name}[/]")
        config = make_config(archive, split, args.out / name, args.epochs, args.seed, method)
        finish(config)
        runs.append(load_run(config.folder))
    console.print(compare_table(runs))
    console.print(_saliency_table(explain_run(config), runs[-1].class_counts))
    page = write_report([run.path for run in runs], args.out / "report.html")
    console.print(f"page to open: {page.resolve()}", soft_wrap=True, markup=False)


def make_config(
    archive: Path, split: Path, out: Path, epochs: int, seed: int, method: dict[str, Any]
) -> TrainConfig:
    return TrainConfig(
        archive,
        split,
        out,
        seed,
        model="tcn",
        num_frames=32,
        num_persons=2,
        epochs=epochs,
        batch_size=32,
        lr=0.05,
        validate_every=epochs,
        accelerator="cpu",
        threads=1,  # the network is too small for more to help
        **method,
    )


def make_data(out: Path, clips_per_class: int, seed: int) -> tuple[Path, Path]:
    """The archive and its long-tailed split, made once."""
    from shapmix.data.archive import Archive
    from shapmix.data.splits import make_split
    from shapmix.data.synthetic import write_synthetic

    name = f"synthetic-{clips_per_class}-{seed}"
    archive, split = out / f"{name}.arrow", out / f"{name}.json"
    out.mkdir(parents=True, exist_ok=True)
    if not archive.exists():
        write_synthetic(archive, clips_per_class=clips_per_class, seed=seed)
    if not split.exists():
        n_max = clips_per_class * 3 // 5  # of the three quarters that train; the rest validates
        made = make_split(Archive(archive), imbalance=20, n_max=n_max, val_per_class=5, seed=seed)
        made.save(split)
    return archive, split


def explain_run(config: TrainConfig) -> "Explanation":
    """The saliency of the trained model on test clips."""
    from shapmix.inference.explain import explain_classes
    from shapmix.mixing import ShapMix
    from shapmix.training.data import ClipData
    from shapmix.training.evaluation import load_weights
    from shapmix.training.run import build

    data = ClipData(config)
    module = build(config, data)
    module.model.load_state_dict(load_weights(config.folder, "last"))
    mixer = module.mixer
    assert isinstance(mixer, ShapMix)
    layout = data.archive.info.layout
    batches = ((module.transform(b), b.labels) for b in data.plain_loader(data.test))
    return explain_classes(module.model, batches, layout, mixer.background, len(data.class_counts))


def _short(parts: str) -> str:
    """`right_arm + trunk` as `R arm+trunk`."""
    return parts.replace(" + ", "+").replace("right_", "R ").replace("left_", "L ")


def _saliency_table(explanation: "Explanation", class_counts: "Sequence[int]") -> "Table":
    """The salient coalitions of the rarest classes, and how often the truth is hit."""
    from shapmix.data.synthetic import CLASS_NAMES, TRUE_PARTS
    from shapmix.reporting import Table
    from shapmix.reporting.grid import Name

    parts = explanation.layout.part_names
    best = [parts[i] for i in explanation.parts().argmax(1).tolist()]
    hits = [part in TRUE_PARTS[name] for part, name in zip(best, CLASS_NAMES, strict=True)]
    rarest = sorted(range(len(CLASS_NAMES)), key=lambda k: class_counts[k])[:SHOWN_CLASSES]
    rows = [
        (
            CLASS_NAMES[k],
            class_counts[k],
            ", ".join(map(_short, TRUE_PARTS[CLASS_NAMES[k]])),
            _short(best[k]),
            ", ".join(_short(name) for name, _ in explanation.coalitions(k)),
        )
        for k in rarest
    ]
    titles = ("Class", "Training clips", "Parts that move", "Top part", "Top coalitions")
    return Table(
        title=f"Salient parts of the {SHOWN_CLASSES} rarest classes",
        columns=tuple(Name(title.lower(), title) for title in titles),
        rows=tuple(rows),
        notes=(
            f"In {sum(hits)} of {len(hits)} classes the part with the largest exact Shapley value "
            "(trained model, test clips) is one that truly moves.",
        ),
    )
