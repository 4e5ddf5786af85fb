-- A job that failed for good leaves its desk for the dead list.
-- KEYS 1 desk, 2 dead list; ARGV 1 id, 2 worker, 3 attempt, 4 entry, 5 error JSON, 6 record_ttl
local id = ARGV[1]
if not holds(KEYS[1], id, ARGV[3]) then
  return already(id, ARGV[2], ARGV[3]) and 'already' or 'stale'
end
redis.call('ZREM', KEYS[1], id)
redis.call('LPUSH', KEYS[2], ARGV[4])
redis.call('HSET', job_key(id), 'error', ARGV[5])
close(id, 'dead', ARGV[6])
return 'ok'
