-- The fenced end of a job: record, answer, cached key and removal from the desk, or nothing of it.
-- KEYS 1 desk, 2 answer key, 3 cache key or ''
-- ARGV 1 id, 2 worker, 3 attempt, 4 state, 5 result JSON or '', 6 error JSON or '', 7 record_ttl, 8 answer_ttl,
--      9 cache ttl (0: not cached), 10 db of the cache, 11 db of the queues
-- returns 'ok' | 'already' | 'stale'
local id, attempt = ARGV[1], ARGV[3]
if not holds(KEYS[1], id, attempt) then
  return already(id, ARGV[2], attempt) and 'already' or 'stale'
end
redis.call('ZREM', KEYS[1], id)
if ARGV[5] ~= '' then
  redis.call('SET', KEYS[2], ARGV[5], 'EX', ARGV[8])
  if KEYS[3] ~= '' and ARGV[9] ~= '0' then
    redis.call('SELECT', ARGV[10])
    redis.call('SET', KEYS[3], ARGV[5], 'EX', ARGV[9])
    redis.call('SELECT', ARGV[11])
  end
end
if ARGV[6] ~= '' then
  redis.call('HSET', job_key(id), 'error', ARGV[6])
else
  redis.call('HDEL', job_key(id), 'error')
end
close(id, ARGV[4], ARGV[7])
return 'ok'
