-- Frees the leader's lock if it is the candidate's. KEYS 1 lock; ARGV 1 candidate
if string.match(redis.call('GET', KEYS[1]) or '', '^(%S+) ') == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 'ok'
