--- Configurations side by side: what each takes, and the difference to the first.
local ask = require("oomph.ask")
local core = require("oomph.core")
local result = require("oomph.result")
local units = require("oomph.units")

local M = {}

local PARTS = { "weights", "kv", "state", "activations", "overhead", "total", "available", "free" }

--- One configuration: memory{} in one precision, and how far it goes on its device.
local function one(call, o, i)
    local ok, m = pcall(function()
        local full = ask.with(o, { precision = ask.one_precision(call, o) })
        local got = core.memory(full)
        local row = { model = got.model, device = got.device, engine = got.engine,
            batch = got.batch, seq = got.seq,
            precision = got.precision, fits = got.fits }
        for _, part in ipairs(PARTS) do row[part] = got[part] end
        if got.available then
            local b, s = ask.with(full, { seq = got.seq }), ask.with(full, { batch = got.batch })
            b.batch, s.seq = nil, nil
            row.maxbatch, row.maxseq = core.maxbatch(b), core.maxseq(s)
        end
        return row
    end)
    if not ok then
        local problem = tostring(m):gsub("^memory: ", "")
        error(call .. ": " .. (i and "configuration " .. i .. ": " or "") .. problem, 0)
    end
    return m
end

local function text_of(v)
    if type(v) ~= "table" then return tostring(v) end
    if v.k then return v.k .. "/" .. v.v end
    return v.name or v.id or "table"
end

--- What two configurations differ in, by the options themselves, in a fixed order.
local function differing(list)
    local names, seen = {}, {}
    for _, o in ipairs(list) do
        for name in pairs(o) do
            if not seen[name] then
                seen[name] = true
                local first, differs = ask.value(list[1], name), false
                for _, other in ipairs(list) do
                    differs = differs or text_of(ask.value(other, name)) ~= text_of(first)
                end
                if differs then names[#names + 1] = name end
            end
        end
    end
    table.sort(names)
    return names
end

-- Options whose value in a row is what was understood ("stored" -> bf16); the others show as
-- written.
local UNDERSTOOD = { model = true, device = true, precision = true, engine = true, batch = true,
    seq = true }

local function option_of(o, row, name)
    if UNDERSTOOD[name] then return row[name] end
    return ask.value(o, name)
end

local function option_text(name, v)
    if v == nil then return UNDERSTOOD[name] and "none" or "the engine's own" end
    return name == "seq" and units.ki(v) or text_of(v)
end

local NAMED = { model = true, device = true, precision = true, engine = true }

local function label_of(o, row, names)
    local words = {}
    for _, name in ipairs(names) do
        local v = option_of(o, row, name)
        if v ~= nil then
            words[#words + 1] = (NAMED[name] and "" or name .. " ") .. option_text(name, v)
        end
    end
    return #words > 0 and table.concat(words, ", ") or "as set"
end

local function difference(row, first)
    local delta = {}
    for _, part in ipairs(PARTS) do
        if row[part] and first[part] then delta[part] = row[part] - first[part] end
    end
    return delta
end

--- compare{a, b, …}: each a table of options over the session; name= labels one.
function M.compare(list)
    if type(list) ~= "table" or #list == 0 then
        error("compare takes a list of option tables, as in "
            .. "compare{{precision=\"fp16\"}, {precision=\"awq\"}}", 0)
    end
    local options, names, rows = {}, {}, {}
    for i, opts in ipairs(list) do
        if type(opts) ~= "table" then
            error("compare: configuration " .. i .. " is a " .. type(opts)
                .. ", expected a table of options", 0)
        end
        local own
        options[i], own = ask.options("compare", opts, { name = true })
        names[i] = own.name and tostring(own.name)
    end
    for k in pairs(list) do
        if math.type(k) ~= "integer" then
            error("compare takes a list of option tables; put \"" .. tostring(k)
                .. "\" into one of them", 0)
        end
    end
    for i, o in ipairs(options) do rows[i] = one("compare", o, i) end
    local differ = differing(options)
    for i, row in ipairs(rows) do
        row.label = names[i] or label_of(options[i], row, differ)
        row.delta = difference(row, rows[1])
    end
    return ask.result("compare", { rows = rows }, options[1])
end

local function shared(rows, name)
    for _, row in ipairs(rows) do
        if row[name] ~= rows[1][name] then return nil end
    end
    return rows[1][name]
end

local function title(rows)
    local words = {}
    for _, name in ipairs { "model", "precision", "engine" } do
        words[#words + 1] = shared(rows, name)
    end
    local batch, seq, device = shared(rows, "batch"), shared(rows, "seq"), shared(rows, "device")
    if batch then words[#words + 1] = "batch " .. units.group(batch) end
    if seq then words[#words + 1] = "seq " .. units.ki(seq) end
    return table.concat(words, ", ") .. (device and " on " .. device or "")
end

local function signed(n, o)
    if n == 0 then return "=" end
    return (n > 0 and "+" or "-") .. units.bytes(math.abs(n), o)
end

local function count(n)
    return n == 0 and "none" or units.group(n)
end

local function any(rows, name)
    for _, row in ipairs(rows) do
        if row[name] ~= nil and row[name] ~= 0 then return true end
    end
    return false
end

local function size_text(part, v, o)
    if v == nil then return "" end
    return v < 0 and "-" .. units.over(-v, o) or part == "free" and units.free(v, o)
        or units.bytes(v, o)
end

--- One line a part, one column a configuration. Differences to the first stand beside the second of
-- two, otherwise on a line of their own where there are any.
local function side_by_side(rows, labels)
    local o = { units = result.units() }
    local headers, lines, beside = { "" }, {}, #rows == 2
    for i = 1, #rows do headers[#headers + 1] = { labels[i], align = "right" } end
    if beside then headers[#headers + 1] = { "difference", align = "right" } end
    local function line(name, cell)
        local cells = { name }
        for i, row in ipairs(rows) do cells[i + 1] = cell(row) end
        lines[#lines + 1] = cells
        return cells
    end
    for _, part in ipairs(PARTS) do
        if any(rows, part) then
            local cells = line(part, function(row) return size_text(part, row[part], o) end)
            local changed = false
            for _, row in ipairs(rows) do changed = changed or (row.delta[part] or 0) ~= 0 end
            if beside then
                cells[#cells + 1] = rows[2].delta[part] and signed(rows[2].delta[part], o) or ""
            elseif changed then
                line("  difference", function(row)
                    return row ~= rows[1] and row.delta[part] and signed(row.delta[part], o) or ""
                end)
            end
        end
    end
    if any(rows, "available") then
        line("fits", function(row)
            if row.fits == nil then return "" end
            return row.fits and "yes" or "no"
        end)
        line("largest batch", function(row) return row.maxbatch and count(row.maxbatch) or "" end)
        line("longest seq", function(row) return row.maxseq and count(row.maxseq) or "" end)
    end
    return ask.layout(headers, lines)
end

--- Labels as headers where they are short; otherwise letters, and a line for each above.
local function headings(rows)
    local labels, wide = {}, 16
    for i, row in ipairs(rows) do
        labels[i] = row.label
        wide = wide + math.max(12, utf8.len(row.label) or #row.label) + 2
    end
    if wide <= require("oomph.term").settings().width then return labels, "" end
    local legend = {}
    for i, row in ipairs(rows) do
        labels[i] = i <= 26 and string.char(96 + i) or tostring(i)
        legend[i] = labels[i] .. "  " .. row.label
    end
    return labels, table.concat(legend, "\n") .. "\n"
end

local compare = {}

function compare.grid(r)
    local headers = { "configuration", "model", "device", "precision", "engine", "batch", "seq" }
    for _, part in ipairs(PARTS) do headers[#headers + 1] = { part, unit = "bytes" } end
    for _, name in ipairs { "fits", "maxbatch", "maxseq" } do headers[#headers + 1] = name end
    headers[#headers + 1] = { "difference", unit = "bytes" }
    local rows = {}
    for i, row in ipairs(r.rows) do
        local cells = { row.label, row.model, row.device, row.precision, row.engine, row.batch,
            row.seq }
        for p, part in ipairs(PARTS) do cells[7 + p] = row[part] end
        local at = 7 + #PARTS
        cells[at + 1], cells[at + 2], cells[at + 3], cells[at + 4] = row.fits, row.maxbatch,
            row.maxseq, row.delta.total
        rows[i] = cells
    end
    return headers, rows
end

function compare.show(r)
    local head = title(r.rows)
    local labels, legend = headings(r.rows)
    return (head ~= "" and head .. "\n" or "") .. legend .. side_by_side(r.rows, labels)
end

--- whatif{batch=8, base={…}}: the session (or base) with a change, before and after.
function M.whatif(opts)
    local o, own = ask.options("whatif", opts, { base = true })
    if next(o) == nil then
        error("whatif takes what changes, as in whatif{precision=\"awq\"}", 0)
    end
    local base = ask.options("whatif", own.base, {})
    local after = ask.with(base, o)
    local rows = { one("whatif", base), one("whatif", after) }
    local names, changed = {}, {}
    for name in pairs(o) do names[#names + 1] = name end
    table.sort(names)
    for i, name in ipairs(names) do
        changed[i] = { name = name, from = option_of(base, rows[1], name),
            to = option_of(o, rows[2], name) }
    end
    for i, row in ipairs(rows) do
        row.label, row.delta = i == 1 and "before" or "after", difference(row, rows[1])
    end
    return ask.result("whatif", { before = rows[1], after = rows[2], changed = changed,
        delta = rows[2].delta, rows = rows }, after)
end

local whatif = { grid = compare.grid }

local function verdict(r)
    local before, after = r.before, r.after
    if after.fits == nil then return "" end
    local o = { units = result.units() }
    local room = after.fits and units.free(after.free, o) .. " free" or units.over(-after.free, o)
        .. " over"
    if before.fits == nil then
        return "\n" .. (after.fits and "fits, " or "does not fit, ") .. room
    end
    local words = before.fits and (after.fits and "still fits, " or "no longer fits, ")
        or after.fits and "now fits, " or "still does not fit, "
    return "\n" .. words .. room
end

function whatif.show(r)
    local words = {}
    for i, c in ipairs(r.changed) do
        words[i] = c.name .. " " .. option_text(c.name, c.from) .. " -> "
            .. option_text(c.name, c.to)
    end
    return table.concat(words, ", ") .. "\n" .. compare.show(r) .. verdict(r)
end

result.add_kind("compare", compare)
result.add_kind("whatif", whatif)

return M
