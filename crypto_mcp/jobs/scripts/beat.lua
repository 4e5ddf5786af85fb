-- A worker's sign of life, and what its desk holds.
-- KEYS 1 worker key, 2 desk, 3 cancels; ARGV 1 worker, 2 ttl ms, 3 info JSON
-- returns {whether the last one was still valid, job ids on the desk, those of them to be cancelled}
local before = redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[2], 'GET')
if not before then
  redis.call('SADD', 'workers', ARGV[1])
  redis.call('ZREM', 'workers:dead', ARGV[1])
end
return { before and 1 or 0, redis.call('ZRANGE', KEYS[2], 0, -1), redis.call('SMEMBERS', KEYS[3]) }
