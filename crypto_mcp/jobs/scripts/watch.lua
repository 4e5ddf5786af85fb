-- A front end wants to hear of a job that it did not submit.
-- ARGV 1 id, 2 channel; returns the state, or 'unknown'
local state = redis.call('HGET', job_key(ARGV[1]), 'state')
if not state then return 'unknown' end
if not is_finished(state) then watch(ARGV[1], ARGV[2]) end
return state
