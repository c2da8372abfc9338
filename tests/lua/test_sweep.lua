-- Sweeps: every cell is what memory{} says, filters are what filtering by hand gives.

local spec = { model = { "llama-3.1-8b", "gemma-3-27b", "mixtral-8x7b" },
    device = { "rtx-4090", "2x a100-sxm-80gb", "3x l4" },
    precision = { "fp16", "int4" }, kv = { "fp16", "q8_0" }, seq = powers(1024, 16384),
        batch = { 1, 3 } }

local function alone(row)
    return pcall(memory, { model = row.model, device = row.device, precision = row.precision,
        kv = row.kv,
        seq = row.seq, batch = row.batch })
end

test("every row is what memory says of the same options", function()
    local s = sweep(spec)
    equal(#s, 3 * 3 * 2 * 2 * 5 * 2)
    for _, row in ipairs(s) do
        local ok, m = alone(row)
        if ok then
            equal(row.total, m.total)
            equal(row.free, m.free)
            equal(row.fits, m.fits)
        else
            equal(row.total, nil)
            equal(row.reason, m)
        end
    end
end)

test("conditions keep what a loop would keep", function()
    local kept, n = sweep(spec):where { fits = true, seq = { min = 4096 } }, 0
    for _, row in ipairs(sweep(spec)) do
        if row.fits and row.seq >= 4096 then n = n + 1 end
    end
    equal(#kept, n)
    equal(kept:count(), n)
    equal(sweep(spec):where { fits = true,
        seq = { min = 4096 } }:where(function(r) return r.batch == 3 end):count(),
        sweep(spec):where { fits = true, seq = { min = 4096 }, batch = 3 }:count())
    equal(#sweep(spec):where { device = "rtx*" }, 3 * 2 * 2 * 5 * 2)
end)

test("the best of each group and the top rows", function()
    local best = sweep(spec):where { fits = true }:group("device"):best("params")
    equal(#best, 2)                       -- three ranks do not divide any of the models' heads
    equal(best[1].device, "rtx-4090")
    equal(best[1].model, "mixtral-8x7b")  -- 46.7e9 in int4 are 21.75 of 23.52 GiB
    equal(best[1].precision, "int4")
    equal(best[2].device, "2x a100-sxm-80gb")
    equal(best[2].precision, "fp16")
    local top = sweep(spec):where { fits = true }:top(3, "total")
    equal(#top, 3)
    assert(top[1].total >= top[2].total and top[2].total >= top[3].total)
end)

test("a function of the others is one more axis", function()
    local s = sweep { model = "llama-3.1-8b", device = "rtx-4090", precision = { "fp16", "int4" },
        batch = { 1, 2 },
        seq = function(o) return 1000 * o.batch end }
    equal(#s, 4)
    for _, row in ipairs(s) do
        equal(row.seq, 1000 * row.batch)
        equal(row.total, memory { model = "llama-3.1-8b", device = "rtx-4090",
            precision = row.precision,
            batch = row.batch, seq = row.seq }.total)
    end
end)

test("solved columns are what solving says", function()
    for _, row in ipairs(sweep { model = "llama-3.1-8b", device = "rtx-4090",
        precision = { "fp16", "int4" },
        seq = { 2048, 8192 }, show = { "maxbatch", "kv" } }) do
        equal(row.maxbatch, maxbatch { model = "llama-3.1-8b", device = "rtx-4090",
            precision = row.precision, seq = row.seq })
        equal(row.kv, 131072 * row.seq)
    end
end)

test("a sweep is written whole, as csv, json and markdown", function()
    local s = sweep { model = "llama-3.1-8b", device = { "rtx-4090", "3x l4" }, precision = "fp16",
        seq = 1000 }
    local m = memory { model = "llama-3.1-8b", device = "rtx-4090", precision = "fp16", seq = 1000 }
    equal(s:csv(), "model,precision,device,seq,batch,total,free,fits,\"reason\"\n"
        .. "llama-3.1-8b,fp16,rtx-4090,1000,1," .. m.total .. "," .. m.free .. ",TRUE,\n"
        .. "llama-3.1-8b,fp16,3x l4,1000,1,,,,\"tp=3 does not divide the 32 attention heads of llama-3.1-8b\"")
    local path = os.tmpname()
    s:csv(path)
    local file = assert(io.open(path))
    equal(file:read("a"), s:csv() .. "\n")
    file:close()
    os.remove(path)
    raises(function() s:csv("/no/such/folder/x.csv") end, "cannot write /no/such/folder")
    assert(s:json():find('"reason":"tp=3', 1, true))
    assert(s:markdown():find("| llama-3.1-8b |", 1, true), s:markdown())
end)

test("wrong options are refused", function()
    raises(function() sweep { modle = 1 } end, "no option \"modle\"; did you mean \"model\"?")
    raises(function() sweep { model = "nothing*", device = "rtx-4090" } end,
        "no model matches \"nothing*\"")
    raises(function() sweep { model = "gpt2", show = { "size" } } end, "no column \"size\"")
    raises(function() sweep { model = "gpt2", seq = {} } end, "seq is an empty list")
end)

test("range and powers", function()
    equal(range(1, 5), { 1, 2, 3, 4, 5 })
    equal(range(0, 10, 5), { 0, 5, 10 })
    equal(powers("1Ki", 8192), { 1024, 2048, 4096, 8192 })
end)

test("without a device nothing is compared, and what would compare is refused", function()
    local s = sweep { model = "llama-3.1-8b", precision = "fp16", seq = { 1024, 2048 } }
    equal(#s, 2)
    equal(s[1].fits, nil)
    equal(s[1].reason, nil)
    equal(s[1].total, memory { model = "llama-3.1-8b", precision = "fp16", seq = 1024 }.total)
    equal(s:where { fits = true }:count(), 0)
    raises(function() sweep { model = "llama-3.1-8b", show = { "fits" } } end,
        "fits needs a device")
end)

test("a row that cannot be says why, whichever column is shown first", function()
    local s = sweep { model = "llama-3.1-8b", device = "3x l4", precision = "fp16",
        show = { "params", "total" } }
    equal(s[1].params, 8030261248)
    equal(s[1].total, nil)
    assert(s[1].reason:find("tp=3 does not divide", 1, true), s[1].reason)
    assert(s:csv():find(',8030261248,,"tp=3 does not', 1, true), s:csv())
end)

test("a row that cannot be has no value, nor that of the row before", function()
    local s = sweep { model = "llama-3.1-8b", device = { "rtx-4090", "3x l4" }, precision = "fp16",
        show = { "total", "available", "free", "fits" } }
    for _, name in ipairs { "total", "available", "free", "fits" } do
        assert(s[1][name] ~= nil, name)
        equal(s[2][name], nil, name)
    end
end)

test("conditions and groups take options that vary, and sizes with their unit", function()
    local s = sweep(spec)
    equal(s:where { kv = "q8_0", fits = true }:count(),
        s:where(function(r) return r.kv == "q8_0" and r.fits end):count())
    equal(s:where { free = { min = "2GiB" } }:count(),
        s:where(function(r) return r.free and r.free >= 2 << 30 end):count())
    equal(s:where { free = { max = -1 } }:count(),
        s:where(function(r) return r.fits == false end):count())
    local best = s:where { fits = true }:group("kv"):best("total")
    equal(#best, 2)
    for _, row in ipairs(best) do
        for _, other in ipairs(s:where { fits = true, kv = row.kv }) do
            assert(other.total <= row.total)
        end
    end
    raises(function() s:where { colour = "red" } end, "no column \"colour\"")
    raises(function() s:group("colour") end, "an option that varies")
end)

test("top and group of rows already filtered by a function, and filters after them", function()
    local s = sweep(spec)
    local odd = s:where(function(r) return r.batch == 3 end)
    local best = odd:group("model"):best("total", "smallest")
    equal(#best, 3)
    for _, row in ipairs(best) do
        equal(row.batch, 3)
        for _, other in ipairs(odd) do
            assert(other.model ~= row.model or not other.total or other.total >= row.total)
        end
    end
    local top = s:where { fits = true }:top(5, "total")
    local after = top:where { batch = 3 }
    assert(#after <= 5)
    for _, row in ipairs(after) do equal(row.batch, 3) end
    equal(odd:top(2, "total")[1].total, odd:sort("total", "down")[1].total)
end)

test("every engine can be an axis", function()
    local names = {}
    for _, e in ipairs(engines().rows) do names[#names + 1] = e.name end
    local s = sweep { model = "llama-3.1-8b", device = "rtx-4090", precision = "fp16",
        engine = "all", seq = 4096 }
    equal(#s, #names)
    for i, row in ipairs(s) do
        equal(row.engine, names[i])
        equal(row.total, memory { model = "llama-3.1-8b", device = "rtx-4090", precision = "fp16",
            engine = names[i], seq = 4096 }.total)
    end
end)

local function lines_of(path)
    local n, last = 0, nil
    for line in io.lines(path) do n, last = n + 1, line end
    return n, last
end

test("rows stream to a file in slices, the same as written at once", function()
    local o = { model = { "llama-3.1-8b", "gpt2" }, device = { "rtx-4090", "3x l4", "h100-sxm" },
        precision = { "fp16", "int4" }, kv = { "fp16", "q8_0" }, seq = range(1, 200),
        batch = range(1, 150) }        -- 720 000 points: three slices
    local path = os.tmpname()
    local s = sweep(o)
    equal(#s, 720000)                   -- stored, then written from there
    s:csv(path)
    local file = assert(io.open(path))
    local whole = file:read("a")
    file:close()
    o.to = path
    local written = sweep(o)
    file = assert(io.open(path))
    assert(whole == file:read("a"), "the stream differs from the stored rows")
    file:close()
    equal(tostring(written), "720 000 rows in " .. path)
    equal((lines_of(path)), 720001)
    equal(io.open(path .. ".part"), nil)
    os.remove(path)
end)

test("a file that cannot be written leaves nothing and the old one as it was", function()
    local folder = os.tmpname()
    os.remove(folder)
    raises(function() sweep { model = "gpt2", device = "rtx-4090", to = folder .. "/x.csv" } end,
        "cannot write " .. folder)
    if io.open("/dev/full") then        -- every write to it says that the disk is full
        local path = os.tmpname()
        local file = assert(io.open(path, "w"))
        file:write("old")
        file:close()
        os.execute("ln -s /dev/full " .. path .. ".part")
        raises(function() sweep { model = "gpt2", device = "rtx-4090", seq = range(1, 1000),
            batch = range(1, 100), to = path } end, "No space left")
        equal(io.open(path):read("a"), "old")
        equal(io.open(path .. ".part"), nil)
        os.remove(path)
    end
end)

test("every block of docs/sweeps.md runs", function()
    local file = assert(io.open("docs/sweeps.md"))
    local text, n = file:read("a"), 0
    file:close()
    local env = setmetatable({ print = function(...)
        for _, v in ipairs { ... } do assert(#tostring(v) > 0) end
    end }, { __index = _G })
    for block in text:gmatch("```lua\n(.-)```") do
        n = n + 1
        assert(load(block, "=block " .. n .. " of docs/sweeps.md", "t", env))()
    end
    equal(n, 6)
end)

test("rows and conditions meet under one name whatever was typed", function()
    local rows = sweep { model = { "llama3.1:8b", "qwen3-8b" }, device = { "4090", "24GiB" }, precision = "fp16" }
    equal(#rows:where { device = "rtx-4090" }, 2)
    equal(#rows:where { device = "4090", model = "llama-3.1-8b" }, 1)
    equal(rows[1].device, memory { model = "llama-3.1-8b", device = "4090", precision = "fp16" }.device)
    raises(function() sweep { model = "qwen3-8b", device = "4O90" } end, "no device \"4O90\"")
end)

test("sorting by a column that is not there is refused", function()
    local rows = sweep { model = "qwen3-8b", device = "4090", precision = { "fp16", "int4" } }
    equal(rows:sort("total")[1].precision, "int4")
    equal(rows:sort("precision")[1].precision, "fp16")
    raises(function() rows:sort("tootal") end, "sort: no column \"tootal\"")
end)
