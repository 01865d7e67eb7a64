"""Whatever a client sends that the description allows, or nearly allows: words, and never a 500."""

import schemathesis
from hypothesis import HealthCheck, settings
from serving_models import LIMITS, make_recognizer

from shapmix.serving.app import create_app

APP = create_app(make_recognizer(), host="0.0.0.0", limits=LIMITS)
SCHEMA = schemathesis.openapi.from_asgi("/openapi.json", APP)


@SCHEMA.parametrize()
@settings(max_examples=10, derandomize=True, suppress_health_check=[*HealthCheck])
def test_no_answer_is_an_error_of_the_server(case):
    response = case.call()
    assert response.status_code < 500, response.text
    if response.status_code >= 400 and response.headers["content-type"] == "application/json":
        assert isinstance(response.json()["detail"], str)


def test_every_call_is_described():
    described = create_app(make_recognizer()).openapi()
    assert set(described["paths"]) == {
        *("/health", "/model", "/predict", "/predict/batch", "/predict/file", "/explain")
    }
    for path, calls in described["paths"].items():
        for call in calls.values():
            schema = call["responses"]["200"]["content"]["application/json"]["schema"]
            assert "$ref" in schema, path
    keypoints = described["paths"]["/predict"]["post"]["requestBody"]["content"]
    assert "keypoints" in keypoints["application/json"]["schema"]["properties"]
