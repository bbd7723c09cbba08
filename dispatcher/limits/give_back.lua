-- Return permits that were reserved and not used, so that others can use them.
--
-- What would have gathered meanwhile is taken off: had the permits never been taken, a full bucket would not have
-- gathered that. So however late they come, no more than the burst can be granted at any moment. Permits from before a
-- 429 are void: they would become the burst that follows the pause.
--
-- KEYS and ARGV 1-6 as in channel.lua
-- ARGV 7  how many
--      8  when they were reserved, Redis' time
--      9  the process if the permit is a probe, a trial or for the test call, else ''
--      10 1 if it is for the test call
-- reply 1

local count, reserved_at, prober = tonumber(ARGV[7]), tonumber(ARGV[8]), ARGV[9]

if prober ~= '' and channel.probe_holder == prober then
  unset('probe_holder', 'probe_until')
end
if prober ~= '' and channel.trial_holder == prober then
  unset('trial_holder', 'trial_until')
end
if ARGV[10] == '1' then
  unset('canary_at')
end
if reserved_at <= number('throttled_at') or reserved_at > now or not channel.level then
  return 1
end
local returned = count - (now - reserved_at) * effective()
if returned > 0 then
  set_level(math.min(burst, level() + returned))
  keep()
end
return 1
