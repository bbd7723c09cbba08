-- READ: the shared token and what hinders minting, as one moment of Redis' clock shows them.
-- keys:      1 record (hash: generation, sealed, life_ms, retired, oddities)   2 failure (hash: count, kind, reason, until_ms)
-- arguments: none
-- reply:     generation, sealed, life_ms, retired, ttl_ms, count, kind, reason, cooling_ms, oddities; all texts, empty where
--            there is nothing. A key of another type counts as nothing: whoever put it there must not stop the line.
local function fields(key, ...)
  if redis.call('TYPE', key).ok ~= 'hash' then return {} end
  return redis.call('HMGET', key, ...)
end

local record = fields(KEYS[1], 'generation', 'sealed', 'life_ms', 'retired', 'oddities')
local failure = fields(KEYS[2], 'count', 'kind', 'reason', 'until_ms')
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local cooling_ms = math.max(0, (tonumber(failure[4] or '') or 0) - now_ms)
return {
  record[1] or '', record[2] or '', record[3] or '', record[4] or '',
  tostring(redis.call('PTTL', KEYS[1])),
  failure[1] or '', failure[2] or '', failure[3] or '', string.format('%.0f', cooling_ms),
  record[5] or '',
}
