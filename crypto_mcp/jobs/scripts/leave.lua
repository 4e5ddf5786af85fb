-- A worker that stops gives back what it has. What it had begun does not count as an attempt.
-- KEYS 1 worker key; ARGV 1 worker, 2 record_ttl, 3.. lists; returns how many went back
local lists = {}
for i = 3, #ARGV do lists[#lists + 1] = ARGV[i] end
local count = return_all(ARGV[1], lists, true, ARGV[2])
redis.call('DEL', KEYS[1], 'cancels:' .. ARGV[1])
return count
