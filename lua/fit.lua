--- What can I run here, and in which precision? Both are one sweep over formats whose widest that
-- fits is kept.
local ask = require("oomph.ask")
local core = require("oomph.core")
local result = require("oomph.result")
local units = require("oomph.units")

local M = {}

local SHOWN = 30        -- rows of fit{} printed; all of them are in .rows

--- Keeps of the rows of one model those a person would consider: what is stored, and what is
-- narrower.
local function considered(rows, facts)
    local packed, cap = ask.packed(facts), nil
    local kept = {}
    for _, row in ipairs(rows) do
        if row.precision == "stored" then
            cap = packed and row.weights or nil
            if packed then
                row.precision = ask.stored_name(facts)
                kept[#kept + 1] = row
            end
        elseif not packed or cap and row.weights and row.weights < cap or row.reason then
            kept[#kept + 1] = row
        end
    end
    return kept
end

--- The ladder with "stored" before it, so that packed models are seen as they are published.
local function tried(o)
    local list = { "stored" }
    for _, p in ipairs(ask.ladder(o)) do
        if p ~= "stored" then list[#list + 1] = p end
    end
    return list
end

local SHOW = { "weights", "total", "available", "free", "fits", "params", "active_params" }

-- quant -------------------------------------------------------------------------------------------

--- quant{model=, device=, batch=, seq=, precision={…}} -> the formats tried and the best that fits.
function M.quant(opts)
    local o = ask.options("quant", opts, {})
    local model = ask.need("quant", o, "model", "llama-3.1-8b")
    local device = ask.need("quant", o, "device", "rtx-4090")
    local facts = core.model_facts(model)
    local asked = ask.sweep(ask.with(o, { model = { model }, device = { device },
        precision = tried(o), show = SHOW }))
    local list = {}
    for i = 1, #asked do list[i] = asked[i] end
    local rows = considered(list, facts)
    if #rows == 0 then rows = list end
    table.sort(rows, function(a, b)
        if (a.weights or -1) ~= (b.weights or -1) then
            return (a.weights or -1) > (b.weights or -1)
        end
        return a.precision < b.precision
    end)
    local best
    for _, row in ipairs(rows) do
        row.model, row.device = nil, nil
        if row.fits and not best then best = row end
        if row.fits then
            row.maxseq = core.maxseq(ask.with(o,
                { model = model, device = device, batch = row.batch,
                precision = row.precision == facts.stored and "stored" or row.precision }))
        end
    end
    return ask.result("quant", { model = facts.id, device = ask.device_name(device),
        engine = ask.engine(o),
        batch = rows[1].batch, seq = rows[1].seq, rows = rows, best = best and best.precision
            or nil, row = best }, o)
end

local quant = {}

function quant.grid(r)
    local rows = {}
    for i, row in ipairs(r.rows) do
        rows[i] = { row.precision, row.weights, row.total, row.free, row.fits,
            row.maxseq, row.reason }
    end
    return { "precision", { "weights", unit = "bytes", lesser = true },
        { "total", unit = "bytes", lesser = true }, { "free", unit = "bytes", round = "down" },
        "fits", { "longest seq", unit = "count" }, "reason" }, rows
end

function quant.show(r)
    local headers, rows = require("oomph.table").without_empty(quant.grid(r))
    local verdict = "none of these fits; advise() says what would"
    if r.best then
        verdict = r.best .. " is the widest that fits, "
            .. units.free(r.row.free, { units = result.units() }) .. " free"
    end
    return "Precisions of " .. r.model .. " on " .. r.device .. ", " .. ask.load_words(r) .. "\n"
        .. ask.layout(headers, rows, { rows = "all" }) .. "\n" .. verdict
end

-- fit ---------------------------------------------------------------------------------------------

--- Models by the sequence they are asked at: what was asked, or 8192 and no longer than their
-- context.
local function by_seq(names, seq)
    local groups, order, short = {}, {}, 0
    for _, name in ipairs(names) do
        local facts = core.model_facts(name)
        local context = facts.context or math.maxinteger
        local at = seq or math.min(8192, context)
        if facts.shape_unknown or at > context then
            short = short + 1
        else
            if not groups[at] then
                groups[at] = {}
                order[#order + 1] = at
            end
            table.insert(groups[at], { name = name, facts = facts })
        end
    end
    table.sort(order)
    return groups, order, short
end

local function names_of(group)
    local list = {}
    for i, one in ipairs(group) do list[i] = one.name end
    return list
end

--- The widest format that fits of one model on one device; nil, and whether any could be evaluated.
local function widest(rows, facts)
    local best, possible = nil, false
    for _, row in ipairs(considered(rows, facts)) do
        possible = possible or row.total ~= nil
        if row.fits and (not best or row.weights > best.weights) then best = row end
    end
    return best, possible
end

local function collect(into, asked, group)
    local at, facts = {}, {}
    for _, one in ipairs(group) do facts[one.facts.id], facts[one.name] = one.facts, one.facts end
    local order = {}
    for i = 1, #asked do
        local row = asked[i]
        local key = row.model .. "\0" .. row.device
        if not at[key] then
            at[key] = {}
            order[#order + 1] = key
        end
        table.insert(at[key], row)
    end
    for _, key in ipairs(order) do
        local rows = at[key]
        local best, possible = widest(rows, facts[rows[1].model])
        into.asked = into.asked + 1
        if best then
            into.rows[#into.rows + 1] = best
        elseif not possible then
            into.impossible = into.impossible + 1
        end
    end
end

local function largest_first(a, b)
    if a.params ~= b.params then return a.params > b.params end
    if a.model ~= b.model then return a.model < b.model end
    return a.device < b.device
end

--- fit{device=, seq=, batch=, model="qwen*", precision={…}, top=n} -> models that run here, largest
-- first, each in the widest format that fits. The session's model and precision are what is asked
-- for, so they are not used.
function M.fit(opts)
    local o, own = ask.options("fit", opts, { top = true })
    if own.top ~= nil and (math.type(own.top) ~= "integer" or own.top < 1) then
        error("fit: top takes a number of models, as in fit{top=10}", 0)
    end
    local device = ask.need("fit", o, "device", "local")
    local names = require("oomph.sweep").names("model", o.model or "all")
    local seq = ask.value(o, "seq")
    seq = seq and core.count(seq) or nil
    local groups, order, short = by_seq(names, seq)
    local found = { rows = {}, asked = 0, impossible = 0 }
    for _, at in ipairs(order) do
        collect(found, ask.sweep(ask.with(o, { model = names_of(groups[at]), device = device,
            precision = tried(o),
            seq = at, show = SHOW })), groups[at])
    end
    table.sort(found.rows, largest_first)
    local n = #found.rows
    if own.top then found.rows = table.move(found.rows, 1, math.min(own.top, n), 1, {}) end
    return ask.result("fit", { rows = found.rows, n = n, of = found.asked, short = short,
        impossible = found.impossible,
        device = type(device) == "table" and #device > 0 and #device .. " devices"
            or ask.device_name(device),
        devices = type(device) == "table" and #device > 1, engine = ask.engine(o),
        batch = ask.value(o, "batch") and core.count(ask.value(o, "batch")) or 1, seq = seq }, o)
end

local fit = {}

local function fit_rows(r, n)
    local rows = {}
    for i = 1, n do
        local row = r.rows[i]
        rows[i] = { row.model, row.params, row.precision, row.total, row.free }
        if r.devices then table.insert(rows[i], 2, row.device) end
    end
    local headers = { "model", { "params", unit = "params", lesser = true }, "precision",
        { "total", unit = "bytes", lesser = true }, { "free", unit = "bytes", round = "down" } }
    if r.devices then table.insert(headers, 2, "device") end
    return headers, rows
end

function fit.grid(r) return fit_rows(r, #r.rows) end

function fit.show(r)
    local head = "What runs on " .. r.device .. ", " .. ask.load_words(r)
        .. (r.seq and "" or ", seq 8Ki or the model's context if shorter")
    if r.n == 0 then return head .. "\nno model fits" end
    local text = head .. "\n" .. ask.layout_first(r, fit_rows, SHOWN) .. "\n" .. r.n .. " of "
        .. r.of .. (r.devices and " pairs fit" or " models fit")
    if r.impossible > 0 then text = text .. "; " .. r.impossible .. " cannot run so at all" end
    if r.short > 0 then text = text .. "; " .. r.short .. " left out: their context is shorter" end
    return text
end

result.add_kind("quant", quant)
result.add_kind("fit", fit)

return M
