-- What the provider says of itself.
-- KEYS: window, known. ARGV: window length ms, guard ms, window asked in, used (by its count), limit, its time ms; '' if
-- not said.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)

if ARGV[5] ~= '' then redis.call('HSET', KEYS[2], 'limit', ARGV[5]) end
if ARGV[6] ~= '' then redis.call('HSET', KEYS[2], 'ahead', math.floor(tonumber(ARGV[6]) - now)) end
if ARGV[5] ~= '' or ARGV[6] ~= '' then redis.call('EXPIRE', KEYS[2], 86400) end

-- Its count belongs to the window in which it counted: at the turn of a window nobody knows which that was.
if ARGV[4] ~= '' then
  local length, guard = tonumber(ARGV[1]), tonumber(ARGV[2])
  now = now + tonumber(redis.call('HGET', KEYS[2], 'ahead') or 0)
  local window = math.floor(now / length)
  local into = now - window * length
  local h = redis.call('HMGET', KEYS[1], 'window', 'ours', 'others')
  if tonumber(ARGV[3]) == window and tonumber(h[1] or -1) == window and into >= guard and length - into > guard then
    local others = tonumber(ARGV[4]) - tonumber(h[2])
    if others > tonumber(h[3]) then redis.call('HSET', KEYS[1], 'others', others) end
  end
end
return 1
