-- Notes a call in a client's session. KEYS 1 session; ARGV 1 last call JSON, 2 job id or '', 3 symbol or '', 4 ttl
local function newest(field, value, most)
  if value == '' then return end
  local kept = { value }
  for _, old in ipairs(cjson.decode(redis.call('HGET', KEYS[1], field) or '[]')) do
    if old ~= value and #kept < most then kept[#kept + 1] = old end
  end
  redis.call('HSET', KEYS[1], field, cjson.encode(kept))
end

redis.call('HSET', KEYS[1], 'last', ARGV[1])
newest('jobs', ARGV[2], 20)
newest('symbols', ARGV[3], 10)
redis.call('EXPIRE', KEYS[1], ARGV[4])
return 1
