"""An event loop in a thread of its own, for a caller that is not asynchronous.

`asyncio.run` refuses to work where a loop is running already, which is every notebook. A loop of
its own works everywhere.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, Final

__all__ = ["GRACE", "BackgroundLoop"]

#: Seconds that calls under way get to come to an end.
GRACE: Final = 5.0


class BackgroundLoop:
    """Runs coroutines; started by the first one, ended by `close`.

    >>> loop = BackgroundLoop()
    >>> loop.submit(asyncio.sleep(0, "done")).result()
    'done'
    >>> loop.close()
    """

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def submit[T](self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        """Start a coroutine and return its future."""
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            # A daemon: a process that ends is not kept alive by a call under way.
            self._thread = threading.Thread(
                target=self._loop.run_forever, name="sheaf-llm", daemon=True
            )
            self._thread.start()
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def cancel(self) -> None:
        """Cancel what is under way; one that does not let itself be cancelled goes on."""
        if self._loop is not None:
            asyncio.run_coroutine_threadsafe(_cancel_all(), self._loop).result(2 * GRACE)

    def close(self) -> None:
        """Cancel what is under way and end the thread. Closing twice is allowed."""
        if self._loop is None or self._thread is None:
            return
        self.cancel()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(GRACE)
        if not self._thread.is_alive():
            self._loop.close()
        self._loop = self._thread = None


async def _cancel_all() -> None:
    tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=GRACE)
