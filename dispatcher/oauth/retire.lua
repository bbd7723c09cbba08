-- RETIRE: mark the token that the API refused; a newer one stays untouched, a missing one stays missing.
-- keys:      1 record
-- arguments: 1 the generation that was refused
-- reply:     1 if this call marked it, else 0
if redis.call('TYPE', KEYS[1]).ok ~= 'hash' then return 0 end
if redis.call('HGET', KEYS[1], 'generation') ~= ARGV[1] then return 0 end
return redis.call('HSETNX', KEYS[1], 'retired', '1')
