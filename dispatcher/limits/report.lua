-- Tell what a batch of answers says about the channel: moves the breaker, the 429 pause and the effective rate.
--
-- KEYS and ARGV 1-6 as in channel.lua
-- ARGV  7  healthy answers
--       8  sick outcomes
--       9  seconds to pause after a 429, or -1 if there was none
--      10  the process that reports
--      11  breaker: fewest sick outcomes that open it
--      12  breaker: share of sick outcomes that opens it
--      13  breaker: length of a bucket, seconds
--      14  breaker: buckets in the window
--      15  breaker: how long it is open the first time, seconds
--      16  a random number from 0 to 1, for the jitter
--      17  rate: factor of a 429
--      18  rate: at the most one such factor in this many seconds
--      19  rate: permits a second that one step adds
--      20  rate: clean seconds for one step
-- reply {seconds of 429 pause left, breaker (closed | open | half_open), seconds until it lets a probe through},
--       both times in microseconds

local healthy, sick, throttled, holder = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9]), ARGV[10]

local function open(openings)
  local wait = math.min(open_most, tonumber(ARGV[15]) * 2 ^ math.min(openings - 1, 16)) * (1 - 0.2 * tonumber(ARGV[16]))
  set('openings', openings)
  set('open_until', moment(now + wait))
  unset('probe_holder', 'probe_until')
  redis.call('DEL', KEYS[2])
end

-- Opening has emptied the window, and nothing is counted until this.
local function close()
  unset('open_until', 'openings', 'probe_holder', 'probe_until')
end

-- Count the batch and sum up the window; buckets that have left it are dropped.
local function tally()
  local width, buckets = tonumber(ARGV[13]), tonumber(ARGV[14])
  local bucket = math.floor(now / width)
  local named = string.format('%.0f', bucket)
  redis.call('HINCRBY', KEYS[2], named .. ':healthy', healthy)
  redis.call('HINCRBY', KEYS[2], named .. ':sick', sick)
  redis.call('EXPIRE', KEYS[2], math.ceil(width * buckets) + 1)
  local sums = {healthy = 0, sick = 0}
  local counted = redis.call('HGETALL', KEYS[2])
  for i = 1, #counted, 2 do
    local id, kind = string.match(counted[i], '^(%d+):(%a+)$')
    local age = bucket - tonumber(id)
    if age < 0 or age >= buckets then
      redis.call('HDEL', KEYS[2], counted[i])
    else
      sums[kind] = sums[kind] + tonumber(counted[i + 1])
    end
  end
  return sums
end

-- While it is open, reports are of requests that left before: they say nothing new. Half open, any healthy answer
-- closes it, but only the prober's failure opens it again: the others' are late too.
local stage = breaker()
if stage == 'half_open' then
  if healthy > 0 then
    close()
  elseif channel.probe_holder == holder then
    if sick > 0 then
      open(number('openings') + 1)
    else
      unset('probe_holder', 'probe_until')
    end
  end
elseif stage == 'closed' and healthy + sick > 0 then
  local sums = tally()
  if sick > 0 and sums.sick >= tonumber(ARGV[11]) and sums.sick >= tonumber(ARGV[12]) * (sums.sick + sums.healthy) then
    open(1)
  end
end

if throttled >= 0 then
  set('blocked_until', moment(now + math.max(blocked(), throttled)))
  set('throttled_at', moment(now))
  set_level(0)
  if math.abs(now - number('lowered_at')) >= tonumber(ARGV[18]) then
    set('effective', string.format('%.17g', effective() * tonumber(ARGV[17])))
    set('lowered_at', moment(now))
  end
elseif healthy > 0 and channel.effective and blocked() == 0 then
  local since = math.max(number('raised_at'), number('throttled_at'), number('blocked_until'))
  if math.abs(now - since) >= tonumber(ARGV[20]) then
    local raised = effective() + tonumber(ARGV[19])
    set_level(level()) -- what has gathered so far did so at the lower rate
    set('raised_at', moment(now))
    if raised >= configured then
      unset('effective')
    else
      set('effective', string.format('%.17g', raised))
    end
  end
end
keep()
return {microseconds(blocked()), breaker(), microseconds(ahead('open_until', open_most))}
