-- RELEASE: free the lock, only for its present holder.
-- keys:      1 lock
-- arguments: 1 owner
-- reply:     1 if it was freed, 0 if it belongs to another or to nobody
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
