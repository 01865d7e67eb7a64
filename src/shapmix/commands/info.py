"""Show what an archive holds, and what is suspicious about it.

Classes and counts, lengths, persons, missing joints, units, columns, protocols; then clips that are
damaged, constant or jump, copies of one another, and, with --split, what its parts share. --html
writes it all as one page with pictures. `shapmix check` runs the same checks and fails on errors.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonargparse import ArgumentParser, Namespace

if TYPE_CHECKING:
    import numpy.typing as npt

    from shapmix.data.archive import Archive
    from shapmix.data.health import Finding, Survey
    from shapmix.data.longtail import Counts
    from shapmix.data.splits import Split
    from shapmix.data.survey import Floats
    from shapmix.reporting import Table

HELP = "show what an archive holds, and what is suspicious"
PICTURED_CLIPS, CLIPS_OF_A_FINDING = 6, 2  # on the page
PICTURED_FRAMES = 7  # of a clip in which a joint jumps


def add_arguments(parser: ArgumentParser, words: Sequence[str]) -> None:
    """Arguments of the command."""
    parser.add_argument("archive", help="an .arrow file made by `shapmix import`")
    parser.add_argument(
        "--split", type=Path | None, help="also look at this split, made by `shapmix split`"
    )
    parser.add_argument("--html", type=Path | None, help="write a page with pictures, too")


def run(args: Namespace) -> None:
    """Print facts, classes and findings; write the page if asked to."""
    from rich.console import Console
    from rich.text import Text

    from shapmix.commands.check import read_split
    from shapmix.commands.overwriting import PAGE, check_replaceable
    from shapmix.commands.showing import print_findings, printable, progress
    from shapmix.data.archive import Archive
    from shapmix.data.health import examine

    if args.html is not None:
        check_replaceable(args.html, PAGE)
    archive = Archive(args.archive)
    archive.verify()
    split, findings = (None, []) if args.split is None else read_split(archive, args.split)
    with progress(len(archive)) as on_progress:
        survey, found = examine(archive, split, on_progress=on_progress)
    facts = {k: printable(v) or "none" for k, v in _facts(archive, split, survey).items()}
    if findings:
        facts["split"] = "cannot be used; see the first finding"
    findings += found
    classes = _classes(archive, split)
    console = Console()
    for name, fact in facts.items():
        console.print(Text.assemble((f"{name:>10}", "bold"), f"  {fact}"))
    console.print(classes)
    print_findings(findings, console)
    if args.html is not None:
        page = _write_page(args.html, archive, split, survey, facts, classes, findings)
        console.print(f"page to open: {page.resolve()}", soft_wrap=True, markup=False)


def _facts(archive: "Archive", split: "Split | None", survey: "Survey") -> dict[str, str]:
    """What is known of all clips, a line each."""
    import numpy as np

    from shapmix.counts import shot_bins
    from shapmix.data.longtail import class_counts

    info, frames, persons = archive.info, archive.num_frames, archive.num_persons
    counts = class_counts(archive.labels, info.num_classes)
    counted = counts if split is None else split.class_counts
    bins = ", ".join(f"{len(classes)} {shot}" for shot, classes in shot_bins(counted).items())
    quartiles = ", ".join(f"{q:.0f}" for q in np.percentile(frames, [25, 50, 75]))
    joints = max(int(survey.bodies.sum()) * info.layout.num_joints, 1)
    absent = 1 - survey.bodies.sum() / (frames * persons).sum()
    numbers = zip(*np.unique(persons, return_counts=True), strict=True)
    return {
        "source": f"{info.source}, version {info.version}" if info.version else info.source,
        "clips": f"{len(archive)} of {info.num_classes} classes, {_imbalance(counts)}",
        "shots": f"{bins} ({'of all clips' if split is None else 'of the training part'})",
        "split": "not given" if split is None else _parts(split),
        "skeleton": f"{info.layout.name}: {info.layout.num_joints} joints, "
        f"{info.layout.num_parts} parts; {info.channels} in {info.units}",
        "size": _size(archive, survey),
        "frames": f"{frames.min()} to {frames.max()}, quartiles {quartiles}",
        "persons": ", ".join(f"{n}: {c} clips" for n, c in numbers),
        "missing": f"{survey.missing.sum() / joints:.2%} of joints; bodies absent in "
        f"{absent:.2%} of their frames",
        "columns": ", ".join(map(_column, archive.metadata, archive.metadata.values())),
        "protocols": "; ".join(
            f"{name}: train {train}, test {test}" for name, (train, test) in info.splits.items()
        ),
    }


def _column(name: str, values: "npt.NDArray[Any]") -> str:
    """How many values a metadata column has, and for how many clips none."""
    from shapmix.data.clip import known

    told = known(values)
    number, unknown = len(set(values[told].tolist())), int((~told).sum())
    said = f"{number} value{'s' * (number != 1)}"
    return f"{name} ({said}, unknown for {unknown} clips)" if unknown else f"{name} ({said})"


def _parts(split: "Split") -> str:
    """Clips of each part, and how unequal the training part is."""
    parts = ", ".join(f"{part} {len(names)}" for part, names in split.parts.items())
    return f"{parts}; training {_imbalance(split.class_counts)}"


def _imbalance(counts: "Counts") -> str:
    """How unequal classes are, and how many that is said of."""
    import numpy as np

    from shapmix.data.class_checks import gini_coefficient
    from shapmix.data.longtail import imbalance_factor

    filled = int(np.count_nonzero(counts))
    of = "" if filled == len(counts) else f" ({filled} of {len(counts)} classes have clips)"
    return f"imbalance {imbalance_factor(counts):.3g}{of}, Gini {gini_coefficient(counts):.2f}"


def _size(archive: "Archive", survey: "Survey") -> str:
    """How large a typical body is, and in which units one usually is."""
    from shapmix.data.scale_checks import looks_like

    size, units = survey.typical_size, archive.info.units
    if size != size:  # NaN
        return "no clip shows a body"
    fitting = looks_like(archive.info, size)
    guess = units if units in fitting else " or ".join(fitting) or "no usual units"
    return f"a typical body is {size:.3g} {units} high or wide; looks like {guess}"


def _classes(archive: "Archive", split: "Split | None") -> "Table":
    """Clips and median frames of each class."""
    import numpy as np

    from shapmix.counts import shot_bins
    from shapmix.data.longtail import class_counts
    from shapmix.reporting import Table
    from shapmix.reporting.grid import Name, Number

    counts = class_counts(archive.labels, archive.info.num_classes)
    shown = {"clips": counts} if split is None else {"clips": counts} | split.counts
    counted = counts if split is None else split.class_counts
    shots = {k: shot for shot, classes in shot_bins(counted).items() for k in classes.tolist()}
    rows = []
    for k, name in enumerate(archive.info.class_names):
        mine = archive.num_frames[archive.labels == k]
        median = Number(float(np.median(mine)), unit="plain") if len(mine) else None
        rows.append((k, name, *(int(c[k]) for c in shown.values()), shots[k], median))
    titles = ("label", "class", *shown, "shots", "median frames")
    return Table("Classes", tuple(Name(title, title) for title in titles), tuple(rows))


def _write_page(
    path: Path,
    archive: "Archive",
    split: "Split | None",
    survey: "Survey",
    facts: dict[str, str],
    classes: "Table",
    findings: "Sequence[Finding]",
) -> Path:
    from shapmix.data.longtail import class_counts
    from shapmix.reporting import Table
    from shapmix.reporting.data_page import DataSummary, write_data_page
    from shapmix.reporting.grid import Name
    from shapmix.reporting.page import Card

    info = archive.info
    counts = class_counts(archive.labels, info.num_classes) if split is None else split.class_counts
    cards = [
        Card(f.severity, f.title, {"clips": f.first_clips(), "why": f.why, "do": f.remedy})
        for f in findings
    ]
    summary = DataSummary(
        title=f"The data of {archive.path.name}",
        facts=Table("Of all clips", (Name("fact", ""), Name("value", "")), tuple(facts.items())),
        findings=cards,
        classes=classes,
        class_counts=counts,
        class_names=info.class_names,
        counted="clips" if split is None else "training clips",
        num_frames=archive.num_frames,
        num_persons=archive.num_persons,
        layout=info.layout,
        missing=survey.joint_missing / max(int(survey.bodies.sum()), 1),
        pose=_pose(archive),
        doubtful=list(_doubtful(archive, survey, findings)),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_data_page(path, summary)


def _pose(archive: "Archive") -> "Floats | None":
    """A complete body `(V, D)` in the most usual pose, if there is one."""
    from shapmix.data.skeleton_fit import sample_poses

    poses = sample_poses(archive)
    return poses.most_usual() if poses.clips else None


def _doubtful(
    archive: "Archive", survey: "Survey", findings: "Sequence[Finding]"
) -> "Iterator[tuple[str, Floats]]":
    """The first clips of the findings about single ones; of one that jumps, the jump."""
    from shapmix.data.motion_checks import jumping
    from shapmix.data.survey import largest_step_window

    info, known = archive.info, set(archive.names)
    jumps = jumping(survey)
    D = len(info.channels.removesuffix("c"))
    shown: set[str] = set()
    for finding in findings:
        for name in [n for n in finding.clips if n in known][:CLIPS_OF_A_FINDING]:
            i = archive.index(name)
            if name in shown or len(shown) == PICTURED_CLIPS or not survey.bodies[i]:
                continue
            shown.add(name)
            person = archive.keypoints(i)[:, 0, :, :D]
            if jumps[i]:
                person = person[largest_step_window(person, PICTURED_FRAMES)]
            class_name = info.class_names[archive.labels[i]]
            yield f"{name}, {class_name} ({finding.title.split(':')[0]})", person.astype(float)
