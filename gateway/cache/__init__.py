"""Valkey (or Redis) as a cache that may vanish: one pipelined connection per process, Lua scripts, versioned keys."""
