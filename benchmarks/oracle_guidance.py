"""Would mixing gain if it knew the truth? Guidance by the parts that truly move, and by less.

    OMP_NUM_THREADS=1 python benchmarks/oracle_guidance.py [--out FOLDER] [--seeds N] [--jobs N]

On the embedded actions it is known which parts define a class (`TRUE_PARTS`). The demo's network is
trained with the same mixing, guided by that truth (as if true parts shared the probability evenly),
by the saliency it learns, by none (uniform), and by a wrong one (shuffled, other class's), with
labels by area as published and by the share of saliency; next to unguided mixing and to
none. Paired by seed, which also decides the class order. It goes on where it was stopped.
"""

import argparse
from pathlib import Path
from typing import Any

import torch

from shapmix.benchmarking.engine import Settings, run_tasks
from shapmix.benchmarking.suite import parse_suite
from shapmix.benchmarking.tasks import make_tasks
from shapmix.data.motions import LAYOUT
from shapmix.data.synthetic import CLASS_NAMES, TRUE_PARTS
from shapmix.mixing.coalitions import joint_masks, list_coalitions, part_masks
from shapmix.mixing.guidance import additive_scores
from shapmix.mixing.saliency import score
from shapmix.reporting.leaderboard import write_leaderboard

SHAPMIX = {"saliency_budget": 0.2, "momentum": 0.3, "clips_per_class": 8}


def true_scores() -> list[float]:
    """Scores of every class and coalition, row after row, where true parts share the value 1."""
    truth = torch.tensor([[p in TRUE_PARTS[c] for p in LAYOUT.part_names] for c in CLASS_NAMES])
    coalitions = list_coalitions(LAYOUT.num_parts)
    joints = joint_masks(coalitions, part_masks(LAYOUT)).sum(1)
    values = additive_scores(coalitions, truth / truth.sum(1, keepdim=True))
    found: list[float] = score(values, joints).flatten().tolist()
    return found


def mixing(**options: Any) -> dict[str, Any]:
    """Shap-Mix with these options."""
    return {"mixer": "shapmix", "mixer_options": {**SHAPMIX, **options}}


def suite(seeds: int) -> dict[str, Any]:
    """The comparison, as a suite."""
    area, learnt = {"label_weight": "area"}, {"label_weight": "saliency"}
    truth = {"fixed_scores": true_scores()}
    methods = {
        "balanced-softmax": {"mixer": "none"},
        "st-mix": {"mixer": "stmix"},
        "truth": mixing(**area, **truth),
        "saliency": mixing(**area),
        "uniform": mixing(**area, guidance="uniform"),
        "shuffled": mixing(**area, guidance="shuffled"),
        "other-class": mixing(**area, guidance="other-class"),
        "truth, saliency-label": mixing(**learnt, **truth),
        "saliency, saliency-label": mixing(**learnt),
        "uniform, saliency-label": mixing(**learnt, guidance="uniform"),
    }
    return {
        "name": "oracle-guidance",
        "baseline": "st-mix",
        "train": {
            "num_frames": 32,
            "batch_size": 32,
            "epochs": 100,
            "lr": 0.05,
            "lr_warmup_epochs": 5,
            "mixed_view": "same",  # this and the next: as when it was measured
            "mix_from": 0.0,
            "validate_every": 20,
        },
        "datasets": {
            "embedded": {
                "synthetic": {"clips_per_class": 100},
                "split": {"imbalance": 20, "n_max": 60, "order": "permuted"},
            }
        },
        "backbones": {"tcn": {"model": "tcn"}},
        "methods": {name.replace(", ", "+"): given for name, given in methods.items()},
        "runs": [{"seeds": seeds}],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("runs/oracle_guidance"))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args()
    tasks = make_tasks(parse_suite(suite(given.seeds)))
    work = given.out.absolute()
    settings = Settings(work=work, data=work, results=work / "results.parquet", jobs=given.jobs)
    run_tasks(
        tasks, settings, lambda row: print(row["method"], row["seed"], row["top1"], flush=True)
    )
    made = write_leaderboard(settings.results, work, "st-mix", keys={task.key for task in tasks})
    print((work / "leaderboard.md").read_text())
    print(*made.files, sep="\n")


if __name__ == "__main__":
    main()
