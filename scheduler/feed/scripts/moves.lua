-- Tells price moves. KEYS 1 leader's lock; ARGV 1 the leader's proof, 2 channel, 3 message
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 'fenced' end
redis.call('PUBLISH', ARGV[2], ARGV[3])
return 'ok'
