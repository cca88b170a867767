-- Looks at a window without touching it.
--
-- KEYS[1]  the window
--
-- Returns its version, how many messages it holds and its time to live in milliseconds (-1: for
-- ever); nil where there is no window.

local key = KEYS[1]
local last = redis.pcall('LINDEX', key, -1)
local version = type(last) == 'string' and string.match(last, '^%["1[.^]","(%d+)","%d+",')
if not version then
    return false
end
return {version, redis.call('LLEN', key), redis.call('PTTL', key)}
