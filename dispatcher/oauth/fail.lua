-- FAIL: record that minting failed, for every process to obey; only for the holder of the lock, which it frees.
-- keys:      1 failure   2 lock
-- arguments: 1 owner   2 count of failures in a row   3 kind   4 reason   5 cool-down in ms
--            6 how long the count is remembered, in ms, so that the next cool-down is longer
-- reply:     1, or 0 for a late leader
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end

local time = redis.call('TIME')
local until_ms = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[5])
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'count', ARGV[2], 'kind', ARGV[3], 'reason', ARGV[4], 'until_ms', until_ms)
redis.call('PEXPIRE', KEYS[1], ARGV[6])
redis.call('DEL', KEYS[2])
return 1
