-- Report what a batch of answers says about the channel: moves the breaker, the 429 pause, the effective rate and the
-- suspicion that the channel is misconfigured.
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
--       21  messages that the API accepted
--       22  what the test call came to: '-' if it was not made, '' if it worked, else its answer in words
--       23  how long a 403 does not renew the token again, seconds
--       24  for how long an accepted message shows that the channel works, seconds
--       25  and so on, five for each message that drew a configuration answer after the last one that was accepted: its
--           id, its answer in words, the token's generation if renewing the token may help (else ''), 1 if it was sent
--           alone, its campaign or ''
-- reply {429 pause left in microseconds, breaker (closed | open | half_open), microseconds until it lets a probe
--        through, messages that cast suspicion, 1 if the test call failed as they did, 1 if a suspicion ended now, the
--        campaign of all that cast suspicion or '', then for each of the messages what its answer is attributed to
--        (token | old_token | unclear | message)}

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
  elseif channel.probe_holder == holder and ARGV[22] == '-' then
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
-- A newer token may be what a 403 wants: until it was tried, the answer says nothing about the channel.
local function of_the_token(generation)
  if generation == '' then
    return nil
  end
  local since = now - number('renewed_at')
  if since >= 0 and since < tonumber(ARGV[23]) then
    return tonumber(generation) <= number('renewed') and 'old_token' or nil
  end
  set('renewed', generation)
  set('renewed_at', moment(now))
  set('renewing', '1')
  return 'token'
end

local guesses, cleared = {}, 0
if tonumber(ARGV[21]) > 0 then
  set('accepted_at', moment(now))
  cleared = suspects() > 0 and 1 or 0
  if cleared == 1 or channel.renewing then
    clear_suspicion()
  end
end
local since_accepted = now - number('accepted_at')
for i = 25, #ARGV, 5 do
  local id, answer, alone, campaign = ARGV[i], ARGV[i + 1], ARGV[i + 3] == '1', ARGV[i + 4]
  local guess, first = of_the_token(ARGV[i + 2]), suspects() == 0
  if not guess and (first or alone) then
    guess = 'message'
    if first then
      set('suspect_since', moment(now))
      set('suspect_campaign', campaign)
    elseif channel.suspect_campaign ~= campaign then
      set('suspect_campaign', '')
    end
    set('suspect_answer', answer)
    if suspects() < 100 then -- more need not be told apart
      redis.call('SADD', KEYS[4], id)
    end
  elseif not guess then
    guess = since_accepted >= 0 and since_accepted < tonumber(ARGV[24]) and 'message' or 'unclear'
  end
  table.insert(guesses, guess)
end
if channel.trial_holder == holder and ARGV[22] == '-' then
  unset('trial_holder', 'trial_until')
end
if ARGV[22] ~= '-' and suspects() > 0 then
  if ARGV[22] == '' and channel.convicted then -- what the test call had found is over
    clear_suspicion()
    cleared = 1
  elseif ARGV[22] ~= '' and ARGV[22] == channel.suspect_answer then
    set('convicted', '1')
  end
end
if suspects() > 0 then
  redis.call('EXPIRE', KEYS[4], life)
end
keep()
return {
  microseconds(blocked()), breaker(), microseconds(ahead('open_until', open_most)),
  suspects(), channel.convicted and 1 or 0, cleared,
  suspects() > 0 and channel.suspect_campaign or '', unpack(guesses)
}
