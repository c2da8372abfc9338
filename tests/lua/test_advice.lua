-- The reverse questions, on a model whose sizes are worked out by hand: 7e9 parameters, 32 layers
-- of 4096, so 2 x 32 x 4096 x 2 B = 524288 B of cache a token, under "ideal": weights and cache,
-- nothing else.

local seven = { params = 7e9, hidden_size = 4096, num_hidden_layers = 32 }
local CACHE = 524288

local function ideal(more)
    local o = { model = seven, engine = "ideal", seq = 2048, batch = 1 }
    for k, v in pairs(more) do o[k] = v end
    return o
end

test("the widest precision that fits is the first of the ladder below the device's memory",
    function()
    local q = quant(ideal { device = "12GB", precision = { "fp16", "int8", "int4" } })
    equal(#q.rows, 3)
    equal(q.best, "int8")                               -- 7e9 + 1.07e9 of 12e9; fp16 alone is 14e9
    equal(q.rows[1].precision, "fp16")
    equal(q.rows[1].fits, false)
    equal(q.rows[2].total, 7000000000 + 2048 * CACHE)
    equal(q.rows[2].free, 12000000000 - 7000000000 - 2048 * CACHE)
    equal(q.rows[2].maxseq, 9536)                       -- 5e9 / 524288 = 9536.7
    equal(quant(ideal { device = "3GB", precision = { "fp16", "int8", "int4" } }).best, nil)
    equal(q.int4.total, 3500000000 + 2048 * CACHE)
end)

test("a model published packed is not widened", function()
    local q = quant { model = "gpt-oss-20b", device = "h100-sxm" }
    equal(q.best, "mxfp4")
    for _, row in ipairs(q.rows) do assert(row.weights <= q.mxfp4.weights, row.precision) end
end)

test("what runs here: every row fits, and nothing wider of the list would", function()
    local list = { "fp16", "int8", "awq" }
    local f = fit { device = "rtx-4060-ti-16gb", model = { "llama*", "gpt-oss*" }, seq = 4096,
        precision = list }
    assert(#f.rows > 5)
    local last = math.maxinteger
    for _, row in ipairs(f.rows) do
        assert(row.params <= last, "largest first")
        last = row.params
        local m = memory { model = row.model, device = "rtx-4060-ti-16gb", seq = 4096,
            precision = row.model:find("gpt%-oss") and "stored" or row.precision }
        equal(m.total, row.total)
        equal(m.fits, true)
        for _, wider in ipairs(list) do
            if wider == row.precision or row.precision == "mxfp4" then break end
            equal(memory { model = row.model, device = "rtx-4060-ti-16gb", seq = 4096,
                precision = wider }.fits, false)
        end
    end
end)

test("a model whose context is shorter than asked is left out and counted", function()
    local f = fit { device = "rtx-4090", model = { "gpt2", "llama-3.1-8b" }, seq = 4096 }
    equal(#f.rows, 1)
    equal(f.short, 1)                                   -- gpt2 reads 1024 tokens
    equal(#fit { device = "rtx-4090", model = { "gpt2", "llama-3.1-8b" } }.rows, 2)
    equal(#fit { device = "rtx-4090", model = "llama*", top = 2 }.rows, 2)
end)

test("the smallest number of each device that fits", function()
    local g = gpus(ideal { precision = "fp16",
        device = { "l4", "rtx-4060-ti-16gb", "rtx-3060-12gb" } })
    local by = {}
    for _, row in ipairs(g.rows) do by[row.device] = row end
    equal(by.l4.count, 1)                               -- 14e9 + 1.07e9 of 24e9
    equal(by["rtx-4060-ti-16gb"].count, 1)
    equal(by["rtx-3060-12gb"].count, 2)
    equal(by["rtx-3060-12gb"].total, 7000000000 + 1024 * CACHE)     -- half of each
    equal(g.rows[1].device, "rtx-4060-ti-16gb")         -- least memory first
end)

test("a laptop has one GPU, and what shares the processor's memory is one a machine", function()
    local o = ideal { precision = "fp16", device = { "rtx-4060-laptop", "m3-8gb", "rtx-4060" } }
    local g = gpus(o)
    equal(#g.rows, 1)                                   -- 7e9 x 2 + 1.07e9 of 8 GiB each
    equal(g.rows[1].devices, "2x rtx-4060")
    o.device = { "2x rtx-4060-laptop" }                 -- who has two of them knows better
    equal(gpus(o).rows[1].devices, "2x rtx-4060-laptop")
    for device, more in pairs { ["rtx-4060"] = true, ["rtx-4060-laptop"] = false } do
        local found = false
        for _, row in ipairs(advise(ideal { precision = "fp16", device = device }).rows) do
            found = found or row.change:find("device = 2x", 1, true) ~= nil
        end
        equal(found, more, device)
    end
end)

test("prices rank devices and instances", function()
    local o = ideal { precision = "fp16", price = { l4 = 0.8, ["2x rtx-3060-12gb"] = 0.3,
        ["node.large"] = { device = "l4", count = 4, price = 0.2 } } }
    local g = gpus(o)
    equal(g.rows[1].instance, "node.large")
    equal(g.rows[1].price, 0.2)
    equal(g.rows[2].device, "rtx-3060-12gb")
    equal(g.rows[2].price, 0.3)                         -- two at 0.15
    equal(g.rows[3].device, "l4")
    equal(g.rows[4].price, nil)
    raises(function() gpus(ideal { price = { ["no-such-card"] = 1 } }) end, "no-such-card")
    raises(function() gpus(ideal { price = { l4 = "cheap" } }) end, "not a number per hour")
end)

test("what fits needs no advice, and its head room is exact", function()
    local a = advise(ideal { device = "24GB", precision = "fp16" })
    equal(a.fits, true)
    equal(a.maxbatch, 9)                                -- (24e9 - 14e9) / (524288 x 2048) = 9.31
    equal(a.maxseq, 19073)                              -- 1e10 / 524288 = 19073.5
    equal(#a.rows, 0)
    assert(tostring(a):find("fits", 1, true))
end)

test("each piece of advice fits when it is followed, and frees what it says", function()
    for _, o in ipairs {
        ideal { device = "24GB", precision = "fp16", batch = 16 },
        { model = "llama-3.1-8b", device = "rtx-4090", precision = "fp16", seq = 32768, batch = 8 },
        { model = "mixtral-8x7b", device = "rtx-4090", precision = "awq", seq = 16384, batch = 4 },
        { model = "llama-3.1-70b", device = "2x rtx-4090", precision = "int8" },
    } do
        local a, before = advise(o), memory(o)
        equal(a.fits, false)
        assert(#a.rows > 1, tostring(a))
        local pain = 0
        for i, row in ipairs(a.rows) do
            local after = {}
            for k, v in pairs(o) do after[k] = v end
            for k, v in pairs(row.options) do after[k] = v end
            local m = memory(after)
            equal(m.fits, true, row.change)
            equal(m.free - before.free, row.frees, row.change)
            if i > 1 and a.rows[i - 1].changes == row.changes then
                assert(row.pain >= pain, "least painful first")
            end
            pain = row.pain
        end
    end
end)

test("fewer sequences are as many as fit", function()
    for _, row in ipairs(advise(ideal { device = "24GB", precision = "fp16", batch = 16 }).rows) do
        if row.change:find("^batch") then equal(row.options.batch, 9) end
    end
end)

test("both changes of a pair are needed", function()
    local o = ideal { device = "12GB", precision = "fp16", batch = 16 }
    for _, row in ipairs(advise(o).rows) do
        if row.changes == 2 then
            for name, v in pairs(row.options) do
                if name ~= "batch" and name ~= "seq" then
                    local one = {}
                    for k, x in pairs(o) do one[k] = x end
                    one[name] = v
                    equal(memory(one).fits, false, row.change)
                end
            end
        end
    end
end)

test("configurations side by side differ by what memory says", function()
    local c = compare { ideal { device = "24GB", precision = "fp16" },
        ideal { device = "24GB", precision = "int8" },
        ideal { device = "24GB", precision = "int8", batch = 4, name = "four" } }
    equal(#c.rows, 3)
    equal(c.rows[2].delta.total, -7000000000)
    equal(c.rows[3].delta.kv, 3 * 2048 * CACHE)
    equal(c.rows[3].label, "four")
    equal(c.rows[1].maxbatch, 9)
    assert(c:csv():find("four,table,24GB,int8,ideal,4,2048,7000000000", 1, true), c:csv())
    assert(tostring(c):find("difference", 1, true))
    raises(function() compare { { precision = "fp16", model = "llama-3.1-8b" },
        { bacth = 4 } } end, "no option \"bacth\"")
    raises(function() compare { precision = "fp16" } end, "list of option tables")
end)

test("what if: before, after, and what changed", function()
    local base = ideal { device = "24GB", precision = "fp16" }
    local w = whatif { precision = "int8", batch = 2, base = base }
    equal(w.before.total, 14000000000 + 2048 * CACHE)
    equal(w.after.total, 7000000000 + 2 * 2048 * CACHE)
    equal(w.delta.total, w.after.total - w.before.total)
    equal(#w.changed, 2)
    equal(w.changed[1], { name = "batch", from = 1, to = 2 })
    equal(w.changed[2], { name = "precision", from = "fp16", to = "int8" })
    assert(tostring(w):find("batch 1 -> 2, precision fp16 -> int8", 1, true), tostring(w))
    assert(tostring(whatif { batch = 64, base = base }):find("no longer fits", 1, true))
    raises(function() whatif {} end, "whatif takes what changes")
end)

test("questions without a model or device say what to set", function()
    raises(function() quant { device = "rtx-4090" } end, "no model is set")
    raises(function() fit {} end, "no device is set")
    raises(function() fit { device = "rtx-4090", tpo = 3 } end, "no option \"tpo\"")
    raises(function() gpus { model = "gpt2", count = 0 } end, "count takes whole numbers")
    raises(function() advise { model = "gpt2", device = "rtx-4090",
        precision = { "fp16", "int8" } } end, "one precision")
end)

test("every engine answers every question", function()
    for _, e in ipairs(engines().rows) do
        local o = { device = "rtx-4090", engine = e.name, model = "llama-3.1-8b", seq = 8192 }
        local q = quant(o)
        equal(memory { model = o.model, device = o.device, engine = e.name, seq = 8192,
            precision = q.best }.free, q.row.free)
        assert(fit(o).n == 1, e.name)
        assert(gpus { model = o.model, engine = e.name, device = "rtx-40*",
            precision = q.best }.n > 0, e.name)
        o.precision, o.batch = q.best, 64
        local a = advise(o)
        equal(a.fits, false)
        assert(#a.rows > 0, e.name)
        for _, row in ipairs(a.rows) do
            local after = { model = o.model, device = o.device, engine = e.name, seq = 8192,
                batch = 64, precision = q.best }
            for k, v in pairs(row.options) do after[k] = v end
            equal(memory(after).free, row.free, e.name .. ": " .. row.change)
        end
    end
end)
