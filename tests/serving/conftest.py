"""The application over a small recogniser."""

import pytest
from fastapi.testclient import TestClient
from serving_models import LIMITS, make_recognizer

from shapmix.serving.app import create_app


@pytest.fixture(scope="session")
def recognizer():
    return make_recognizer()


@pytest.fixture
def client(recognizer):
    app = create_app(recognizer, name="Arms & legs", limits=LIMITS)
    with TestClient(app, base_url="http://127.0.0.1:8000") as client:
        yield client
