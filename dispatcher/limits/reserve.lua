-- Take permits that may be used at once, or learn when to ask again. Running it twice only wastes permits.
--
-- KEYS and ARGV 1-6 as in channel.lua
-- ARGV  7  how many are wanted, at least 1
--       8  the process that asks
--       9  how long a process counts as a holder after it asked, seconds
--      10  how long a probe may take, seconds
--      11  how soon to ask again while another's probe is out, seconds
-- reply {permits, 1 if it is a probe, wait in microseconds, why it is none ('' | throttled | breaker | rate),
--        live holders, effective rate as text, Redis' time as text}

local want, holder, holder_life = tonumber(ARGV[7]), ARGV[8], tonumber(ARGV[9])
local probe_timeout, probe_poll = tonumber(ARGV[10]), tonumber(ARGV[11])

redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', moment(now - holder_life))
redis.call('ZADD', KEYS[3], moment(now), holder)
redis.call('EXPIRE', KEYS[3], math.ceil(holder_life) + 1)
local holders = redis.call('ZCARD', KEYS[3])

local function answer(permits, probe, wait, reason)
  return {permits, probe, microseconds(wait), reason, holders, string.format('%.17g', effective()), moment(now)}
end

if blocked() > 0 then
  return answer(0, 0, blocked(), 'throttled')
end

local stage = breaker()
if stage == 'open' then
  return answer(0, 0, ahead('open_until', open_most), 'breaker')
end
if stage == 'half_open' and ahead('probe_until', probe_timeout) > 0 then
  return answer(0, 0, math.min(probe_poll, ahead('probe_until', probe_timeout)), 'breaker')
end

-- The millionth forgives what binary fractions lose; the level still falls by whole permits, so it never adds up.
local gathered = level()
local permits = math.min(want, math.floor(gathered + 1e-6))
if permits < 1 then
  return answer(0, 0, (1 - gathered) / effective(), 'rate')
end

local probe = 0
if stage == 'half_open' then
  permits, probe = 1, 1
  set('probe_holder', holder)
  set('probe_until', moment(now + probe_timeout))
end
set_level(gathered - permits)
keep()
return answer(permits, probe, 0, '')
