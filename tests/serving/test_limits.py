"""What a server must not be talked into: too much, too long, by other sites' pages."""

import threading

import pytest
from fastapi.testclient import TestClient
from serving_models import LIMITS, PartModel, make_recognizer, refused, waving

from shapmix.serving.app import create_app, is_loopback
from shapmix.serving.limits import Limits

# --- limits ---


def chunks(total, size=50_000):
    for start in range(0, total, size):
        yield b" " * min(size, total - start)


@pytest.mark.parametrize("path", ["/predict", "/predict/batch", "/predict/file", "/explain"])
def test_bodies_that_are_too_large_are_refused_as_they_come_in(client, path):
    kind = "multipart/form-data; boundary=x" if path.endswith("file") else "application/json"
    headers = {"Content-Type": kind}
    answer = client.post(path, content=b" " * (LIMITS.body_bytes + 1), headers=headers)
    refused(answer, 413, "larger than 200000 bytes")
    taken = []

    def counted():
        for chunk in chunks(10 * LIMITS.body_bytes):
            taken.append(len(chunk))
            yield chunk

    answer = client.post(path, content=counted(), headers=headers)  # no Content-Length
    refused(answer, 413, "larger than 200000 bytes")


@pytest.mark.parametrize("length", ["-1", "x", "9" * 30])
def test_lengths_that_are_none(client, length):
    headers = {"Content-Type": "application/json", "Content-Length": length}
    answer = client.post("/predict", content=b"{}", headers=headers)
    assert answer.status_code in (400, 413)


class Slow(PartModel):
    """Waits for leave before it answers."""

    def __init__(self):
        super().__init__()
        self.begun, self.go = threading.Semaphore(0), threading.Event()

    def forward(self, x):
        self.begun.release()
        assert self.go.wait(20)
        return super().forward(x)


def test_when_too_many_wait_the_next_is_told_to_come_back():
    model = Slow()
    app = create_app(make_recognizer(model), limits=LIMITS)
    body = {"keypoints": waving().tolist()}
    with TestClient(app, base_url="http://localhost") as client:
        answers = []
        threads = [
            threading.Thread(target=lambda: answers.append(client.post("/predict", json=body)))
            for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        assert model.begun.acquire(timeout=20)
        while client.get("/health").json()["pending"] < 2:
            pass
        busy = client.post("/predict", json=body)
        refused(busy, 503, "2 requests wait")
        assert int(busy.headers["Retry-After"]) > 0
        model.go.set()
        for thread in threads:
            thread.join()
        assert [answer.status_code for answer in answers] == [200, 200]
        assert client.post("/predict", json=body).status_code == 200
        assert client.get("/health").json()["pending"] == 0


def test_what_takes_too_long_is_given_up_but_keeps_its_place():
    model = Slow()
    limits = Limits(seconds=0.05, waiting=0)
    with TestClient(
        create_app(make_recognizer(model), limits=limits), base_url="http://localhost"
    ) as client:
        body = {"keypoints": waving().tolist()}
        refused(client.post("/predict", json=body), 503, "longer than 0.05 seconds")
        assert client.get("/health").json()["pending"] == 1
        refused(client.post("/predict", json=body), 503, "wait for the model")
        model.go.set()
        while client.get("/health").json()["pending"]:
            pass


def test_a_model_that_gives_no_finite_probability():
    class Broken(PartModel):
        def forward(self, x):
            return super().forward(x) * float("nan")

    app = create_app(make_recognizer(Broken()))
    with TestClient(app, base_url="http://localhost") as client:
        answer = client.post("/predict", json={"keypoints": waving().tolist()})
        refused(answer, 422, "no finite probabilities")


@pytest.mark.parametrize("name", ["clips", "seconds", "at_once"])
def test_impossible_limits(name):
    with pytest.raises(ValueError, match=name):
        Limits(**{name: 0})


# --- other sites ---


def test_other_hosts_are_refused_on_loopback(client, recognizer):
    for host in ("evil.example", "127.0.0.1.evil.example", ""):
        assert client.get("/model", headers={"Host": host}).status_code == 400
    for host in ("localhost:8000", "127.0.0.1:1", "[::1]:8000"):
        assert client.get("/model", headers={"Host": host}).status_code == 200
    with TestClient(create_app(recognizer, host="0.0.0.0"), base_url="http://pc.lan") as other:
        assert other.get("/model").status_code == 200


def test_pages_of_other_sites_are_refused(client):
    body = {"keypoints": waving().tolist()}
    for origin in ("http://evil.example", "null", "http://127.0.0.1:9", "http://["):
        answer = client.post("/predict", json=body, headers={"Origin": origin})
        refused(answer, 403, "open /")
        assert "access-control-allow-origin" not in answer.headers
    own = client.post("/predict", json=body, headers={"Origin": "http://127.0.0.1:8000"})
    assert own.status_code == 200


def test_headers_for_browsers(client):
    for path in ("/", "/model", "/nowhere"):
        headers = client.get(path).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "script-src 'sha256-" in client.get("/").headers["Content-Security-Policy"]


def test_the_page_needs_nothing_from_elsewhere(client):
    page = client.get("/").text
    assert "<h1>Arms &amp; legs</h1>" in page
    assert "http://" not in page
    assert "https://" not in page
    assert "@" not in page.replace("@media", "")


def test_loopback():
    assert all(map(is_loopback, ("127.0.0.1", "127.8.8.8", "localhost", "::1")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "192.168.1.4", "pc.lan")))
