-- KEYS 1 desk; ARGV 1 id, 2 attempt, 3 fraction, 4 words
if not holds(KEYS[1], ARGV[1], ARGV[2]) then return 'stale' end
redis.call('HSET', job_key(ARGV[1]), 'progress', ARGV[3], 'words', ARGV[4])
tell(ARGV[1], 'running')
return 'ok'
