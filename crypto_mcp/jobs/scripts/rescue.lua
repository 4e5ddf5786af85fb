-- Workers whose heartbeat is gone: what they held goes back to the lists, attempts kept.
-- ARGV 1 grace after a restart of Redis in ms, 2 forget after ms, 3 record_ttl, 4.. lists; returns {worker, count, ...}
-- After a restart heartbeats may have run out while nobody could renew them: living workers get the grace to do so.
local uptime = tonumber(string.match(redis.call('INFO', 'server'), 'uptime_in_seconds:(%d+)'))
if uptime * 1000 < tonumber(ARGV[1]) then return {} end
local lists = {}
for i = 4, #ARGV do lists[#lists + 1] = ARGV[i] end
local rescued = {}
local at = now_ms()
local known = redis.call('ZRANGE', 'workers', 0, -1, 'WITHSCORES')
for i = 1, #known, 2 do
  local worker = known[i]
  if redis.call('EXISTS', 'worker:' .. worker) == 0 then
    local count = return_all(worker, lists, false, ARGV[3])
    redis.call('DEL', 'cancels:' .. worker)
    if count > 0 then
      rescued[#rescued + 1] = worker
      rescued[#rescued + 1] = count
    elseif at - tonumber(known[i + 1]) > tonumber(ARGV[2]) then
      -- Not sooner: a stopped process can have a blocked BLMOVE at the server that still takes an envelope.
      redis.call('ZREM', 'workers', worker)
    end
  end
end
return rescued
