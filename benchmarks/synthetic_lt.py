"""The embedded actions, long-tailed: four methods, several seeds, and how often saliency is right.

    python benchmarks/synthetic_lt.py [SEEDS] [FOLDER]

Data and split are the demo's, the same for all; training seeds differ. Finished runs are kept.
Prints the comparison and, for each Shap-Mix run, in how many classes the part with the largest
exact Shapley value (trained model, test clips) is one that truly moves.
"""

import sys
from dataclasses import replace
from pathlib import Path

from shapmix.commands.demo import METHODS, explain_run, make_config, make_data
from shapmix.data.synthetic import CLASS_NAMES, TRUE_PARTS
from shapmix.reporting import compare_table, difference_table, load_run
from shapmix.training.run import finish


def hits(config) -> int:
    """Classes whose most salient part truly moves."""
    explanation, _ = explain_run(config)
    parts = explanation.layout.part_names
    best = explanation.parts().argmax(1).tolist()
    return sum(parts[i] in TRUE_PARTS[name] for i, name in zip(best, CLASS_NAMES, strict=True))


def main() -> None:
    seeds = range(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
    out = Path(sys.argv[2] if len(sys.argv) > 2 else "runs/synthetic_lt")
    archive, split = make_data(out, 100, 0)
    runs, right = [], []
    for name, method in {**METHODS, "st-mix": {"mixer": "stmix"}}.items():
        for seed in seeds:
            config = make_config(archive, split, out / f"{name}-s{seed}", 100, seed, method)
            finish(replace(config, progress=False))
            runs.append(load_run(config.folder))
            if config.mixer == "shapmix":
                right.append(hits(config))
            print(f"done: {config.folder}", flush=True)
    for table in (compare_table(runs), difference_table(runs)):
        print(table.markdown())
    print(f"most salient part is right in {right} of {len(CLASS_NAMES)} classes")


if __name__ == "__main__":
    main()
