-- Lift the 429 pause, close the breaker, drop a suspicion, restore the configured rate. What has gathered stays: no
-- fresh burst. The next 403 renews the token again.
--
-- KEYS and ARGV 1-6 as in channel.lua
-- reply 1

if channel.level then
  set_level(level())
end
unset('blocked_until', 'effective', 'lowered_at', 'raised_at', 'open_until', 'openings', 'probe_holder', 'probe_until')
unset('renewed', 'renewed_at')
clear_suspicion()
redis.call('DEL', KEYS[2])
return 1
