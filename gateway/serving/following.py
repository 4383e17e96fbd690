"""A worker ends when its server does, however that ends: it would hold the port and serve on, watched by nobody."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
import time
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
_LAST_WORDS_S: Final = 30.0
_LOOK_S: Final = 1.0


def end_with_the_server(last_words: float = _LAST_WORDS_S) -> None:
    """Have this process end after the one that started it: in good order within `last_words` seconds, or at once then.

    The kernel sends SIGTERM (Linux, prctl(2)). A worker whose loop is stuck or never ran heeds no signal: a thread of
    its own sees that the server is gone, and waits no longer than that.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    server = multiprocessing.parent_process()
    if server is not None and server.pid is not None:
        threading.Thread(target=_follow, args=(server.pid, last_words), name="following", daemon=True).start()


def _follow(server: int, last_words: float) -> None:
    while os.getppid() == server:
        time.sleep(_LOOK_S)
    time.sleep(last_words)
    os._exit(1)
