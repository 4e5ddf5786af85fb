-- A job that waits for other jobs rests on the desk until it is looked at again. It goes on with the attempt it was in:
-- waiting is no failure, and is not counted whatever becomes of its worker meanwhile.
-- KEYS 1 desk; ARGV 1 id, 2 attempt, 3 delay ms; returns {'ok', due} | {'stale'}
local id = ARGV[1]
if not holds(KEYS[1], id, ARGV[2]) then return { 'stale' } end
local key = job_key(id)
local was = redis.call('HMGET', key, 'state', 'not_before')
if was[1] == 'retrying' then return { 'ok', was[2] } end
local due = now_ms() + math.floor(tonumber(ARGV[3]))
redis.call('HSET', key, 'state', 'retrying', 'resting', '1', 'not_before', due)
redis.call('HDEL', key, 'error')
redis.call('ZADD', KEYS[1], due, id)
tell(id, 'retrying')
return { 'ok', tostring(due) }
