-- An arrived envelope that is no job goes to the dead list with its reason, and leaves a record that can be found.
-- KEYS 1 arriving, 2 dead list
-- ARGV 1 raw, 2 fresh id, 3 entry without its id, 4 error JSON, 5 kind, 6 list, 7 worker, 8 reply_to, 9 recent_max,
--      10 record_ttl, 11 id the envelope names or ''
-- returns the id of the entry and its record, '' if the envelope was not there
-- The id is fresh: one that a pusher names may be a living job's. Unless that job waits on this list as this very
-- envelope: submitted or replayed here and refused by a worker that knows less, it would wait for ever.
local id, named = ARGV[2], ARGV[11]
if redis.call('EXISTS', job_key(id)) == 1 then return id end
if redis.call('LREM', KEYS[1], 1, ARGV[1]) == 0 then return '' end
local was = redis.call('HMGET', job_key(named), 'state', 'list', 'envelope')
if was[1] == 'queued' and was[2] == ARGV[6] and was[3] == ARGV[1] then
  id = named
else
  local at = now_ms()
  redis.call('HSET', job_key(id), 'kind', ARGV[5], 'list', ARGV[6], 'submitted_at', at, 'attempts', 0,
    'reply_to', ARGV[8])
  remember(id, at, ARGV[9])
end
redis.call('LPUSH', KEYS[2], '{"job_id":"' .. id .. '",' .. string.sub(ARGV[3], 2))
redis.call('HSET', job_key(id), 'worker', ARGV[7], 'error', ARGV[4])
close(id, 'dead', ARGV[10])
return id
