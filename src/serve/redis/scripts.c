/* scripts.c - every change of a job, as a script that Redis runs whole or not at all.
 *
 * Keys, all under "dreamo:" -
 *   queue:MODEL     stream of job ids with one consumer group, "workers"; an entry stays until its job has ended, pending with the worker that has it
 *   job:ID          hash: the job; `entry` is its place in the stream, `event` the number of its last event, `left` 1 when its worker shall stop
 *   request:ID, uses:ID (the uploads it needs), image:ID:N, preview:ID
 *   upload:SHA256, needs:SHA256 (the jobs that need it: as long as there is one, the upload has no time to live)
 *   shows:SHA256    the jobs of which a picture lies in the shared folder under this name
 *   once:WHO\nKEY   Idempotency-Key: "BODYHASH ID", for a day
 *   counts:MODEL    hash: how many jobs are in each state
 *   events          stream of what is told about all jobs, bounded; every front reads it
 *   worker:NAME, workers (sorted by when they were last heard)
 * A worker's changes name the worker and the try: one whose job was given to another changes nothing any more.  The clock is Redis's. */
#include "serve/redis/keep.h"

#define QUEUED "'0'"
#define RUNNING "'1'"

#define SHARED                                                                                                       \
    "local P = 'dreamo:'\n"                                                                                          \
    "local call = redis.call\n"                                                                                      \
    "local function now() local t = call('TIME') return t[1] * 1000 + math.floor(t[2] / 1000) end\n"                 \
    "local function queue(model) return P..'queue:'..model end\n"                                                    \
    "local function group(q) redis.pcall('XGROUP', 'CREATE', q, 'workers', '0', 'MKSTREAM') end\n" /* BUSYGROUP: it is there */ \
    "local function move(id, to)\n"                                                                                  \
    "  local v = call('HMGET', P..'job:'..id, 'model', 'state')\n"                                                   \
    "  call('HINCRBY', P..'counts:'..v[1], v[2], -1)\n"                                                              \
    "  call('HINCRBY', P..'counts:'..v[1], to, 1)\n"                                                                 \
    "  call('HSET', P..'job:'..id, 'state', to)\n"                                                                   \
    "end\n"                                                                                                          \
    "local function tell(id, name, data, last)\n"                                                                    \
    "  local n = call('HINCRBY', P..'job:'..id, 'event', 1)\n"                                                       \
    "  call('XADD', P..'events', 'MAXLEN', '~', 10000, '*', 'job', id, 'event', n, 'name', name, 'data', data, 'last', last)\n" \
    "end\n"                                                                                                          \
    "local function finish(id, to, status, message, hint, json)\n"                                                   \
    "  local j = P..'job:'..id\n"                                                                                    \
    "  local v = call('HMGET', j, 'model', 'entry', 'keep', 'count', 'event')\n"                                     \
    "  local keep = tonumber(v[3])\n"                                                                                \
    "  if tonumber(v[5]) == 0 then call('HSET', j, 'event', 1) end\n" /* 1 is "queued" */                            \
    "  move(id, to)\n"                                                                                               \
    "  call('XACK', queue(v[1]), 'workers', v[2])\n"                                                                 \
    "  call('XDEL', queue(v[1]), v[2])\n"                                                                            \
    "  call('HSET', j, 'ended', now(), 'status', status, 'message', message, 'hint', hint)\n"                        \
    "  call('EXPIRE', j, keep * 10)\n"                                                                               \
    "  call('EXPIRE', P..'request:'..id, keep)\n"                                                                    \
    "  for n = 0, tonumber(v[4]) - 1 do call('EXPIRE', P..'image:'..id..':'..n, keep) end\n"                         \
    "  for _, sha in ipairs(call('SMEMBERS', P..'uses:'..id)) do\n"                                                  \
    "    call('SREM', P..'needs:'..sha, id)\n"                                                                       \
    "    if call('SCARD', P..'needs:'..sha) == 0 then call('EXPIRE', P..'upload:'..sha, keep) end\n"                 \
    "  end\n"                                                                                                        \
    "  call('DEL', P..'uses:'..id)\n"                                                                                \
    "  tell(id, to == 2 and 'done' or 'error', json, 1)\n"                                                           \
    "end\n"                                                                                                          \
    "local function mine(id, worker, try)\n"                                                                         \
    "  local v = call('HMGET', P..'job:'..id, 'state', 'worker', 'tries')\n"                                         \
    "  return v[1] == " RUNNING " and v[2] == worker and v[3] == try\n"                                              \
    "end\n"

/* id model who request count keep queue once body uploads... -> "ok" position | "again" id | "full" n | "mismatch" | "upload" sha256 */
const char script_submit[] = SHARED
    "local id, model, who, request, count, keep, limit, once, body = unpack(ARGV)\n"
    "local j, c = P..'job:'..id, P..'counts:'..model\n"
    "local function waiting() return tonumber(call('HGET', c, 0) or 0) end\n"
    "local ahead = waiting() + tonumber(call('HGET', c, 1) or 0)\n"
    "if call('EXISTS', j) == 1 then return {'ok', ahead} end\n" /* our own, sent twice */
    "if once ~= '' then\n"
    "  local known = call('GET', P..'once:'..once)\n"
    "  if known then\n"
    "    if string.sub(known, 1, 64) ~= body then return {'mismatch'} end\n"
    "    return {'again', string.sub(known, 66)}\n"
    "  end\n"
    "end\n"
    "if waiting() >= tonumber(limit) then return {'full', waiting()} end\n"
    "for i = 10, #ARGV do if call('EXISTS', P..'upload:'..ARGV[i]) == 0 then return {'upload', ARGV[i]} end end\n"
    "for i = 10, #ARGV do\n"
    "  call('SADD', P..'needs:'..ARGV[i], id)\n"
    "  call('SADD', P..'uses:'..id, ARGV[i])\n"
    "  call('PERSIST', P..'upload:'..ARGV[i])\n"
    "end\n"
    "local entry = call('XADD', queue(model), '*', 'id', id)\n"
    "call('HSET', j, 'id', id, 'model', model, 'who', who, 'count', count, 'keep', keep, 'state', 0, 'tries', 0, 'created', now(), 'entry', entry,"
    " 'event', 0, 'images', 0)\n"
    "call('SET', P..'request:'..id, request)\n"
    "call('HINCRBY', c, 0, 1)\n"
    "if once ~= '' then call('SET', P..'once:'..once, body..' '..id, 'EX', 86400) end\n"
    "return {'ok', ahead}\n";

/* id -> id who state tries created started ended count images event status message hint request position; no such job: nothing */
const char script_get[] = SHARED
    "local j = P..'job:'..ARGV[1]\n"
    "local v = call('HMGET', j, 'id', 'who', 'state', 'tries', 'created', 'started', 'ended', 'count', 'images', 'event', 'status', 'message', 'hint',"
    " 'model', 'entry')\n"
    "if not v[1] then return false end\n"
    "local model, entry = v[14], v[15]\n"
    "v[14] = call('GET', P..'request:'..ARGV[1])\n"
    "v[15] = v[3] == " QUEUED " and #call('XRANGE', queue(model), '-', '('..entry) or 0\n" /* those that run are in it, too */
    "return v\n";

/* id status message hint json -> the state before */
const char script_cancel[] = SHARED
    "local id = ARGV[1]\n"
    "local was = call('HGET', P..'job:'..id, 'state')\n"
    "if was == " QUEUED " then finish(id, 4, ARGV[2], ARGV[3], ARGV[4], ARGV[5])\n"
    "elseif was == " RUNNING " then call('HSET', P..'job:'..id, 'left', 1) end\n"
    "return was\n";

/* sha256 width height data keep; data '': it lies in the shared folder */
const char script_upload_put[] = SHARED
    "local u = P..'upload:'..ARGV[1]\n"
    "if call('EXISTS', u) == 0 then call('HSET', u, 'sha256', ARGV[1], 'width', ARGV[2], 'height', ARGV[3]) end\n"
    "if ARGV[4] ~= '' then call('HSET', u, 'data', ARGV[4]) end\n"
    "if call('SCARD', P..'needs:'..ARGV[1]) == 0 then call('EXPIRE', u, ARGV[5]) end\n"
    "return 1\n";

/* sha256 -> 1 gone | 0 was not there | -1 needed */
const char script_upload_drop[] = SHARED
    "if call('SCARD', P..'needs:'..ARGV[1]) > 0 then return -1 end\n"
    "return call('DEL', P..'upload:'..ARGV[1])\n";

/* model worker idle-ms tries, and how a job ends that was cancelled: status message hint json, or was tried too often: the same four.
 * entry id: what XREADGROUP gave; none: look for a job whose worker has not been heard of for idle-ms.
 * -> id who tries created count request | nothing for us | 0: ended on the way, look again */
const char script_take[] = SHARED
    "local model, worker, idle, most = unpack(ARGV)\n"
    "local q, entry, id = queue(model), ARGV[13], ARGV[14]\n"
    "if not entry then\n"
    "  group(q)\n"
    "  local late = call('XPENDING', q, 'workers', 'IDLE', idle, '-', '+', 1)[1]\n"
    "  if not late then return false end\n"
    "  entry = late[1]\n"
    "  local got = call('XCLAIM', q, 'workers', worker, 0, entry)[1]\n"
    "  if not got then return 0 end\n"
    "  id = got[2][2]\n"
    "end\n"
    "local j = P..'job:'..id\n"
    "local v = call('HMGET', j, 'state', 'tries', 'left', 'count', 'event')\n"
    "if v[1] ~= " QUEUED " and v[1] ~= " RUNNING " then\n"
    "  call('XACK', q, 'workers', entry)\n"
    "  call('XDEL', q, entry)\n"
    "  return 0\n"
    "end\n"
    "if v[3] then finish(id, 4, ARGV[5], ARGV[6], ARGV[7], ARGV[8]) return 0 end\n"
    "if tonumber(v[2]) >= tonumber(most) then finish(id, 3, ARGV[9], ARGV[10], ARGV[11], ARGV[12]) return 0 end\n"
    "for n = 0, tonumber(v[4]) - 1 do call('DEL', P..'image:'..id..':'..n) end\n" /* of an earlier try */
    "local tries = v[2] + 1\n"
    "move(id, 1)\n"
    "call('HSET', j, 'worker', worker, 'tries', tries, 'started', now(), 'images', 0, 'event', math.max(v[5], tries * 65536 + 1))\n"
    "v = call('HMGET', j, 'id', 'who', 'tries', 'created', 'count')\n"
    "v[6] = call('GET', P..'request:'..id)\n"
    "return v\n";

/* id worker try, then name data of each event -> 1 | 0: not ours any more | -1: it shall stop.  Of previews the newest alone is kept, for a minute. */
const char script_tell[] = SHARED
    "local id = ARGV[1]\n"
    "if not mine(id, ARGV[2], ARGV[3]) then return 0 end\n"
    "for i = 4, #ARGV, 2 do\n"
    "  if ARGV[i] == 'preview' then\n"
    "    call('SET', P..'preview:'..id, ARGV[i + 1], 'EX', 60)\n"
    "    tell(id, ARGV[i], '', 0)\n"
    "  else tell(id, ARGV[i], ARGV[i + 1], 0) end\n"
    "end\n"
    "return call('HEXISTS', P..'job:'..id, 'left') == 1 and -1 or 1\n";

/* id worker try n sha256 width height data; data '': it lies in the shared folder */
const char script_image_put[] = SHARED
    "local id, worker, try, n = unpack(ARGV)\n"
    "if not mine(id, worker, try) then return 0 end\n"
    "local i = P..'image:'..id..':'..n\n"
    "call('HSET', i, 'sha256', ARGV[5], 'width', ARGV[6], 'height', ARGV[7])\n"
    "if ARGV[8] ~= '' then call('HSET', i, 'data', ARGV[8]) else call('SADD', P..'shows:'..ARGV[5], id) end\n"
    "call('HSET', P..'job:'..id, 'images', n + 1)\n"
    "return 1\n";

/* id worker try state status message hint json */
const char script_finish[] = SHARED
    "if not mine(ARGV[1], ARGV[2], ARGV[3]) then return 0 end\n"
    "finish(ARGV[1], tonumber(ARGV[4]), ARGV[5], ARGV[6], ARGV[7], ARGV[8])\n"
    "return 1\n";

/* id worker try: the entry goes to nobody, and looks as if it had been left there for a day: the next that looks has it. */
const char script_put_back[] = SHARED
    "local id = ARGV[1]\n"
    "if not mine(id, ARGV[2], ARGV[3]) then return 0 end\n"
    "local v = call('HMGET', P..'job:'..id, 'model', 'entry')\n"
    "move(id, 0)\n"
    "call('HINCRBY', P..'job:'..id, 'tries', -1)\n"
    "call('HDEL', P..'job:'..id, 'started', 'worker')\n"
    "call('XCLAIM', queue(v[1]), 'workers', 'nobody', 0, v[2], 'IDLE', 86400000, 'JUSTID')\n"
    "return 1\n";

/* sha256 -> 1 | 0: is the file of the shared folder needed?  By an upload, or by a job whose results are still kept. */
const char script_needed[] = SHARED
    "local s = P..'shows:'..ARGV[1]\n"
    "if call('EXISTS', P..'upload:'..ARGV[1]) == 1 then return 1 end\n"
    "for _, id in ipairs(call('SMEMBERS', s)) do\n"
    "  if call('EXISTS', P..'request:'..id) == 1 then return 1 end\n"
    "  call('SREM', s, id)\n"
    "end\n"
    "return 0\n";

/* worker seconds-to-live model json id try: I am here, and my job is mine -> 1 | 0: not mine any more | -1: it shall stop */
const char script_beat[] = SHARED
    "local worker, live, model, json, id, try = unpack(ARGV)\n"
    "call('SET', P..'worker:'..worker, json, 'EX', live)\n"
    "call('ZADD', P..'workers:'..model, now(), worker)\n"
    "if id == '' then return 1 end\n"
    "if not mine(id, worker, try) then return 0 end\n"
    "local v = call('HMGET', P..'job:'..id, 'entry', 'left')\n"
    "call('XCLAIM', queue(model), 'workers', worker, 0, v[1], 'JUSTID')\n"
    "return v[2] and -1 or 1\n";

/* model worker: a worker says good-bye; what it may have left pending keeps it in the group, until that is claimed. */
const char script_leave[] = SHARED
    "call('DEL', P..'worker:'..ARGV[2])\n"
    "call('ZREM', P..'workers:'..ARGV[1], ARGV[2])\n"
    "group(queue(ARGV[1]))\n"
    "if #call('XPENDING', queue(ARGV[1]), 'workers', '-', '+', 1, ARGV[2]) == 0 then call('XGROUP', 'DELCONSUMER', queue(ARGV[1]), 'workers', ARGV[2]) end\n"
    "return 1\n";

/* model -> what each of its workers says of itself; those that are not heard any more are forgotten, with what stands in the group. */
const char script_workers[] = SHARED
    "local list, q = {}, queue(ARGV[1])\n"
    "for _, name in ipairs(call('ZRANGE', P..'workers:'..ARGV[1], 0, -1)) do\n"
    "  local json = call('GET', P..'worker:'..name)\n"
    "  if json then list[#list + 1] = json else call('ZREM', P..'workers:'..ARGV[1], name) end\n"
    "end\n"
    "group(q)\n"
    "for _, c in ipairs(call('XINFO', 'CONSUMERS', q, 'workers')) do\n"
    "  if c[4] == 0 and c[6] > 3600000 then call('XGROUP', 'DELCONSUMER', q, 'workers', c[2]) end\n"
    "end\n"
    "return list\n";
