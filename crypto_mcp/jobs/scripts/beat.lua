-- A worker's sign of life. Says whether the last one was still valid, which jobs its desk holds,
-- and which of them are to be cancelled.
-- KEYS 1 worker key, 2 desk, 3 cancels; ARGV 1 worker, 2 ttl ms, 3 info JSON
local alive = redis.call('EXISTS', KEYS[1])
redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[2])
redis.call('ZADD', 'workers', now_ms(), ARGV[1])
return { alive, redis.call('ZRANGE', KEYS[2], 0, -1), redis.call('SMEMBERS', KEYS[3]) }
