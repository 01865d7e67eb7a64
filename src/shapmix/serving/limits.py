"""What a request may ask for: sizes, and time on the model."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from fastapi import HTTPException

Result = TypeVar("Result")
MIB = 2**20
RETRY_AFTER = {"Retry-After": "2"}  # seconds


@dataclass(frozen=True)
class Limits:
    """How much a request may ask for.

    Attributes:
        body_bytes: of a request. clips: of a batch or a file, there with those that cannot be used.
        frames, persons: of a clip.
        numbers: of the keypoints of a file that are sent back.
        seconds: after which a client is told to come back; work that has begun goes on.
        at_once: requests that the model works on. waiting: that wait for it beyond these.
    """

    body_bytes: int = 32 * MIB
    clips: int = 64
    frames: int = 5000
    persons: int = 16
    numbers: int = 2_000_000
    seconds: float = 30.0
    at_once: int = 1
    waiting: int = 8

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value < 0 or (value == 0 and name != "waiting"):
                raise ValueError(f"the limit {name} is {value}; expected more than 0")


class ModelThreads:
    """Threads in which the model works, so that the server goes on answering.

    A thread cannot be stopped: work that took too long keeps its place until it is done.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.pending = 0
        self._lock = threading.Lock()
        self._threads: ThreadPoolExecutor | None = None

    async def run(self, job: Callable[[], Result]) -> Result:
        """What `job` returns.

        Raises:
            HTTPException: 503, when too many wait already or the job took too long.
        """
        future = asyncio.wrap_future(self._submit(job))
        try:
            return await asyncio.wait_for(future, self.limits.seconds)
        except TimeoutError:
            raise HTTPException(
                503,
                f"this took longer than {self.limits.seconds:g} seconds: send fewer or shorter "
                "clips, or try again when the server is less busy",
                RETRY_AFTER,
            ) from None

    def _submit(self, job: Callable[[], Result]) -> Future[Result]:
        with self._lock:
            if self.pending >= self.limits.at_once + self.limits.waiting:
                raise HTTPException(
                    503,
                    f"{self.pending} requests wait for the model already: try again in a moment",
                    RETRY_AFTER,
                )
            if self._threads is None:
                self._threads = ThreadPoolExecutor(self.limits.at_once, "model")
            future = self._threads.submit(job)
            self.pending += 1
        future.add_done_callback(lambda _: self._done())
        return future

    def _done(self) -> None:
        with self._lock:
            self.pending -= 1

    def close(self) -> None:
        """Drop what has not begun; what comes later gets new threads."""
        with self._lock:
            threads, self._threads = self._threads, None
        if threads is not None:
            threads.shutdown(wait=False, cancel_futures=True)
