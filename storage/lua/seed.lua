-- Puts a whole window, unless a newer one of this format is there.
--
-- KEYS[1]  the window
-- ARGV[1]  its version
-- ARGV[2]  time to live, milliseconds
-- ARGV[3+] its messages, encoded
--
-- Returns 1 where it was put, 0 where a newer one stays.

local key = KEYS[1]
local unpack = table.unpack or unpack -- Lua 5.4 (Dragonfly) has the first alone, 5.1 (Redis) the second
local last = redis.pcall('LINDEX', key, -1)
if type(last) == 'string' then
    local version = string.match(last, '^%["1[.^]","(%d+)","%d+",')
    if version and #version == #ARGV[1] and version > ARGV[1] then
        return 0
    end
end

-- Only what is there is deleted: once a script has written, Redis lets it exceed the memory limit.
if last then
    redis.call('DEL', key)
end
for from = 3, #ARGV, 500 do
    redis.call('RPUSH', key, unpack(ARGV, from, math.min(from + 499, #ARGV)))
end
redis.call('PEXPIRE', key, ARGV[2])
return 1
