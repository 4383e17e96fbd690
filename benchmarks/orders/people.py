"""People in a warehouse: whatever is released is shipped whole, as soon as it is seen.

Run as a process of its own (``python -m benchmarks.orders.people URL LOG``): follows the warehouse's own log of what it
was asked, ships each order that it took on, and ends with its parent.
"""

from __future__ import annotations

import http.client
import json
import sys
import time
import urllib.parse
from pathlib import Path
from typing import Final

from gateway.sandboxes.child import end_with_parent

_CREATED: Final = 201
_PAUSE_S: Final = 0.05


def main(url: str, log: Path) -> None:
    """Until killed."""
    end_with_parent()
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(url).netloc, timeout=60)
    with log.open(encoding="utf-8") as lines:
        rest = ""
        while True:
            rest += lines.readline()
            if not rest.endswith("\n"):
                time.sleep(_PAUSE_S)
                continue
            entry, rest = json.loads(rest), ""
            if entry["method"] == "POST" and entry["target"].endswith("/orders") and entry["status"] == _CREATED:
                body = json.dumps({"client_reference": json.loads(entry["body"])["client_reference"]})
                connection.request("POST", "/_control/ship", body)
                connection.getresponse().read()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
