--- Where a result's numbers come from: the plan's own terms, told as it evaluates them.
local core = require("oomph.core")
local term = require("oomph.term")
local units = require("oomph.units")

local M = {}

local PARTS = { "weights", "kv", "state", "activations", "overhead", "available" }

local basis = { exact = "exact", rule = "a rule of the engine", fitted = "fitted to measurements" }

local function term_lines(lines, t)
    local opts = { units = core.session("units") }
    lines[#lines + 1] = string.format("  %s  =  %s", t.formula, units.bytes(t.bytes, opts))
    lines[#lines + 1] = string.format("    %s  =  %s bytes", t.numbers, units.group(t.bytes))
    lines[#lines + 1] = string.format("    %s: %s", basis[t.basis], t.source)
end

local function part_lines(lines, terms, part, host, result)
    local sum, any = 0, false

    for _, t in ipairs(terms) do
        if t.part == part and t.host == host then sum, any = sum + t.bytes, true end
    end
    if not any then return end
    lines[#lines + 1] = (host and "host " or "") .. part .. "  "
        .. units.bytes(sum, { units = core.session("units") })
    for _, t in ipairs(terms) do
        if t.part == part and t.host == host then term_lines(lines, t) end
    end
    return result
end

local function one(result)
    local terms = core.terms(result)
    local lines = { string.format("%s, %s, engine %s, batch %s, seq %s%s", result.model,
        result.precision, result.engine, units.group(result.batch), units.ki(result.seq),
        result.device and " on " .. result.device or "") }

    for _, part in ipairs(PARTS) do part_lines(lines, terms, part, false) end
    for _, part in ipairs(PARTS) do part_lines(lines, terms, part, true) end
    lines[#lines + 1] = "total  " .. units.group(result.total) .. " bytes"
    if result.available then
        lines[#lines + 1] = "available  " .. units.group(result.available) .. " bytes: "
            .. (result.fits and "fits" or "does not fit")
    end
    return table.concat(lines, "\n")
end

-- other results -----------------------------------------------------------------------------------

local function size(n) return units.bytes(n, { units = core.session("units") }) end

--- The options a result was asked with, for asking again.
local function options_of(asked)
    local engine = asked.engine
    if asked.version then
        engine = engine .. "@" .. asked.version // 1000 .. "." .. asked.version % 1000
    end
    local o = { model = asked.model_handle, device = asked.device_handle, engine = engine }
    for _, name in ipairs { "tp", "pp", "ep", "dp", "chunk", "n_batch", "max_seqs", "block_size",
        "utilization", "gpu_layers", "attention", "unified", "swa_full", "kv_offload", "eager",
        "prefix_caching", "cpu_moe", "tensor_split", "reserve", "outputs", "batch", "seq",
        "prompt" } do
        o[name] = asked[name]
    end
    if asked.kv_k then o.kv = { k = asked.kv_k, v = asked.kv_v } end
    return o
end

--- The weights of one row, tensors of a kind together, the largest kinds first.
local function footprint(result)
    local asked, texts = core.asked_of(result), {}
    for _, row in ipairs(result.rows) do
        local there, all = pcall(core.inspect,
            { model = asked.model_handle, precision = row.precision, engine = asked.engine })
        if not there then
            all = core.inspect { model = asked.model_handle, precision = "stored" }
        end
        local kinds, order = {}, {}
        for _, t in ipairs(all.tensors) do
            local name = t.role
            if not kinds[name] then
                kinds[name] = { name = name, n = 0, params = 0, bytes = 0 }
                order[#order + 1] = kinds[name]
            end
            local k = kinds[name]
            k.n, k.params, k.bytes = k.n + 1, k.params + t.params, k.bytes + t.bytes
        end
        table.sort(order, function(a, b)
            return a.bytes > b.bytes or a.bytes == b.bytes and a.name < b.name
        end)
        local lines = { ("%s  %s"):format(row.precision, size(row.bytes)),
            "  sum over the tensors of elements x format  =  " .. units.group(row.bytes)
                .. " bytes" }
        for i = 1, math.min(#order, 6) do
            local k = order[i]
            lines[#lines + 1] = ("    %s: %d of %s elements in all, %.2f bits each  =  %s bytes")
                :format(k.name, k.n, units.group(k.params), k.bytes * 8 / k.params,
                    units.group(k.bytes))
        end
        if #order > 6 then lines[#lines + 1] = ("    and %d kinds more"):format(#order - 6) end
        lines[#lines + 1] = "    exact: the model's inventory and the format's blocks"
        texts[#texts + 1] = table.concat(lines, "\n")
    end
    return table.concat(texts, "\n\n")
end

--- A pool is what the budget leaves; its terms are those of memory() less the cache.
local function capacity(result)
    local lines = { ("Cache pool of %s, %s, engine %s, seq %s on %s"):format(result.model,
        result.precision, result.engine, units.ki(result.seq), result.device) }
    local terms = core.terms(result)
    for _, part in ipairs { "weights", "activations", "overhead" } do
        part_lines(lines, terms, part, false)
    end
    lines[#lines + 1] = "cache pool  " .. size(result.kv_bytes)
    lines[#lines + 1] = "  available - weights - activations - overhead  =  "
        .. size(result.kv_bytes)
    lines[#lines + 1] = ("    %s - %s - %s - %s  =  %s bytes"):format(units.group(result.available),
        units.group(result.weights), units.group(result.activations),
        units.group(result.overhead), units.group(result.kv_bytes))
    if result.blocks > 0 then
        lines[#lines + 1] = ("    %s whole blocks"):format(units.group(result.blocks))
    end
    lines[#lines + 1] = ("    %.2f sequences of %s tokens, %s tokens as the engine prints them")
        :format(result.max_concurrency, units.group(result.seq), units.group(result.kv_tokens))
    return table.concat(lines, "\n")
end

--- A solved number is shown to be the last that fits: memory at it, and one further.
local function solved(result)
    local by = result.kind == "maxseq" and "seq" or "batch"
    local o, lines = options_of(core.asked_of(result)), {}
    local function at(row, n)
        local ok, m = pcall(core.memory,
            require("oomph.ask").with(o, { precision = row.precision, [by] = n }))
        local said = "    %s %s: %s of %s available, %s"
        lines[#lines + 1] = not ok and "    " .. tostring(m) or said:format(by, units.group(n),
            size(m.total), size(m.available), m.fits and "fits" or "does not fit")
    end
    for _, row in ipairs(result.rows) do
        local n = row[by]
        lines[#lines + 1] = ("%s  %s %s"):format(row.precision, by,
            n == math.maxinteger and "without limit: nothing grows" or units.group(n))
        lines[#lines + 1] = "  the largest that memory{} says fits"
        if n > 0 and n < math.maxinteger then at(row, n) end
        if n < math.maxinteger then at(row, n + 1) end
    end
    return table.concat(lines, "\n")
end

local function every(result)
    if not result.rows then return one(result) end
    local texts = {}
    for i, row in ipairs(result.rows) do texts[i] = one(row) end
    return table.concat(texts, "\n\n")
end

local function its_memory(result)
    if not result.memory then
        error("explain: nothing was predicted for this log; print it to see what is missing", 0)
    end
    return one(result.memory)
end

local kinds = { memory = every, footprint = footprint, capacity = capacity, maxbatch = solved,
    maxseq = solved, maxlayers = its_memory, check = its_memory }

--- explain(result) -> text
function M.explain(result)
    local kind = type(result) == "table" and rawget(result, "kind")
    if not kind then
        error("explain takes a result, as in explain(memory{precision=\"fp16\"})", 0)
    end
    local explainer = kinds[kind]
    if not explainer then
        error("explain: a result of " .. tostring(kind)
            .. " has no terms; explain what memory{} returns", 0)
    end
    return term.fold(explainer(result))
end

return M
