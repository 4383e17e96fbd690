"""A small outside issuer over real HTTP: keys that rotate, and outages at will."""

import asyncio
import json
import os
import time
from collections import Counter

from .crypto import Key


class SmallIssuer:
    """Serves discovery and a key set on loopback and counts who asks. `mode`: answering, failing, garbage, hanging."""

    def __init__(self):
        self.keys = {"k1": Key("k1")}
        self.asked = Counter()
        self.mode = "answering"
        self.named = None
        self._port = 0

    async def start(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def stop(self):
        self._server.close()
        await self._server.wait_closed()

    @property
    def url(self):
        return f"http://127.0.0.1:{self._port}"

    def token(self, kid="k1", *, key=None, header=None, **claims):
        now = int(time.time())
        given = {
            "iss": self.url,
            "aud": "https://api.example",
            "sub": "u-1",
            "client_id": "shop-backend",
            "exp": now + 300,
            "iat": now,
            "jti": os.urandom(8).hex(),
            "scope": "stock.read admin.everything",
        }
        head = {"kid": kid, "typ": "at+jwt", **(header or {})}
        return (key or self.keys[kid]).sign({**given, **claims}, head).encode()

    async def _serve(self, reader, writer):
        try:
            while line := await reader.readline():
                path = line.split()[1].decode()
                while (await reader.readline()).strip():
                    pass
                self.asked[path] += 1
                if self.mode == "hanging":
                    await asyncio.sleep(60)
                status, body = self._answer(path)
                head = f"HTTP/1.1 {status} x\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
                writer.write(head.encode() + body)
                await writer.drain()
        except (ConnectionError, IndexError):
            pass
        finally:
            writer.close()

    def _answer(self, path):
        if self.mode == "failing":
            return 503, b"{}"
        if self.mode == "garbage":
            return 200, b"<html>"
        if path == "/.well-known/openid-configuration":
            return 200, json.dumps({"issuer": self.named or self.url, "jwks_uri": f"{self.url}/jwks"}).encode()
        return 200, json.dumps({"keys": [key.jwk for key in self.keys.values()]}).encode()
