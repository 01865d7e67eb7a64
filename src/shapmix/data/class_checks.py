"""Classes: their sizes, their names against their labels, and their place in a split."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from shapmix.data.findings import Case, Finding, Severity, counted
from shapmix.suggest import composed


def gini_coefficient(counts: npt.ArrayLike) -> float:
    """How unequal counts are: 0 when all are equal, near 1 when one class has nearly all clips.

    The mean difference between two classes over twice the mean count; NaN when all are 0.
    """
    ordered = np.sort(np.asarray(counts, dtype=np.float64))
    if ordered.sum() == 0:
        return float("nan")
    K = len(ordered)
    rank = np.arange(1, K + 1)
    return float(((2 * rank - K - 1) * ordered).sum() / (K * ordered.sum()))


def check_classes(case: Case) -> Iterator[Finding]:
    """One class only, or classes without clips: perhaps labels that are one too high."""
    counts = case.counts()
    names = case.archive.info.class_names
    present = np.flatnonzero(counts)
    if len(present) == 1:
        yield Finding(
            "error",
            f"all clips are of one class, {case.class_names(present)}",
            "whatever the network says is right, and nothing is learnt",
            "see where the source has its labels, and import again",
        )
        return
    empty = np.flatnonzero(counts == 0).tolist()
    if not empty:
        return
    title = f"{counted(len(empty), 'class has', 'classes have')} no clip: {case.class_names(empty)}"
    why = "a class without clips cannot be learnt; training refuses to begin"
    remedy = "import again with --classes present, which leaves them out, or add clips of them"
    if empty[0] == 0 and counts[-1] > 0:
        title = (
            f"the first class has no clip: either {names[0]!r} is missing from the data, or all "
            "labels are one too high"
        ) + (f"; {title}" if len(empty) > 1 else "")
        why += "; labels one too high would give clips the name of the class after theirs"
        remedy = (
            f"compare some clips of {names[present[0]]!r} with that name: if it is right, "
            f"{remedy}; if they show the class before it, correct the list of class names, or the "
            "number from which the labels count"
        )
    yield Finding("error", title, why, remedy)


def check_class_names(case: Case) -> Iterator[Finding]:
    """Numbers among the names of the classes, and names that look alike but for case and blanks."""
    names = case.archive.info.class_names
    spelt: dict[str, list[int]] = defaultdict(list)
    for k, name in enumerate(names):
        spelt[" ".join(composed(name).casefold().split())].append(k)
    alike = [classes for classes in spelt.values() if len(classes) > 1]
    if alike:
        shown = ", ".join(" = ".join(repr(names[k]) for k in classes) for classes in alike[:4])
        more = f" and {len(alike) - 4} more" if len(alike) > 4 else ""
        yield Finding(
            "warning",
            f"{counted(len(alike), 'group')} of classes differ in upper and lower case, blanks "
            f"or the Unicode form only: {shown}{more}",
            "if it is one action in two spellings, the network has to tell it from itself",
            "spell the labels of the source alike, and import again",
        )
    numbers = [k for k, name in enumerate(names) if name.strip().isdecimal()]
    if numbers and len(numbers) < len(names):
        yield Finding(
            "warning",
            f"{counted(len(numbers), 'class is', 'classes are')} named by a number among names in "
            f"words: {case.class_names(numbers)}",
            "labels without a name of their own are often off by one: the names would belong to "
            "other classes",
            "compare the list of class names with the labels of the source, and the number from "
            "which they count; then import again",
        )


def check_identical_classes(case: Case) -> Iterator[Finding]:
    """Classes all of whose clips are the same."""
    digests = np.array([int.from_bytes(d[:8]) for d in case.survey.digests], dtype=np.uint64)
    labels = case.archive.labels
    alike = [
        k
        for k, count in enumerate(case.counts())
        if count > 1 and len(np.unique(digests[labels == k])) == 1
    ]
    if alike:
        yield Finding(
            "error",
            f"all clips of {counted(len(alike), 'class', 'classes')} are identical: "
            f"{case.class_names(alike)}",
            "the class is one recording, counted many times",
            "see whether the import read the same file for all of them",
            case.names([int(np.flatnonzero(labels == k)[0]) for k in alike]),
        )


def check_parts(case: Case) -> Iterator[Finding]:
    """Classes that a part of the split has not."""
    everywhere = case.counts() > 0
    missing: tuple[tuple[str, Severity, str], ...] = (
        ("train", "error", "it cannot be learnt; training refuses to begin"),
        ("test", "warning", "no accuracy says anything about it; means over classes leave it out"),
    )
    for part, severity, why in missing:
        if part not in case.parts:
            continue
        absent = np.flatnonzero(everywhere & (case.counts(part) == 0)).tolist()
        if absent:
            yield Finding(
                severity,
                f"{counted(len(absent), 'class has', 'classes have')} no {part} clip: "
                f"{case.class_names(absent)}",
                why,
                "split otherwise, or import again with --classes and all the others",
            )
    if "val" in case.parts and not len(case.parts["val"]):
        yield Finding(
            "note",
            "the split has no validation clip",
            "no epoch can be selected but the last",
            "make the split with --val-fraction or --val-per-class above 0",
        )
