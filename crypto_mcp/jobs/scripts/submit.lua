-- A job enters: record, envelope on its list, index. Or the caller joins the job that already is what it asks for.
-- KEYS 1 list, 2 idempotency key or ''
-- ARGV 1 id, 2 envelope, 3 kind, 4 digest, 5 client, 6 trace, 7 reply_to, 8 watcher channel, 9 recent_max,
--      10 idempotency ttl, 11 '1' if equal requests in flight may be joined, 12 the client's share or 0, 13 how many of its
--      jobs may wait beyond it, 14 how many jobs may wait for the list or 0, 15 envelope that follows its end or ''
-- returns {'new'|'joined'|'conflict'|'full'|'crowded', id, state}
local id, digest, watcher = ARGV[1], ARGV[4], ARGV[8]
local key = job_key(id)
local share, whose = tonumber(ARGV[12]), ARGV[3] .. ':' .. ARGV[5]
local SETTLED_MS = 10000

-- The envelope that follows a job, which names it.
local function after(id)
  return (string.gsub(ARGV[15], '"job_id":"@job"', '"job_id":"' .. id .. '"'))
end

-- Whoever joins a job that another client is held back with does not wait behind all of that client's.
local function join(other)
  local held = redis.call('HGET', job_key(other), 'held')
  if held and held ~= whose and (share == 0 or redis.call('SCARD', 'share:' .. whose) < share) then
    redis.call('LREM', 'held:' .. held, -1, other)
    step_forward(other, whose)
  end
  watch(other, watcher)
  admit(other, ARGV[5])
  if ARGV[15] ~= '' then
    local was = redis.call('HMGET', job_key(other), 'state', 'after')
    local mine, others = after(other) .. '\n', was[2] or ''
    if is_finished(was[1]) then
      follow_up(mine)
    elseif not string.find(others, mine, 1, true) then
      redis.call('HSET', job_key(other), 'after', others .. mine)
    end
  end
  return { 'joined', other, redis.call('HGET', job_key(other), 'state') }
end

-- Whether a job should wait on its list and does not: somebody deleted the list, and who joined would wait for ever.
-- Not asked of young ones, which may be on their way to a worker; searched from the end where the old ones are.
local function vanished(other)
  local was = redis.call('HMGET', job_key(other), 'state', 'submitted_at', 'list', 'envelope', 'held')
  return was[1] == 'queued' and not was[5] and now_ms() - tonumber(was[2]) > SETTLED_MS
    and not redis.call('LPOS', was[3], was[4], 'RANK', -1)
end

if KEYS[2] ~= '' then
  local known = redis.call('GET', KEYS[2])
  if known then
    local other, used_for = string.match(known, '^(%S+) (%S+)$')
    if used_for ~= digest then return { 'conflict', other, '' } end
    if redis.call('EXISTS', job_key(other)) == 1 and not vanished(other) then return join(other) end
  end
end

if redis.call('EXISTS', key) == 1 then return join(id) end

if ARGV[11] == '1' then
  local other = redis.call('GET', 'same:' .. digest)
  if other then
    local was = redis.call('HMGET', job_key(other), 'state', 'cancel')
    -- Not one that is being cancelled: who asks now wants an answer.
    if was[1] and not is_finished(was[1]) and not was[2] and not vanished(other) then
      if KEYS[2] ~= '' then redis.call('SET', KEYS[2], other .. ' ' .. digest, 'EX', ARGV[10]) end
      return join(other)
    end
  end
end

if ARGV[14] ~= '0' and redis.call('LLEN', KEYS[1]) + tonumber(redis.call('HGET', 'held:lengths', KEYS[1]) or '0')
  >= tonumber(ARGV[14]) then return { 'full', '', '' } end
if share > 0 and redis.call('LLEN', 'held:' .. whose) >= tonumber(ARGV[13]) then return { 'crowded', '', '' } end

if ARGV[11] == '1' then redis.call('SET', 'same:' .. digest, id) end
local at = now_ms()
redis.call('HSET', key, 'state', 'queued', 'kind', ARGV[3], 'list', KEYS[1], 'envelope', ARGV[2], 'digest', digest,
  'client', ARGV[5], 'trace', ARGV[6], 'reply_to', ARGV[7], 'submitted_at', at, 'attempts', 0)
if ARGV[15] ~= '' then redis.call('HSET', key, 'after', after(id) .. '\n') end
watch(id, watcher)
remember(id, at, ARGV[9])
if KEYS[2] ~= '' then redis.call('SET', KEYS[2], id .. ' ' .. digest, 'EX', ARGV[10]) end
if share == 0 then
  redis.call('LPUSH', KEYS[1], ARGV[2])
else
  redis.call('HSET', key, 'share', share, 'held', whose)
  redis.call('LPUSH', 'held:' .. whose, id)
  redis.call('HINCRBY', 'held:lengths', KEYS[1], 1)
  -- Of a list that somebody deleted the share must not stay full for ever.
  if redis.call('SCARD', 'share:' .. whose) >= share then
    local counted = redis.call('SRANDMEMBER', 'share:' .. whose)
    if vanished(counted) then redis.call('SREM', 'share:' .. whose, counted) end
  end
  let_through(whose)
end
tell(id, 'queued')
return { 'new', id, 'queued' }
