"""Every figure of one model on one test set, with bootstrap intervals."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shapmix.counts import ClassCounts, check_counts
from shapmix.metrics.checks import Labels, check_resamples, check_scores
from shapmix.metrics.groups import (
    ACCURACIES,
    LEVEL,
    Floats,
    Ints,
    Means,
    class_groups,
    group_means,
    percentile_interval,
)

CALIBRATION_BINS = 15
_BLOCK = 2**22  # entries of the confusion matrices that are resampled at a time


def evaluate(
    logits: Any,
    labels: Labels,
    class_counts: ClassCounts,
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    """Everything the reports say about one model on one test set.

    A prediction is the largest logit, the lowest label among equals. Classes without test clips
    have no accuracy: they are left out of every mean and listed in `untested_classes`.

    The intervals are percentile bootstrap intervals over test clips. Resampling is stratified by
    class, so that no class vanishes. Drawing the clips of class k with replacement and counting
    their predictions is one multinomial draw with the proportions of row k of the confusion matrix;
    so confusion matrices are drawn, not clips. An interval tells how far a figure depends on the
    choice of test clips; it knows nothing of the spread over training seeds.

    Args:
        logits: `(n, K)` finite scores of n test clips, an array or a tensor; without the prior.
        labels: `(n,)` whole numbers from 0 to K - 1.
        class_counts: `(K,)` training clips of each class, all positive.
        resamples: bootstrap resamples; 0 leaves every interval None.
        seed: of the bootstrap.

    Returns:
        What `json.dumps` takes as it is: `clips` n; `top1`; `top5` (None when K <= 5);
        `mean_class` (balanced accuracy); `macro_f1`; `many`, `medium`, `few`, `head`, `middle`,
        `tail` (see `class_groups`); `ece`, the expected calibration error of the softmax in 15
        equal bins (Naeini et al. 2015); `intervals`, name of accuracy -> [low, high] or None;
        `bootstrap`, `{"resamples", "seed", "level"}`; `per_class`, a list of `{"label", "count"
        (training clips), "clips" (test clips), "accuracy" (or None)}`; `confusion`, K rows of
        counts, true class by predicted; `untested_classes`, labels.

    Raises:
        ValueError: for wrong shapes, logits that are not finite or labels out of range.
    """
    counts = check_counts(class_counts)
    scores, truth = check_scores(logits, labels, len(counts))
    check_resamples(resamples)
    groups = class_groups(counts)
    confusion, ece = _confusion_and_calibration(scores, truth)
    clips = confusion.sum(1)
    rng = np.random.default_rng(seed)
    estimate = _accuracies(confusion, clips, groups)
    drawn = _bootstrap(confusion, groups, resamples, rng)
    if len(counts) > 5:
        hits = np.bincount(truth[_in_top(scores, truth, 5)], minlength=len(counts))
        resampled = rng.binomial(clips, hits / np.maximum(clips, 1), (resamples, len(counts)))
        estimate["top5"] = hits.sum() / clips.sum()
        drawn["top5"] = resampled.sum(1) / clips.sum()
    return {
        "clips": len(truth),
        **{name: _number(estimate.get(name)) for name in ACCURACIES},
        "ece": ece,
        "intervals": {name: percentile_interval(drawn.get(name)) for name in ACCURACIES},
        "bootstrap": {"resamples": resamples, "seed": seed, "level": LEVEL},
        "per_class": _per_class(confusion, counts),
        "confusion": confusion.tolist(),
        "untested_classes": np.flatnonzero(clips == 0).tolist(),
    }


def _per_class(confusion: Ints, counts: Ints) -> list[dict[str, Any]]:
    """One row a class: label, training clips, test clips, accuracy."""
    rows = zip(counts.tolist(), confusion.sum(1).tolist(), confusion.diagonal(), strict=True)
    return [
        {
            "label": label,
            "count": count,
            "clips": clips,
            "accuracy": float(hits / clips) if clips else None,
        }
        for label, (count, clips, hits) in enumerate(rows)
    ]


def _accuracies(confusion: Ints, clips: Ints, groups: Mapping[str, Ints]) -> Means:
    """Accuracies and macro F1 of confusion matrices: `(..., K, K)` to `(...)` each."""
    hits = np.diagonal(confusion, axis1=-2, axis2=-1)
    f1 = 2 * hits / np.maximum(clips + confusion.sum(-2), 1)  # 2 TP / (TP + FN + TP + FP)
    return {
        **group_means(hits / np.maximum(clips, 1), clips, groups),
        "macro_f1": f1[..., clips > 0].mean(-1),
    }


def _bootstrap(
    confusion: Ints, groups: Mapping[str, Ints], resamples: int, rng: np.random.Generator
) -> Means:
    """`_accuracies` of resampled confusion matrices: name -> `(resamples,)`."""
    clips = confusion.sum(1)
    blocks = [_accuracies(sample, clips, groups) for sample in _resample(confusion, resamples, rng)]
    names = blocks[0] if blocks else ()
    return {name: np.concatenate([block[name] for block in blocks]) for name in names}


def _resample(confusion: Ints, resamples: int, rng: np.random.Generator) -> Iterator[Ints]:
    """Bootstrap confusion matrices, in blocks `(b, K, K)` of bounded memory."""
    clips = confusion.sum(1)
    shares = confusion / np.maximum(clips, 1)[:, None]
    size = max(1, _BLOCK // confusion.size)
    for done in range(0, resamples, size):
        yield rng.multinomial(clips, shares, size=(min(size, resamples - done), len(clips)))


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _in_top(scores: Floats, truth: Ints, k: int) -> NDArray[np.bool_]:
    """Whether the true class is among the k largest logits, ties to lower labels: `(n,)`."""
    own = np.take_along_axis(scores, truth[:, None], 1)
    ahead = (scores > own) | ((scores == own) & (np.arange(scores.shape[1]) < truth[:, None]))
    inside: NDArray[np.bool_] = ahead.sum(1) < k
    return inside


def _confusion_and_calibration(scores: Floats, truth: Ints) -> tuple[Ints, float]:
    """Confusion matrix `(K, K)`, true by predicted, and expected calibration error."""
    import torch  # both take seconds to import, and reading a report needs neither
    from torchmetrics.functional.classification import (
        multiclass_calibration_error,
        multiclass_confusion_matrix,
    )

    num_classes = scores.shape[1]
    target = torch.from_numpy(truth)
    predicted = torch.from_numpy(scores.argmax(1))
    confusion = multiclass_confusion_matrix(predicted, target, num_classes).numpy()
    # Probabilities, as logits that all lie in [0, 1] would be taken for such; and below 1 in
    # float32, as torchmetrics counts a confidence of exactly 1 in a bin of its own.
    below_one = 1 - 2.0**-24
    probabilities = torch.from_numpy(scores).softmax(1).clamp(max=below_one)
    ece = multiclass_calibration_error(probabilities, target, num_classes, CALIBRATION_BINS)
    return confusion.astype(np.int64), float(ece)
