"""The skeletons of public data sets and pose estimators, one table each.

A table has one row a joint, in the order of the data: joint, parent, part; the centre has no
parent (``-``). Left and right are the person's own; mirror pairs follow from the names. All
layouts have the paper's five parts, in the same order.
"""

from pathlib import Path

from shapmix.layouts.depth_sensors import DEPTH_SENSORS
from shapmix.layouts.layout import Layout, LayoutError
from shapmix.layouts.pose_estimators import POSE_ESTIMATORS
from shapmix.suggest import did_you_mean

_PARTS = ("trunk", "right_arm", "left_arm", "right_leg", "left_leg")


def _layout(name: str, source: str, table: str) -> Layout:
    rows = [line.split() for line in table.strip().splitlines()]
    joints = [joint for joint, _, _ in rows]
    index = {joint: number for number, joint in enumerate(joints)}
    return Layout(
        name=name,
        joints=tuple(joints),
        bones=tuple((index[joint], index[parent]) for joint, parent, _ in rows if parent != "-"),
        center=next(index[joint] for joint, parent, _ in rows if parent == "-"),
        parts={
            part: tuple(index[joint] for joint, _, its_part in rows if its_part == part)
            for part in _PARTS
        },
        mirror=tuple(
            (index[joint], index["right_" + joint.removeprefix("left_")])
            for joint in joints
            if joint.startswith("left_")
        ),
        source=source,
    )


CATALOG: dict[str, Layout] = {
    name: _layout(name, source, table)
    for name, (source, table) in (DEPTH_SENSORS | POSE_ESTIMATORS).items()
}


def get_layout(layout: str | Path | Layout) -> Layout:
    """Find a layout: a name in `CATALOG`, the path of a ``.yaml`` file, or a layout itself.

    Raises:
        LayoutError: for an unknown name, with the nearest one, or an invalid file.
    """
    if isinstance(layout, Layout):
        return layout
    if isinstance(layout, str) and layout in CATALOG:
        return CATALOG[layout]
    if Path(layout).suffix in (".yaml", ".yml"):
        return Layout.from_yaml(layout)
    raise LayoutError(
        f"unknown layout {str(layout)!r}{did_you_mean(str(layout), CATALOG)}; "
        f"expected one of {', '.join(CATALOG)}, or the path of a .yaml file"
    )
