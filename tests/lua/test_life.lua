-- What a script may ask for a hundred thousand times must not add up in memory.

local status = io.open("/proc/self/status")
if status then status:close() end
local flags = io.open((os.getenv("BUILD") or "build") .. "/flags")
local sanitized = flags and flags:read("a"):find("sanitize")    -- keeps what was freed
if flags then flags:close() end

local function resident()           -- MiB; 0 where nobody says
    collectgarbage()
    for line in status and not sanitized and io.lines("/proc/self/status") or function() end do
        local kib = line:match("^VmRSS:%s+(%d+)")
        if kib then return tonumber(kib) / 1024 end
    end
    return 0
end

local setting = { model = "llama-3.1-8b", device = "rtx-4090", precision = "int8", seq = 8192 }
local function ask(change)
    for k, v in pairs(setting) do if change[k] == nil then change[k] = v end end
    return memory(change)
end

local function adds_less_than(mib, n, call) -- once what may be kept is there
    for i = 1, n // 2 do call(i) end
    local before = resident()
    for i = n // 2, n do call(i) end
    local more = resident() - before
    assert(more < mib, ("%d calls left %.1f MiB"):format(n, more))
end

-- Each size that was ever named was kept.
test("the sizes of three thousand devices are not kept", function()
    adds_less_than(3, 3000, function(i) ask { device = 24000000000 + i } end)
end)

-- The collector did not know what a model holds, and came too late.
test("twenty thousand models given as tables are given back", function()
    adds_less_than(20, 20000, function(i)
        ask { model = { params = 7e9 + i, hidden_size = 4096, num_hidden_layers = 32 } }
    end)
end)

test("the rows of forty sweeps are given back", function()
    adds_less_than(30, 40, function()
        local s = sweep { model = "llama-3.1-8b", device = "rtx-4090", precision = "int8",
            seq = range(1, 300), batch = range(1, 300) }
        assert(tostring(s):find("90 000 rows", 1, true))
    end)
end)

test("names that were forgotten are read again, with the same answer", function()
    local first = ask {}.total
    for i = 1, 1100 do ask { model = ("org%d/llama-3.1-8b"):format(i) } end
    equal(ask {}.total, first)
end)

-- 50^15 values were to be copied.
test("a table whose parts are shared is refused when it is too large", function()
    local shared = { 1 }
    for _ = 1, 14 do
        local wider = {}
        for i = 1, 50 do wider[i] = shared end
        shared = wider
    end
    raises(function()
        ask { model = { params = 7e9, hidden_size = 4096, num_hidden_layers = 32, x = shared } }
    end, "model: a table of more than 64 MiB")
end)
