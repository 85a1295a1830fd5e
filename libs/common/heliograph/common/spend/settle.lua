-- The end of a call: its hold is free, its cost is in the member's total. A second time changes nothing.
local gen, totals, members, holds, amounts, lost = unpack(KEYS)
local known, id, member, total = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])

if redis.call('GET', gen) ~= known then
  return {'stale'}
end
local amount = redis.call('HGET', amounts, id)
if amount then
  redis.call('ZREM', holds, id)
  redis.call('HDEL', amounts, id)
  redis.call('HINCRBY', totals, 'held', '-' .. string.match(amount, '%d+'))
end
local counted = redis.call('HGET', lost, id)
if counted then
  redis.call('HDEL', lost, id)
  redis.call('HINCRBY', totals, 'lost', '-' .. counted)
end
local before = tonumber(redis.call('HGET', members, member) or 0)
if total > before then
  redis.call('HSET', members, member, ARGV[4])
  redis.call('HINCRBY', totals, 'spent', string.format('%.0f', total - before))
end
local committed = 0
for _, amount in ipairs(redis.call('HMGET', totals, 'spent', 'held', 'lost')) do
  committed = committed + tonumber(amount or 0)
end
return {'settled', committed}
