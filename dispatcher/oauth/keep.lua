-- KEEP: store a new token, only for the present holder of the lock; forgets past failures and frees the lock.
-- keys:      1 record   2 lock   3 failure
-- arguments: 1 owner   2 sealed token   3 how long it is trusted from now, in ms
--            4 what was odd about the answer, one a line
-- reply:     its generation as text (Redis' milliseconds, always more than the one before), or nil for a late leader
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return false end

local previous = 0
if redis.call('TYPE', KEYS[1]).ok == 'hash' then
  previous = tonumber(redis.call('HGET', KEYS[1], 'generation') or '') or 0
end
if not (previous >= 0 and previous < 2 ^ 52) then previous = 0 end  -- past that doubles do not count by ones
local time = redis.call('TIME')
local generation = string.format('%.0f', math.max(time[1] * 1000 + math.floor(time[2] / 1000), previous + 1))

redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'generation', generation, 'sealed', ARGV[2], 'life_ms', ARGV[3], 'oddities', ARGV[4])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.call('DEL', KEYS[2], KEYS[3])
return generation
