-- Counts one more in a window of time that begins with the first: KEYS[1], ARGV[1] milliseconds.
local count = redis.call('INCR', KEYS[1])
if count == 1 or redis.call('PTTL', KEYS[1]) < 0 then
  redis.call('PEXPIRE', KEYS[1], ARGV[1])
end
return count
