"""What the calls of the API do: plain functions of bytes, whatever thread they run in."""

import numpy as np
from fastapi import HTTPException
from numpy.typing import NDArray

from shapmix.inference.explanation_json import explanation_json
from shapmix.inference.recognizer import ActionRecognizer, class_index
from shapmix.layouts.upright import up_of_clip
from shapmix.serving import schemas
from shapmix.serving.clips import Model, RefusedError, as_keypoints, read_body
from shapmix.serving.limits import Limits
from shapmix.serving.uploads import read_upload

Keypoints = NDArray[np.float32]


class Service:
    """A model that answers requests.

    Args:
        model: a recogniser or an ensemble. limits: of a request. name: of the model.
    """

    def __init__(self, model: Model, limits: Limits, name: str) -> None:
        self.model, self.limits, self.name = model, limits, name

    def predict(self, body: bytes) -> schemas.Predictions:
        """One clip."""
        asked = read_body(body, schemas.PredictRequest)
        clip = as_keypoints(asked.keypoints, self.model, self.limits)
        return self._predicted([clip], asked.top)[0]

    def predict_batch(self, body: bytes) -> schemas.BatchPredictions:
        """Several clips."""
        asked = read_body(body, schemas.BatchRequest)
        if len(asked.clips) > self.limits.clips:
            raise HTTPException(
                413, f"{len(asked.clips)} clips; send at most {self.limits.clips} at once"
            )
        clips = [
            as_keypoints(clip, self.model, self.limits, f"clip {i}")
            for i, clip in enumerate(asked.clips)
        ]
        return schemas.BatchPredictions(results=self._predicted(clips, asked.top))

    def predict_file(
        self, name: str, content: bytes, top: int, with_keypoints: bool
    ) -> schemas.FilePredictions:
        """The clips of a file."""
        upload = read_upload(name, content, self.model, self.limits)
        numbers, most = sum(clip.size for _, clip, _ in upload.clips), self.limits.numbers
        if with_keypoints and numbers > most:
            raise HTTPException(
                413,
                f"the clips of the file have {numbers} numbers, of which {most} are sent back at "
                "most: send fewer or shorter clips, or do not ask for the keypoints",
            )
        found = self._predicted([clip for _, clip, _ in upload.clips], top)
        channels = self.model.info.channels
        clips = [
            schemas.FileClip(
                **dict(predictions),
                name=clip_name,
                fps=fps,
                up=up_of_clip(clip[..., : 3 if channels == "xyz" else 2], self.model.layout),
                keypoints=np.round(clip.astype(float), 4).tolist() if with_keypoints else None,
            )
            for (clip_name, clip, fps), predictions in zip(upload.clips, found, strict=True)
        ]
        skipped = [schemas.Skipped(name=name, why=why) for name, why in upload.skipped]
        return schemas.FilePredictions(clips=clips, skipped=skipped)

    def explain(self, body: bytes) -> schemas.Explained:
        """What the parts do for a class in one clip."""
        asked = read_body(body, schemas.ExplainRequest)
        clip = as_keypoints(asked.keypoints, self.model, self.limits)
        model = self.model
        if not isinstance(model, ActionRecognizer) or model.background is None:
            raise HTTPException(422, "this model has no background clip, which explanations need")
        label = asked.label
        if label is None:
            label = self._predicted([clip], 1)[0].predictions[0].index
        try:
            index = class_index(label, self.model.class_names)
        except ValueError as error:
            raise HTTPException(422, f"label: {error}") from None
        found = explanation_json(model.explain(clip, index), index)
        return schemas.Explained(label=self.model.class_names[index], index=index, **found)

    def describe(self) -> schemas.ModelDescription:
        """The model."""
        model, info = self.model, self.model.info
        limits = {key: getattr(self.limits, key) for key in schemas.LimitsShown.model_fields}
        layout = model.layout
        indices = {"bones": layout.bones, "parts": dict(layout.parts), "center": layout.center}
        return schemas.ModelDescription(
            name=self.name,
            class_names=list(model.class_names),
            layout={"name": layout.name, "joints": layout.joints, **indices},
            units=info.units,
            channels=info.channels,
            stream=info.stream,
            num_frames=info.num_frames,
            num_persons=model.num_persons,
            licence=info.licence,
            source=info.source,
            temperature=info.temperature,
            explains=isinstance(model, ActionRecognizer) and model.background is not None,
            limits=schemas.LimitsShown(**limits),
        )

    def _predicted(self, clips: list[Keypoints], top: int) -> list[schemas.Predictions]:
        ranked = self.model.predict(clips, top=top)
        if not all(np.isfinite(best.probability) for best, *_ in ranked):
            raise RefusedError(
                "the model makes no finite probabilities of these coordinates: are they in "
                f"{self.model.info.units}?"
            )
        return [
            schemas.Predictions(
                frames=len(clip),
                persons=clip.shape[1],
                predictions=[schemas.Prediction(**vars(each)) for each in best],
            )
            for clip, best in zip(clips, ranked, strict=True)
        ]
