-- One job a worker holds without knowing it goes back to its list: its finish was lost with a crash of Redis, or the
-- reply that gave it to the worker was.
-- KEYS 1 desk; ARGV 1 id, 2 record_ttl
if redis.call('ZSCORE', KEYS[1], ARGV[1]) then return_to_list(KEYS[1], ARGV[1], false, ARGV[2]) end
return 'ok'
