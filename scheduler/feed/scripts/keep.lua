-- Keeps last prices and bars for a while. The cache may be another Redis than the one with the leader's lock, so the fence is
-- the highest token seen here. KEYS 1 token, then the keys to set; ARGV 1 our token, 2 seconds, then the values
local seen = tonumber(redis.call('GET', KEYS[1]) or '0')
if seen > tonumber(ARGV[1]) then return 'fenced' end
redis.call('SET', KEYS[1], ARGV[1])
for i = 2, #KEYS do redis.call('SET', KEYS[i], ARGV[i + 1], 'EX', ARGV[2]) end
return 'ok'
