-- Whose turn it is. Redis' own clock, in milliseconds; every key ends by itself.
-- A lane is one person on one channel: one worker at a time sends there, so that order is kept.
-- ARGV 1 what to do, then its arguments
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local what = ARGV[1]
local KEEP = 3600000

local function number(key, field)
  return tonumber(redis.call('HGET', key, field) or 0)
end

-- Milliseconds until one more message to this person is allowed. Meta lets a burst go ahead within one interval, and
-- then has it paid back before the next message.
local function pair_wait(pair, interval, burst)
  local held, due, since, count = number(pair, 'held'), number(pair, 'due'), number(pair, 'since'), number(pair, 'count')
  if held > now then return held - now end
  if now >= due or (now - since < interval and count < burst) then return 0 end
  return due - now
end

-- KEYS lane, sender, pair; ARGV token, lane's life, pair's interval, burst, digest after, digest window, critical
if what == 'take' then
  local lane, sender, pair = KEYS[1], KEYS[2], KEYS[3]
  local stopped = number(sender, 'stopped')
  if stopped > now then return { 'stopped', stopped - now, redis.call('HGET', sender, 'why') or '' } end
  local wait = pair_wait(pair, tonumber(ARGV[4]), tonumber(ARGV[5]))
  if wait > 0 then return { 'pair', wait, '' } end
  local opened, after, window = number(pair, 'opened'), tonumber(ARGV[6]), tonumber(ARGV[7])
  if ARGV[8] == '0' and after > 0 and now - opened < window and number(pair, 'told') >= after then
    return { 'digest', opened + window - now, '' }
  end
  if not redis.call('SET', lane, ARGV[2], 'PX', ARGV[3], 'NX') then
    return { 'lane', math.max(1, redis.call('PTTL', lane)), '' }
  end
  return { 'go', redis.call('HEXISTS', pair, 'refused'), '' }
end

-- KEYS lane, sender, pair; ARGV token, lane's life, pair's interval, burst, digest window, sender's interval, ahead
if what == 'charge' then
  local lane, sender, pair = KEYS[1], KEYS[2], KEYS[3]
  if redis.call('GET', lane) ~= ARGV[2] then return { 'lost', 0, '' } end
  local interval, ahead, due = tonumber(ARGV[7]), tonumber(ARGV[8]), math.max(number(sender, 'due'), now)
  if due - now > ahead then return { 'sender', math.ceil(due - now - ahead), '' } end
  local wait = pair_wait(pair, tonumber(ARGV[4]), tonumber(ARGV[5]))
  if wait > 0 then return { 'pair', wait, '' } end
  redis.call('HSET', sender, 'due', due + interval)
  redis.call('PEXPIRE', sender, KEEP * 24)
  local pair_due = number(pair, 'due')
  if now >= pair_due then redis.call('HSET', pair, 'since', now, 'count', 0) end
  redis.call('HSET', pair, 'due', math.max(pair_due, now) + tonumber(ARGV[4]))
  redis.call('HINCRBY', pair, 'count', 1)
  if now - number(pair, 'opened') >= tonumber(ARGV[6]) then redis.call('HSET', pair, 'opened', now, 'told', 0) end
  redis.call('HINCRBY', pair, 'told', 1)
  redis.call('PEXPIRE', pair, KEEP)
  redis.call('PEXPIRE', lane, ARGV[3])
  return { 'go', 0, '' }
end

-- KEYS lane; ARGV token
if what == 'leave' then
  if redis.call('GET', KEYS[1]) == ARGV[2] then redis.call('DEL', KEYS[1]) end
  return { 'left', 0, '' }
end

-- KEYS pair: the provider says that this was too much; each time in a row four times as long. Nobody was told.
if what == 'hold' then
  if number(KEYS[1], 'told') > 0 then redis.call('HINCRBY', KEYS[1], 'told', -1) end
  local pause = math.min(256, 4 ^ (redis.call('HINCRBY', KEYS[1], 'refused', 1) - 1)) * 1000
  redis.call('HSET', KEYS[1], 'held', now + pause)
  redis.call('PEXPIRE', KEYS[1], KEEP)
  return { 'held', pause, '' }
end

-- KEYS pair: it went
if what == 'went' then
  redis.call('HDEL', KEYS[1], 'refused', 'held')
  return { 'noted', 0, '' }
end

-- KEYS sender; ARGV milliseconds, why
if what == 'stop' then
  redis.call('HSET', KEYS[1], 'stopped', math.max(number(KEYS[1], 'stopped'), now + tonumber(ARGV[2])), 'why', ARGV[3])
  redis.call('PEXPIRE', KEYS[1], KEEP * 24)
  return { 'stopped', 0, '' }
end

return redis.error_reply('unknown: ' .. what)
