-- A worker's sign of life. Says whether the last one was still valid and, if asked, which jobs its desk holds and which
-- of them are to be cancelled. An idle worker asks seldom: every command counts, also those of a script.
-- KEYS 1 worker key, 2 desk, 3 cancels; ARGV 1 worker, 2 ttl ms, 3 info JSON, 4 '1' to be told the desk
local before = redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[2], 'GET')
if not before then
  redis.call('SADD', 'workers', ARGV[1])
  redis.call('ZREM', 'workers:dead', ARGV[1])
end
if ARGV[4] ~= '1' then return { before and 1 or 0 } end
return { before and 1 or 0, redis.call('ZRANGE', KEYS[2], 0, -1), redis.call('SMEMBERS', KEYS[3]) }
