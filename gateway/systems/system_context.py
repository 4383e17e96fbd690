"""What the generated routes of one product share: its path, its options, and how a call reaches an instance."""

from typing import Any, TypeVar

from litestar import Request

from gateway.canonical.capabilities import Call
from gateway.kernel.errors import NotFound
from gateway.kernel.exchange import Idempotency, caller_of, outbound_calls_of
from gateway.systems.directory import Directory
from gateway.systems.exclusive import Exclusive

Capability = TypeVar("Capability")


class ProductApi:
    """The system API of one product: ``/system/<product>/v1/{instance}/…``."""

    def __init__(self, product: str, directory: Directory, exclusive: Exclusive) -> None:
        self.product = product
        self.name = product.replace("_", "-")
        self.directory = directory
        self.exclusive = exclusive

    def path(self, collection: str) -> str:
        """The path of one collection of an instance."""
        return f"/system/{self.name}/v1/{{instance:str}}/{collection}"

    def read_opt(self, *, cost: int = 1) -> dict[str, Any]:
        """What a reading route asks of the door."""
        return self._opt("system:read", cost, Idempotency.NONE)

    def write_opt(self) -> dict[str, Any]:
        """What a writing route asks of the door."""
        return self._opt("system:write", 5, Idempotency.OPTIONAL)

    def _opt(self, scope: str, cost: int, idempotency: Idempotency) -> dict[str, Any]:
        return {
            "zone": "system",
            "api": self.name,
            "version": "v1",
            "scopes": [scope],
            "cost": cost,
            "idempotency": idempotency,
        }

    def ask(self, instance: str, capability: type[Capability]) -> Capability:
        """The instance of this product; raises `NotFound` for another product's."""
        self._of_product(instance)
        return self.directory.ask(instance, capability)

    def our(self, instance: str, capability: type[Capability]) -> Capability:
        """The same for writes, in our location codes."""
        self._of_product(instance)
        return self.directory.translated(instance, capability)

    def _of_product(self, instance: str) -> None:
        if self.directory.system(instance).product != self.product:
            raise NotFound(f"no {self.name} is configured as {instance[:60]!r}", code="system.not_found")


def call_of(request: Request[Any, Any, Any]) -> Call:
    """The request as a call on its way out."""
    caller = caller_of(request.scope)
    made = outbound_calls_of(request.scope)
    return Call(tenant=caller.tenant, correlation_id=caller.correlation_id, deadline=caller.deadline, made=made)
