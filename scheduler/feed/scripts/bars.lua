-- Tells closed bars, each once. KEYS 1 leader's lock, 2 newest bar by series, 3 stream of bars; ARGV 1 the leader's proof,
-- then for each bar: series, open time of the bar before it as the feed believes, open time, the bar
-- returns for each bar 'new', 'known' (told before), or 'at <open time>' if another one is the newest; 'fenced' if
-- another leads
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 'fenced' end
local said = {}
for i = 2, #ARGV, 4 do
  local newest = redis.call('HGET', KEYS[2], ARGV[i]) or ''
  if newest ~= '' and tonumber(newest) >= tonumber(ARGV[i + 2]) then
    said[#said + 1] = 'known'
  elseif newest ~= ARGV[i + 1] then
    said[#said + 1] = 'at ' .. newest
  else
    redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 2])
    redis.call('XADD', KEYS[3], '*', 'bar', ARGV[i + 3])
    said[#said + 1] = 'new'
  end
end
return said
