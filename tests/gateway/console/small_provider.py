"""A small OpenID provider over real HTTP: it signs what the test says, and goes away at will."""

import asyncio
import base64
import hashlib
import json
import time
from urllib.parse import parse_qs, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from jwt.algorithms import RSAAlgorithm

_KEY = generate_private_key(65537, 2048)
STRANGER = generate_private_key(65537, 2048)


class SmallProvider:
    """`claims`, `header`, `key`, `userinfo` and `metadata` change what it says; `mode`: answering or failing."""

    def __init__(self):
        self.claims, self.header, self.key = {}, {}, _KEY
        self.userinfo, self.metadata, self.mode = None, {}, "answering"
        self.asked = []
        self._challenge = self._nonce = None

    async def start(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self):
        self._server.close()
        await self._server.wait_closed()

    def visit(self, location):
        """What a browser does that is sent here and whose person agrees: the query of the way back."""
        query = {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}
        self.asked.append(query)
        self._challenge, self._nonce = query["code_challenge"], query["nonce"]
        return {"code": "code-1", "state": query["state"], "iss": self.url}

    def id_token(self):
        now = int(time.time())
        told = {
            "iss": self.url,
            "sub": "u-1",
            "aud": "crossdock-console",
            "exp": now + 300,
            "iat": now,
            "nonce": self._nonce,
            "preferred_username": "kim",
            "groups": ["ops", "everybody"],
        }
        body = {name: value for name, value in {**told, **self.claims}.items() if value is not None}
        return jwt.encode(body, self.key, "RS256", headers={"kid": "k1", **self.header})

    async def _serve(self, reader, writer):
        try:
            request = (await reader.readline()).split()
            headers = {}
            while line := (await reader.readline()).strip():
                name, _, value = line.decode().partition(":")
                headers[name.lower()] = value.strip()
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            status, told = self._answer(request[1].decode(), headers, body.decode())
            text = json.dumps(told).encode()
            head = f"HTTP/1.1 {status} x\r\ncontent-type: application/json\r\ncontent-length: {len(text)}\r\n"
            writer.write(f"{head}connection: close\r\n\r\n".encode() + text)
            await writer.drain()
        except (ConnectionError, IndexError):
            pass
        finally:
            writer.close()

    def _answer(self, path, headers, body):
        if self.mode == "failing":
            return 503, {}
        if path == "/.well-known/openid-configuration":
            return 200, {
                "issuer": self.url,
                "authorization_endpoint": f"{self.url}/auth?tenant=x",
                "token_endpoint": f"{self.url}/token",
                "jwks_uri": f"{self.url}/jwks",
                "authorization_response_iss_parameter_supported": True,
                **({"userinfo_endpoint": f"{self.url}/me"} if self.userinfo is not None else {}),
                **self.metadata,
            }
        if path == "/jwks":
            return 200, {
                "keys": [{**RSAAlgorithm.to_jwk(_KEY.public_key(), as_dict=True), "kid": "k1", "alg": "RS256"}]
            }
        if path == "/me":
            return (200, self.userinfo) if headers.get("authorization") == "Bearer at-1" else (401, {})
        return self._token(headers, {name: values[0] for name, values in parse_qs(body).items()})

    def _token(self, headers, fields):
        pair = base64.b64decode(headers.get("authorization", "").removeprefix("Basic ")).decode()
        made = base64.urlsafe_b64encode(hashlib.sha256(fields["code_verifier"].encode()).digest()).decode()
        if pair != "crossdock-console:s3cret%2F" or made.rstrip("=") != self._challenge or fields["code"] != "code-1":
            return 400, {"error": "invalid_grant"}
        return 200, {"access_token": "at-1", "token_type": "Bearer", "id_token": self.id_token()}
