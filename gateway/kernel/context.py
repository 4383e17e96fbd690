"""Who asks, and on whose behalf: handed down explicitly from the edge to processes and adapters."""

from __future__ import annotations

from msgspec import Struct

from gateway.kernel.principal import Principal, Zone

__all__ = ("Caller", "Principal", "Zone")


class Caller(Struct, frozen=True, gc=False):
    """One call in progress, as processes and adapters see it."""

    principal: Principal
    request_id: str
    correlation_id: str
    deadline: float

    @property
    def tenant(self) -> str:
        """The principal's tenant."""
        return self.principal.tenant
