-- What every script of a channel begins with: this file is put before each of them.
--
-- KEYS 1  dispatcher:{limits:<channel>}:state    hash, see below
--      2  dispatcher:{limits:<channel>}:window   hash: '<bucket>:healthy' and '<bucket>:sick' -> how many
--      3  dispatcher:{limits:<channel>}:holders  sorted set: process -> when it last asked for permits
--      4  dispatcher:{limits:<channel>}:suspects set: ids of messages that drew a configuration answer, such as 403,
--                                                since the channel last accepted one; not empty: the channel is suspect
-- ARGV 1  configured rate, permits a second
--      2  burst: the most permits that can have gathered
--      3  the least that the effective rate can fall to
--      4  the longest pause after a 429, seconds
--      5  the longest that the breaker stays open, seconds
--      6  life of the keys, seconds
--
-- The state; every time is Redis' own, in seconds, and no field has to be there:
--   level, level_at          permits that had gathered, and when that was. (GCRA kept as a level: its schedule would
--                            have to be recomputed whenever the rate changes.)
--   blocked_until            the 429 pause
--   throttled_at             the last 429
--   effective                the lowered rate, to be read through effective(); absent while it is the configured one
--   lowered_at, raised_at    when it last changed
--   open_until, openings     the breaker; absent while it is closed. Once open_until is past it is half open.
--   probe_holder, probe_until  who is trying whether the API is back, and when that try counts as lost
--   suspect_since, suspect_answer  when the first of the suspects drew its answer, and what the last one drew
--   suspect_campaign         of all suspects, or '' if they are not of one campaign
--   accepted_at              when the API last accepted a message
--   trial_holder, trial_until  who is trying another message on a suspect channel, and when the next may be tried
--   canary_at                when the test call was made; convicted: it failed as the suspects did
--   renewing                 a 403 renewed the token: one message at a time until it is known whether that helps
--   renewed, renewed_at      the token generation that was last renewed because of a 403, and when

local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1e6
local configured, burst, floor = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local block_most, open_most, life = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])

local channel = {}
local stored = redis.call('HGETALL', KEYS[1])
for i = 1, #stored, 2 do
  channel[stored[i]] = stored[i + 1]
end

local function number(field)
  return tonumber(channel[field] or '') or 0
end

local function moment(seconds)
  return string.format('%.6f', seconds)
end

local function microseconds(seconds)
  return math.ceil(seconds * 1e6)
end

local function set(field, value)
  channel[field] = value
  redis.call('HSET', KEYS[1], field, value)
end

local function unset(...)
  for _, field in ipairs({...}) do
    channel[field] = nil
  end
  redis.call('HDEL', KEYS[1], ...)
end

-- Seconds until a moment. One further ahead than could have been set shows that Redis' clock was set back: it is void.
local function ahead(field, most)
  local left = number(field) - now
  if left <= 0 or left > most + 1 then
    return 0
  end
  return left
end

local function blocked()
  return ahead('blocked_until', block_most)
end

local function breaker()
  if not channel.open_until then
    return 'closed'
  end
  if ahead('open_until', open_most) > 0 then
    return 'open'
  end
  return 'half_open'
end

local function suspects()
  return redis.call('SCARD', KEYS[4])
end

local function clear_suspicion()
  redis.call('DEL', KEYS[4])
  unset('suspect_since', 'suspect_answer', 'suspect_campaign', 'trial_holder', 'trial_until', 'canary_at', 'convicted',
    'renewing')
end

local function effective()
  if not channel.effective then
    return configured
  end
  return math.min(configured, math.max(floor, number('effective')))
end

-- Permits that have gathered by now. Nothing gathers during a 429 pause, so that it does not end in a burst.
local function level()
  if not channel.level then
    return burst
  end
  if number('level_at') > now then
    set('level_at', moment(now))
  end
  if blocked() > 0 then
    return number('level')
  end
  local since = number('level_at')
  if number('blocked_until') <= now then
    since = math.max(since, number('blocked_until'))
  end
  return math.min(burst, number('level') + (now - since) * effective())
end

local function set_level(permits)
  set('level', string.format('%.17g', permits))
  set('level_at', moment(now))
end

local function keep()
  redis.call('EXPIRE', KEYS[1], life)
end

