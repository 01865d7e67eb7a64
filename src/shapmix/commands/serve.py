"""Serve a trained model on this machine: a small page, and a JSON API for programs.

    shapmix serve RUN                             then open http://127.0.0.1:8000
    curl -F file=@clip.npy http://127.0.0.1:8000/predict/file

On the page, drop a clip: its skeleton plays, the likeliest actions are listed, and the parts of the
body are coloured by what they say for or against each. RUN is a run folder, what `save_pretrained`
or `shapmix export` saved, or an ensemble.

GET /model tells what is expected; POST /predict, /predict/batch and /explain take JSON keypoints,
POST /predict/file a file; /openapi.json describes them all. Only this machine can reach the server
unless --host says otherwise: it has no passwords and no encryption. Ctrl-C stops it.
"""

import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

from shapmix.commands.opening import add_device_argument, add_model_argument

HELP = "serve a model: a page and a JSON API on this machine"


def add_arguments(parser: ArgumentParser, words: Sequence[str]) -> None:
    """Arguments of the command."""
    parser.add_argument("run", help="a run folder, a saved model, or an ensemble")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen at")
    parser.add_argument("--port", type=int, default=8000, help="0 takes a free one")
    add_device_argument(parser)
    add_model_argument(parser)
    limits = parser.add_argument_group("limits of a request")
    limits.add_argument("--max_mb", type=float, default=32, help="megabytes (of 2^20 bytes)")
    limits.add_argument(
        "--max_clips", type=int, default=64, help="clips in a batch or a file, sound or not"
    )
    limits.add_argument("--max_frames", type=int, default=5000, help="frames of a clip")
    limits.add_argument("--max_persons", type=int, default=16, help="persons in a clip")
    limits.add_argument(
        "--timeout",
        type=float,
        default=30,
        help="seconds until a client is answered 503; work that has begun goes on",
    )
    limits.add_argument("--at_once", type=int, default=1, help="requests that the model works on")
    limits.add_argument("--waiting", type=int, default=8, help="requests that wait for the model")


def run(args: Namespace) -> None:
    """Serve until Ctrl-C."""
    if not 0 <= args.port < 2**16:
        raise ValueError(f"--port is {args.port}; expected 0 to 65535")
    try:
        import python_multipart  # noqa: F401  # FastAPI reads files with it
        import uvicorn

        from shapmix.serving.app import create_app, is_loopback
    except ModuleNotFoundError as error:
        raise ImportError(f'serving needs {error.name}: pip install "shapmix[serve]"') from error
    from shapmix.commands.opening import open_recognizer
    from shapmix.serving.limits import MIB, Limits

    limits = Limits(
        body_bytes=int(args.max_mb * MIB),
        clips=args.max_clips,
        frames=args.max_frames,
        persons=args.max_persons,
        seconds=args.timeout,
        at_once=args.at_once,
        waiting=args.waiting,
    )
    if not is_loopback(args.host):
        print(
            f"warning: {args.host} can be reached by other machines, and the server has no "
            "passwords and no encryption; stop it unless all who can reach it may use it",
            file=sys.stderr,
        )
    with _listening(args.host, args.port) as listener:
        model = open_recognizer(args.run, device=args.device, model=args.model)
        name = Path(args.run).resolve().name
        config = uvicorn.Config(
            create_app(model, name=name, host=args.host, limits=limits),
            log_level="warning",
            server_header=False,
            limit_concurrency=32,  # connections; each may hold a body in memory
            timeout_graceful_shutdown=3,
        )
        shown = f"[{args.host}]" if ":" in args.host else args.host
        port = listener.getsockname()[1]
        print(f"open http://{shown}:{port} (Ctrl-C stops the server)", flush=True)
        try:
            uvicorn.Server(config).run(sockets=[listener])
        except KeyboardInterrupt:  # uvicorn has ended well, and passes it on
            print("stopped")


def _listening(host: str, port: int) -> socket.socket:
    """A socket that listens; OSError, in words, when it cannot."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise OSError(
            f"cannot listen at {host}, port {port}: {error.strerror or error}; choose another "
            "--port (0 takes a free one) or --host"
        ) from error
