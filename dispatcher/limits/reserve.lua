-- Take permits that may be used at once, or learn when to ask again. Running it twice only wastes permits.
--
-- KEYS and ARGV 1-6 as in channel.lua
-- ARGV  7  how many are wanted, at least 1
--       8  the process that asks
--       9  how long a process counts as a holder after it asked, seconds
--      10  how long a probe may take, seconds
--      11  how soon to ask again while another's probe or trial is out, seconds
--      12  how long a trial keeps other messages of a suspect channel waiting, seconds
--      13  how soon the test call is made again on a channel that is at fault, seconds
--      14  different messages that must draw a configuration answer until the channel is at fault
-- reply {permits, what for ('' | probe | trial | canary), wait in microseconds,
--        why it is none ('' | throttled | breaker | suspect | rate), live holders, effective rate as text,
--        Redis' time as text}

local want, holder, holder_life = tonumber(ARGV[7]), ARGV[8], tonumber(ARGV[9])
local probe_timeout, probe_poll = tonumber(ARGV[10]), tonumber(ARGV[11])
local trial_timeout, canary_every = tonumber(ARGV[12]), tonumber(ARGV[13])

redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', moment(now - holder_life))
redis.call('ZADD', KEYS[3], moment(now), holder)
redis.call('EXPIRE', KEYS[3], math.ceil(holder_life) + 1)
local holders = redis.call('ZCARD', KEYS[3])

local function answer(permits, what, wait, reason)
  return {permits, what, microseconds(wait), reason, holders, string.format('%.17g', effective()), moment(now)}
end

if blocked() > 0 then
  return answer(0, '', blocked(), 'throttled')
end

local stage = breaker()
if stage == 'open' then
  return answer(0, '', ahead('open_until', open_most), 'breaker')
end
if stage == 'half_open' and ahead('probe_until', probe_timeout) > 0 then
  return answer(0, '', math.min(probe_poll, ahead('probe_until', probe_timeout)), 'breaker')
end
local suspect = suspects() > 0 or channel.renewing ~= nil
-- The test call costs no message, so it comes first; again once the channel is known to be at fault.
local at_fault = channel.convicted or suspects() >= tonumber(ARGV[14])
local canary = suspects() > 0 and (not channel.canary_at or (at_fault and now - number('canary_at') >= canary_every))
if suspect and stage == 'closed' and not canary and ahead('trial_until', trial_timeout) > 0 then
  return answer(0, '', math.min(probe_poll, ahead('trial_until', trial_timeout)), 'suspect')
end

-- The millionth forgives what binary fractions lose; the level still falls by whole permits, so it never adds up.
local gathered = level()
local permits = math.min(want, math.floor(gathered + 1e-6))
if permits < 1 then
  return answer(0, '', (1 - gathered) / effective(), 'rate')
end

local what = ''
if stage == 'half_open' then
  permits, what = 1, 'probe'
  set('probe_holder', holder)
  set('probe_until', moment(now + probe_timeout))
elseif canary then
  permits, what = 1, 'canary'
  set('canary_at', moment(now))
elseif suspect then
  permits, what = 1, 'trial'
  set('trial_holder', holder)
  set('trial_until', moment(now + trial_timeout))
end
set_level(gathered - permits)
keep()
return answer(permits, what, 0, '')
