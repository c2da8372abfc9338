-- Every cell of random sweeps is what memory{} says of the same options: all of more than a million in
-- `make cells`, some of fewer otherwise. Both ways in which the grid works are held against it: one
-- point after the other, and totals alone, a row of batches at a time.

local every = os.getenv("OOMPH_CELLS") == "all"
local SAMPLE = 600                      -- cells of each sweep looked at otherwise

math.randomseed(math.tointeger(tonumber(os.getenv("OOMPH_SEED"))) or 20261123)

local function some(list, n)
    local left, kept = table.move(list, 1, #list, 1, {}), {}
    for _ = 1, math.min(n, #left) do kept[#kept + 1] = table.remove(left, math.random(#left)) end
    return kept
end

--- 1, which every engine serves, and other numbers up to most, small ones as likely as large.
local function numbers(n, most)
    local list, seen = { 1 }, { [1] = true }
    while #list < n do
        local x = math.floor(most ^ math.random())
        if not seen[x] then
            seen[x] = true
            list[#list + 1] = x
        end
    end
    return list
end

-- Caches of every kind: full, windows, latents, states and both, encoder and decoder; experts.
local MODELS = { "llama-3.1-8b", "gemma-3-27b", "gemma-2-9b", "gpt-oss-20b", "mixtral-8x7b",
    "deepseek-v2-lite", "deepseek-v3", "mamba-2.8b", "qwen3-next-80b-a3b", "gpt2", "phi-3.5-moe",
    "mistral-7b-v0.1", "qwen3-30b-a3b", "t5-large" }
local DEVICES = { "rtx-4090", "h100-sxm", "m3-max-36gb", "4x l4", "8x a100-sxm-80gb",
    "1x rtx-4090 + 1x rtx-3090", "24GiB" }

--- What each engine understands beside model, device, seq and batch; each list is an axis.
local OPTIONS = {
    ideal = { kv = { "auto", "fp8", "q8_0" }, tp = { 1, 2 } },
    generic = { kv = { "auto", "q8_0" }, tp = { 1, 2, 4 }, pp = { 1, 2 }, ep = { 1, 4 },
        chunk = { 512, 4096 } },
    transformers = { kv = { "auto", "int8" }, attention = { "flash", "eager" },
        outputs = { "last", "all" } },
    vllm = { kv = { "auto", "fp8" }, tp = { 1, 2, 4 }, pp = { 1, 2 }, ep = { 1, 4 },
        block_size = { 16, 32 }, max_seqs = { 16, 256 } },
    ["llama.cpp"] = { kv = { "auto", "q8_0", { k = "q8_0", v = "q4_0" } }, gpu_layers = { 0, 11, "all" },
        swa_full = { true, false }, unified = { true, false } },
}
local FORMATS = {
    ["llama.cpp"] = { "fp16", "q8_0", "q4_k_m", "iq4_xs" },
    vllm = { "bf16", "fp8-channel", "awq", "stored" },
    transformers = { "fp16", "nf4", "bnb-int8", "stored" },
}
local PARTS = { "total", "available", "free", "fits", "weights", "kv", "state", "activations",
    "overhead" }

local function random_sweep(engine, seqs, batches)
    local o = { engine = engine, model = some(MODELS, 4), device = some(DEVICES, 3),
        precision = some(FORMATS[engine] or { "fp32", "fp16", "int4", "awq", "q4_k_m" }, 3),
        seq = numbers(seqs, 1000000), batch = numbers(batches, 4096) }
    for name, list in pairs(OPTIONS[engine]) do o[name] = list end
    return o
end

--- The same point asked alone.
local function alone(row, o)
    local one = { engine = o.engine, model = row.model, precision = row.precision, device = row.device,
        seq = row.seq, batch = row.batch }
    for name in pairs(OPTIONS[o.engine]) do one[name] = row[name] end
    one.kv = row.kv_format or row.kv
    if one.kv:find("/", 1, true) then
        one.kv = { k = one.kv:match("^[^/]*"), v = one.kv:match("[^/]*$") }
    end
    return one
end

local function same(got, told, names, o, row)
    for _, name in ipairs(names) do
        if got[name] ~= told[name] then
            error(("%s is %s, memory says %s: %s"):format(name, tostring(got[name]),
                tostring(told[name]), json(alone(row, o))), 0)
        end
    end
end

local function check(o, whole, fast, i)
    local row, short = whole[i], fast[i]
    local ok, m = pcall(memory, alone(short, o))
    if not ok then m = { reason = m } end
    same(row, m, PARTS, o, short)
    same(row, m, { "reason" }, o, short)
    same(short, m, { "total", "available", "free", "fits", "reason" }, o, short)
    return ok
end

local cells = 0

-- 4 models x 3 devices x 3 formats = 36, times the options' combinations, times seqs x batches
local SIZES = { { "ideal", 40, 32 }, { "generic", 16, 16 }, { "transformers", 40, 18 },
    { "vllm", 14, 8 }, { "llama.cpp", 14, 10 } }
for _, size in ipairs(SIZES) do
    local engine = size[1]
    test("cells of " .. engine .. " are what memory says", function()
        local fewer = every and 1 or 4
        local o = random_sweep(engine, size[2] // fewer, size[3] // fewer)
        o.show = { "total", "available", "free", "fits" }
        local fast = sweep(o)
        o.show = PARTS
        local whole = sweep(o)
        equal(#whole, #fast)
        local possible, looks = 0, every and #whole or SAMPLE
        cells = cells + looks
        for n = 1, looks do
            local i = every and n or math.random(#whole)
            possible = possible + (check(o, whole, fast, i) and 1 or 0)
        end
        assert(possible > 0, "none of the points can be")
    end)
end

if every then
    test("that was more than a million of them", function()
        assert(cells >= 1000000, cells)
    end)
end
print("# " .. cells .. " cells")
