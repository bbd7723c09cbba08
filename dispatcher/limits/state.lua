-- Read the channel's limits.
--
-- KEYS and ARGV 1-6 as in channel.lua
-- reply {effective rate as text, 429 pause left in microseconds, breaker (closed | open | half_open),
--        microseconds until the breaker lets a probe through}

return {
  string.format('%.17g', effective()),
  microseconds(blocked()),
  breaker(),
  microseconds(ahead('open_until', open_most)),
}
