--- It does not fit: what to change? Every change is tried by asking memory{} again, so an engine
-- that does not know an option frees nothing by it and the change is not listed. Changes that do
-- not do alone are tried in pairs. The order among those that fit is a judgement, not a
-- measurement: `pain` below, in one place.
local ask = require("oomph.ask")
local core = require("oomph.core")
local result = require("oomph.result")
local units = require("oomph.units")

local M = {}

local PAIRS = 10        -- kept at most

local function log2(x) return math.log(x, 2) end

local function try(o)
    local ok, m = pcall(core.memory, o)
    if ok then return m end
end

local function largest(call, o, name)
    local rest = ask.with(o, {})
    rest[name] = nil
    local ok, n = pcall(core[call], rest)
    return ok and n or 0
end

-- what can be changed, one function each: a list of {set=, to=, costs=, pain=} --------------------

local function bits(o, facts)
    local ok, f = pcall(core.footprint, { model = o.model, precision = o.precision })
    return ok and facts.params > 0 and f.rows[1].bytes * 8 / facts.params or nil
end

local function bits_words(b) return ("%.1f bits a weight"):format(b) end

--- Narrower weights.
local function precision(o, _, at)
    local list, before = {}, bits(o, at.facts)
    for _, name in ipairs(ask.ladder { engine = o.engine }) do
        local b = bits(ask.with(o, { precision = name }), at.facts)
        if b and before and b < before - 0.01 then
            list[#list + 1] = { set = { precision = name }, to = name,
                pain = 1 + 3 * log2(before / b),
                costs = bits_words(b) .. " instead of " .. ("%.1f"):format(before) }
        end
    end
    return list
end

local KV = { ["llama.cpp"] = { "q8_0", "q4_0" }, vllm = { "fp8" }, transformers = { "int8" } }

--- A narrower cache.
local function kv(o)
    local list = {}
    for _, name in ipairs(KV[ask.engine(o)] or { "fp8", "q4_0" }) do
        local eight = name ~= "q4_0"
        list[#list + 1] = { set = { kv = name }, to = name, pain = eight and 1.2 or 4,
            costs = eight and "keys and values rounded to 8 bits"
                or "keys and values rounded to 4 bits" }
    end
    return list
end

--- Fewer sequences at once, shorter ones: the most that fits.
local function batch(o, now)
    local n = now.batch > 1 and largest("maxbatch", o, "batch") or 0
    if n < 1 or n >= now.batch then return {} end
    return { { set = { batch = n }, to = units.group(n), pain = 1 + 2 * log2(now.batch / n),
        costs = units.group(n) .. " of " .. units.group(now.batch)
            .. " sequences at once, the rest waits" } }
end

local function seq(o, now)
    local n = largest("maxseq", o, "seq")
    n = n >= 8192 and n // 1024 * 1024 or n >= 512 and n // 256 * 256 or n
    if n < 1 or n >= now.seq then return {} end
    return { { set = { seq = n }, to = units.ki(n), pain = 1.5 + 2.5 * log2(now.seq / n),
        costs = units.ki(n) .. " of " .. units.ki(now.seq) .. " tokens a sequence" } }
end

--- Smaller steps of prefill, fewer rows of logits, leaner kernels: slower, the same answers.
local function step()
    local list = {}
    for _, n in ipairs { 1024, 512, 256 } do
        list[#list + 1] = { set = { chunk = n }, to = units.group(n),
            pain = 0.5 + 0.2 * log2(2048 / n),
            costs = "prompts are read in smaller steps, more slowly" }
    end
    return list
end

local function outputs()
    return { { set = { outputs = "last" }, to = "last", pain = 0.3,
        costs = "logits of the last position only" } }
end

local function attention(o)
    if (ask.value(o, "attention") or "flash") == "flash" and ask.value(o, "flash") ~= false then
        return {}
    end
    return { { set = { attention = "flash" }, to = "flash", pain = 0.1,
        costs = "needs kernels with fused attention" } }
end

local function eager()
    return { { set = { eager = true }, to = "true", pain = 1,
        costs = "no CUDA graphs: slower decoding" } }
end

local function utilization()
    return { { set = { utilization = 0.95 }, to = "0.95", pain = 0.6,
        costs = "5 % of the device is left for everything else" } }
end

local function swa_full(o)
    if ask.value(o, "swa_full") ~= true then return {} end
    return { { set = { swa_full = false }, to = "false", pain = 0.3,
        costs = "window layers keep their window: less reuse of a prompt" } }
end

local function reserve(o)
    if not ask.value(o, "reserve") then return {} end
    return { { set = { reserve = 0 }, to = "0", pain = 1.5,
        costs = "nothing is kept free for others" } }
end

--- Two, four, eight times the devices, as many as a machine can hold.
local function device(o, _, at)
    local list = {}
    local groups = at.device.groups
    if #groups ~= 1 or not groups[1].id then return {} end
    for _, k in ipairs { 2, 4, 8 } do
        local n = at.device.n * k
        if n > (groups[1].per_machine or 128) then break end
        local label = n .. "x " .. groups[1].id
        local set = { device = label }
        for _, degree in ipairs { "tp", "pp" } do
            if ask.value(o, degree) then
                set[degree] = (set.tp or set.pp) and ask.value(o, degree)
                    or ask.value(o, degree) * k
            end
        end
        if not try(ask.with(o, set)) then set = { device = label, tp = 1, pp = n } end
        list[#list + 1] = { set = set, to = label, pain = 5 + 3 * log2(k),
            costs = n .. " devices instead of " .. at.device.n }
    end
    return list
end

--- Layers, experts or the cache in main memory, where the engine can.
local function gpu_layers(o, now, at)
    local none = try(ask.with(o, { gpu_layers = 0 }))
    if not none or none.total >= now.total or not none.fits then return {} end
    local low, high = 0, (at.facts.layers or 0) + 1    -- low fits, high does not
    while high - low > 1 do
        local middle = (low + high) // 2
        local m = try(ask.with(o, { gpu_layers = middle }))
        if m and m.fits then low = middle else high = middle end
    end
    local share = 1 - low / ((at.facts.layers or 0) + 1)
    return { { set = { gpu_layers = low }, to = tostring(low), pain = 4 + 6 * share,
        costs = ("%d of %d layers run from main memory, slowly"):format(at.facts.layers + 1 - low,
            at.facts.layers + 1) } }
end

local function cpu_moe(_, _, at)
    if not at.facts.experts then return {} end
    return { { set = { cpu_moe = true }, to = "true", pain = 5,
        costs = "experts run from main memory" } }
end

local function kv_offload()
    return { { set = { kv_offload = false }, to = "false", pain = 7,
        costs = "attention runs from main memory, slowly" } }
end

-- The order is the order in a pair; solved ones come last, so that they are solved for what the
-- first leaves.
local ways = {
    { "precision", precision }, { "kv", kv }, { "outputs", outputs }, { "attention", attention },
    { "eager", eager }, { "utilization", utilization }, { "swa_full", swa_full },
    { "reserve", reserve }, { "chunk", step }, { "device", device }, { "cpu_moe", cpu_moe },
    { "kv_offload", kv_offload }, { "gpu_layers", gpu_layers }, { "batch", batch }, { "seq", seq },
}

-- trying ------------------------------------------------------------------------------------------

--- Every change from `first` on, tried on `o`: those that free something.
local function changes(o, now, at, first)
    local list = {}
    for i = first, #ways do
        local name, propose = ways[i][1], ways[i][2]
        for _, c in ipairs(propose(o, now, at)) do
            local m = try(ask.with(o, c.set))
            if m and m.free > now.free then
                c.option, c.way, c.memory = name, i, m
                c.change = name .. " = " .. c.to
                list[#list + 1] = c
            end
        end
    end
    return list
end

local function row_of(c, before)
    local m = c.memory
    return { change = c.change, options = c.set, frees = m.free - before.free, total = m.total,
        available = m.available, free = m.free, fits = m.fits, costs = c.costs, pain = c.pain,
        changes = c.second and 2 or 1 }
end

local function joined(first, second)
    return { change = first.change .. ", " .. second.change,
        set = ask.with(first.set, second.set), memory = second.memory,
        costs = first.costs .. "; " .. second.costs,
        pain = first.pain + second.pain, second = true }
end

local function by_pain(a, b)
    if a.pain ~= b.pain then return a.pain < b.pain end
    return a.change < b.change
end

--- Pairs of changes of which neither does alone; of each two options the least painful pair.
local function pairs_of(o, at, singles)
    local alone = {}
    for _, c in ipairs(singles) do if c.memory.fits then alone[c.change] = true end end
    local best = {}
    for _, first in ipairs(singles) do
        if not first.memory.fits then
            for _, second in ipairs(changes(ask.with(o, first.set), first.memory, at,
                first.way + 1)) do
                local key = first.option .. "\0" .. second.option
                local pair = joined(first, second)
                if second.memory.fits and not alone[second.change]
                    and (not best[key] or by_pain(pair, best[key])) then
                    best[key] = pair
                end
            end
        end
    end
    local list = {}
    for _, pair in pairs(best) do list[#list + 1] = pair end
    table.sort(list, by_pain)
    return table.move(list, 1, math.min(#list, PAIRS), 1, {})
end

--- Of a ladder of one option only the first step that fits is worth a line.
local function fitting(singles)
    local list, seen = {}, {}
    table.sort(singles, by_pain)
    for _, c in ipairs(singles) do
        if c.memory.fits and not seen[c.option] then
            seen[c.option] = true
            list[#list + 1] = c
        end
    end
    return list
end

--- advise{model=, device=, precision=, batch=, seq=, …} -> what makes it fit: single changes, then
-- pairs, the least painful first, each with what it frees and what it costs; or that it fits, with
-- the head room.
function M.advise(opts)
    local o = ask.options("advise", opts, {})
    o.model = ask.need("advise", o, "model", "llama-3.1-70b")
    o.device = ask.need("advise", o, "device", "rtx-4090")
    o.precision = ask.one_precision("advise", o)
    ask.engine(o)
    local now = core.memory(o)
    o.batch, o.seq = now.batch, now.seq
    local at = { facts = core.model_facts(o.model), device = core.device_facts(o.device) }
    local r = { model = now.model, device = now.device, engine = now.engine, batch = now.batch,
        seq = now.seq, total = now.total,
        precision = o.precision == "stored" and ask.stored_name(at.facts) or o.precision,
        available = now.available, free = now.free, fits = now.fits, before = now, rows = {} }
    if now.fits then
        r.maxbatch, r.maxseq = largest("maxbatch", o, "batch"), largest("maxseq", o, "seq")
        return ask.result("advise", r, o)
    end
    local singles = changes(o, now, at, 1)
    local together = pairs_of(o, at, singles)
    for _, c in ipairs(fitting(singles)) do r.rows[#r.rows + 1] = row_of(c, now) end
    for _, c in ipairs(together) do r.rows[#r.rows + 1] = row_of(c, now) end
    return ask.result("advise", r, o)
end

local advise = {}

function advise.grid(r)
    local rows = {}
    for i, row in ipairs(r.rows) do rows[i] = { row.change, row.frees, row.free, row.costs } end
    return { "change", { "frees", unit = "bytes" }, { "then free", unit = "bytes", round = "down" },
        "what it costs" }, rows
end

--- What it costs goes under the change it belongs to: two of them do not fit beside the figures.
local function list(r)
    local headers, rows = advise.grid(r)
    for _, row in ipairs(rows) do row[4] = nil end
    headers[4] = nil
    local lines, i = {}, -1
    for line in (ask.layout(headers, rows, { rows = "all" }) .. "\n"):gmatch("(.-)\n") do
        lines[#lines + 1] = line
        i = i + 1
        if r.rows[i - 1] then lines[#lines + 1] = "    " .. r.rows[i - 1].costs end
    end
    return table.concat(lines, "\n")
end

function advise.show(r)
    local o = { units = result.units() }
    local head = r.model .. ", " .. r.precision .. ", " .. ask.load_words(r) .. " on " .. r.device
        .. ": "
        .. units.bytes(r.total, o) .. " of " .. units.bytes(r.available, o)
    if r.fits then
        return head .. "\nfits, " .. units.free(r.free, o) .. " free: up to batch "
            .. units.group(r.maxbatch) .. " at this seq, or seq "
            .. units.group(r.maxseq) .. " at this batch"
    end
    head = head .. ", " .. units.over(-r.free, o) .. " over"
    if #r.rows == 0 then
        return head .. "\nno change of one or two options makes it fit; "
            .. "fit() says what does, gpus() where it would"
    end
    return head .. "\n" .. list(r)
end

result.add_kind("advise", advise)

return M
