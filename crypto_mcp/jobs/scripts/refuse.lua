-- An arrived envelope that is no job goes to the dead list with its reason, and leaves a record that can be found.
-- KEYS 1 arriving, 2 dead list
-- ARGV 1 raw, 2 id, 3 entry, 4 error JSON, 5 kind, 6 list, 7 worker, 8 reply_to, 9 recent_max, 10 record_ttl
-- The id is fresh, never the pusher's: that may name a living job.
local id = ARGV[2]
if redis.call('EXISTS', job_key(id)) == 1 then return 'already' end
if redis.call('LREM', KEYS[1], 1, ARGV[1]) == 0 then return 'gone' end
redis.call('LPUSH', KEYS[2], ARGV[3])
local at = now_ms()
redis.call('HSET', job_key(id), 'kind', ARGV[5], 'list', ARGV[6], 'submitted_at', at, 'attempts', 0, 'worker', ARGV[7],
  'reply_to', ARGV[8], 'error', ARGV[4])
remember(id, at, ARGV[9])
close(id, 'dead', ARGV[10])
return 'ok'
