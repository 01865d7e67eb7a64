"""Which axis of an array is which: frames T, persons M, joints V, coordinates C."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import permutations
from typing import Any, NamedTuple

import numpy.typing as npt

from shapmix.data.clip import ClipError
from shapmix.data.importers.base import SourceError
from shapmix.layouts import CATALOG, Layout

DEFAULT_ORDER = {2: "TVC", 3: "TVC", 4: "TMVC"}  # by the number of axes
EXCHANGED = "MTVC"  # the usual one but for frames and persons

Shapes = Mapping[str, tuple[int, ...]]  # by file


class Axes(NamedTuple):
    """The order of the axes.

    Attributes:
        order: such as "CTVM"; None for the usual one of the number of axes.
        is_given: whether the user says so; otherwise an array with more persons than frames is
            doubtful.
    """

    order: str | None
    is_given: bool


def num_joints(shapes: Shapes, order: str | None, channels: str | None) -> int:
    """The joints of arrays of unknown layout; SourceError when the first does not say them."""
    where, shape = next(iter(shapes.items()))
    order = order or DEFAULT_ORDER.get(len(shape), "")
    if len(shape) == len(order):
        return _of_a_layout(shape, order, where)
    if len(shape) == 2 and channels is not None and shape[1] % len(channels) == 0:
        return shape[1] // len(channels)
    raise SourceError(
        f"{where} has the shape {shape}, which does not say the number of joints; expected "
        f"{_words(order or 'TMVC')}, or give --layout, and --order for other axes"
    )


def _of_a_layout(shape: tuple[int, ...], order: str, where: str) -> int:
    """The joints in this order; SourceError, with orders that fit, when no layout has so many."""
    number = shape[order.index("V")]
    sizes = {layout.num_joints for layout in CATALOG.values()}
    if number not in sizes and (fitting := _fitting_orders(shape, sizes)):
        raise SourceError(
            f"{where} has the shape {shape}, expected {_words(order)}; {number} joints are of no "
            f"layout in the catalog. Is it --order {' or '.join(fitting)}? Or give --layout"
        )
    return number


def find_axes(shapes: Shapes, order: str | None, joints: int, coordinates: int | None) -> Axes:
    """The order given, the usual one if any array fits it, or else the only one that fits all.

    An order that only exchanges frames and persons of the usual one is never found: the sizes are
    of a short clip of several persons as well.

    Args:
        coordinates: of a joint, where they are known.
    """
    if order is not None:
        return Axes(order, is_given=True)
    if any(
        len(shape) == 2 or _usual(len(shape)) in _fitting_orders(shape, {joints})
        for shape in shapes.values()
    ):
        return Axes(None, is_given=False)
    sizes = (2, 3) if coordinates is None else (coordinates,)
    fitting = [set(_fitting_orders(shape, {joints}, sizes)) for shape in shapes.values()]
    common = set.intersection(*fitting)
    order = common.pop() if len(common) == 1 else None
    return Axes(None if order == EXCHANGED else order, is_given=False)


def as_tmvc(values: npt.NDArray[Any], axes: Axes, layout: Layout, clip: str) -> npt.NDArray[Any]:
    """A view (T, M, V, C); ClipError, with the order that would fit, for another shape."""
    joints = layout.num_joints
    shape, order = values.shape, axes.order or _usual(values.ndim)
    if values.ndim == 2 and shape[1] and shape[1] % joints == 0 and axes.order in (None, "TVC"):
        values = values.reshape(shape[0], joints, shape[1] // joints)
    fits = values.ndim == len(order) and values.shape[order.index("V")] == joints
    doubtful = fits and not axes.is_given and _more_persons(values.shape, order)
    if fits and not doubtful:
        if "M" not in order:
            values, order = values[None], f"M{order}"
        return values.transpose([order.index(letter) for letter in "TMVC"])
    detail = f"shape {shape}, expected {_words(order)} with the {joints} joints of {layout.name}"
    if doubtful:
        detail += f", and not more persons than frames unless you say --order {order}"
    if values.ndim == 2:
        detail += f", or (frames, {joints} x coordinates)"
    elif fitting := _fitting_orders(shape, {joints}):
        detail += f"; it fits --order {' or '.join(fitting)}"
    raise ClipError("wrong shape", clip, detail)


def _fitting_orders(
    shape: tuple[int, ...], joints: Collection[int], coordinates: Collection[int] = (2, 3)
) -> list[str]:
    """Orders in which a shape has such numbers of joints and coordinates, and few persons."""
    orders = map("".join, permutations(_usual(len(shape)) if len(shape) in (3, 4) else ""))
    return [
        order
        for order in orders
        if order
        and shape[order.index("V")] in joints
        and shape[order.index("C")] in coordinates
        and not _more_persons(shape, order)
    ]


def _more_persons(shape: tuple[int, ...], order: str) -> bool:
    return "M" in order and shape[order.index("M")] > shape[order.index("T")]


def _usual(num_axes: int) -> str:
    return DEFAULT_ORDER.get(num_axes, "TMVC")


def _words(order: str) -> str:
    words = {"T": "frames", "M": "persons", "V": "joints", "C": "coordinates"}
    return f"({', '.join(words[letter] for letter in order)})"
