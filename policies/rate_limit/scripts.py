"""What the shared store decides, atomically and by its own clock (microseconds)."""

from __future__ import annotations

from typing import Final

# GCRA (ITU-T I.371) handing out whole units: up to `want`, none unless `need` of them fit. `returned` units of an
# earlier lease that were not used are given back first. -> granted, wait for `need` (µs), units left, µs until full.
LEASE: Final = """
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local interval, tolerance = tonumber(ARGV[1]), tonumber(ARGV[2])
local want, need, returned = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local full_at = tonumber(redis.call('GET', KEYS[1]) or now) - returned * interval
if full_at < now then full_at = now end
local free = math.floor((tolerance - (full_at - now)) / interval + 0.000001)
local granted, wait = 0, 0
if free >= need then
    granted = math.min(want, free)
else
    wait = need * interval - (tolerance - (full_at - now))
end
full_at = full_at + granted * interval
if full_at > now then
    redis.call('SET', KEYS[1], string.format('%.0f', full_at), 'PX', math.ceil((full_at - now) / 1000) + 1)
elseif returned > 0 then
    redis.call('DEL', KEYS[1])
end
return {granted, math.ceil(wait), math.max(0, free - granted), math.ceil(full_at - now)}
"""

# A sliding-window log: one member "<id>:<cost>" per admitted call, scored by its time; KEYS[2] holds their sum.
# A call that was charged in part, ARGV[5] of the cost ARGV[6], is charged whole or taken out, in one step: of calls
# that hold their first units against each other the last one passes.
# -> admitted (1 or 0), units left, µs until the oldest call leaves the window.
EXACT: Final = """
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local limit, window, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local gone = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now - window)
if #gone > 0 then
    local sum = 0
    for _, member in ipairs(gone) do sum = sum + tonumber(string.match(member, ':(%d+)$')) end
    redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - window)
    redis.call('DECRBY', KEYS[2], sum)
end
if ARGV[5] and redis.call('ZREM', KEYS[1], ARGV[5] .. ':' .. ARGV[6]) == 1 then
    redis.call('DECRBY', KEYS[2], ARGV[6])
end
local oldest = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
local used = 0
local leaves = window
if #oldest > 0 then
    used = tonumber(redis.call('GET', KEYS[2]) or limit)
    leaves = oldest[2] + window - now
else
    redis.call('DEL', KEYS[2])
end
if used + cost > limit then return {0, math.max(0, limit - used), leaves} end
redis.call('ZADD', KEYS[1], now, ARGV[4] .. ':' .. ARGV[3])
redis.call('INCRBY', KEYS[2], cost)
local keep = math.ceil(window / 1000) + 1000
redis.call('PEXPIRE', KEYS[1], keep)
redis.call('PEXPIRE', KEYS[2], keep)
return {1, limit - used - cost, leaves}
"""

# Takes an admitted call out of the log again.
FORGET: Final = """
if redis.call('ZREM', KEYS[1], ARGV[1] .. ':' .. ARGV[2]) == 1 then
    redis.call('DECRBY', KEYS[2], ARGV[2])
end
return 1
"""
