"""A worker ends with its server, also one that heeds no signal."""

import subprocess
import sys

SERVER = """
import multiprocessing, os, signal, time
from gateway.serving.following import end_with_the_server

def worker():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    end_with_the_server(last_words=0.1)
    print("serving", flush=True)
    time.sleep(60)

if __name__ == "__main__":
    multiprocessing.Process(target=worker).start()
    time.sleep(60)
"""


def test_a_worker_that_heeds_no_signal_ends_when_its_server_is_killed(tmp_path):
    script = tmp_path / "server.py"
    script.write_text(SERVER)
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout.readline() == "serving\n"
        server.kill()
        # The worker has the other end of the pipe, so this is its end.
        assert server.stdout.read() == ""
