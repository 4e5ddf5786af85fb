-- Shared by every script: put in front of each by scripts.py. Key names must agree with keys.py.
local function now_ms()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

local function job_key(id) return 'job:' .. id end

local function is_finished(state)
  return state == 'done' or state == 'failed' or state == 'cancelled' or state == 'dead'
end

-- Tells whoever watches the job; a watcher re-reads the record, so the message only says which and what.
local function tell(id, state)
  local key = job_key(id)
  local watchers = redis.call('HGET', key, 'watchers')
  if watchers then
    for channel in string.gmatch(watchers, '%S+') do redis.call('PUBLISH', channel, id .. ' ' .. state) end
  end
  redis.call('PUBLISH', 'jobs:events', id .. ' ' .. state)
end

-- Leaves a line for a pusher that named a reply list; only its newest 100 lines are kept, for an hour.
-- pcall: a name that holds something else than a list must not stop a script half-way.
local function reply(reply_to, message)
  if not reply_to or reply_to == '' then return end
  local text = cjson.encode(message)
  if type(redis.pcall('LPUSH', reply_to, text)) == 'number' then
    redis.call('LTRIM', reply_to, 0, 99)
    redis.call('EXPIRE', reply_to, 3600)
  end
  redis.call('PUBLISH', reply_to, text)
end

local function remember(id, at, recent_max)
  redis.call('ZADD', 'jobs:recent', at, id)
  redis.call('ZREMRANGEBYRANK', 'jobs:recent', 0, -1 - recent_max)
end

local function watch(id, channel)
  if channel == '' then return end
  local key = job_key(id)
  local watchers = redis.call('HGET', key, 'watchers')
  if not watchers then
    redis.call('HSET', key, 'watchers', channel)
  elseif not string.find(' ' .. watchers .. ' ', ' ' .. channel .. ' ', 1, true) then
    redis.call('HSET', key, 'watchers', watchers .. ' ' .. channel)
  end
end

-- Whoever joined a job may read it as its submitter may.
local function admit(id, client)
  local key = job_key(id)
  local was = redis.call('HMGET', key, 'client', 'readers')
  if client == '' or client == was[1] or string.find(' ' .. (was[2] or '') .. ' ', ' ' .. client .. ' ', 1, true) then
    return
  end
  redis.call('HSET', key, 'readers', was[2] and was[2] .. ' ' .. client or client)
end

-- A client's share: of one kind it has at most so many jobs on the list or beyond (set share:{kind}:{client}); the ids of
-- the others wait, newest left, in held:{kind}:{client} and follow as the ones before them end. `whose` is {kind}:{client}.
local function step_forward(id, whose)
  local key = job_key(id)
  local was = redis.call('HMGET', key, 'list', 'envelope')
  redis.call('HDEL', key, 'held')
  redis.call('HSET', key, 'counted', whose)
  redis.call('SADD', 'share:' .. whose, id)
  redis.call('HINCRBY', 'held:lengths', was[1], -1)
  redis.call('LPUSH', was[1], was[2])
end

-- Lets through what fits into the share, and one more where the list is empty: nobody else would be kept waiting.
local function let_through(whose)
  while true do
    local id = redis.call('LINDEX', 'held:' .. whose, -1)
    if not id then return end
    local was = redis.call('HMGET', job_key(id), 'list', 'share')
    if redis.call('SCARD', 'share:' .. whose) >= tonumber(was[2]) and redis.call('LLEN', was[1]) > 0 then return end
    redis.call('RPOP', 'held:' .. whose)
    step_forward(id, whose)
  end
end

-- Ends, waits and run times by list and kind, for metrics and the autoscaler: fields "{list} {kind} {what}", all rising.
local function count_end(id, state, at)
  local was = redis.call('HMGET', job_key(id), 'list', 'kind', 'submitted_at', 'started_at', 'run_at')
  if not was[1] then return end
  local name = was[1] .. ' ' .. (was[2] or '') .. ' '
  redis.call('HINCRBY', 'jobs:stats', name .. state, 1)
  if was[3] and was[4] then redis.call('HINCRBY', 'jobs:stats', name .. 'wait_ms', math.max(0, was[4] - was[3])) end
  if was[5] then redis.call('HINCRBY', 'jobs:stats', name .. 'run_ms', math.max(0, at - was[5])) end
end

-- Jobs that follow the end of another: envelopes, one a line.
local function follow_up(after)
  for envelope in string.gmatch(after, '[^\n]+') do redis.call('LPUSH', 'notifications:queue', envelope) end
end

-- The end of a job's life: its record expires, equal requests no longer join it, watchers are told.
-- The caller has already taken it from list, desk or arriving.
local function close(id, state, record_ttl)
  local key = job_key(id)
  local was = redis.call('HMGET', key, 'digest', 'reply_to', 'worker', 'counted', 'after')
  local at = now_ms()
  count_end(id, state, at)
  redis.call('HSET', key, 'state', state, 'finished_at', at)
  redis.call('HDEL', key, 'envelope', 'not_before', 'cancel', 'resting', 'share', 'counted', 'held',
    'after')
  if was[5] then follow_up(was[5]) end
  if was[4] then
    redis.call('SREM', 'share:' .. was[4], id)
    let_through(was[4])
  end
  if state == 'done' then redis.call('HDEL', key, 'progress', 'words') end
  redis.call('EXPIRE', key, record_ttl)
  if was[1] and redis.call('GET', 'same:' .. was[1]) == id then redis.call('DEL', 'same:' .. was[1]) end
  if was[3] then redis.call('SREM', 'cancels:' .. was[3], id) end
  tell(id, state)
  local message = { job_id = id, state = state, answer = state == 'done' and 'answer:' .. id or nil }
  if state == 'failed' or state == 'dead' then
    local problem = redis.call('HGET', key, 'error')
    if problem then message.error = cjson.decode(problem) end
  end
  reply(was[2], message)
end

-- A fence: whether this worker's desk still holds the job, in this very attempt.
local function holds(desk, id, attempt)
  return redis.call('ZSCORE', desk, id) and redis.call('HGET', job_key(id), 'attempts') == attempt
end

-- Whether an earlier call of ours did the work and only its reply was lost.
local function already(id, worker, attempt)
  local was = redis.call('HMGET', job_key(id), 'state', 'worker', 'attempts')
  return was[1] and is_finished(was[1]) and was[2] == worker and was[3] == attempt
end

-- The number of the attempt that begins: of one that only rested the same again.
local function next_attempt(key)
  if redis.call('HDEL', key, 'resting') == 1 then return tonumber(redis.call('HGET', key, 'attempts')) end
  return redis.call('HINCRBY', key, 'attempts', 1)
end

-- Takes a job from a desk back to the right end of its list, where it is next.
local function return_to_list(desk, id, uncount, record_ttl)
  redis.call('ZREM', desk, id)
  local key = job_key(id)
  local was = redis.call('HMGET', key, 'list', 'envelope', 'cancel', 'state')
  if not was[2] then return end
  if was[3] then return close(id, 'cancelled', record_ttl) end
  if uncount and was[4] == 'running' then redis.call('HINCRBY', key, 'attempts', -1) end
  redis.call('HSET', key, 'state', 'queued')
  redis.call('RPUSH', was[1], was[2])
  tell(id, 'queued')
end

-- Everything a worker holds goes back, newest first, so that the oldest ends up next in line: what had only arrived,
-- then the desk.
local function return_all(worker, lists, uncount, record_ttl)
  local count = 0
  for _, list in ipairs(lists) do
    local arriving = 'arriving:' .. worker .. ':' .. list
    -- BLMOVE puts the newest arrival left; moving from the left keeps the oldest rightmost.
    while redis.call('LMOVE', arriving, list, 'LEFT', 'RIGHT') do count = count + 1 end
  end
  local desk = 'desk:' .. worker
  for _, id in ipairs(redis.call('ZREVRANGE', desk, 0, -1)) do
    return_to_list(desk, id, uncount, record_ttl)
    count = count + 1
  end
  return count
end
