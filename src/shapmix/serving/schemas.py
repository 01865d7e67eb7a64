"""What requests and answers look like: the application's OpenAPI description is made of these."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr, WithJsonSchema


def _nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "number"}
    for _ in range(levels):
        schema = {"type": "array", "items": schema, "minItems": 1}
    return schema


# Checked by `clips.as_keypoints`, which is much faster than a validator of nested lists.
Keypoints = Annotated[
    Any,
    WithJsonSchema(
        {
            "anyOf": [_nested(4), _nested(3)],
            "description": "(frames, persons, joints, channels), or (frames, joints, channels) of "
            "one person; joints, channels and units are what GET /model says, a person who is "
            "absent is all zeros",
        }
    ),
]
Top = Annotated[StrictInt, Field(ge=1, le=1000, description="how many actions to name")]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid")


class PredictRequest(_Request):
    """One clip."""

    keypoints: Keypoints
    top: Top = 5


class BatchRequest(_Request):
    """Several clips."""

    clips: Annotated[list[Keypoints], Field(min_length=1, description="the keypoints of each")]
    top: Top = 5


class ExplainRequest(_Request):
    """One clip, and the class to explain: a name, an index, or else the likeliest."""

    keypoints: Keypoints
    label: StrictStr | StrictInt | None = None


class Prediction(BaseModel):
    """An action and its calibrated probability."""

    label: str
    index: int
    probability: float


class Predictions(BaseModel):
    """The likeliest actions of a clip."""

    frames: int
    persons: int
    predictions: list[Prediction]


class BatchPredictions(BaseModel):
    """Those of each clip of a batch, in its order."""

    results: list[Predictions]


class FileClip(Predictions):
    """A clip of a file, with its keypoints if they were asked for."""

    name: str
    fps: float | None
    up: Annotated[str, Field(description="the axis that points up: y, -y or z")]
    keypoints: list[list[list[list[float]]]] | None


class Skipped(BaseModel):
    """A clip of a file that could not be used."""

    name: str
    why: str


class FilePredictions(BaseModel):
    """What became of a file."""

    clips: list[FileClip]
    skipped: list[Skipped]


class Part(BaseModel):
    """A part of the body and its Shapley value."""

    name: str
    joints: list[str]
    value: float
    error: float | None


class Coalition(BaseModel):
    """Several parts together: a generalised Shapley value, or the interaction of two."""

    parts: list[str]
    value: float
    error: float | None


class Efficiency(BaseModel):
    """Whether the parts share out exactly what all of them add to none."""

    sum_of_parts: float
    v_full_minus_v_empty: float
    holds: bool


class Explained(BaseModel):
    """What the parts of the body do for a class in one clip; see `shapmix explain --json`."""

    label: str
    index: int
    clips: int
    v_full: float
    v_empty: float
    parts: list[Part]
    coalitions: list[Coalition]
    interactions: list[Coalition]
    efficiency: Efficiency


class Health(BaseModel):
    """That the server runs, and how many requests its model has to do."""

    status: str
    pending: int


class LimitsShown(BaseModel):
    """The most that a request may hold."""

    body_bytes: int
    clips: int
    frames: int
    persons: int
    seconds: float


class ModelDescription(BaseModel):
    """The model and what it expects."""

    name: str
    class_names: list[str]
    layout: dict[str, Any]
    units: str
    channels: str
    stream: str
    num_frames: int
    num_persons: int
    licence: str
    source: str
    temperature: float
    explains: bool
    limits: LimitsShown


class Problem(BaseModel):
    """What was wrong with a request, in words."""

    detail: str
