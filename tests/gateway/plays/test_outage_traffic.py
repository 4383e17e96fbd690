"""Buyers of a play that lasts longer than their token."""

from __future__ import annotations

import asyncio
import json
import random
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from gateway.plays.outage_plan import Basket
from gateway.plays.outage_traffic import SyncedLog, Traffic
from gateway.plays.partner_client import Credentials

pytestmark = pytest.mark.integration


class Door(BaseHTTPRequestHandler):
    """Takes orders by key; every token has run out."""

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        status, told = (201, {"id": "ord_1"}) if "x-api-key" in self.headers else (401, {"code": "token.expired"})
        body = json.dumps(told, separators=(",", ":")).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def door():
    with ThreadingHTTPServer(("127.0.0.1", 0), Door) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("seed", range(3))
async def test_a_buyer_whose_token_ran_out_goes_on_by_key_and_is_not_refused(door, tmp_path, seed):
    credentials = Credentials(client_id="c", client_secret="s", api_key="k")
    log = SyncedLog(tmp_path / "client.jsonl")
    traffic = Traffic(door, credentials, "old", log, random.Random(seed))
    orders = tuple(Basket(number=f"P-{number}", lines=(("SKU-1", 1),)) for number in range(5))
    traffic.bring(orders)
    buyer = asyncio.create_task(traffic.buy())
    async with asyncio.timeout(30):
        await traffic.all_answered()
    buyer.cancel()
    await asyncio.gather(buyer, return_exceptions=True)
    await traffic.close()
    log.close()
    assert (len(traffic.accepted), traffic.refused) == (5, 0)
    assert traffic.seen[""]["401"] <= 1
