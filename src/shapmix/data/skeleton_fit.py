"""Whether the joints of the clips lie as the layout says.

In a right layout a bone joins joints that are near each other. The shortest tree that joins all
joints of the typical body is the yardstick: the bones of the right layout are together hardly
longer (measured on five data sets in 3D and projected to 2D: 1.02 to 1.43 times), those of a layout
with other numbers of the same joints are (1.5 to 3.6 times), and those of a shuffled order 1.8 to
4.3 times. Between the two, and where single joints changed places, two more signs tell: no exchange
of two joints makes the bones of a right layout much shorter (measured: by 4% at most), and those on
the left are about as long as those on the right (1.27 times at most). Nothing is assumed about
units, dimensions or poses. Exchanged neighbours, such as a wrist and its hand, may not be found,
and the exchange of the whole left with the whole right is not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from shapmix.data.archive import Archive
from shapmix.data.findings import Case, Finding, counted
from shapmix.data.survey import Floats, present_joints, sampled_frames
from shapmix.layouts import Layout
from shapmix.layouts.catalog import CATALOG

SAMPLED_CLIPS = 200
PLAUSIBLE = 1.45  # times the shortest tree: the layout is not doubted
TOO_LONG = 2.0  # times the shortest tree: no plausible layout
CLEARLY_BETTER = 0.85  # times the length of the archive's layout: another one fits better
EXCHANGED = 0.9  # times the length of all bones: two joints have changed places
UNEQUAL = 1.5  # times as long as the bone on the other side, ...
SHORT_BONE = 0.02  # ... both longer by so many body sizes, lest short ones count
NAMED_BONES = 4
RIGID = 1e-6  # of a body's size: less is no movement


@dataclass(frozen=True, eq=False)
class Poses:
    """The first person in some frames of some clips, all of whose seen joints are present.

    Attributes:
        seen: (V,) joints that are present in most frames.
        clips: each (F, V, D) float64, in body sizes.
    """

    seen: npt.NDArray[np.bool_]
    clips: tuple[Floats, ...]

    def distances(self) -> Floats:
        """(V, V) medians of the joints' distances, in body sizes."""
        median: Floats = np.median(_between_joints(self._frames()), axis=0)
        return median

    def most_usual(self) -> Floats:
        """(V, D) the body whose joints' distances are nearest to the medians."""
        frames = self._frames()
        between = _between_joints(frames)
        pose: Floats = frames[np.abs(between - np.median(between, axis=0)).sum((1, 2)).argmin()]
        return pose

    def _frames(self) -> Floats:
        """(F, V, D) frames of all clips, one to two thousand at most."""
        frames = np.concatenate(self.clips)
        return frames[:: max(1, len(frames) // 1000)]


def sample_poses(archive: Archive) -> Poses:
    """Poses of clips at equal distances in the archive."""
    info = archive.info
    scored = info.channels.endswith("c")
    bodies, presence = [], []
    for i in np.linspace(0, len(archive) - 1, min(SAMPLED_CLIPS, len(archive))).astype(int):
        keypoints = archive.keypoints(i)[:, :1]
        keypoints = keypoints[sampled_frames(len(keypoints))]
        here = present_joints(keypoints, scored=scored)[:, 0]
        alive = here.any(1)
        bodies.append(keypoints[alive, 0, :, : len(info.channels) - scored].astype(np.float64))
        presence.append(here[alive])
    together = np.concatenate(presence)
    seen = together.mean(0) > 0.5 if len(together) else np.zeros(info.layout.num_joints, np.bool_)
    clips = []
    for body, here in zip(bodies, presence, strict=True):
        complete = body[here[:, seen].all(1) & here.any(1)]
        size = np.median(np.ptp(complete[:, seen], axis=1).max(1)) if len(complete) else 0
        if size > 0:
            clips.append(complete / size)
    return Poses(seen, tuple(clips))


def bone_ratio(layout: Layout, distances: Floats, seen: npt.NDArray[np.bool_]) -> float:
    """Mean length of the layout's bones over that of the shortest tree's; 1 is the least.

    Joints that are never seen are left out, with their bones.
    """
    child, parent = np.array(layout.bones).T
    both = seen[child] & seen[parent]
    shortest = _shortest_tree(distances[np.ix_(seen, seen)])
    if not both.any() or shortest <= 0:
        return 1.0
    return float(distances[child[both], parent[both]].mean() / shortest)


def check_layout(case: Case) -> Iterator[Finding]:
    """Joints in another order than the layout's, and joints that carry nothing."""
    poses = sample_poses(case.archive)
    if not poses.clips or poses.seen.sum() < 3:
        return
    distances = poses.distances()
    layout = case.archive.info.layout
    wrong = list(_order(layout, distances, poses.seen))
    yield from wrong or _doubtful_order(layout, distances, poses.seen)
    yield from _coinciding(layout, poses)


def _order(layout: Layout, distances: Floats, seen: npt.NDArray[np.bool_]) -> Iterator[Finding]:
    own = bone_ratio(layout, distances, seen)
    if own <= PLAUSIBLE:
        return
    others = {
        name: bone_ratio(other, distances, seen)
        for name, other in CATALOG.items()
        if other.num_joints == layout.num_joints and other.joints != layout.joints
    }
    best = min(others, key=others.__getitem__, default=layout.name)
    fits = others.get(best, own)
    better = fits < min(CLEARLY_BETTER * own, TOO_LONG)
    if not better and own <= TOO_LONG:
        return
    title = (
        f"the joints do not lie as layout {layout.name!r} says: its bones are {own:.1f} times as "
        "long as the shortest tree that joins the joints (usual: 1.0 to 1.4)"
    )
    if better:
        title += f"; layout {best!r}, with as many joints, fits better ({fits:.1f})"
        remedy = f"import again with layout {best!r}, or correct the order of the joints"
    else:
        remedy = (
            "compare the source's order of joints with `joints` of the layout, and import again "
            "with a layout (a YAML file) in the source's order"
        )
    yield Finding(
        "error",
        title,
        "the graph of the network, the bone streams and the parts that are mixed would join "
        "joints that have nothing to do with each other",
        remedy,
    )


def _doubtful_order(
    layout: Layout, distances: Floats, seen: npt.NDArray[np.bool_]
) -> Iterator[Finding]:
    """Signs of some joints in wrong places."""
    signs = []
    ratio = bone_ratio(layout, distances, seen)
    if ratio > PLAUSIBLE:
        signs.append(
            f"the bones are {ratio:.1f} times as long as the shortest tree that joins the joints "
            f"(usual: 1.0 to 1.4), the longest: {_longest_bones(layout, distances, seen)}"
        )
    length, pair = _best_exchange(layout, distances, seen)
    if length < EXCHANGED:
        signs.append(f"they would be {1 - length:.0%} shorter if {pair} changed places")
    unequal = list(_unequal_sides(layout, distances, seen))
    if unequal:
        signs.append(f"left and right differ in length: {', '.join(unequal[:NAMED_BONES])}")
    if signs:
        yield Finding(
            "warning",
            f"some joints may not lie as layout {layout.name!r} says: {'; '.join(signs)}",
            "the graph of the network, the bone streams and the parts that are mixed would join "
            "the wrong joints",
            "compare the source's order of joints with `joints` of the layout; look at the "
            "skeleton drawn by `shapmix info --html`",
        )


def _longest_bones(layout: Layout, distances: Floats, seen: npt.NDArray[np.bool_]) -> str:
    bones = [bone for bone in layout.bones if seen[list(bone)].all()]
    bones.sort(key=lambda bone: -distances[bone])
    return ", ".join(_bone_name(layout, *bone) for bone in bones[:NAMED_BONES])


def _bone_name(layout: Layout, child: int, parent: int) -> str:
    return f"{layout.joints[child]} to {layout.joints[parent]}"


def _best_exchange(
    layout: Layout, distances: Floats, seen: npt.NDArray[np.bool_]
) -> tuple[float, str]:
    """The length of all bones, over what it is, after the one exchange that shortens them most."""
    bones = np.array([bone for bone in layout.bones if seen[list(bone)].all()]).reshape(-1, 2)
    length = distances[bones[:, 0], bones[:, 1]].sum()
    best, pair = 1.0, ""
    for i, j in combinations(np.flatnonzero(seen).tolist(), 2):
        place = np.arange(layout.num_joints)
        place[[i, j]] = j, i
        child, parent = place[bones].T
        exchanged = distances[child, parent].sum()
        if exchanged < best * length:
            best, pair = float(exchanged / length), f"{layout.joints[i]} and {layout.joints[j]}"
    return best, pair


def _unequal_sides(layout: Layout, distances: Floats, seen: npt.NDArray[np.bool_]) -> Iterator[str]:
    """Bones that are much longer than those of the other side."""
    other = np.arange(layout.num_joints)
    for left, right in layout.mirror:
        other[[left, right]] = right, left
    bones = set(layout.bones)
    for child, parent in layout.bones:
        opposite = int(other[child]), int(other[parent])
        if opposite not in bones or not seen[[child, parent, *opposite]].all():
            continue
        long, short = distances[child, parent], distances[opposite]
        if short > RIGID and long + SHORT_BONE > UNEQUAL * (short + SHORT_BONE):
            names = _bone_name(layout, child, parent), _bone_name(layout, *opposite)
            yield f"{names[0]} is {long / short:.1f} times {names[1]}"


def _coinciding(layout: Layout, poses: Poses) -> Iterator[Finding]:
    """Joints that lie on their parents, or never move relative to them."""
    on_parent, stiff = [], []
    moving = any(np.ptp(clip, axis=0).max() > RIGID for clip in poses.clips)
    for child, parent in layout.bones:
        if not (poses.seen[child] and poses.seen[parent]):
            continue
        bones = [clip[:, child] - clip[:, parent] for clip in poses.clips]
        name = f"{layout.joints[child]} (of {layout.joints[parent]})"
        if all(np.abs(bone).max() < RIGID for bone in bones):
            on_parent.append(name)
        elif moving and all(np.ptp(bone, axis=0).max() < RIGID for bone in bones):
            stiff.append(name)
    for names, what in (
        (on_parent, "always in the place of the joint it hangs on"),
        (stiff, "that never moves relative to the joint it hangs on"),
    ):
        if names:
            yield Finding(
                "warning",
                f"{counted(len(names), 'joint')} {what}: {', '.join(names)}",
                "it tells the network nothing, and its bone is always the same",
                "if the source does not have this joint, use a layout without it; else see "
                "whether the import mixed up joints",
            )


def _between_joints(frames: Floats) -> Floats:
    """Distances (F, V, V) between the joints of frames (F, V, D)."""
    distances: Floats = np.linalg.norm(frames[:, :, None] - frames[:, None], axis=-1)
    return distances


def _shortest_tree(distances: Floats) -> float:
    """Mean edge of the shortest tree that joins all points (Prim's algorithm)."""
    outside = np.ones(len(distances), dtype=bool)
    outside[0] = False
    nearest = distances[0].copy()
    total = 0.0
    for _ in range(len(distances) - 1):
        chosen = int(np.where(outside, nearest, np.inf).argmin())
        total += nearest[chosen]
        outside[chosen] = False
        nearest = np.minimum(nearest, distances[chosen])
    return total / max(len(distances) - 1, 1)
