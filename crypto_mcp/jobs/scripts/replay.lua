-- A dead envelope becomes a fresh job on its list again.
-- KEYS 1 dead list, 2 list; ARGV 1 entry, 2 id, 3 envelope, 4 kind, 5 reply_to, 6 client, 7 trace, 8 recent_max
-- returns 'ok' | 'gone' | 'busy'
local id = ARGV[2]
local key = job_key(id)
local state = redis.call('HGET', key, 'state')
if state and not is_finished(state) then return 'busy' end
if redis.call('LREM', KEYS[1], 1, ARGV[1]) == 0 then return 'gone' end
local at = now_ms()
redis.call('HDEL', key, 'error', 'finished_at', 'started_at', 'run_at', 'worker', 'progress', 'words', 'not_before', 'cancel',
  'resting')
redis.call('HSET', key, 'state', 'queued', 'kind', ARGV[4], 'list', KEYS[2], 'envelope', ARGV[3], 'reply_to', ARGV[5],
  'client', ARGV[6], 'trace', ARGV[7], 'submitted_at', at, 'attempts', 0)
redis.call('PERSIST', key)
remember(id, at, ARGV[8])
redis.call('LPUSH', KEYS[2], ARGV[3])
tell(id, 'queued')
return 'ok'
