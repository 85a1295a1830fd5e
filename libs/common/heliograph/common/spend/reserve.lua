-- Leave for one call, all or nothing: within the day's budget and within the window of calls.
-- The clock is that of Redis, so that no two replicas' clocks are compared. Money is nanodollars, time microseconds.
local gen, totals, members, holds, amounts, lost, calls = unpack(KEYS)
local known, id = ARGV[1], ARGV[2]
local hold, estimate, budget = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local limit, window, life = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])

if redis.call('GET', gen) ~= known then
  return {'stale'}
end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])

-- A hold that was never settled: its process died. The call counts its estimate, the rest is free again.
local repaired = 0
for _, old in ipairs(redis.call('ZRANGEBYSCORE', holds, '-inf', now)) do
  local held, counted = string.match(redis.call('HGET', amounts, old), '(%d+):(%d+)')
  redis.call('ZREM', holds, old)
  redis.call('HDEL', amounts, old)
  redis.call('HINCRBY', totals, 'held', '-' .. held)
  redis.call('HSET', lost, old, counted)
  redis.call('HINCRBY', totals, 'lost', counted)
  repaired = repaired + 1
end

local committed = 0
for _, amount in ipairs(redis.call('HMGET', totals, 'spent', 'held', 'lost')) do
  committed = committed + tonumber(amount or 0)
end
if redis.call('HEXISTS', amounts, id) == 1 then -- the answer to the first try was lost
  return {'granted', committed, repaired, redis.call('HGETALL', members)}
end
if committed + hold > budget then
  return {'budget', committed, repaired}
end

redis.call('ZREMRANGEBYSCORE', calls, '-inf', now - window)
local count = redis.call('ZCARD', calls)
if count >= limit then
  local first = redis.call('ZRANGE', calls, count - limit, count - limit, 'WITHSCORES')
  return {'rate', tonumber(first[2]) + window - now, repaired}
end

redis.call('ZADD', calls, now, id)
redis.call('ZADD', holds, now + life, id)
redis.call('HSET', amounts, id, ARGV[3] .. ':' .. ARGV[4])
redis.call('HINCRBY', totals, 'held', ARGV[3])
return {'granted', committed + hold, repaired, redis.call('HGETALL', members)}
