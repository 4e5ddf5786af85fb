-- Nobody asks for so long. A shorter stop does not end a longer one.
-- KEYS: stop. ARGV: ms, why.
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[1]) then redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[1]) end
return 1
