-- Takes or renews the leader's lock. KEYS 1 lock, 2 token counter; ARGV 1 candidate, 2 ttl ms
-- returns the fencing token, '0' if another leads
local holder = redis.call('GET', KEYS[1])
local name, token = string.match(holder or '', '^(%S+) (%S+)$')
if name == ARGV[1] then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  return token
end
if holder then return '0' end
token = redis.call('INCR', KEYS[2])
redis.call('SET', KEYS[1], ARGV[1] .. ' ' .. token, 'PX', ARGV[2])
return tostring(token)
