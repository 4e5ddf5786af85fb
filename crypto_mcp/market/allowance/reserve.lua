-- Takes `weight` from the window's allowance, or says how long to wait.
-- KEYS: window, known, stop.
-- ARGV: weight, window length ms, published limit, share used, reserved, always reserved, guard ms.
-- Replies {'go', window, used, limit}, {'wait', ms, used, limit} or {'stop', ms, why}.
local why = redis.call('GET', KEYS[3])
if why then return {'stop', redis.call('PTTL', KEYS[3]), why} end

local weight, length, guard = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[7])
local known = redis.call('HMGET', KEYS[2], 'limit', 'ahead')
local limit = tonumber(known[1] or ARGV[3])
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000) + tonumber(known[2] or 0)
local window = math.floor(now / length)
local into = now - window * length
local left = length - into

-- ours: what we asked for in this window; others: what the provider counted beyond that; early: what was asked so
-- late that it may count for the next window; last: what was used in the window before.
local h = redis.call('HMGET', KEYS[1], 'window', 'ours', 'others', 'early', 'last')
local then_ = tonumber(h[1] or -1)
local ours, others, early, last = tonumber(h[2] or 0), tonumber(h[3] or 0), tonumber(h[4] or 0), tonumber(h[5] or 0)
if then_ ~= window then
  last = then_ == window - 1 and ours + others or 0
  ours = then_ == window - 1 and early or 0
  others, early = 0, 0
end

local plan = math.floor(limit * tonumber(ARGV[4]))
local reserved = math.max(tonumber(ARGV[6]), tonumber(ARGV[5]) * left / length)
local used = ours + others
local wanted = used + weight
local next_window = left + guard

local wait = 0
if wanted > plan * (1 - reserved) and not (weight > plan and used == 0) then
  wait = next_window
  if wanted <= plan * (1 - tonumber(ARGV[6])) and tonumber(ARGV[5]) > 0 then
    wait = math.max(1, left - length * (1 - wanted / plan) / tonumber(ARGV[5]))
  end
elseif into < guard and last > 0 and last + weight > plan then
  wait = guard - into
elseif left <= guard and early + weight > plan then
  wait = next_window
end
if wait > 0 then return {'wait', math.ceil(wait), used, limit} end

if into < guard then last = last + weight end
if left <= guard then early = early + weight end
redis.call('HSET', KEYS[1], 'window', window, 'ours', ours + weight, 'others', others, 'early', early, 'last', last)
redis.call('PEXPIRE', KEYS[1], 2 * length)
return {'go', window, used + weight, limit}
