-- Read the channel's limits.
--
-- KEYS and ARGV 1-6 as in channel.lua
-- reply {effective rate as text, 429 pause left in microseconds, breaker (closed | open | half_open),
--        microseconds until the breaker lets a probe through, messages that cast suspicion, 1 if the test call failed as
--        they did, since when as text ('' if the channel is not suspect), what they were answered,
--        their campaign or ''}

return {
  string.format('%.17g', effective()),
  microseconds(blocked()),
  breaker(),
  microseconds(ahead('open_until', open_most)),
  suspects(),
  channel.convicted and 1 or 0,
  suspects() > 0 and channel.suspect_since or '',
  suspects() > 0 and channel.suspect_answer or '',
  suspects() > 0 and channel.suspect_campaign or '',
}
