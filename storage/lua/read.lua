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
-- News come last; a single one may also belong before the newest few, as a reply does whose thread
-- went on while it was written.
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

-- Puts the one that came late before those of the newest few that are newer. False where that is no
-- place for it: it is there already, or belongs before all that is looked at.
local function insert(late, at)
    local newest = redis.call('LRANGE', key, -16, -1)
    local kept = #newest
    while kept > 0 do
        local place = string.match(newest[kept], '^%["1[.^]","%d+","(%d+)",')
        if not place or place == at then
            return false
        end
        if place < at then
            break
        end
        kept = kept - 1
    end
    if kept == 0 then
        return false
    end
    redis.call('LTRIM', key, 0, kept - #newest - 1)
    redis.call('RPUSH', key, late)
    for each = kept + 1, #newest do
        local element = newest[each]
        if each == #newest then
            -- The last one carries the version: 20 digits behind the mark.
            element = string.sub(element, 1, 7) .. ARGV[1] .. string.sub(element, 28)
        end
        redis.call('RPUSH', key, element)
    end
    return true
end

local lacks_news = ARGV[6] ~= '' and position and position < ARGV[6]
if lacks_news and version == ARGV[2] then
    for from = 7, #ARGV, 500 do
        redis.call('RPUSH', key, unpack(ARGV, from, math.min(from + 499, #ARGV)))
    end
    redis.call('LTRIM', key, -tonumber(ARGV[4]), -1)
elseif version == ARGV[2] and #ARGV == 7 and insert(ARGV[7], ARGV[6]) then
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
