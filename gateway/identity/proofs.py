"""DPoP proofs in one worker: verified, of a nonce of ours where we ask for it, and used once."""

from __future__ import annotations

from gateway.cache.valkey import Cache
from gateway.identity.dpop import Asked, Nonces, Proof, verify_proof
from gateway.identity.options import IdentityOptions
from gateway.identity.replays import Replays
from gateway.kernel.clock import Clock
from gateway.kernel.errors import NotAuthenticated
from gateway.kernel.keyring import KeyRing


class Proofs:
    """See the module. A proof is remembered for as long as its `iat` would be accepted, from either side."""

    def __init__(self, ring: KeyRing, options: IdentityOptions, clock: Clock, cache: Cache | None) -> None:
        self._options = options
        self._nonces = Nonces(ring)
        self._replays = Replays(clock, cache, seconds=2.0 * options.dpop_window + 1.0)

    async def check(self, proof: bytes, asked: Asked) -> Proof:
        """The proof, if it holds; else `NotAuthenticated` (codes ``dpop.invalid``, ``dpop.nonce``, ``dpop.replayed``).

        The context of ``dpop.nonce`` has the nonce to use, as `dpop_nonce`.
        """
        verified = verify_proof(proof, asked, window=self._options.dpop_window)
        if self._options.dpop_nonces and not self._nonces.accepts(verified.nonce):
            raise NotAuthenticated(
                "the DPoP proof needs the nonce of the DPoP-Nonce header: make a new proof with it",
                code="dpop.nonce",
                context={"dpop_nonce": self._nonces.current()},
            )
        if not await self._replays.is_first(verified.digest):
            raise NotAuthenticated("this DPoP proof was used before: make one for each request", code="dpop.replayed")
        return verified
