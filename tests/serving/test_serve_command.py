"""`shapmix serve` as a user starts it, and its page in a real browser."""

import io
import os
import re
import shutil
import signal
import socket
import subprocess
import sys

import httpx
import numpy as np
import pytest
import torch
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect, sync_playwright
from serving_models import CLASSES, LAYOUT, waving

from shapmix.commands import cli
from shapmix.data.transforms import Transform
from shapmix.inference.description import RecognizerInfo
from shapmix.inference.recognizer import ActionRecognizer
from shapmix.models import create_model


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A folder with a small network that was never trained."""
    options = {"width": 8}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = create_model("tcn", LAYOUT, len(CLASSES), num_persons=2, in_channels=3, **options)
    recognizer = ActionRecognizer(
        network,
        Transform(LAYOUT, num_frames=16),
        LAYOUT,
        CLASSES,
        num_persons=2,
        info=RecognizerInfo(
            units="m",
            channels="xyz",
            stream="joint",
            num_frames=16,
            background=torch.zeros(3, 16, LAYOUT.num_joints, 2),
            licence="cc-by-4.0",
            model="tcn",
            model_options=options,
        ),
    )
    folder = tmp_path_factory.mktemp("saved") / "small model"
    recognizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def server(saved):
    """The address of a server in a process of its own, which is then stopped by Ctrl-C."""
    command = [sys.executable, "-m", "shapmix.commands.entry", "serve", str(saved), "--port", "0"]
    process = subprocess.Popen(
        [*command, "--max-mb", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    try:
        line = process.stdout.readline()
        found = re.match(r"open (http://127\.0\.0\.1:\d+) ", line)
        assert found, line + process.stderr.read()
        yield found[1]
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 0
    assert out.strip() == "stopped"
    assert err == ""


@pytest.fixture
def clip_file(tmp_path):
    path = tmp_path / "my clip.npy"
    keypoints = waving()
    keypoints[..., 0] += np.linspace(0, 1, LAYOUT.num_joints)
    keypoints[..., 1] += np.linspace(1, 0, LAYOUT.num_joints)
    np.save(path, keypoints)
    return path


def test_a_real_client(server, clip_file):
    with httpx.Client(base_url=server) as client:
        assert client.get("/health").json()["status"] == "ok"
        assert client.get("/model").json()["name"] == "small model"
        files = {"file": ("clip.npy", clip_file.read_bytes())}
        answer = client.post("/predict/file", files=files, data={"top": "3"})
        assert answer.status_code == 200
        (found,) = answer.json()["clips"]
        assert sum(each["probability"] for each in found["predictions"]) == pytest.approx(1)
        body = {"keypoints": waving().tolist()}
        assert client.post("/predict", json=body).status_code == 200
        assert client.post("/explain", json=body).json()["efficiency"]["holds"]
        too_long = io.BytesIO(b" " * (2**20 + 1))
        assert client.post("/predict", content=too_long.getvalue()).status_code == 413
        assert client.get("/model", headers={"Host": "evil.example"}).status_code == 400
        assert "server" not in client.get("/").headers


def test_errors_before_it_starts(saved, tmp_path, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert cli.main(["serve", str(saved), "--port", port]) == 1
    assert f"port {port}" in capsys.readouterr().err
    for words, said in (
        (["--port", "70000"], "expected 0 to 65535"),
        (["--max-mb", "0"], "body_bytes"),
        (["--timeout", "-1"], "seconds"),
    ):
        assert cli.main(["serve", str(saved), *words]) == 1
        assert said in capsys.readouterr().err
    assert cli.main(["serve", str(tmp_path)]) == 1
    assert str(tmp_path) in capsys.readouterr().err


def test_help_says_what_the_timeout_is(capsys):
    with pytest.raises(SystemExit):
        cli.main(["serve", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "seconds until a client is answered 503; work that has begun goes on" in text


def test_other_machines_are_warned_of(saved, monkeypatch, capsys):
    import uvicorn

    monkeypatch.setattr(uvicorn.Server, "run", lambda self, sockets: None)
    assert cli.main(["serve", str(saved), "--port", "0", "--host", "0.0.0.0"]) == 0
    assert "no passwords" in capsys.readouterr().err
    assert cli.main(["serve", str(saved), "--port", "0"]) == 0
    assert capsys.readouterr().err == ""


# --- the page ---


@pytest.fixture(scope="module")
def browser():
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no Chromium on this machine: the page is not looked at")
    with sync_playwright() as started:
        arguments = ["--no-sandbox", "--disable-gpu"]
        browser = started.chromium.launch(executable_path=path, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def page(browser, server):
    """The page, whose console must stay silent and which must ask nobody else."""
    context = browser.new_context(reduced_motion="reduce", viewport={"width": 390, "height": 800})
    page = context.new_page()
    said, asked = [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(server)
    expect(page.locator("#facts")).to_contain_text("kinect20")
    yield page
    context.close()
    refused = "Failed to load resource: the server responded with a status of 4"
    assert [text for text in said if not text.startswith(refused)] == []
    assert all(url.startswith((server, "data:")) for url in asked)


def serious_violations(page):
    found = Axe().run(page).response["violations"]
    return [f"{v['id']}: {v['help']}" for v in found if v["impact"] in ("serious", "critical")]


DROP = """([name, bytes]) => {
  const transfer = new DataTransfer();
  transfer.items.add(new File([new Uint8Array(bytes)], name));
  document.body.dispatchEvent(new DragEvent("drop", {bubbles: true, dataTransfer: transfer}));
}"""
PIXELS = """() => {
  const canvas = document.querySelector("canvas");
  const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  return new Set(new Uint32Array(data.buffer)).size;
}"""


def test_a_clip_is_dropped_plays_and_is_explained(page, clip_file):
    page.evaluate(DROP, [clip_file.name, list(clip_file.read_bytes())])
    page.wait_for_selector("#explanation:not([hidden])")
    assert page.locator("#clip-title").inner_text() == "my_clip"
    actions = page.locator("#actions button")
    assert actions.count() == len(CLASSES)
    shown = [float(text.split()[0]) for text in page.locator("#actions .number").all_inner_texts()]
    assert shown == sorted(shown, reverse=True)
    assert sum(shown) == pytest.approx(100, abs=0.2)
    assert page.locator("#parts tr").count() == LAYOUT.num_parts
    assert page.evaluate(PIXELS) > 5, "the body is not coloured"
    actions.nth(1).click()
    second = actions.nth(1).locator("span").first.inner_text()
    expect(page.locator("#parts-title")).to_contain_text(second)
    assert actions.nth(1).get_attribute("aria-pressed") == "true"
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert serious_violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "it scrolls"


def test_the_player_plays_scrubs_and_turns(page, clip_file):
    page.set_input_files("#file", str(clip_file))
    page.wait_for_selector("#result:not([hidden])")
    button, slider = page.locator(".play"), page.locator(".frame")
    assert button.inner_text() == "Play", "it moves though motion is to be reduced"
    slider.fill("7")
    assert page.locator(".counter").inner_text() == "8 / 12"
    button.click()
    expect(page.locator(".counter")).not_to_have_text("8 / 12")
    button.click()
    before = page.evaluate("document.querySelector('canvas').toDataURL()")
    page.locator("canvas").press("ArrowRight")
    assert page.evaluate("document.querySelector('canvas').toDataURL()") != before


def test_one_of_several_clips_is_chosen(page, tmp_path):
    rows = [
        f"{name},{frame},{joint},{0.1 * number},{number},0"
        for name in ("first", "second")
        for frame in range(4)
        for number, joint in enumerate(LAYOUT.joints)
    ]
    path = tmp_path / "two.csv"
    path.write_text("\n".join(["clip,frame,joint,x,y,z", *rows]))
    page.set_input_files("#file", str(path))
    expect(page.locator("#clip-title")).to_have_text("first")
    page.locator("#choice").select_option("second")
    expect(page.locator("#clip-title")).to_have_text("second")
    expect(page.locator("#explanation")).to_be_visible()
    assert serious_violations(page) == []


def test_what_cannot_be_read_is_said_in_words(page, tmp_path):
    for name, content, words in (
        ("a.npy", b"nothing", "numpy.save"),
        ("a.txt", b"\0" * (2**20 + 1), "larger than 1048576 bytes"),
    ):
        path = tmp_path / name
        path.write_bytes(content)
        page.set_input_files("#file", str(path))
        expect(page.locator("#problem")).to_contain_text(words)
        assert page.locator("#result").is_hidden()
