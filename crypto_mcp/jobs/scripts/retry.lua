-- A failed attempt that may be repeated stays on the desk until it is due.
-- KEYS 1 desk; ARGV 1 id, 2 worker, 3 attempt, 4 delay ms, 5 error JSON; returns {'ok', due} | {'already'} | {'stale'}
local id = ARGV[1]
if not holds(KEYS[1], id, ARGV[3]) then return { 'stale' } end
local key = job_key(id)
local was = redis.call('HMGET', key, 'state', 'not_before')
if was[1] == 'retrying' then return { 'ok', was[2] } end
local due = now_ms() + math.floor(tonumber(ARGV[4]))
redis.call('HSET', key, 'state', 'retrying', 'not_before', due, 'error', ARGV[5])
redis.call('ZADD', KEYS[1], due, id)
tell(id, 'retrying')
return { 'ok', tostring(due) }
