-- What is done with the rows of a sweep: they stay in C, and what is read from a file or a table is
-- what the rows hold.

local function models_and_devices(more)
    local o = { model = { "llama-3.1-8b", "gemma-3-27b" }, device = { "rtx-4090", "3x l4", "l4" },
        precision = { "fp16", "int4" }, seq = powers(1024, 8192) }
    for k, v in pairs(more or {}) do o[k] = v end
    return sweep(o)
end

test("the best row of all is the first of the top list", function()
    local s = models_and_devices():where { fits = true }
    local best = s:best("params")
    equal(#best, 1)
    equal(best[1].model, "gemma-3-27b")
    equal(best[1].params, s:top(3, "params")[1].params)
    equal(s:best("free", "smallest")[1].free, s:sort("free")[1].free)
    raises(function() s:best("parms") end, "best: no column \"parms\"")
    raises(function() s:best("params", "least") end, "\"least\", expected largest or smallest")
end)

test("rows kept by a function or sorted are held outside of Lua", function()
    local s = sweep { model = "llama-3.1-8b", device = "rtx-4090", precision = "fp16",
        seq = range(1, 300), batch = range(1, 300) }
    equal(#s, 90000)
    collectgarbage()
    local before = collectgarbage("count")
    local kept = s:where(function(r) return r.batch % 2 == 0 end)
    local sorted = s:sort("free")
    local chosen = s:select("seq", "total")
    equal(#kept, 45000)
    equal(#sorted + #chosen, 180000)
    collectgarbage()
    assert(collectgarbage("count") - before < 100, collectgarbage("count") - before)   -- KiB
    equal(kept[45000].batch, 300)
end)

test("sorting goes by number, by name, and puts what is missing last", function()
    local s = models_and_devices { batch = { 10, 9 }, kv = { "q8_0", "fp16" } }
    local last
    for i, row in ipairs(s:sort("total", "down")) do
        assert(i == 1 or row.total == nil or row.total <= last)
        assert(last ~= nil or i == 1 or row.total == nil)
        last = row.total
    end
    equal(last, nil)                                    -- of "3x l4"
    equal(s:sort("device")[1].device, "3x l4")
    equal(s:sort("device", "down")[1].device, "rtx-4090")
    equal(s:sort("batch")[1].batch, 9)
    equal(s:sort("kv")[1].kv, "fp16")
    equal(s:sort("model")[1].precision, "fp16")         -- equals stay in their order
    raises(function() s:sort("total", "sideways") end, "expected up or down or asc or desc")
end)

test("options that vary keep their type, and text with a unit becomes its number", function()
    local s = sweep { model = "llama-3.1-8b", device = "rtx-4090", precision = "fp16",
        engine = "llama.cpp", chunk = { "2Ki", 512 }, reserve = { 0, "1GiB" },
        unified = { true, false } }
    local row = s:sort("chunk", "down")[1]
    equal(row.chunk, 2048)
    equal(row.reserve, 0)
    equal(row.unified, true)
    equal(s:where { chunk = 512, reserve = "1GiB", unified = false }:count(), 1)
    equal(s:where { chunk = "2Ki" }:where(function(r) return r.reserve == 1 << 30 end):count(), 2)
    assert(s:json():find('"chunk":2048', 1, true))
end)

test("a column that is not among the rows is evaluated when it is asked for", function()
    local s = models_and_devices()
    raises(function() s:select("modle") end, "select: no column \"modle\"; there are model, ")
    raises(function() s:select() end, "select takes columns")
    equal(s:select("model", "kv")[1].kv, memory { model = "llama-3.1-8b", device = "rtx-4090",
        precision = "fp16", seq = 1024 }.kv)
    local kept = s:where(function(r) return r.fits end)
    local row = kept:select("model", "kv")[2]
    equal(row.kv, memory { model = row.model, device = row.device, precision = row.precision, seq = row.seq }.kv)
    equal(kept:sort("kv", "down")[1].kv, kept:best("kv")[1].kv)
    equal(#kept:where { kv = { min = 1 << 30 } }, #s:where { fits = true, kv = { min = 1 << 30 } })
    equal(#kept:where(function() return false end):sort("kv"), 0)
    equal(kept:select("free", "model"):csv():match("^[^\n]*"), "free,model")
end)

test("selected columns are written in their order, with reasons only where there are any", function()
    local s = models_and_devices { model = "llama-3.1-8b", precision = "fp16", seq = 1000 }
    local free = s[1].free
    equal(s:where { device = "rtx-4090" }:select("free", "device"):csv(), "free,device\n" .. free .. ",rtx-4090")
    assert(s:select("free", "device"):csv():find('\n,3x l4,"tp=3 does not divide', 1, true))
    equal(json(s:select("free", "device")[1].device), '"rtx-4090"')
    equal(s:where { device = "rtx-4090" }:select("free"):json(), '[{"free":' .. free .. '}]')
    equal(s:where { free = { max = 0 } }:json(), "[]")
end)

test("conditions list lengths and batches, too, in the grid and of rows", function()
    local s = sweep { model = "llama-3.1-8b", device = "rtx-4090", precision = "fp16",
        seq = powers(1024, 8192), batch = range(1, 8) }
    equal(s:where { seq = { 1024, "2Ki" }, batch = { 1, 8, 9 } }:count(), 4)
    equal(#s:sort("total"):where { seq = { 1024, "2Ki" }, batch = { 1, 8, 9 } }, 4)
    raises(function() s:where { seq = { 5 } } end, "where: no seq of this sweep matches")
end)

test("rows that cannot be stay until a value is asked of them", function()
    local s = models_and_devices { model = "llama-3.1-8b", precision = "fp16" }
    local function refused(rows)
        local n = 0
        for _, row in ipairs(rows) do n = n + (row.reason and 1 or 0) end
        return n
    end
    equal(#s, 12)
    equal(s:count(), 12)
    equal(refused(s), 4)                                -- "3x l4", four lengths
    equal(refused(s:where { seq = { min = 4096 } }), 2)
    equal(s:where { seq = { min = 4096 } }:count(), 6)
    equal(s:where { params = { min = 1 } }:count(), 12)
    equal(s:where { total = { min = 1 } }:count(), 8)
    equal(refused(s:top(12, "params")), 0)
    equal(#s:sort("seq"):top(12, "params"), 8)
    equal(#s:group("device"):best("params"), 2)
    equal(#s:sort("seq"):group("device"):best("params"), 2)
    equal(json(s:group("device"):count()), json(s:where(function() return true end):group("device"):count()))
    equal(json(s:group("seq"):count()), json(s:where(function() return true end):group("seq"):count()))
end)

test("a sweep and the questions made of it print in the units their call asks for", function()
    local o = { model = "llama-3.1-8b", device = "rtx-4090", precision = "fp16", seq = 1024, units = "GB" }
    local total = ("%.2f"):format(memory(o).total / 1e9)
    local s = sweep(o)
    for _, text in ipairs { tostring(s), s:bars(), s:markdown(), tostring(s:pivot()), tostring(compare { o }),
        tostring(quant(o)), tostring(advise(o)) } do
        assert(text:find(total, 1, true), text)
        assert(not text:find("GiB", 1, true), text)
    end
    raises(function() sweep { model = "gpt2", units = "GX" } end, "units is GX, expected")
end)

test("a pivot has a line for all that varies, and says why a cell is empty", function()
    local s = models_and_devices { model = "llama-3.1-8b" }
    local p = s:pivot("seq", "device", "total")
    equal(#p.rows, 2 * 4)
    equal(p.rows[1].precision, "fp16")
    equal(p.rows[1].seq, 1024)
    equal(p.rows[1]["rtx-4090"], s[1].total)
    equal(p.rows[1]["3x l4"], nil)
    assert(tostring(p):find("\nempty where it cannot be: tp=3 does not divide", 1, true), tostring(p))
    equal(p:csv():match("^[^\n]*"), "precision,seq,rtx-4090,3x l4,l4")
    raises(function() s:pivot("seq", "devices") end, "pivot: no column \"devices\"")
end)

test("bars are named by what varies, or by a column in its unit", function()
    local s = models_and_devices { model = "llama-3.1-8b", seq = 1024, precision = { "fp16", "int4" } }
    local text = s:bars("free")
    assert(text:find("fp16, rtx-4090", 1, true), text)
    assert(not text:find("tp=3", 1, true))
    assert(s:bars("total", "free"):find("\n *15.61 GiB █"), s:bars("total", "free"))
    raises(function() s:where { device = "3x l4" }:bars() end, "bars: no row has total: tp=3 does not divide")
end)

test("rows that cannot be have no columns of nothing, and no unit of nothing", function()
    local text = tostring(models_and_devices():where { device = "3x l4", model = "llama-3.1-8b" })
    equal(text:match("^[^\n]*"), "model         precision  seq  reason")
    text = tostring(quant { model = "llama-3.1-8b", device = "3x l4" })
    assert(text:find("\nprecision  reason\n", 1, true), text)
end)

test("a configuration in a file is swept under its path", function()
    local folder = os.tmpname()
    os.remove(folder)
    os.execute("mkdir '" .. folder .. "'")
    local path = folder .. "/config.json"
    local file = assert(io.open(path, "w"))
    file:write('{"model_type":"llama","hidden_size":4096,"num_hidden_layers":32,"vocab_size":32000,'
        .. '"num_attention_heads":32,"intermediate_size":11008}')
    file:close()
    local s = sweep { model = { path, "gpt2" }, precision = "fp16", seq = 1024 }
    equal(s[1].model, path)
    equal(s[1].total, memory { model = path, precision = "fp16", seq = 1024 }.total)
    equal(s:where { model = path }:count(), 1)
    os.remove(path)
    os.remove(folder)
end)

-- CSV as a program without options reads it: what every cell of a column is decides its type.

local function cells_of(text)
    local records, record, i = {}, {}, 1
    while i <= #text do
        local cell, stop
        if text:sub(i, i) == '"' then
            stop = i
            repeat stop = text:find('"', stop + 1, true) + 1 until text:sub(stop, stop) ~= '"'
            cell = text:sub(i + 1, stop - 2):gsub('""', '"')
        else
            stop = text:find("[,\n]", i) or #text + 1
            cell = text:sub(i, stop - 1)
            assert(not cell:find('"', 1, true), cell)
        end
        record[#record + 1] = cell
        if text:sub(stop, stop) ~= "," then
            records[#records + 1], record = record, {}
        end
        i = stop + 1
    end
    return records
end

local function type_of(records, column)
    local found
    for i = 2, #records do
        local cell = records[i][column]
        local one = cell ~= "" and (cell:find("^%-?%d+$") and "whole" or cell:find("^%-?%d+%.%d+$") and "number"
            or (cell == "TRUE" or cell == "FALSE") and "truth" or "text") or nil
        assert(not (one and found) or one == found or one ~= "truth" and found ~= "truth",
            "column " .. records[1][column] .. " has " .. tostring(one) .. " after " .. tostring(found))
        if found == nil or one == "text" or one == "number" and found == "whole" then found = one or found end
    end
    return found
end

test("every column of a file has one type, names with commas and quotes come back", function()
    local folder = os.tmpname() .. ' "a, b" é'
    os.execute("mkdir '" .. folder .. "'")
    local path = folder .. "/config.json"
    local file = assert(io.open(path, "w"))
    file:write('{"model_type":"llama","hidden_size":4096,"num_hidden_layers":32,"vocab_size":32000,'
        .. '"num_attention_heads":32,"intermediate_size":11008}')
    file:close()
    local s = sweep { model = { "llama-3.1-8b", path, "mamba-2.8b" }, device = { "rtx-4090", "3x l4" },
        precision = { "fp16", "q4_k_m" }, kv = { "auto", { k = "q8_0", v = "q4_0" } },
        engine = { "generic", "llama.cpp", "vllm" }, chunk = { 512, "2Ki" }, utilization = { 0.9, 1 },
        unified = { true, false }, seq = { 1000, "32Ki" }, batch = { 1, 200 },
        show = { "total", "free", "fits", "params", "kv", "maxbatch", "maxseq" } }
    local records = cells_of(s:csv())
    records[1][#records[1]] = "reason"                  -- its name has the quotes it may hold
    os.remove(path)
    os.remove(folder)
    equal(#records, #s + 1)
    local types = {}
    for c, name in ipairs(records[1]) do types[name] = type_of(records, c) end
    equal(types, { model = "text", precision = "text", chunk = "whole", engine = "text",
        kv_format = "text", unified = "truth", utilization = "number", device = "text", seq = "whole",
        batch = "whole", total = "whole", free = "whole", fits = "truth", params = "whole",
        kv = "whole", maxbatch = "whole", maxseq = "whole", reason = "text" })
    local found = {}
    for i, record in ipairs(records) do
        equal(#record, #records[1])
        if i > 1 then found[record[1]] = true end
        assert(i == 1 or (record[#record] == "") == (record[#record - 7] ~= ""), table.concat(record, "|"))
    end
    assert(found[path], path)
end)

-- DuckDB judges columns, and whether there are quotes, by the first 20 480 rows.
test("a column's first rows tell its type, and the names of columns whether there are quotes", function()
    local function column(o, name)
        local rest = { model = "qwen3-30b-a3b", device = "l4", precision = "q4_k_m", seq = 64,
            engine = "llama.cpp" }
        for k, v in pairs(o) do rest[k] = v end
        local records, list = cells_of(sweep(rest):csv() .. "\n"), {}
        for c, title in ipairs(records[1]) do
            for r = 2, title == name and #records or 0 do list[r - 1] = records[r][c] end
        end
        return list
    end
    equal(column({ utilization = { 1, 0.5 } }, "utilization"), { "1.0", "0.5" })
    equal(column({ gpu_layers = { 3, 9 } }, "gpu_layers"), { "3", "9" })
    equal(column({ gpu_layers = { 3, "all" } }, "gpu_layers"), { "3 layers", "all" })
    equal(column({ cpu_moe = { 3, true, false } }, "cpu_moe"), { "3 layers", "all", "none" })
    equal(column({ cpu_moe = { true, false } }, "cpu_moe"), { "TRUE", "FALSE" })
    equal(column({ device = { 2 ^ 34, "l4", { memory = 10 ^ 10, count = 2 } }, engine = "generic" },
        "device"), { "16GiB", "l4", "2x 10000000000B" })
    local path = os.tmpname()
    sweep { model = "gpt2", device = "l4", precision = "fp16", utilization = { 1, 0.5 },
        seq = range(1, 1000), batch = range(1, 300), to = path }        -- three slices
    local ones = 0
    for line in io.lines(path) do ones = ones + (line:find(",1.0,l4,", 1, true) and 1 or 0) end
    os.remove(path)
    equal(ones, 300000)
    local s = sweep { model = "gpt2", device = { "l4", "m3-24gb" }, engine = "vllm", seq = 64 }
    assert(s:csv():find(',fits,"reason"\n', 1, true))
end)
