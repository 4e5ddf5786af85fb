-- An arrived envelope becomes a job on the worker's desk, and its next attempt begins.
-- KEYS 1 arriving, 2 desk
-- ARGV 1 raw, 2 id, 3 kind, 4 list, 5 worker, 6 envelope, 7 max_tries, 8 client, 9 trace, 10 reply_to, 11 recent_max,
--      12 record_ttl, 13 claim: names this call, so that repeating it after a lost reply changes nothing
-- returns {'run', attempt, submitted_at} | {'later', due_ms} | {'duplicate', state} | {'cancelled'} | {'gone'}
local id, worker = ARGV[2], ARGV[5]
local key = job_key(id)

if redis.call('HGET', key, 'claim') == ARGV[13] and redis.call('ZSCORE', KEYS[2], id) then
  local again = redis.call('HMGET', key, 'state', 'attempts', 'submitted_at', 'not_before')
  if again[1] == 'retrying' then return { 'later', again[4] } end
  return { 'run', again[2], again[3] }
end
-- Nothing to remove: a dead worker's arrivals were returned, and this one was taken for dead.
if redis.call('LREM', KEYS[1], 1, ARGV[1]) == 0 then return { 'gone' } end

local at = now_ms()
local state = redis.call('HGET', key, 'state')
if not state then
  redis.call('HSET', key, 'state', 'queued', 'kind', ARGV[3], 'list', ARGV[4], 'envelope', ARGV[6], 'client', ARGV[8],
    'trace', ARGV[9], 'reply_to', ARGV[10], 'submitted_at', at, 'attempts', 0)
  remember(id, at, ARGV[11])
  reply(ARGV[10], { job_id = id, state = 'queued' })
elseif state ~= 'queued' then
  reply(ARGV[10], { job_id = id, state = state })
  return { 'duplicate', state }
end

local was = redis.call('HMGET', key, 'cancel', 'not_before', 'submitted_at', 'started_at')
redis.call('HSET', key, 'worker', worker, 'max_tries', ARGV[7], 'claim', ARGV[13])
if was[1] then
  close(id, 'cancelled', ARGV[12])
  return { 'cancelled' }
end
if was[2] and tonumber(was[2]) > at then
  redis.call('HSET', key, 'state', 'retrying')
  redis.call('ZADD', KEYS[2], was[2], id)
  tell(id, 'retrying')
  return { 'later', was[2] }
end
if not was[4] then redis.call('HSET', key, 'started_at', at) end
local attempt = next_attempt(key)
redis.call('HSET', key, 'state', 'running', 'run_at', at)
redis.call('HDEL', key, 'not_before')
redis.call('ZADD', KEYS[2], at, id)
tell(id, 'running')
return { 'run', tostring(attempt), was[3] }
