-- What workers without a heartbeat held goes back to its lists, attempts kept.
-- ARGV 1 grace after a restart of Redis in ms, 2 forget after ms, 3 record_ttl, 4 number of lists, 5.. lists, then workers
-- returns {worker, count, ...} for those that held something
-- After a restart heartbeats may have run out while nobody could renew them: living workers get the grace to do so.
local uptime = tonumber(string.match(redis.call('INFO', 'server'), 'uptime_in_seconds:(%d+)'))
if uptime * 1000 < tonumber(ARGV[1]) then return {} end
local lists, workers, split = {}, {}, 4 + tonumber(ARGV[4])
for i = 5, split do lists[#lists + 1] = ARGV[i] end
for i = split + 1, #ARGV do workers[#workers + 1] = ARGV[i] end
local rescued = {}
local at = now_ms()
for _, worker in ipairs(workers) do
  if redis.call('EXISTS', 'worker:' .. worker) == 0 then
    local count = return_all(worker, lists, false, ARGV[3])
    redis.call('DEL', 'cancels:' .. worker)
    redis.call('ZADD', 'workers:dead', 'NX', at, worker)
    if count > 0 then
      rescued[#rescued + 1] = worker
      rescued[#rescued + 1] = count
    elseif at - tonumber(redis.call('ZSCORE', 'workers:dead', worker)) > tonumber(ARGV[2]) then
      -- Not sooner: a stopped process can have a BLMOVE blocked at the server that still takes an envelope.
      redis.call('SREM', 'workers', worker)
      redis.call('ZREM', 'workers:dead', worker)
    end
  end
end
return rescued
