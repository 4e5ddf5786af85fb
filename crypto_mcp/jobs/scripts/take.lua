-- Up to n envelopes, oldest first, from a list to where a worker's arrivals wait.
-- KEYS 1 list, 2 arriving; ARGV 1 n
local taken = {}
for i = 1, tonumber(ARGV[1]) do
  local raw = redis.call('LMOVE', KEYS[1], KEYS[2], 'RIGHT', 'LEFT')
  if not raw then break end
  taken[i] = raw
end
return taken
