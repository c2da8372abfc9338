--- The axes of a sweep: options become lists, patterns the names they match, and what is left to
-- the session is filled in. Nothing is evaluated here.
local core = require("oomph.core")
local term = require("oomph.term")

local M = {}

--- The columns a point has, and how a table writes them.
M.COLUMNS = { total = "bytes", available = "bytes", free = "bytes", fits = false,
    params = "params", active_params = "params", seq = "tokens", batch = "count",
    weights = "bytes", kv = "bytes", state = "bytes", activations = "bytes", overhead = "bytes",
    maxbatch = "count", maxseq = "count" }
local VALUES = "total, available, free, fits, params, active_params, weights, kv, state, "
    .. "activations, overhead, maxbatch, maxseq"

--- Options that are axes of their own; every other one is part of a variant.
M.AXES = { "model", "precision", "device", "seq", "batch" }
M.POINT = { model = true, precision = true, device = true, seq = true, batch = true }

local COLUMNS, POINT = M.COLUMNS, M.POINT
local NEED_DEVICE = { available = true, free = true, fits = true, maxbatch = true, maxseq = true }

local function fail(...) error(string.format(...), 0) end

--- range(1, 8) is {1, 2, … 8}; range(0, 100, 20) steps.
function M.range(first, last, step)
    step = step or 1
    if math.type(first) ~= "integer" or math.type(last) ~= "integer" or math.type(step) ~= "integer"
        or step < 1 then
        fail("range takes whole numbers and a step of 1 or more, as in range(1, 64)")
    end
    local list = {}
    for n = first, last, step do list[#list + 1] = n end
    return list
end

--- powers(1024, 131072) is {1024, 2048, … 131072}.
function M.powers(first, last)
    local from, to = core.count(first, "powers"), core.count(last, "powers")
    local list = {}
    if from < 1 then fail("powers takes whole numbers, 1 or more, as in powers(1024, 131072)") end
    while from <= to do
        list[#list + 1] = from
        if from > math.maxinteger // 2 then break end
        from = from * 2
    end
    return list
end

-- options to lists --------------------------------------------------------------------------------

local function is_pattern(v)
    return type(v) == "string" and (v == "all" or v:find("*", 1, true) ~= nil)
end

local function ids(rows, usable)
    local list = {}
    for _, row in ipairs(rows) do
        if not usable or usable(row) then list[#list + 1] = row.id end
    end
    return list
end

local function has_memory(d) return (d.memory or 0) > 0 end

local function matching(name, pattern)
    local glob = pattern == "all" and "" or pattern
    local list
    if name == "model" then list = ids(core.models(glob).rows)
    elseif name == "engine" then
        list = {}
        for k, e in ipairs(core.engines().rows) do list[k] = e.name end
    elseif name == "device" then list = ids(core.devices(glob).rows, has_memory)
    else
        list = {}
        local lua = "^" .. glob:lower():gsub("[%-%.%+%[%]%(%)%$%^%%%?]", "%%%0"):gsub("%*", ".*")
            .. "$"
        for _, f in ipairs(core.formats().rows) do
            if glob == "" or f.name:find(lua) then list[#list + 1] = f.name end
        end
    end
    if #list == 0 then fail("sweep: no %s matches \"%s\"", name, pattern) end
    return list
end

local LISTED = { model = true, device = true, precision = true }
M.LISTED = LISTED

-- Numbers written as text ("2Ki", "1GiB") or as floats that are whole: a column has one type.
local function plain(name, v)
    if type(v) == "string" and v:find("^%d") then
        return name == "reserve" and core.bytes(v) or core.count(v, name)
    end
    return type(v) == "number" and math.tointeger(v) or v
end

--- The values of one option: what is a list stays one, patterns become the names they match.
local function values_of(name, v)
    local list = {}
    local function add(one)
        if (LISTED[name] or name == "engine") and is_pattern(one) then
            for _, id in ipairs(matching(name, one)) do list[#list + 1] = id end
        else
            list[#list + 1] = LISTED[name] and one or plain(name, one)
        end
    end
    if type(v) == "table" and #v > 0 then
        for _, one in ipairs(v) do add(one) end
    elseif type(v) == "table" and next(v) == nil then
        fail("sweep: %s is an empty list", name)
    else
        add(v)
    end
    return list
end

--- The names a pattern (or a list of patterns) of models, devices, formats stands for.
M.names = values_of

local function known_options()
    local _, list = core.docs()
    local known = {}
    for _, o in ipairs(list) do known[o.name] = true end
    return known
end

--- Options given, then the session's.
function M.gathered(opts)
    local given, functions = {}, {}
    local known = known_options()
    for name, v in pairs(opts) do
        if name ~= "show" and name ~= "to" then
            if not known[name] then core.check_option("sweep", name) end
            if type(v) == "function" then functions[name] = v else given[name] = v end
        end
    end
    for name in pairs(known) do
        if opts[name] == nil then given[name] = core.session(name) end
    end
    if given.units ~= nil and given.units ~= "GiB" and given.units ~= "GB" then
        fail("units is %s, expected \"GiB\" or \"GB\"", tostring(given.units))
    end
    given.units, given.charset = nil, nil
    return given, functions
end

local function default_seq(models)
    if #models == 1 and models[1] then
        local context = core.model_facts(models[1]).context
        if context and context < 8192 then return context end
    end
    return 8192
end

--- Every combination of the options that are not axes of a point.
local function combinations(given)
    local names = {}
    for name in pairs(given) do
        if not POINT[name] then names[#names + 1] = name end
    end
    table.sort(names)
    local list = { {} }
    local lengths = {}
    for _, name in ipairs(names) do
        local values = name == "kv" and type(given.kv) == "table" and #given.kv == 0
            and { given.kv }
            or values_of(name, given[name])
        local longer = {}
        lengths[name] = #values
        for _, base in ipairs(list) do
            for _, v in ipairs(values) do
                local one = {}
                for k, x in pairs(base) do one[k] = x end
                one[name] = v
                longer[#longer + 1] = one
            end
        end
        list = longer
    end
    local shown = {}
    for _, name in ipairs(names) do
        if lengths[name] > 1 then shown[#shown + 1] = name end
    end
    return list, shown
end

--- The lists of a sweep's options; an axis that is a function of the others is {false} until then.
function M.of(given, functions)
    if given.model == nil and not functions.model then
        fail("sweep: no model is set; try model = \"qwen*\" or \"all\"")
    end
    local function axis(name, default)
        if functions[name] then return { false } end
        return values_of(name, given[name] == nil and default or given[name])
    end
    local axes = { model = axis("model"), precision = axis("precision", "stored") }
    if given.device ~= nil or functions.device then axes.device = axis("device") end
    axes.seq = axis("seq", default_seq(axes.model))
    axes.batch = axis("batch", 1)
    for _, name in ipairs { "seq", "batch" } do
        for i, v in ipairs(axes[name]) do axes[name][i] = v and core.count(v, name) end
    end
    axes.variants, axes.shown = combinations(given)
    return axes
end

--- The columns asked for. Without a device nothing is compared: only what is taken can be shown.
function M.columns(show, with_device)
    if show == nil then return with_device and { "total", "free", "fits" } or { "total" } end
    if type(show) == "string" then show = { show } end
    if type(show) ~= "table" or #show == 0 then
        fail("sweep: show takes a list of columns, as in {\"total\", \"fits\"}")
    end
    local list, seen = {}, {}
    for _, name in ipairs(show) do
        if COLUMNS[name] == nil then
            fail("sweep: no column \"%s\"; there are %s", term.name(name), VALUES)
        end
        if NEED_DEVICE[name] and not with_device then
            fail("sweep: %s needs a device; try device = \"rtx-4090\"", name)
        end
        if not seen[name] then list[#list + 1] = name end
        seen[name] = true
    end
    return list
end

--- The column that holds an option that varies: "kv" is the bytes where they are shown, too.
function M.column(st, name)
    if name ~= "kv" then return name end
    for _, column in ipairs(st.columns) do
        if column == "kv" then return "kv_format" end
    end
    return name
end

--- What a column is: "axis" with its number and, of the variants, the option; "value"; or nil.
function M.place(st, column)
    if column == "model" then return "axis", 1 end
    if column == "precision" then return "axis", 2 end
    if column == "device" and st.axes.device then return "axis", 4 end
    for _, option in ipairs(st.axes.shown) do
        if M.column(st, option) == column then return "axis", 3, option end
    end
    if COLUMNS[column] ~= nil then return "value" end
end

--- An error about a column that is not there.
function M.no_column(call, st, name)
    local axes = {}
    for _, one in ipairs(M.all_columns(st)) do
        if M.place(st, one) == "axis" then axes[#axes + 1] = one end
    end
    fail("%s: no column \"%s\"; there are %s, seq, batch, %s", call, term.name(name),
        table.concat(axes, ", "), VALUES)
end

--- The columns of a sweep, in the order of a file.
function M.all_columns(st)
    local names = { "model", "precision" }
    for _, option in ipairs(st.axes.shown) do names[#names + 1] = M.column(st, option) end
    if st.axes.device then names[#names + 1] = "device" end
    names[#names + 1], names[#names + 2] = "seq", "batch"
    for _, name in ipairs(st.columns) do
        if name ~= "seq" and name ~= "batch" then names[#names + 1] = name end
    end
    return names
end

--- A value of an option as text.
function M.label(v)
    if type(v) == "table" then
        return v.name or v.k and v.k .. "/" .. v.v or "table"
    end
    return tostring(type(v) == "number" and math.tointeger(v) or v)
end

local function is_path(v) return v:find("^[/.~]") or v:find("%.json$") or v:find("/.*/") end

-- The name a model or device has in every result, so that rows and conditions meet whatever was
-- typed; what has no such name (a file, a size, this machine) keeps what was typed.
local function proper_name(name, v)
    if name == "device" and type(v) ~= "string" then return core.device_facts(v).label end
    if type(v) ~= "string" then return M.label(v) end
    if name == "model" then
        local facts = core.model_facts(v)
        local named = not facts.from_file and not is_path(v) and pcall(core.model_facts, facts.id)
        return named and facts.id or v
    elseif name == "device" then
        local label = core.device_facts(v).label
        return pcall(core.device_facts, label) and label or v
    end
    return v
end

--- The values of an axis as its column has them.
function M.labels_of(name, values)
    local list = {}
    for i, v in ipairs(values) do list[i] = LISTED[name] and proper_name(name, v) or M.label(v) end
    return list
end

function M.labels(axes)
    local names = {}
    for name in pairs(LISTED) do names[name] = M.labels_of(name, axes[name] or {}) end
    return names
end

-- Slowest first: the order in which a grid counts its rows.
local ORDER = { "model", "precision", "variants", "device", "seq", "batch" }

local function size(axes)
    local n = 1
    for _, name in ipairs(ORDER) do
        local len = axes[name] and #axes[name] or 1
        if n > math.maxinteger // len then return math.maxinteger end
        n = n * len
    end
    return n
end
M.size = size

local function part(axes, name, from, to)
    local one = {}
    for k, v in pairs(axes) do one[k] = v end
    one[name], one.grid, one.size = table.move(axes[name], from, to, 1, {}), nil, nil
    return one
end

--- The same axes in parts of at most `limit` points, in the order of their rows.
function M.slices(axes, limit, visit)
    if size(axes) <= limit then return visit(axes) end
    for _, name in ipairs(ORDER) do
        local n = axes[name] and #axes[name] or 1
        if n > 1 then
            M.slices(part(axes, name, 1, n // 2), limit, visit)
            return M.slices(part(axes, name, n // 2 + 1, n), limit, visit)
        end
    end
    return visit(axes)
end

return M
