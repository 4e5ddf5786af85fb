-- A waiting job vanishes in one step; a running one is marked and its worker told.
-- ARGV 1 id, 2 record_ttl; returns the state after: 'cancelled', 'cancelling', a finished state, or 'unknown'
local id = ARGV[1]
local key = job_key(id)
local was = redis.call('HMGET', key, 'state', 'list', 'envelope', 'worker', 'held')
local state = was[1]
if not state then return 'unknown' end
if is_finished(state) then return state end
if was[5] then
  redis.call('LREM', 'held:' .. was[5], 1, id)
  redis.call('HINCRBY', 'held:lengths', was[2], -1)
  close(id, 'cancelled', ARGV[2])
  return 'cancelled'
end
if state == 'queued' and redis.call('LREM', was[2], 1, was[3]) > 0 then
  close(id, 'cancelled', ARGV[2])
  return 'cancelled'
end
if state == 'retrying' and redis.call('ZREM', 'desk:' .. was[4], id) > 0 then
  close(id, 'cancelled', ARGV[2])
  return 'cancelled'
end
-- Running, or on its way to a desk: the worker that has it, or the next to accept it, ends it.
redis.call('HSET', key, 'cancel', '1')
if was[4] then
  redis.call('SADD', 'cancels:' .. was[4], id)
  redis.call('EXPIRE', 'cancels:' .. was[4], 3600)
  redis.call('PUBLISH', 'worker:' .. was[4], 'cancel')
end
return 'cancelling'
