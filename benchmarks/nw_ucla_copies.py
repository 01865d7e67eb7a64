"""NW-UCLA runs on test clips with and without a copy in the training views.

    python benchmarks/nw_ucla_copies.py ARCHIVE SPLIT RUNS_FOLDER METHOD...

RUNS_FOLDER holds METHOD-s0, METHOD-s1, ...; the first method is the baseline of the differences.
Prints, as Markdown, accuracy (mean ± sd over seeds) on all test clips, on those whose keypoints are
those of a training clip, and on those whose keypoints no clip of the training views has; and the
paired gains on the last of these.
"""

import sys
from pathlib import Path

import numpy as np

from shapmix.data.archive import Archive
from shapmix.data.duplicates import without_copies
from shapmix.data.split_file import Split, indices_of
from shapmix.data.splits import select
from shapmix.metrics import paired_difference


def main() -> None:
    archive_path, split_path, folder, *methods = sys.argv[1:]
    archive = Archive(archive_path)
    split = Split.load(split_path, archive)
    test = indices_of(archive, split.test, split_path)
    trained = indices_of(archive, split.train, split_path)
    own = set(without_copies(archive, test, trained).tolist())
    new = set(without_copies(archive, test, select(archive, "view != 3")).tolist())
    correct = {}
    for method in methods:
        runs = [np.load(p) for p in sorted(Path(folder).glob(f"{method}-s*/scores.npz"))]
        names, labels = runs[0]["names"].tolist(), runs[0]["labels"]
        assert all(run["names"].tolist() == names for run in runs)
        correct[method] = np.array([run["logits_last"].argmax(1) == labels for run in runs])
    clips = np.array([archive.index(name) for name in names])
    parts = {
        "all": np.ones(len(clips), bool),
        "copies of training clips": ~np.isin(clips, list(own)),
        "no copy in the training views": np.isin(clips, list(new)),
    }
    heads = [f"{name} ({chosen.sum()})" for name, chosen in parts.items()]
    gains = [f"gain on {methods[0]} on the {len(new)}: overall", "tail"]
    print("| |", " | ".join(["seeds", *heads, *gains]), "|\n|---|" + "---:|" * 6)
    base, chosen = correct[methods[0]], parts["no copy in the training views"]
    for method, right in correct.items():
        cells = [str(len(right))]
        for part in parts.values():
            accuracy = 100 * right[:, part].mean(1)
            cells.append(f"{accuracy.mean():.1f} ± {accuracy.std(ddof=1):.1f}")
        gain = paired_difference(
            base[:, chosen], right[:, chosen], labels[chosen], split.class_counts
        )
        for group in ("top1", "tail"):
            found = gain[group]
            low, high = (100 * x for x in found["interval"])
            cells.append(f"{100 * found['difference']:+.1f} [{low:+.1f}, {high:+.1f}]")
        print(
            f"| {method} |",
            " | ".join(cells if method != methods[0] else [*cells[:4], "", ""]),
            "|",
        )


if __name__ == "__main__":
    main()
