-- The contract of the calls, with figures worked out by hand beside them.

local llama = { model = "llama-3.1-8b", device = "rtx-4090" }

local function with(t, more)
    local all = {}
    for k, v in pairs(t) do all[k] = v end
    for k, v in pairs(more or {}) do all[k] = v end
    return all
end

test("footprint counts two bytes a parameter in fp16 against what the driver reports", function()
    local f = footprint(llama)
    equal(f.fp16.bytes, 16060522496)    -- 2 x 8 030 261 248
    equal(f.device_bytes, 25757220864)  -- 24564 MiB
    equal(f.fp32.fits, false)
    equal(f.fp32.free, 25757220864 - 32121044992)
    equal(#f.rows, 4)
    equal(f.rows[4].precision, "int4")
end)

test("a table of three keys is a model", function()
    local f = footprint { model = { params = 7e9, hidden_size = 4096, num_hidden_layers = 32 }, device = "24GB" }
    equal(f.fp32.bytes, 28000000000)
    equal(f.fp16.bytes, 14000000000)
    equal(f.int8.bytes, 7000000000)
    equal(f.int4.bytes, 3500000000)
end)

test("the largest batch of seven billion in 24 GB is nine", function()
    local o = { model = { params = 7e9, hidden_size = 4096, num_hidden_layers = 32 }, engine = "ideal",
        precision = "fp16", seq = 2048, device = "24GB" }
    equal(maxbatch(o), 9) -- (24e9 - 14e9) / (2 x 32 x 4096 x 2 B x 2048) = 9.31
    equal(maxbatch(with(llama, { engine = "ideal", precision = "fp16", seq = 8192 })), 9)
end)

test("weights alone say which keys would tell the rest", function()
    local o = { model = { params = 7e9 }, device = "24GB" }
    equal(footprint(o).fp16.bytes, 14000000000)
    raises(function() memory(o) end, "hidden_size and num_hidden_layers")
end)

test("preset, configuration and table agree to the byte", function()
    local config = { model_type = "llama", hidden_size = 4096, intermediate_size = 14336, num_attention_heads = 32,
        num_hidden_layers = 32, num_key_value_heads = 8, vocab_size = 128256, tie_word_embeddings = false,
        max_position_embeddings = 131072, torch_dtype = "bfloat16" }
    local path = os.tmpname()
    local file = assert(io.open(path, "w"))
    file:write(json(config))
    file:close()
    local a = memory(with(llama, { precision = "fp16" }))
    local b = memory(with(llama, { precision = "fp16", model = config }))
    local named = path .. ".json"
    assert(os.rename(path, named))
    local c = memory(with(llama, { precision = "fp16", model = named }))
    os.remove(named)
    for _, part in ipairs { "weights", "kv", "state", "activations", "overhead", "total", "available" } do
        equal(b[part], a[part], part)
        equal(c[part], a[part], part)
    end
end)

test("memory has parts that add up, and details on demand", function()
    local m = memory(with(llama, { precision = "fp16", seq = 8192, batch = 2 }))
    equal(m.kv, 131072 * 8192 * 2)
    equal(m.total, m.weights + m.kv + m.state + m.activations + m.overhead)
    equal(m.free, m.available - m.total)
    equal(m.per_device[1].total, m.total)
    equal(m.host.total, 0)
    equal(memory { model = "llama-3.1-8b", precision = "fp16" }.available, nil)
end)

test("two devices share a model", function()
    local m = memory(with(llama, { device = "2x rtx-4090", precision = "fp16" }))
    equal(#m.per_device, 2)
    equal(m.kv, 131072 // 2 * 8192)
end)

test("a window stops the cache of most layers of gemma-3", function()
    -- 10 full layers and 52 of 1024 tokens; 2 x 16 x 128 x 2 B = 8192 B a token and layer
    equal(memory { model = "gemma-3-27b", precision = "bf16", seq = 32768, engine = "ideal" }.kv,
        8192 * (10 * 32768 + 52 * 1024))
end)

test("a quantised cache takes whole blocks", function()
    -- q8_0: 1024 elements in 32 blocks of 34 bytes, K and V of 32 layers
    equal(memory(with(llama, { precision = "fp16", kv = "q8_0", seq = 1000, engine = "ideal" })).kv,
        2 * 32 * 34 * 32 * 1000)
    equal(memory(with(llama, { precision = "fp16", kv = { k = "q8_0", v = "fp16" }, seq = 1000, engine = "ideal" })).kv,
        32 * (34 * 32 + 2048) * 1000)
end)

test("maxseq is exact and says when it passes the context", function()
    local r = maxseq(with(llama, { precision = { "int8", "int4" }, batch = 1 }))
    for _, row in ipairs(r.rows) do
        local fits = memory(with(llama, { precision = row.precision, seq = row.seq }))
        local over = memory(with(llama, { precision = row.precision, seq = row.seq + 1 }))
        equal(fits.fits, true)
        equal(over.fits, false)
        equal(row.beyond_context, row.seq > 131072 or nil)
    end
end)

test("maxcurve has a point at each power of two", function()
    local r = maxcurve(with(llama, { engine = "ideal" }))
    equal(r.absent[1], "fp32")
    equal(r.series.fp16[1].seq, 512)
    equal(r.series.fp16[5].batch, 9)    -- at 8192
    local with_batch = maxcurve(with(llama, { batch = 4 }))
    equal(#with_batch.rows, 4)
    local both = maxcurve(with(llama, { batch = 4, seq = 4096, precision = "fp16" }))
    equal(both.rows[1].total, memory(with(llama, { batch = 4, seq = 4096, precision = "fp16" })).total)
end)

test("what does not fit at all is zero, what never grows has no limit", function()
    equal(maxbatch { model = "llama-3.1-70b", device = "rtx-4090", precision = "fp16" }, 0)
    equal(maxseq { model = "mamba-130m", device = "rtx-4090", precision = "fp16", engine = "ideal" }, math.maxinteger)
end)

test("bad options are refused in one line with the nearest name", function()
    raises(function() footprint(with(llama, { bacth = 4 })) end, "no option \"bacth\"; did you mean \"batch\"?")
    raises(function() memory { batch_size = 4 } end, "no option \"batch_size\"; did you mean \"batch\"?")
    raises(function() memory { max_model_len = 4 } end, "did you mean \"seq\"?")
    raises(function() memory { nothing = 4 } end, "no option \"nothing\"; help(\"options\") lists them")
    raises(function() footprint { model = "lama-3.1-8b" } end, "no model \"lama-3.1-8b\"; did you mean \"llama-3.1-8b\"")
    raises(function() footprint { model = "llama-3.1-8b", device = "rtx-409" } end, "no device \"rtx-409\"; did you mean")
    raises(function() memory(with(llama, { precision = "q4km" })) end, "q4_k_m")
    raises(function() memory(with(llama, { engine = "vlm" })) end, "no engine \"vlm\"")
    raises(function() memory(with(llama, { kv = "q9" })) end, "kv is \"q9\", expected auto, fp32")
end)

test("a wrong name is shown in one line, however it is made", function()
    local odd, shown = "a\nb\27[31m" .. ("c"):rep(50), "\"a\\nb\\x1b[31mcccc"
    raises(function() memory(with(llama, { engine = odd:sub(1, 12) })) end, "no engine " .. shown)
    raises(function() memory(with(llama, { [odd] = 4 })) end, "no option " .. shown)
    raises(function() memory(with(llama, { device = { [odd] = 4 } })) end, "no key " .. shown)
    local grid = sweep(with(llama, { precision = "fp16", seq = { 1024, 2048 } }))
    for _, ask in ipairs { function() help(odd) end, function() grid:group(odd) end,
        function() grid:sort(odd) end, function() gpus { model = "gpt2", price = { [odd] = true } } end,
        function() sweep(with(llama, { show = { odd } })) end,
        function() grid:csv("/nowhere/" .. odd) end } do
        raises(ask, "a\\010b\\027[31mcccc")
    end
end)

test("numbers that are no counts are refused", function()
    for _, bad in ipairs { -1, 0, 1.5, 0 / 0, 1 / 0, 1e30, "many", {}, true } do
        raises(function() memory(with(llama, { seq = bad })) end, "seq is ")
        raises(function() maxbatch(with(llama, { precision = "fp16", seq = bad })) end, "seq is ")
    end
    equal(memory(with(llama, { precision = "fp16", seq = "32Ki" })).seq, 32768)
    equal(memory(with(llama, { precision = "fp16", seq = 2 ^ 15 })).seq, 32768)
end)

test("results are plain tables to pairs and json", function()
    local f = footprint(llama)
    local keys = {}
    for k in pairs(f) do keys[#keys + 1] = type(k) end
    for _, k in ipairs(keys) do equal(k, "string") end
    equal(json { a = { 1, 2 ^ 53 | 0, -3 }, b = "x\"y", c = true }, '{"a":[1,9007199254740992,-3],"b":"x\\"y","c":true}')
    equal(json(math.maxinteger), "9223372036854775807")
    equal(f:csv():match("^[^\n]+"), "precision,bytes,fits,free")
    equal(f:csv():match("fp16,[^\n]+"), "fp16,16060522496,TRUE,9696698368")
end)

test("inspect sums to the published count", function()
    local i = inspect("llama-3.1-8b")
    local params, bytes = 0, 0
    for _, t in ipairs(i.tensors) do params, bytes = params + t.params, bytes + t.bytes end
    equal(params, 8030261248)
    equal(i.params, 8030261248)
    equal(bytes, i.bytes)
    equal(#i.caches, 32)
    equal(i.kv_bytes_per_token, 131072)
end)

test("with llama.cpp fp16 means its file, under the name that was asked", function()
    -- matrices 2 bytes, 65 norm vectors of 4096 and 64 rope factors in fp32
    local file = 2 * (8030261248 - 65 * 4096) + 4 * (65 * 4096 + 64)
    local o = with(llama, { engine = "llama.cpp", precision = "fp16" })
    equal(inspect(o).bytes, file)
    equal(footprint(o).fp16.bytes, file)
    equal(footprint(with(llama, { engine = "llama.cpp" })).fp16.bytes, file)
end)

test("degrees that do not divide the devices are refused", function()
    local o = { model = "mixtral-8x7b", precision = "fp16", device = "8x h200-sxm" }
    raises(function() memory(with(o, { dp = 3 })) end, "tp=1 x pp=1 x dp=3 is 3 devices, device has 8")
    raises(function() memory(with(o, { pp = 3 })) end, "tp=1 x pp=3 x dp=1 is 3 devices, device has 8")
    raises(function() memory(with(o, { ep = 16 })) end, "ep=16 is more than the 8 devices")
    equal(#memory(with(o, { dp = 2 })).per_device, 8)
end)

test("json of a memory result has the devices whether or not they were asked for before", function()
    local o = with(llama, { device = "2x rtx-4090", precision = "fp16" })
    local asked = memory(o)
    equal(#asked.per_device, 2)
    equal(json(memory(o)), json(asked))
    assert(json(memory(o)):find('"host":{', 1, true))
end)

test("llama.cpp serves 256 sequences at once and says so", function() -- LLAMA_MAX_SEQ
    local o = { model = "qwen2.5-0.5b", device = "h200-sxm", engine = "llama.cpp", seq = 64 }
    equal(maxbatch(with(o, { precision = "q4_k_m" })), 256)
    raises(function() memory(with(o, { precision = "q4_k_m", batch = 257 })) end,
        "batch 257: llama.cpp serves at most 256 sequences at once")
    local text = explain(maxbatch(o))
    assert(text:find("batch 257: llama.cpp serves at most 256", 1, true), text)
end)

test("units of a call hold for what it prints", function()
    local o = with(llama, { precision = "fp16", seq = 8192, units = "GB" })
    assert(tostring(memory(o)):find("16.06", 1, true), tostring(memory(o)))    -- 16060522496 B
    assert(tostring(footprint(o)):find("16.06 GB", 1, true), tostring(footprint(o)))
    assert(memory(o):markdown():find("16.06", 1, true), memory(o):markdown())
    assert(tostring(memory(with(o, { units = "GiB" }))):find("14.96", 1, true))
    raises(function() memory(with(o, { units = "MB" })) end, "units is \"MB\"")
end)

test("explain tells every part", function()
    local text = explain(memory(with(llama, { precision = "fp16", seq = 8192 })))
    assert(text:find("32 x 4096 B x 8192 x 1", 1, true), text)
    assert(text:find("fits", 1, true))
    raises(function() explain(1) end, "explain takes a result")
end)

test("catalogues list what there is", function()
    assert(#models().rows >= 303)
    assert(#devices().rows >= 274)
    for _, m in ipairs(models("qwen2.5").rows) do assert(m.id:find("qwen2.5", 1, true), m.id) end
    equal(#models("no such model").rows, 0)
end)

test("an engine's version is checked when it is named", function()
    raises(function() memory(with(llama, { engine = "generic@3" })) end, "generic@3.0: its rules are of one version")
    raises(function() memory(with(llama, { engine = "vllm@9.9" })) end, "vllm@9.9: known are 0.6 to 0.26")
    assert(memory(with(llama, { engine = "vllm@0.9", precision = "bf16" })).total > 0)
    assert(memory(with(llama, { engine = "transformers@4.46", precision = "bf16" })).total > 0)
    -- 4294967315 is 19 in 32 bits
    for _, version in ipairs { "0.4294967315", "0.19x", " 0.19", "0.", "-1", "" } do
        raises(function() memory(with(llama, { engine = "vllm@" .. version })) end,
            "expected a version like @0.19 after the name")
    end
    equal(memory(with(llama, { engine = "vllm@0.19.1", precision = "bf16" })).total,
        memory(with(llama, { engine = "vllm@0.19", precision = "bf16" })).total)
end)

test("vllm refuses what it does not have", function()
    local o = { engine = "vllm", precision = "bf16" }
    raises(function() memory(with(llama, with(o, { kv = "q8_0" }))) end, "vllm has no q8_0 cache")
    raises(function() memory(with(llama, with(o, { block_size = 17 }))) end, "block_size is 17")
    raises(function() check("/no/such/server.log") end, "cannot read /no/such/server.log")
end)

test("the bytes of a checkpoint count its blocks for multi-token prediction, which runs leave out", function()
    -- model.safetensors.index.json of deepseek-ai/DeepSeek-V3 says total_size 688586727753: headers
    -- and padding beside the tensors are in it
    local i = inspect { model = "deepseek-v3", precision = "stored" }
    near(i.bytes, 688586727753, 2e7)
    equal(i.bytes - i.mtp_bytes, footprint { model = "deepseek-v3", precision = "stored" }.rows[1].bytes)
    assert(tostring(i):find("14.36 GiB of them for multi-token prediction", 1, true), tostring(i))
end)

test("a device's table without memory and a number that is none are said in one line", function()
    raises(function() memory(with(llama, { device = {} })) end,
        "device is a table without memory, expected a name or {memory=\"24GiB\"}")
    raises(function() memory(with(llama, { batch = 0 / 0 })) end, "batch is nan, expected")
end)
