--- Results as people see them, and what every result can do: csv, json, markdown.
-- A result is a plain table of fields with `kind`; one row of `kinds` below shows one kind.
local core = require("oomph.core")
local term = require("oomph.term")
local units = require("oomph.units")

local M = {}

local function chart() return require("oomph.chart") end
local asked = {} -- what the :table{} that is being written asks for
local shown      -- the units of the call whose result is being written, where it said them

--- The units of the result that is being written.
function M.units() return shown or core.session("units") end

local unit = M.units

local function opts() return { units = unit() } end

--- A table in the units, of the rows and of the width that are asked for.
function M.layout(headers, rows, o)
    o = o or {}
    o.units = unit()
    o.rows, o.width = asked.rows or o.rows, asked.width
    return require("oomph.table").layout(headers, rows, o)
end

local layout = M.layout

--- The first rows of r, laid out by its grid(r, n): `most`, or as many as are asked for.
function M.layout_first(r, grid, most)
    most = asked.rows or most
    local n = most == "all" and #r.rows or math.min(#r.rows, most)
    local headers, rows = grid(r, n)
    return layout(headers, rows, { rows = "all",
        left_out = n < #r.rows and { after = n, count = #r.rows - n } or nil })
end

local function with_opts(t)
    t.units = unit()
    return t
end

local function on(r) return r.device and " on " .. r.device or "" end

--- A chart as text, from what a kind's picture() returns: its name, rows and options.
local function drawn(name, rows, o) return chart()[name](rows, o) end

--- A solved number in words: 0 is "does not fit".
local function solved(n, format)
    if n == 0 then return "does not fit" end
    return format(n)
end

local function column(rows, make)
    local out = {}
    for i, row in ipairs(rows) do out[i] = make(row) end
    return out
end

-- footprint ---------------------------------------------------------------------------------------

local footprint = {}

function footprint.picture(r)
    local rows = column(r.rows, function(row) return { row.precision, row.bytes } end)
    return "bars", rows, with_opts { title = "Weights of " .. r.model .. on(r),
        capacity = r.device_bytes, unit = "bytes" }
end

function footprint.show(r)
    if not r.device_bytes then
        return "Weights of " .. r.model .. on(r) .. "\n" .. layout(footprint.grid(r))
    end
    return drawn(footprint.picture(r))
end

function footprint.grid(r)
    if not r.device_bytes then
        return { "precision", { "bytes", unit = "bytes" } },
            column(r.rows, function(row) return { row.precision, row.bytes } end)
    end
    return { "precision", { "bytes", unit = "bytes" }, "fits",
        { "free", unit = "bytes", round = "down" } },
        column(r.rows, function(row) return { row.precision, row.bytes, row.fits, row.free } end)
end

-- memory ------------------------------------------------------------------------------------------

local parts = { "weights", "kv", "state", "activations", "overhead" }

local memory = {}

local function stack_row(row, label)
    return { label = label, weights = row.weights, kv = row.kv, state = row.state,
        activations = row.activations, overhead = row.overhead }
end

local function capacity(row)
    if not row.available then return {} end
    return { available = row.available, device = core.device_facts_of(row) }
end

local function setting(r)
    local text = r.model .. (r.rows and "" or ", " .. r.precision) .. ", " .. r.engine
    return text .. ", batch " .. units.group(r.batch) .. ", seq " .. units.ki(r.seq)
        .. (r.seq_assumed and " (assumed)" or "")
end

local function share(n, of)
    return of > 0 and string.format("%.1f", n / of * 100) or ""
end

local function parts_table(r)
    local rows = {}
    for _, name in ipairs(parts) do
        if r[name] > 0 or name ~= "state" then
            rows[#rows + 1] = { name, r[name], share(r[name], r.total) }
        end
    end
    rows[#rows + 1] = { "total", r.total, share(r.total, r.total) }
    if r.available then rows[#rows + 1] = { "available", r.available } end
    return layout({ "part", { "size", unit = "bytes" }, { "share %", align = "right" } }, rows)
end

local function host_line(r)
    local host = r.host
    if not host or host.total == 0 then return "" end
    return "\nin main memory " .. units.bytes(host.total, opts())
end

--- Devices that do not all hold the same, a line for each run of equal ones.
local function device_lines(r)
    local per, rows = r.device and r.per_device or {}, {}
    for i, d in ipairs(per) do
        local before = rows[#rows]
        local same = before ~= nil
        for _, name in ipairs(parts) do same = same and before.of[name] == d[name] end
        if same and before.of.available == d.available then
            before.last = i
        else
            rows[#rows + 1] = { first = i, last = i, of = d }
        end
    end
    if #per < 2 then return "" end
    if #rows == 1 then return "\nthe same on each of " .. #per .. " devices" end
    local lines = column(rows, function(x)
        return { x.first == x.last and tostring(x.first) or x.first .. "-" .. x.last, x.of.weights,
            x.of.kv + x.of.state, x.of.activations, x.of.total, x.of.free }
    end)
    return "\n" .. layout({ "device", { "weights", unit = "bytes" }, { "cache", unit = "bytes" },
        { "activations", unit = "bytes" }, { "total", unit = "bytes" },
        { "free", unit = "bytes", round = "down" } }, lines)
end

function memory.picture(r)
    local rows = {}
    if r.rows then
        for i, row in ipairs(r.rows) do rows[i] = stack_row(row, row.precision) end
    else
        rows[1] = stack_row(r, r.precision)
    end
    local o = with_opts(capacity(r.rows and r.rows[1] or r))
    o.title = "Memory of " .. setting(r) .. on(r)
    return "stack", rows, o
end

function memory.show(r)
    local text = drawn(memory.picture(r))
    if r.rows then return text end
    return text .. "\n" .. parts_table(r) .. device_lines(r) .. host_line(r)
end

function memory.grid(r)
    local headers = { "precision" }
    for _, name in ipairs(parts) do headers[#headers + 1] = { name, unit = "bytes" } end
    headers[#headers + 1] = { "total", unit = "bytes" }
    headers[#headers + 1] = { "available", unit = "bytes" }
    headers[#headers + 1] = "fits"
    return headers, column(r.rows or { r }, function(x)
        return { x.precision, x.weights, x.kv, x.state, x.activations, x.overhead, x.total,
            x.available, x.fits }
    end)
end

--- per_device and host are worked out when they are asked for, and kept.
function memory.index(r, key)
    if key ~= "per_device" and key ~= "host" or rawget(r, "rows") then return nil end
    local details = core.memory_details(r)
    rawset(r, "per_device", details.per_device)
    rawset(r, "host", details.host)
    return details[key]
end

-- maxbatch, maxseq --------------------------------------------------------------------------------

local maxbatch, maxseq = {}, {}

function maxbatch.show(r)
    local head = "Largest batch of " .. r.model .. " at seq " .. units.ki(r.seq)
        .. (r.seq_assumed and " (assumed)" or "") .. ", " .. r.engine .. on(r)
    return head .. "\n" .. layout({ "precision", { "batch", align = "right" } },
        column(r.rows, function(row) return { row.precision, solved(row.batch, units.group) } end))
end

function maxbatch.grid(r)
    return { "precision", { "batch", unit = "count" } },
        column(r.rows, function(row) return { row.precision, row.batch } end)
end

local function seq_words(row, context)
    local text = solved(row.seq, units.group)
    if row.beyond_context then text = text .. "  beyond the model's " .. units.ki(context) end
    return text
end

function maxseq.show(r)
    local head = "Longest sequence of " .. r.model .. " at batch " .. units.group(r.batch) .. ", "
        .. r.engine .. on(r)
    return head .. "\n" .. layout({ "precision", { "seq", align = "right" }, "" },
        column(r.rows, function(row)
        return { row.precision, solved(row.seq, units.group),
            row.beyond_context and "beyond the model's " .. units.ki(r.context) or "" }
    end))
end

function maxseq.grid(r)
    return { "precision", { "seq", unit = "count" }, "beyond_context" },
        column(r.rows, function(row)
            return { row.precision, row.seq, row.beyond_context or false }
        end)
end

-- maxcurve ----------------------------------------------------------------------------------------

local maxcurve = {}

local function seqs_of(r)
    local seen, list = {}, {}
    for _, name in ipairs(r.order) do
        for _, point in ipairs(r.series[name]) do
            if not seen[point.seq] then
                seen[point.seq] = true
                list[#list + 1] = point.seq
            end
        end
    end
    table.sort(list)
    return list
end

local function curve_points(r)
    local at = {}
    for _, name in ipairs(r.order) do
        for _, point in ipairs(r.series[name]) do
            at[point.seq] = at[point.seq] or {}
            at[point.seq][name] = point.batch
        end
    end
    return at
end

function maxcurve.grid(r)
    local headers, rows, at = { { "seq", unit = "tokens" } }, {}, curve_points(r)
    for _, name in ipairs(r.order) do headers[#headers + 1] = { name, unit = "count" } end
    for _, seq in ipairs(seqs_of(r)) do
        local row = { seq }
        for i, name in ipairs(r.order) do row[i + 1] = at[seq][name] end
        rows[#rows + 1] = row
    end
    return headers, rows
end

local function drawable(r)
    local series = {}
    for _, name in ipairs(r.order) do
        local points = {}
        for _, p in ipairs(r.series[name]) do
            if p.batch < math.maxinteger then points[#points + 1] = { p.seq, p.batch } end
        end
        if #points > 0 then series[#series + 1] = { name = name, points = points } end
    end
    return series
end

local function partner_lines(r)
    local lines = {}
    for _, row in ipairs(r.rows or {}) do
        if r.batch then
            lines[#lines + 1] = { row.precision, seq_words(row, r.context) }
        else
            lines[#lines + 1] = { row.precision, solved(row.batch, units.group) }
        end
    end
    if #lines == 0 then return "" end
    local header = r.batch and "longest seq at batch " .. units.group(r.batch)
        or "largest batch at seq " .. units.ki(r.seq)
    return "\n" .. layout({ "precision", { header, align = "right" } }, lines)
end

local function totals_picture(r)
    local rows = column(r.rows, function(row) return { row.precision, row.total } end)
    local title = "Memory of " .. r.model .. ", " .. r.engine .. ", batch " .. units.group(r.batch)
        .. ", seq " .. units.ki(r.seq) .. on(r)
    return "bars", rows, with_opts { title = title, capacity = r.rows[1].available }
end

function maxcurve.picture(r)
    if r.batch and r.seq then return totals_picture(r) end
    local title = "Largest batch of " .. r.model .. on(r) .. " by sequence length"
    return "plot", drawable(r), { title = title, x = "seq", y = "batch", log = true,
        absent = r.absent, xkind = "tokens" }
end

function maxcurve.show(r)
    local name, series, o = maxcurve.picture(r)
    if name == "bars" then return drawn(name, series, o) end
    if #series == 0 then
        local why = #r.order > 0 and "no limit: nothing grows with batch or seq"
            or table.concat(r.absent, ", ") .. (#r.absent == 1 and " does" or " do") .. " not fit"
        return o.title .. "\n" .. why .. partner_lines(r)
    end
    return drawn(name, series, o) .. "\n" .. layout(maxcurve.grid(r)) .. partner_lines(r)
end

-- capacity ----------------------------------------------------------------------------------------

local capacity_kind = {}

function capacity_kind.show(r)
    local b = function(n) return units.bytes(n, opts()) end
    local rows = { { "cache pool", b(r.kv_bytes) }, { "tokens", units.group(r.kv_tokens) } }
    if r.blocks > 0 then rows[#rows + 1] = { "blocks", units.group(r.blocks) } end
    rows[#rows + 1] = { "sequences of " .. units.ki(r.seq),
        string.format("%.2f", r.max_concurrency) }
    rows[#rows + 1] = { "weights", b(r.weights) }
    rows[#rows + 1] = { "activations", b(r.activations) }
    rows[#rows + 1] = { "overhead", b(r.overhead) }
    rows[#rows + 1] = { "available", b(r.available) }
    return "Cache pool of " .. r.model .. ", " .. r.precision .. ", " .. r.engine .. on(r) .. "\n"
        .. layout({ "", { "", align = "right" } }, rows)
end

function capacity_kind.grid(r)
    return { "precision", { "kv_bytes", unit = "bytes" }, { "kv_tokens", unit = "count" },
            { "blocks", unit = "count" }, "max_concurrency" },
        { { r.precision, r.kv_bytes, r.kv_tokens, r.blocks, r.max_concurrency } }
end

-- inspect -----------------------------------------------------------------------------------------

local inspect = {}

local function same(a, b)
    if #a.shape ~= #b.shape then return false end
    for i = 1, #a.shape do if a.shape[i] ~= b.shape[i] then return false end end
    return a.role == b.role and a.part == b.part and a.stored == b.stored
        and a.name:match("[^.]*$") == b.name:match("[^.]*$")
end

--- Tensors of one role and shape as one line, in the order of their first.
local function gathered(tensors)
    local groups, by_role = {}, {}
    for _, t in ipairs(tensors) do
        local list = by_role[t.role] or {}
        by_role[t.role] = list
        local g
        for _, candidate in ipairs(list) do
            if same(candidate.first, t) then g = candidate end
        end
        if not g then
            g = { first = t, n = 0, params = 0, bytes = 0 }
            list[#list + 1], groups[#groups + 1] = g, g
        end
        g.n, g.params, g.bytes = g.n + 1, g.params + t.params, g.bytes + t.bytes
    end
    return groups
end

local function cache_words(c)
    if c.kind == "state" then
        return "state", c.conv_elements .. " + " .. c.state_elements .. " elements a sequence"
    end
    local text = c.v_width > 0 and "K " .. c.k_width .. " + V " .. c.v_width .. " a token"
        or c.k_width .. " a token"
    if c.window then text = text .. ", last " .. units.group(c.window) end
    if c.ratio then text = text .. ", one row for " .. c.ratio .. " tokens" end
    return c.kind, text
end

local function cache_rows(caches)
    local rows, at = {}, {}
    for _, c in ipairs(caches) do
        local kind, words = cache_words(c)
        local key = kind .. words
        if not at[key] then
            at[key] = { kind, 0, words }
            rows[#rows + 1] = at[key]
        end
        at[key][2] = at[key][2] + 1
    end
    return rows
end

function inspect.grid(r)
    return { "tensor", "part", { "count", unit = "count" }, "shape", { "params", unit = "count" },
            { "bytes", unit = "bytes" }, "stored" },
        column(gathered(r.tensors), function(g)
            local t = g.first
            local name = t.layer and t.name:gsub("^(%a*%.?)blk%.%d+%.", "%1") or t.name
            return { name, t.part, g.n, table.concat(t.shape, " x "), g.params, g.bytes, t.stored }
        end)
end

function inspect.show(r)
    local headers, rows = inspect.grid(r)
    local lines = { r.model .. " (" .. r.family .. "), " .. r.precision,
        layout(headers, rows, { rows = 60 }) }
    local caches = cache_rows(r.caches)
    if #caches > 0 then
        lines[#lines + 1] = layout({ "cache", { "layers", unit = "count" }, "elements" }, caches)
    end
    local total = units.group(r.params) .. " parameters"
    if r.active_params < r.params then
        total = total .. ", " .. units.group(r.active_params) .. " active"
    end
    if r.vision_params > 0 then
        total = total .. ", " .. units.group(r.vision_params) .. " of them vision"
    end
    if r.mtp_params > 0 then
        total = total .. ", and " .. units.group(r.mtp_params) .. " for multi-token prediction"
    end
    lines[#lines + 1] = total
    lines[#lines + 1] = units.group(r.bytes) .. " bytes (" .. units.bytes(r.bytes, opts()) .. "), "
        .. units.group(r.kv_bytes_per_token) .. " bytes of cache a token"
    if r.mtp_bytes > 0 then
        lines[#lines + 1] = units.bytes(r.mtp_bytes, opts())
            .. " of them for multi-token prediction, which ordinary inference does not load"
    end
    if r.note then lines[#lines + 1] = r.note end
    return table.concat(lines, "\n")
end

-- catalogues --------------------------------------------------------------------------------------

local models = {}

function models.grid(r)
    return { "model", { "params", unit = "count" }, { "active", unit = "count" }, "attention",
            { "KV/token", unit = "bytes" }, { "context", unit = "tokens" }, "released" },
        column(r.rows, function(m)
            return { m.id, m.params, m.active_params < m.params and m.active_params or nil,
                m.attention, m.kv_bytes_per_token, m.context, m.released }
        end)
end

function models.show(r)
    if #r.rows == 0 then return "no model matches \"" .. r.pattern .. "\"" end
    local rows = column(r.rows, function(m)
        local active = ""
        if m.active_params < m.params then
            active = units.count(m.active_params)
            if m.active_params_stated then
                active = active .. " (stated " .. m.active_params_stated .. ")"
            end
        end
        return { m.id, units.count(m.params), active, m.attention,
            units.group(m.kv_bytes_per_token), m.context and units.ki(m.context) or "", m.released }
    end)
    return layout({ "model", { "params", align = "right" },
        { "active", align = "right", lesser = true }, { "attention", lesser = true },
        { "KV B/token", align = "right", lesser = true }, { "context", align = "right" },
        { "released", lesser = true } }, rows)
        .. "\n" .. #rows .. (#rows == 1 and " model" or " models")
end

local devices = {}

function devices.grid(r)
    return { "device", { "memory", unit = "bytes" }, { "usable", unit = "bytes", lesser = true },
        { "GB/s", lesser = true }, { "TFLOP/s fp16", lesser = true } },
        column(r.rows, function(d)
            return { d.id, d.memory, d.usable, d.bandwidth and d.bandwidth / 1e9, d.flops
                and d.flops / 1e12 }
        end)
end

function devices.show(r)
    if #r.rows == 0 then return "no device matches \"" .. r.pattern .. "\"" end
    return layout(devices.grid(r)) .. "\n" .. #r.rows .. (#r.rows == 1 and " device" or " devices")
end

local formats = {}

function formats.grid(r)
    return { "precision", "meaning" }, column(r.rows, function(f) return { f.name, f.meaning } end)
end

function formats.show(r)
    local headers, rows = formats.grid(r)
    return layout(headers, rows, { rows = "all" })
end

local engines = {}

function engines.grid(r)
    return { "engine", "what it counts" },
        column(r.rows, function(e) return { e.name, e.summary } end)
end

function engines.show(r) return layout(engines.grid(r)) end

-- every result ------------------------------------------------------------------------------------

local kinds = { footprint = footprint, memory = memory, maxbatch = maxbatch, maxseq = maxseq,
    maxcurve = maxcurve, capacity = capacity_kind, inspect = inspect, models = models,
    devices = devices, formats = formats, engines = engines }

--- Other modules add their kinds of result: {show=, grid=, index=}.
function M.add_kind(name, kind) kinds[name] = kind end

local function kind_of(r) return kinds[rawget(r, "kind")] end

--- tostring of a result.
--- Runs f(...) with the units that the call behind r asked for.
local function in_units_of(r, f, ...)
    local before = shown
    shown = rawget(r, "units")
    local results = table.pack(pcall(f, ...))
    shown = before
    if not results[1] then error(results[2], 0) end
    return table.unpack(results, 2, results.n)
end

function M.show(r)
    local text = in_units_of(r, kind_of(r).show, r)
    return term.fold(text, asked.width) -- tables and charts are no wider
end

local methods = {}

local function out(text, path)
    if not path then return text end
    require("oomph.file").write(path, text .. "\n")
end

--- result:csv([path]), result:markdown([path]), result:json([path]): text, or written to a file.
function methods.csv(r, path)
    return out(require("oomph.table").csv(kind_of(r).grid(r)), path)
end

function methods.markdown(r, path)
    local headers, rows = kind_of(r).grid(r)
    return out(in_units_of(r, function()
        return require("oomph.table").markdown(headers, rows, opts())
    end), path)
end

--- result:table{rows="all", width=}: as it prints, with as many rows as asked for.
function methods.table(r, o)
    local rows, width = require("oomph.table").asked(o)
    asked = { rows = rows, width = width }
    local ok, text = pcall(M.show, r)
    asked = {}
    if not ok then error(text, 0) end
    return text
end

function methods.json(r, path)
    return out(require("oomph.json").json(r), path)
end

--- result:save("x.svg") (.png, .pdf): its chart as a picture; .csv, .json and .md write its table.
function methods.save(r, path)
    local writers = { csv = methods.csv, json = methods.json, md = methods.markdown }
    local ending = type(path) == "string" and path:match("%.(%w+)$")
    if writers[ending] then return writers[ending](r, path) end
    local pictures = require("oomph.picture")
    if not pictures.ENDINGS[ending] then
        error("save takes a file name that ends in .svg, .png, .pdf, .csv, .json or .md", 0)
    end
    local picture = kind_of(r).picture
    if not picture then
        error("a result of " .. r.kind .. "() has no chart; .csv, .json and .md hold its table", 0)
    end
    require("oomph.file").write(path, pictures.bytes(ending, picture(r)))
end

--- A field that is not there: a method, a row by its precision's name, or worked out on demand.
function M.index(r, key)
    if methods[key] then return methods[key] end
    local kind, rows = kind_of(r), rawget(r, "rows")
    if type(key) == "string" and rows then
        for _, row in ipairs(rows) do
            if rawget(row, "precision") == key then return row end
        end
    end
    return kind and kind.index and kind.index(r, key) or nil
end

M.methods = methods -- completion lists them

return M
