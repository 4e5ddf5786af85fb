-- A job whose retry is due begins its next attempt; one that rested goes on.
-- KEYS 1 desk; ARGV 1 id; returns {'run', attempt} | {'gone'}
local id = ARGV[1]
local key = job_key(id)
if not redis.call('ZSCORE', KEYS[1], id) then return { 'gone' } end
local was = redis.call('HMGET', key, 'state', 'attempts', 'submitted_at')
if was[1] == 'running' then return { 'run', was[2], was[3] } end
if was[1] ~= 'retrying' then return { 'gone' } end
local at = now_ms()
local attempt = next_attempt(key)
redis.call('HSET', key, 'state', 'running', 'run_at', at)
redis.call('HDEL', key, 'not_before')
redis.call('ZADD', KEYS[1], at, id)
tell(id, 'running')
return { 'run', tostring(attempt), was[3] }
