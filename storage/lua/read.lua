-- Reads the window of one session, after appending news to it where they fit.
--
-- KEYS[1]  the window
-- ARGV[1]  the version that the window shall show
-- ARGV[2]  the version just before
-- ARGV[3]  time to live, milliseconds
-- ARGV[4]  most messages of a window
-- ARGV[5]  '1': return the window
-- ARGV[6]  position of the first of the news, '' for none
-- ARGV[7+] the news, encoded: at most ARGV[4] of them, the newest
--
-- Returns nil where there is no window, 0 where it shows another version, 1 where it shows the
-- one asked for; with ARGV[5] the window itself in place of 1, as one JSON array.

local key = KEYS[1]
local unpack = table.unpack or unpack -- Lua 5.4 (Dragonfly) has the first alone, 5.1 (Redis) the second
local last = redis.pcall('LINDEX', key, -1)
if type(last) ~= 'string' then
    return false
end
local version, position = string.match(last, '^%["1[.^]","(%d+)","(%d+)",')

local lacks_news = ARGV[6] ~= '' and position and position < ARGV[6]
if lacks_news and version == ARGV[2] then
    for from = 7, #ARGV, 500 do
        redis.call('RPUSH', key, unpack(ARGV, from, math.min(from + 499, #ARGV)))
    end
    redis.call('LTRIM', key, -tonumber(ARGV[4]), -1)
elseif lacks_news or version ~= ARGV[1] then
    -- A window of this version that lacks its news comes from before a backup was restored.
    return 0
end
redis.call('PEXPIRE', key, ARGV[3])
if ARGV[5] ~= '1' then
    return 1
end
return '[' .. table.concat(redis.call('LRANGE', key, 0, -1), ',') .. ']'
