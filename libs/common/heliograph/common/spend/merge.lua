-- What one member knows of a day, into a store that may have lost it: totals only grow, holds and calls are added.
-- ARGV: new generation, window, counts of totals, holds and calls, then each of them by its fields.
local gen, totals, members, holds, amounts, lost, calls = unpack(KEYS)
redis.call('SETNX', gen, ARGV[1])
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local at = 6

for _ = 1, tonumber(ARGV[3]) do
  local member, total = ARGV[at], ARGV[at + 1]
  local before = tonumber(redis.call('HGET', members, member) or 0)
  if tonumber(total) > before then
    redis.call('HSET', members, member, total)
    redis.call('HINCRBY', totals, 'spent', string.format('%.0f', tonumber(total) - before))
  end
  at = at + 2
end
for _ = 1, tonumber(ARGV[4]) do
  local id, hold, estimate, life = ARGV[at], ARGV[at + 1], ARGV[at + 2], tonumber(ARGV[at + 3])
  if redis.call('HEXISTS', amounts, id) == 0 and redis.call('HEXISTS', lost, id) == 0 then
    redis.call('ZADD', holds, now + life, id)
    redis.call('HSET', amounts, id, hold .. ':' .. estimate)
    redis.call('HINCRBY', totals, 'held', hold)
  end
  at = at + 4
end
for _ = 1, tonumber(ARGV[5]) do
  redis.call('ZADD', calls, 'NX', now - tonumber(ARGV[at + 1]), ARGV[at])
  at = at + 2
end
local committed = 0
for _, amount in ipairs(redis.call('HMGET', totals, 'spent', 'held', 'lost')) do
  committed = committed + tonumber(amount or 0)
end
return {redis.call('GET', gen), committed, redis.call('HGETALL', members)}
