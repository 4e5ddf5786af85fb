-- A sliding window of a minute in slots of five seconds, for several counters at once: all have room, or none is charged.
-- KEYS counters; ARGV 1 cost, then the limit of each counter
-- returns {1 if charged, number of the tightest counter, what is left of it, seconds until the cost fits again}
local SLOT, WINDOW = 5, 12
local now = tonumber(redis.call('TIME')[1])
local slot, cost = math.floor(now / SLOT), tonumber(ARGV[1])
local tightest, least, longest, fits = 1, nil, 0, true

for i, key in ipairs(KEYS) do
  local limit, used, slots = tonumber(ARGV[i + 1]), 0, {}
  local fields = redis.call('HGETALL', key)
  for j = 1, #fields, 2 do
    local at, count = tonumber(fields[j]), tonumber(fields[j + 1])
    if at <= slot - WINDOW then
      redis.call('HDEL', key, fields[j])
    else
      used = used + count
      slots[#slots + 1] = { at, count }
    end
  end
  local left = limit - used
  if not least or left < least then tightest, least = i, left end
  if left < cost then
    fits = false
    table.sort(slots, function(a, b) return a[1] < b[1] end)
    local free = left
    for _, entry in ipairs(slots) do
      free = free + entry[2]
      if free >= cost then
        longest = math.max(longest, (entry[1] + WINDOW) * SLOT - now)
        break
      end
    end
    if free < cost then longest = math.max(longest, WINDOW * SLOT) end
  end
end

if not fits then return { 0, tightest, math.max(0, least), math.max(1, longest) } end
for _, key in ipairs(KEYS) do
  redis.call('HINCRBY', key, slot, cost)
  redis.call('EXPIRE', key, WINDOW * SLOT)
end
return { 1, tightest, least - cost, 0 }
