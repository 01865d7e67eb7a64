"""Keypoints of strangers: checked, with words that say what to do."""

import json
from typing import Any, TypeVar

import numpy as np
from fastapi import HTTPException
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError

from shapmix.inference.ensemble import Ensemble
from shapmix.inference.recognizer import ActionRecognizer
from shapmix.serving.limits import Limits

Body = TypeVar("Body", bound=BaseModel)
Model = ActionRecognizer | Ensemble

LARGEST = 1e6  # of a coordinate, in whatever units
MOST_NESTED = 2_000_000  # lists and objects of a body: some 100 bytes each once they are read


class RefusedError(ValueError):
    """A clip that cannot be used: what was found, what was expected, what to do."""


def read_body(content: bytes, kind: type[Body]) -> Body:
    """The JSON body of a request.

    Raises:
        HTTPException: 400 where it is no JSON, 413 where it is too much, 422 where fields are
            missing or wrong.
    """
    nested = content.count(b"[") + content.count(b"{")
    if nested > MOST_NESTED:
        raise HTTPException(
            413, f"the body has {nested} lists and objects, {MOST_NESTED} at most: send fewer clips"
        )
    try:
        return kind.model_validate(json.loads(content))
    except ValidationError as error:
        raise HTTPException(422, problems(error.errors(include_input=False))) from None
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, f"the body is no JSON: {str(error)[:200]}") from None


def problems(errors: Any) -> str:
    """The errors of a validation in one line, the first three of them."""
    said = [
        f"{'.'.join(str(place) for place in error['loc'])[:80] or 'body'}: {error['msg']}"
        for error in errors
    ]
    return "; ".join(said[:3]) + (f"; and {len(said) - 3} more" if len(said) > 3 else "")


def as_keypoints(
    value: Any, model: Model, limits: Limits, where: str = "keypoints"
) -> NDArray[np.float32]:
    """Keypoints `(T, M, V, C)` float32 from nested lists or an array.

    Raises:
        RefusedError: no numbers, another shape, not finite, too long, or nobody in it.
    """
    keypoints = _numbers(value, where)
    V, channels = model.layout.num_joints, model.info.channels
    expected = (V, len(channels))
    shape = keypoints.shape
    if keypoints.ndim == 3:
        keypoints = keypoints[:, None]
    if keypoints.ndim != 4 or keypoints.shape[2:] != expected or 0 in keypoints.shape:
        raise RefusedError(
            f"{where} has the shape {_shown(shape)}; expected (frames, persons, {V}, "
            f"{len(channels)}) or (frames, {V}, {len(channels)}): the {V} joints of layout "
            f"{model.layout.name!r} in the order that GET /model lists, each with "
            f"{', '.join(channels).replace('c', 'confidence')} ({model.info.units})"
        )
    for name, found, most in (
        ("frames", len(keypoints), limits.frames),
        ("persons", keypoints.shape[1], limits.persons),
    ):
        if found > most:
            raise RefusedError(
                f"{where} has {found} {name}; at most {most} are taken: cut the clip"
            )
    _check_values(keypoints, model, where)
    return np.ascontiguousarray(keypoints, dtype=np.float32)


def _numbers(value: Any, where: str) -> NDArray[np.float64]:
    try:
        return np.array(value, dtype=np.float64)
    except (ValueError, TypeError, OverflowError) as error:
        words = str(error).partition(". ")[0][:120]
        raise RefusedError(
            f"{where} is no array of numbers ({words}): send nested lists of one length on each "
            "level, without null"
        ) from None


def _check_values(keypoints: NDArray[np.float64], model: Model, where: str) -> None:
    bad = ~(np.abs(keypoints) <= LARGEST)
    if bad.any():
        frame, person, joint, channel = np.argwhere(bad)[0].tolist()
        raise RefusedError(
            f"{where} has {int(bad.sum())} values that are not finite or beyond {LARGEST:.0e}; the "
            f"first is {keypoints[frame, person, joint, channel]} in frame {frame}, person "
            f"{person}, {model.info.channels[channel]} of joint "
            f"{model.layout.joints[joint]!r}: fill joints that are missing in, or set all "
            "joints of a person who is absent to 0"
        )
    if not keypoints.any():
        raise RefusedError(f"{where} is zero throughout: there is nobody in it")


def _shown(shape: tuple[int, ...]) -> str:
    return str(shape) if len(shape) <= 8 else f"of {len(shape)} axes"
