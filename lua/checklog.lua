--- What an engine's log says of a run, engine by engine: model, device, options, and rows of
-- predicted beside measured. check.lua puts them together.
local ask = require("oomph.ask")
local core = require("oomph.core")

local M = {}

-- facts -------------------------------------------------------------------------------------------

--- All facts of a key; `place` a Lua pattern.
local function all(facts, key)
    local list = {}
    for _, f in ipairs(facts) do if f.key == key then list[#list + 1] = f end end
    return list
end

--- The last one: settings are printed as given, then as used.
local function last(facts, key)
    local list = all(facts, key)
    return list[#list]
end

local function value(facts, key)
    local f = last(facts, key)
    return f and f.value
end

--- Of figures printed more than once the finest; among those equally fine (ranks of a group)
-- whichever `better` prefers.
local function finest(facts, key, better)
    local best
    for _, f in ipairs(all(facts, key)) do
        if not best or f.slack < best.slack
            or f.slack == best.slack and better(f.value, best.value) then
            best = f
        end
    end
    return best
end

local function larger(a, b) return a > b end
local function smaller(a, b) return a < b end

--- Facts of the last start in the log: what is printed from the last such line on.
function M.since(facts, key)
    local from
    for _, f in ipairs(facts) do if f.key == key then from = f.line end end
    if not from then return facts end
    local kept = {}
    for _, f in ipairs(facts) do if f.line >= from then kept[#kept + 1] = f end end
    return kept
end

-- names -------------------------------------------------------------------------------------------

--- A catalogue's name for what a log calls a model: its path's end, with the words that publishers
-- add at the end ("-autoround-int4", "-Q4_K_M.gguf") taken off one by one.
local function known_model(name)
    local text = name:gsub("/+$", "")
    if pcall(core.model_facts, text) then return text end
    local base = text:match("[^/]*$"):gsub("___", "."):gsub("%.gguf$", ""):gsub("%-%d+%-of%-%d+$",
        "")
    base = base:gsub("[ _]", "-")
    while base:find("%-") or base:find("%d") do
        if pcall(core.model_facts, base) then return base end
        local shorter = base:match("^(.+)[-.][^-.]*$")
        -- a size must stay: "llama-3.1-swallow-8b" is not llama-3.1
        if not shorter or not shorter:lower():find("%d[%d.]*[bm]") then return nil end
        base = shorter
    end
    return nil
end

--- A device by the name a driver gives it; nil where the catalogue has none of it.
local function known_device(name)
    local text = name:gsub("%.json$", ""):gsub("_", " "):gsub("%s+%b()$", "")
    if pcall(core.device_facts, text) then return text end
    return nil
end

--- The device of the catalogue whose total is nearest, within one per cent, and a note of it.
-- `may_be` says which can be meant.
local function device_of_size(bytes, may_be)
    local near = {}
    for _, d in ipairs(core.devices("*").rows) do
        local far = d.usable and math.abs(d.usable - bytes)
        if far and far <= bytes * 0.01 and (not may_be or may_be(d)) then
            near[#near + 1] = { id = d.id, far = far }
        end
    end
    table.sort(near, function(a, b) return a.far < b.far or a.far == b.far and a.id < b.id end)
    if #near == 0 then return nil end
    local others = {}
    for i = 2, math.min(#near, 4) do others[#others + 1] = near[i].id end
    return near[1].id, ("device %s by its %.2f GiB%s"):format(near[1].id, bytes / (1 << 30),
        #others > 0 and "; " .. table.concat(others, ", ") .. " would do, too: say device=" or "")
end

--- Sets the device of a run; what was concluded from a size becomes a note unless the call says it.
local function by_name_or_size(run, name, bytes, may_be)
    local o = run.options
    o.device = name and known_device(name)
    if not o.device and bytes then o.device, run.device_note = device_of_size(bytes, may_be) end
end

-- rows --------------------------------------------------------------------------------------------

local function row(run, part, predicted, fact, unit)
    local measured = fact and (math.tointeger(fact.value) or fact.value)
    if unit ~= "ratio" and measured then measured = math.floor(measured + 0.5) end
    if predicted == nil and measured == nil then return end
    local slack = fact and fact.slack or 0
    local error_share
    if predicted and measured and measured ~= 0 then
        local off = predicted - measured
        error_share = math.abs(off) <= slack and 0.0 or off / measured
    end
    run.rows[#run.rows + 1] = { part = part, predicted = predicted, measured = measured,
        unit = unit or "bytes",
        error = error_share, line = fact and fact.line, slack = slack }
end

--- Sum of several facts as one: of buffers that belong together.
local function sum(list)
    if #list == 0 then return nil end
    local total, slack = 0, 0
    for _, f in ipairs(list) do total, slack = total + f.value, slack + f.slack end
    return { value = total, slack = slack, line = list[1].line }
end

-- vLLM --------------------------------------------------------------------------------------------

local QUANTISED = { awq = "awq", awq_marlin = "awq", gptq = "gptq-4bit-128g",
    gptq_marlin = "gptq-4bit-128g",
    fp8 = "fp8-channel", fbgemm_fp8 = "fp8-mlp", bitsandbytes = "nf4", mxfp4 = "mxfp4",
    auto_round = "gptq-4bit-128g" }
local IN_NAME = { { "nvfp4", "nvfp4" }, { "mxfp4", "mxfp4" }, { "awq", "awq" },
    { "gptq", "gptq-4bit-128g" }, { "autoround", "gptq-4bit-128g" }, { "w4a16", "gptq-4bit-128g" },
    { "w8a8", "w8a8" }, { "fp8", "fp8-channel" } }

local function vllm_precision(facts, name, model)
    local method = value(facts, "quantization")
    if method and QUANTISED[method] then
        local stored = model and core.model_facts(model).stored
        return stored == method and "stored" or QUANTISED[method]
    end
    for _, pair in ipairs(IN_NAME) do
        if name and name:lower():find(pair[1], 1, true) then return pair[2] end
    end
    if (value(facts, "dtype") or ""):find("float32") then return "fp32" end
    return "stored"
end

local function vllm_engine(facts)
    local version = value(facts, "version")
    local major, minor = (version or ""):match("^(%d+)%.(%d+)")
    return major and "vllm@" .. major .. "." .. minor or "vllm", version
end

--- The version of a log that does not say it, by its wording (tests/truth has logs of each): the
-- first engine alone kept blocks in main memory; how long loading took was told in these words
-- until 0.8.4, 0.12 and since; engines lost their numbers with 0.18; graphs count since 0.20.
local function vllm_wording(facts)
    local function has(key) return value(facts, key) ~= nil end
    if has("cpu_blocks") then return "0.7", ", as it tells of blocks on the CPU" end
    if has("graphs_since") then return "0.21", ", as it takes graphs from the budget" end
    if has("took_memory") and has("numbered_core") then return "0.15", ", by its wording" end
    if has("took_memory") or has("graphs_estimate") then return "0.19", ", by its wording" end
    if has("took_gib") then return "0.11", ", by its wording" end
    if has("took_gb") then return "0.8", ", by its wording" end
    return "0.19", ""
end

local function ranks(facts)
    local tp = value(facts, "tensor_parallel_size") or 1
    local pp = value(facts, "pipeline_parallel_size") or 1
    local dp = value(facts, "data_parallel_size") or 1
    return tp, pp, dp
end

--- The total of a device: printed, or from what was requested of it.
local function vllm_total(facts)
    local total, asked = finest(facts, "total", smaller), last(facts, "requested")
    local share = value(facts, "gpu_memory_utilization")
    if total or not asked or not share or share <= 0 then return total end
    return { value = asked.value / share, slack = asked.slack / share, line = asked.line }
end

--- FlashAttention's third version is Hopper's (v1/attention/backends/fa_utils.py:
-- get_flash_attn_version).
local function is_hopper(d) return d.capability // 10 == 9 end

local function vllm_options(run, facts)
    local o, total = run.options, vllm_total(facts)
    local tp, pp, dp = ranks(facts)
    o.engine, run.version = vllm_engine(facts)
    if not run.version then
        local version, why = vllm_wording(facts)
        o.engine = "vllm@" .. version
        run.notes[#run.notes + 1] = "the log does not say which version: rules of " .. version
            .. why
    end
    run.model_name = value(facts, "model")
    o.model = run.model_name and known_model(run.model_name)
    by_name_or_size(run, value(facts, "device"), total and total.value,
        value(facts, "flash_version") == 3 and is_hopper)
    o.tp, o.pp, o.dp = tp, pp, dp > 1 and dp or nil
    if value(facts, "expert_parallel") == 1 then o.ep = tp end
    o.seq = value(facts, "max_model_len")
    o.utilization = value(facts, "gpu_memory_utilization")
    o.chunk = value(facts, "max_num_batched_tokens")
    o.max_seqs = value(facts, "max_num_seqs")
    local eager, prefix = value(facts, "eager"), value(facts, "prefix_caching")
    if eager then o.eager = eager == 1 end
    if prefix then o.prefix_caching = prefix == 1 end
    local kv = value(facts, "kv_cache_dtype")
    if kv and kv:find("^fp8") then o.kv = "fp8" end
    run.total, run.default_context = total, true
    run.precision_of = function(model) return vllm_precision(facts, run.model_name, model) end
end

--- The device's budget from the total that the log printed, where it did.
local function same_budget(o, total)
    if not total or type(o.device) ~= "string" then return o end
    local usable = core.device_facts(o.device).groups[1].usable
    local share = (o.utilization or 0.9) * total.value / usable
    return ask.with(o, { utilization = share <= 1 and share or 1 })
end

--- What memory() tells of overhead, apart: outside torch, and graphs taken from the budget.
local function overhead_parts(o)
    local graphs = 0
    for _, t in ipairs(core.terms(core.memory(o))) do
        if t.part == "overhead" and t.numbers:find("graphs", 1,
            true) then graphs = graphs + t.bytes end
    end
    return graphs
end

local function many(o)
    local n = (o.tp or 1) * (o.pp or 1) * (o.dp or 1)
    if n > 1 and type(o.device) == "string" and not o.device:find("^%d+%s*x ") then
        return ask.with(o, { device = n .. "x " .. o.device })
    end
    return o
end

local function vllm_rows(run, facts, o)
    local predicted, graphs = {}, nil
    if run.ready then
        local same = many(same_budget(o, run.total))
        predicted, graphs = core.capacity(same), overhead_parts(same)
        run.memory = core.memory(same)
    end
    local p = predicted
    local non_torch = p.overhead and p.overhead - graphs
    row(run, "weights", p.weights, finest(facts, "weights", larger))
    row(run, "activations", p.activations, finest(facts, "activations", larger))
    row(run, "outside torch", non_torch, finest(facts, "non_torch", larger))
    local estimate = finest(facts, "graphs_estimate", larger) or finest(facts, "graphs", larger)
    if graphs and graphs > 0 or not p.overhead then row(run, "graphs", graphs, estimate) end
    row(run, "cache pool", p.kv_bytes, finest(facts, "kv", smaller) or finest(facts, "kv_fixed",
        smaller))
    row(run, "blocks", p.blocks, last(facts, "blocks"), "count")
    row(run, "tokens", p.kv_tokens, last(facts, "tokens"), "count")
    row(run, "concurrency", p.max_concurrency, last(facts, "concurrency"), "ratio")
end

-- llama.cpp ---------------------------------------------------------------------------------------

-- llama_model_ftype_name (llama-model-loader.cpp): names as they are, or with a size or a width.
local FTYPES = { ["all F32"] = "fp32", ["MXFP4 MoE"] = "mxfp4_moe", Q2_K = "q2_k",
    ["Q2_K - Medium"] = "q2_k", ["IQ3_S mix"] = "iq3_m" }
local SIZES = { Small = "_s", Medium = "_m", Large = "_l" }

local function ftype_name(text)
    local plain = text:gsub(" %- [%d.]+ bpw.*$", "")
    local name, size = plain:match("^(Q%d_K) %- (%a+)$")
    return FTYPES[plain] or name and SIZES[size] and name:lower() .. SIZES[size] or plain:lower()
end

local CACHES = { f16 = "fp16", f32 = "fp32" }

local function llama_precision(facts, file, model)
    local function is_precision(name) return (pcall(core.footprint, { model = model,
        precision = name })) end
    local ftype = value(facts, "precision")
    if ftype and is_precision(ftype_name(ftype)) then return ftype_name(ftype) end
    for name in (file or ""):gsub("%.gguf$", ""):gmatch("[^-./]+") do
        local lower = name:lower()
        if lower:find("^i?q%d_") and is_precision(lower) then return lower end
    end
    return nil
end

--- The catalogue's model, refused where the log's counts say it is another.
local function llama_model(run, facts)
    local file, name = value(facts, "file"), value(facts, "name")
    local found = file and io and file:find("%.gguf$") and io.open(file, "rb")
    if found then
        found:close()
        return file
    end
    for _, called in ipairs { name or false, file or false } do
        local model = called and known_model(called)
        if model then
            local m = core.model_facts(model)
            local layers, hidden = value(facts, "n_layer"), value(facts, "n_embd")
            if (not layers or layers == m.layers) and (not hidden or hidden == m.hidden_size) then
                return model
            end
            run.notes[#run.notes + 1] = model .. " has other layers or widths than the log says"
        end
    end
    return nil
end

local function is_used(f) return f.place ~= nil and f.place:sub(1, 1) ~= "#" end

--- The facts that name a device, one a device, in the engine's order: those that are used, where
-- the log says so; else those that were found.
local function llama_devices(facts)
    local list, seen, used = {}, {}, false
    for _, f in ipairs(all(facts, "device")) do used = used or is_used(f) end
    for _, f in ipairs(all(facts, "device")) do
        if f.place and not seen[f.place] and is_used(f) == used then
            seen[f.place] = true
            list[#list + 1] = f
        end
    end
    return #list > 0 and list or { last(facts, "device") }
end

--- "2x rtx-4090 + 1x rtx-3090": layers are dealt in this order. nil and the name that is not known.
local function llama_device(devices)
    local runs = {}
    for _, f in ipairs(devices) do
        local name, run = known_device(f.value), runs[#runs]
        if not name then return nil, f.value end
        if run and run.name == name then
            run.count = run.count + 1
        else
            runs[#runs + 1] = { name = name, count = 1 }
        end
    end
    if #runs == 1 and runs[1].count == 1 then return runs[1].name end
    for i, run in ipairs(runs) do runs[i] = run.count .. "x " .. run.name end
    return #runs > 0 and table.concat(runs, " + ") or nil
end

--- What each device had free, in MiB: llama.cpp deals layers by it unless told. nil: not all said.
local function free_shares(facts, devices)
    local shares = {}
    for i, d in ipairs(devices) do
        for _, f in ipairs(all(facts, "free")) do
            if f.place == d.place then shares[i] = math.tointeger(f.value // (1 << 20)) end
        end
        if not shares[i] then return nil end
    end
    return #shares > 1 and table.concat(shares, ",") or nil
end

local function on_host(place) return place:find("^CPU") or place:find("_Host$") end

local function llama_options(run, facts)
    local o = run.options
    o.engine, run.version = "llama.cpp", value(facts, "version")
    run.model_name = value(facts, "name") or value(facts, "file")
    o.model = llama_model(run, facts)
    run.devices = llama_devices(facts)
    run.free_shares = free_shares(facts, run.devices)
    local device, unknown = llama_device(run.devices)
    local limit = value(facts, "metal_limit")
    by_name_or_size(run, nil, limit, function(d) return d.id:find("^m%d%-") end)
    o.device = device or o.device
    run.device_name = unknown
    o.batch = value(facts, "n_seq_max") or 1
    local ctx = value(facts, "n_ctx")
    o.seq = ctx and math.max(1, ctx // o.batch)
    o.n_batch, o.chunk = value(facts, "n_batch"), value(facts, "n_ubatch")
    if value(facts, "flash") == 0 then o.attention = "eager" end
    local unified = value(facts, "unified")
    if unified then
        o.unified = unified == 1
    elseif o.batch > 1 then
        -- before July 2025 all sequences shared one cache, and nothing was said of it
        o.unified = true
        run.notes[#run.notes + 1] = "one cache for all sequences, as builds had that do not say"
    end
    local k, v = value(facts, "type_k"), value(facts, "type_v")
    if k and v then o.kv = { k = CACHES[k] or k, v = CACHES[v] or v } end
    o.gpu_layers, o.cpu_moe = value(facts, "offloaded"), value(facts, "cpu_moe")
    o.tensor_split = value(facts, "tensor_split")
    local mode = value(facts, "split_mode") or "layer"
    if mode ~= "layer" and mode ~= "none" then
        run.ready = false
        run.missing[#run.missing + 1] = "a prediction: split mode " .. mode
            .. " cuts matrices over devices, which is not known here"
    end
    local outputs = value(facts, "n_outputs_max")
    if outputs and o.n_batch and outputs < o.n_batch and outputs > 0 then o.outputs = "last" end
    run.precision_of = function(model)
        return core.model_facts(model).from_file and "stored" or llama_precision(facts,
            value(facts, "file"), model)
    end
end

local BUFFERS = { { "weights", "buffer.model" }, { "kv", "buffer.kv" }, { "state", "buffer.state" },
    { "activations", "buffer.compute" } }

local function device_of_place(place) return (place:gsub("_Mapped$", "")) end

--- The devices that have buffers or are used, in the engine's order: "CUDA2" before "CUDA10".
local function llama_places(devices, facts)
    local order, seen = {}, {}
    local function add(place)
        if not seen[place] then order[#order + 1] = place end
        seen[place] = true
    end
    for _, d in ipairs(devices) do if is_used(d) then add(d.place) end end
    local named = #order
    for _, pair in ipairs(BUFFERS) do
        for _, f in ipairs(all(facts, pair[2])) do
            if not on_host(f.place) then add(device_of_place(f.place)) end
        end
    end
    if named == 0 then
        local function number(place) return tonumber(place:match("%d+$")) or 0 end
        table.sort(order, function(a, b)
            if number(a) ~= number(b) then return number(a) < number(b) end
            return a < b
        end)
    end
    return order
end

--- Buffers of one key by device; those of the host as one.
local function by_place(facts, key)
    local places, host = {}, {}
    for _, f in ipairs(all(facts, key)) do
        local name = device_of_place(f.place)
        local list = on_host(f.place) and host or places[name] or {}
        if list ~= host then places[name] = list end
        list[#list + 1] = f
    end
    return places, host
end

--- A mapped buffer is printed as the span of the file it covers, which may hold tensors of others.
local function mapped_note(run, facts, o)
    for _, f in ipairs(all(facts, "buffer.model")) do
        local partly = f.place == "CPU_Mapped" and (o.gpu_layers or 0) > 0
            and o.gpu_layers < (value(facts, "layers") or 0)
        if partly or f.place:find("_Mapped$") and not on_host(f.place) then
            run.notes[#run.notes + 1] = f.place
                .. " is a span of the file: tensors kept elsewhere are in it, too"
            return
        end
    end
end

--- Caches elsewhere than predicted, as many in all: the server was told how to deal layers.
local function dealt_note(run)
    local off, net = 0, 0
    for _, r in ipairs(run.rows) do
        if r.part:find("^kv ") and r.predicted and r.measured then
            off, net = off + math.abs(r.predicted - r.measured), net + r.predicted - r.measured
        end
    end
    if off > 0 and math.abs(net) < off / 100 then
        run.notes[#run.notes + 1] = "layers lie otherwise than by free memory: say tensor_split=, "
            .. "as the server was told"
    end
end

--- The caches and buffers of a file in an unknown format: the same in all, as long as no weights
-- are copied from the host. nil: they may be.
local function memory_in_any_format(run, facts, o)
    local layers = value(facts, "layers")
    if not run.only_format_unknown or o.cpu_moe or o.gpu_layers and layers
        and o.gpu_layers < layers then return nil end
    local fine, m = pcall(core.memory, ask.with(o, { precision = "f16" }))
    return fine and m or nil
end

local function llama_rows(run, facts, o)
    local order = llama_places(run.devices, facts)
    run.split_told = o.tensor_split ~= nil
    if run.ready and not o.tensor_split and #core.memory(o).per_device == #order then
        o.tensor_split = run.free_shares
    end
    run.memory = run.ready and core.memory(o) or nil
    local m = run.memory or memory_in_any_format(run, facts, o)
    local names = { weights = "weights", kv = "kv", state = "state", activations = "compute" }
    for _, pair in ipairs(BUFFERS) do
        local part, places, host = pair[1], by_place(facts, pair[2])
        local device = m and m.per_device or {}
        local counted = run.memory ~= nil or part ~= "weights" or nil
        for i, place in ipairs(order) do
            local label = names[part] .. (#order > 1 and " " .. place or "")
            local predicted = counted and device[i] and device[i][part]
            if places[place] or predicted and predicted > 0 then
                row(run, label, predicted, sum(places[place] or {}))
            end
        end
        if part == "activations" then
            for _, f in ipairs(#host > 0 and all(facts, "buffer.output") or {}) do
                host[#host + 1] = f
            end
        end
        local measured = sum(host)
        local predicted = counted and m and m.host[part]
        if predicted and #order == 0
            and m.host.total == 0 then predicted = m[part] end -- a processor is the device
        if measured and measured.value > 0 or predicted and predicted > 0 then
            row(run, "host " .. names[part], predicted, measured)
        end
    end
    mapped_note(run, facts, o)
    if not run.split_told then dealt_note(run) end
end

-- PyTorch -----------------------------------------------------------------------------------------

local MAKERS = { CUDA = "NVIDIA", HIP = "AMD", XPU = "Intel", MPS = "Apple" }

--- What the GPU lets a process have. Apple's tells no total, but a limit of 1.7 times what Metal
-- recommends (MPSAllocator.h: default_high_watermark_ratio).
local function torch_total(facts)
    local total, allowed = finest(facts, "total", larger), last(facts, "allowed")
    if total or not allowed then return total end
    return { value = allowed.value / 1.7, slack = allowed.slack / 1.7, line = allowed.line }
end

local function torch_options(run, facts)
    local o, total = run.options, torch_total(facts)
    local maker = MAKERS[value(facts, "maker")]
    o.engine = "transformers"
    by_name_or_size(run, nil, total and total.value,
        maker and function(d) return d.vendor == maker end)
    run.precision_of = function() return "stored" end
end

local function torch_rows(run, facts, o)
    local m = run.ready and core.memory(o) or nil
    run.memory = m
    local held, asked = finest(facts, "allocated", larger), finest(facts, "asked", larger)
    local wanted = held and asked and sum { held, asked }
    row(run, "held and asked for", m and m.total - m.overhead, wanted)
    row(run, "in use", m and m.total, finest(facts, "in_use", larger))
    row(run, "total", m and m.available, torch_total(facts))
    row(run, "free", nil, finest(facts, "free", larger))
    row(run, "reserved, not used", nil, finest(facts, "unallocated", larger))
    if m then
        run.notes[#run.notes + 1] =
            "a run that stops may have wanted more later: predicted is its peak"
    end
end

-- by engine ---------------------------------------------------------------------------------------

M.readers = {
    vllm = { options = vllm_options, rows = vllm_rows, start = "version", needs = { "seq" } },
    ["llama.cpp"] = { options = llama_options, rows = llama_rows, start = "offloaded",
        needs = { "seq", "precision" } },
    torch = { options = torch_options, rows = torch_rows, start = "asked", needs = {} },
}

return M
