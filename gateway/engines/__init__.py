"""Embedded PostgreSQL, NATS JetStream and Valkey as child processes, for `crossdock up` and for the tests.

Production points at servers that someone else runs; nothing but `crossdock up` and the tests starts these.
"""

from gateway.engines.engine import ALL, EngineStatus, EngineUrls
from gateway.engines.supervisor import Engines

__all__ = ["ALL", "EngineStatus", "EngineUrls", "Engines"]
