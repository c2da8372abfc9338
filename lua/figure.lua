--- What a chart says, before anybody draws it: input of many shapes becomes one description with
-- the labels, numbers and verdicts already in words. lua/chart.lua draws it as text, lua/vector.lua
-- as SVG.
local M = {}

local scale = require("oomph.scale")
local shape = require("oomph.shape")
local units = require("oomph.units")

local CLIP = 2.5 -- a bar chart shows at most this many times the capacity
local PARTS = { "weights", "kv", "activations", "overhead" }
local MAX_SERIES = 8

--- What a chart without anything to show says.
M.NOTHING = "nothing to draw"

local fail, number, size = shape.fail, shape.number, shape.size
local length, sorted_names, expect_table = shape.length, shape.sorted_names, shape.expect_table

-- spark -------------------------------------------------------------------------------------------

--- A list of numbers, possibly with gaps: {values=, n=, lo=, hi=, constant=}, or nil if nothing is
-- there.
function M.spark(list, opts)
    expect_table(list, "spark", "a list of numbers")
    local fig = { kind = "spark", values = {}, n = length(list, "spark") }
    local low, high
    for i = 1, fig.n do
        local v = number(list[i], "spark", "value " .. i)
        fig.values[i] = v
        low, high = v and math.min(low or v, v) or low, v and math.max(high or v, v) or high
    end
    if not low then
        return nil
    end
    local min, max = number(opts.min, "spark", "min"), number(opts.max, "spark", "max")
    fig.constant = low == high and not min and not max
    fig.lo, fig.hi = min or math.min(0, low), max or math.max(high, min or high)
    if fig.lo > fig.hi then
        fail("spark: min is %s, above max %s", units.number(fig.lo), units.number(fig.hi))
    end
    return fig
end

-- bars and stacks ---------------------------------------------------------------------------------

-- One row of whatever was given: label and the value or table behind it.
local function label_of(row, i)
    local label = row.label or row.name or row.precision
    if label == nil and type(row[1]) ~= "number" then
        label = row[1]
    end
    return label == nil and tostring(i) or tostring(label)
end

-- Rows as a list of {label, table or number}, from a list, a map by name, or a result with .rows.
local function rows_of(t, who)
    expect_table(t, who, "a list or a table by name")
    if type(t.rows) == "table" then
        t = t.rows
    end
    local rows, n = {}, length(t, who)
    for i = 1, n do
        local row = t[i]
        if type(row) == "table" then
            rows[i] = { label_of(row, i), row }
        elseif row == nil or type(row) == "number" then
            rows[i] = { tostring(i), row, "row " .. i }
        else
            fail("%s: row %d is a %s, expected a number or {label, value}", who, i, type(row))
        end
    end
    if n == 0 then
        for _, name in ipairs(sorted_names(t)) do
            rows[#rows + 1] = { name, t[name] }
        end
    end
    return rows
end

-- The value of a bar: the number itself, or the field of a row that holds it.
local function bar_value(row)
    if type(row) ~= "table" then
        return row
    end
    for _, key in ipairs { "value", "bytes", "total", "batch", "seq" } do
        if row[key] ~= nil then
            return row[key]
        end
    end
    if type(row[1]) == "number" then
        return row[1]
    end
    return row[2]
end

-- Where "tight" begins: exact for whole numbers of any size.
local function nine_tenths(of)
    return math.type(of) == "integer" and of - of // 10 or of * 0.9
end

-- What one row says about the capacity.
local function judge(row, fig, decimals)
    local capacity, value = fig.capacity, row.value
    row.state = "fits"
    if not capacity or not value then
        return
    end
    local opts = { units = fig.units, scale = fig.scale, decimals = decimals }
    if value > capacity then
        row.state, row.mark = "over", "bad"
        row.verdict = units.over(value - capacity, opts) .. " over"
    else
        row.state, row.mark = "fits", "ok"
        row.verdict = units.free(capacity - value, opts) .. " free"
        if value >= nine_tenths(capacity) then
            row.state = "tight"
        end
    end
    row.clipped = value > fig.span
end

-- Units of bars that are a way of writing numbers; any other text is written behind them.
local WRITERS = { tokens = units.ki, params = units.count, count = units.group }

-- Span, numbers and verdicts, once the rows have values.
local function finish_bars(fig, opts, who)
    local largest
    for _, row in ipairs(fig.rows) do
        if row.value then
            largest = math.max(largest or 0, row.value)
        end
    end
    if not largest then
        return nil
    end
    fig.title, fig.units = opts.title, opts.units
    fig.capacity = size(opts.capacity, who, "capacity")
    fig.device = size(opts.device, who, "device")
    fig.span = math.max(largest, fig.capacity or 0)
    fig.bytes = fig.capacity ~= nil or opts.unit == "bytes" or fig.kind == "stack"
    if fig.capacity and fig.capacity > 0 then
        if fig.device and fig.device <= CLIP * fig.capacity then
            fig.span = math.max(fig.span, fig.device)
        end
        fig.span = math.min(fig.span, CLIP * fig.capacity)
    end
    local decimals
    if fig.bytes then
        local _, bytes = units.unit_for(largest, fig.units)
        fig.scale, decimals = largest, units.decimals_for(largest, bytes)
        fig.capacity_text = opts.capacity_label
            or fig.capacity and units.bytes(fig.capacity, { units = fig.units })
    end
    for _, row in ipairs(fig.rows) do
        if row.value == nil then
            row.number = ""
        elseif fig.bytes then
            row.number = units.bytes(row.value,
                { units = fig.units, scale = largest, decimals = decimals })
        else
            local write = WRITERS[opts.unit]
            row.number = (write or units.group)(row.value)
                .. (opts.unit and not write and " " .. opts.unit or "")
        end
        judge(row, fig, decimals)
    end
    return fig
end

--- Bars: rows {label, value, note=} or any of the friendly shapes; see M.NOTHING for nil.
function M.bars(t, opts)
    local fig = { kind = "bars", rows = {} }
    for i, row in ipairs(rows_of(t, "bars")) do
        local value = size(bar_value(row[2]), "bars", row[3] or row[1])
        local note = type(row[2]) == "table" and row[2].note or nil
        fig.rows[i] = { label = row[1], value = value, note = note and tostring(note) }
    end
    return finish_bars(fig, opts, "bars")
end

--- Stacked bars: rows {label=, weights=, kv=, state=, activations=, overhead=}, or the one row
-- itself.
function M.stack(t, opts)
    expect_table(t, "stack", "a row of parts or a list of them")
    if t[1] == nil and t.rows == nil and t.weights ~= nil then
        t = { t }
    end
    local fig = { kind = "stack", rows = {}, parts = {} }
    local seen, state = {}, false
    for i, row in ipairs(rows_of(t, "stack")) do
        expect_table(row[2], "stack", "parts of " .. row[1])
        local parts, total = {}, nil
        for p, name in ipairs(PARTS) do
            local bytes = size(row[2][name], "stack", row[1] .. ": " .. name)
            if name == "kv" then
                local fixed = size(row[2].state, "stack", row[1] .. ": state") or 0
                state = state or fixed > 0
                bytes = (bytes or fixed > 0) and (bytes or 0) + fixed or nil
            end
            parts[p] = bytes or 0
            total = bytes and (total or 0) + bytes or total
            if total and total < 0 then
                fail("stack: %s: the parts add up to more than 2^63 bytes", row[1])
            end
            seen[name] = seen[name] or parts[p] > 0
        end
        fig.rows[i] = { label = row[1], value = total, parts = parts }
    end
    fig.names = PARTS
    for p, name in ipairs(PARTS) do
        if seen[name] then
            local text = name == "kv" and state and "kv and state" or name
            fig.parts[#fig.parts + 1] = { index = p, name = name, text = text }
        end
    end
    return finish_bars(fig, {
        title = opts.title, units = opts.units, device = opts.device,
        capacity = opts.available or opts.capacity, capacity_label = opts.capacity_label,
    }, "stack")
end

-- curves ------------------------------------------------------------------------------------------

local TOKENS = { seq = true, prompt = true, context = true, tokens = true, chunk = true }
local BYTES = {
    total = true, weights = true, kv = true, state = true, activations = true, overhead = true,
    available = true, free = true, bytes = true,
}

--- What kind of number a field of a result is: "tokens", "bytes" or "count".
function M.kind_of(field)
    return TOKENS[field] and "tokens" or BYTES[field] and "bytes" or "count"
end

-- Series as a list of {name=, points=}, from a list, a map by name (opts.order says in which
-- order), one list of numbers, or a result with .series.
local function series_of(t, opts)
    expect_table(t, "plot", "a list of series")
    if type(t.series) == "table" then
        t = t.series
    end
    local list, n = {}, length(t, "plot")
    if n == 0 then
        expect_table(opts.order or {}, "plot", "order as a list of names")
        for _, name in ipairs(opts.order or sorted_names(t)) do
            if t[name] ~= nil then
                list[#list + 1] = { name = tostring(name), points = t[name] }
            end
        end
        return list
    end
    local first = t[1]
    if first == nil or type(first) == "number"
        or type(first) == "table" and type(first[1]) == "number" then
        return { { points = t } }
    end
    for i = 1, n do
        if type(t[i]) ~= "table" then
            fail("plot: series %d is a %s, expected a list of points", i, type(t[i]))
        end
        list[i] = { name = tostring(t[i].name or t[i].label or i), points = t[i].points or t[i] }
    end
    return list
end

local function point_of(p, i, opts, series)
    local who = (series and series .. ", " or "") .. "point " .. i
    if type(p) ~= "table" then
        return i, number(p, "plot", who)
    end
    local x, y = p[opts.x or "x"], p[opts.y or "y"]
    if x == nil then
        x = p[1]
    end
    if y == nil then
        y = p[2]
    end
    return number(x, "plot", who .. ": x"), number(y, "plot", who .. ": y")
end

-- Outside the limits given, or nowhere on a logarithmic axis.
local function cut(v, lo, hi, log)
    return not v or log and v <= 0 or lo and v < lo or hi and v > hi
end

local function absent_text(absent)
    if type(absent) == "table" then
        local names = #absent > 0 and {} or sorted_names(absent)
        for i, name in ipairs(absent) do
            names[i] = tostring(name)
        end
        if #names == 0 then
            return nil
        end
        return table.concat(names, ", ") .. (#names == 1 and " does not fit" or " do not fit")
    end
    absent = absent and tostring(absent)
    return absent and absent .. (absent:find(" ") and "" or " does not fit")
end

-- Which axes are logarithmic, as letters, and the limits given: {xmin=, xmax=, ymin=, ymax=}.
local function axis_options(opts)
    local log = opts.log == true and "xy" or opts.log or ""
    if type(log) ~= "string" or log:find("[^xy]") then
        fail('plot: log is %s, expected true, "x", "y" or "xy"', tostring(log))
    end
    local limits = {}
    for _, name in ipairs { "xmin", "xmax", "ymin", "ymax" } do
        local v = number(opts[name], "plot", name)
        if v and v <= 0 and log:find(name:sub(1, 1)) then
            fail("plot: %s is %s, expected more than zero on a logarithmic axis", name,
                units.number(v))
        end
        limits[name] = v
    end
    return log:find("x") ~= nil, log:find("y") ~= nil, limits
end

--- Curves. Points are {x, y}, {[opts.x]=, [opts.y]=} or plain numbers; a gap breaks the line.
function M.plot(t, opts)
    local log_x, log_y, limits = axis_options(opts)
    local fig = {
        kind = "plot", title = opts.title, series = {}, absent = absent_text(opts.absent),
    }
    local list = series_of(t, opts)
    if #list > MAX_SERIES then
        fail("plot: %d series, at most %d can be told apart", #list, MAX_SERIES)
    end
    local lo_x, hi_x, lo_y, hi_y
    for s, one in ipairs(list) do
        expect_table(one.points, "plot", "a list of points for " .. (one.name or "the series"))
        local points, n, drawn = {}, length(one.points, "plot"), false
        for i = 1, n do
            local x, y = point_of(one.points[i], i, opts, one.name)
            if cut(x, limits.xmin, limits.xmax, log_x)
                or cut(y, limits.ymin, limits.ymax, log_y) then
                points[i] = false
            else
                points[i] = { x, y }
                drawn = true
                lo_x, hi_x = math.min(lo_x or x, x), math.max(hi_x or x, x)
                lo_y, hi_y = math.min(lo_y or y, y), math.max(hi_y or y, y)
            end
        end
        fig.series[s] = { name = one.name, points = points, style = s, empty = not drawn }
    end
    if not lo_x then
        return nil
    end
    local capacity = number(opts.capacity, "plot", "capacity")
    if capacity and not cut(capacity, limits.ymin, limits.ymax, log_y) then
        fig.capacity = capacity
        lo_y, hi_y = math.min(lo_y, capacity), math.max(hi_y, capacity)
    end
    fig.x = scale.axis(limits.xmin or lo_x, limits.xmax or hi_x, {
        log = log_x, kind = opts.xkind or M.kind_of(opts.x), units = opts.units,
    })
    fig.y = scale.axis(limits.ymin or lo_y, limits.ymax or hi_y, {
        log = log_y, kind = opts.ykind or M.kind_of(opts.y), units = opts.units,
        zero = not log_y and not limits.ymin, headroom = not limits.ymax,
    })
    fig.capacity_text = capacity and "available " .. scale.text(fig.y, capacity)
    return fig
end

-- heat maps ---------------------------------------------------------------------------------------

local function axis_values(rows, field)
    local seen, list = {}, {}
    for _, row in ipairs(rows) do
        local v = row[field]
        if v ~= nil and v == v and not seen[v] then
            seen[v] = true
            list[#list + 1] = v
        end
    end
    local ok = pcall(table.sort, list)
    if not ok then
        fail("heatmap: %q holds numbers and text, expected one of them", field)
    end
    return list
end

local function axis_texts(list, field)
    local texts = {}
    for i, v in ipairs(list) do
        texts[i] = type(v) ~= "number" and tostring(v)
            or M.kind_of(field) == "tokens" and units.ki(v)
            or M.kind_of(field) == "bytes" and units.bytes(v) or units.group(v)
    end
    return texts
end

-- A list of lists of numbers, first list at the bottom, as rows.
local function matrix_rows(t)
    local rows = {}
    for y = 1, length(t, "heatmap") do
        expect_table(t[y], "heatmap", "row " .. y .. " as a list of numbers")
        for x = 1, length(t[y], "heatmap") do
            rows[#rows + 1] = { x = x, y = y, value = t[y][x] }
        end
    end
    return rows
end

-- One cell: per cent of the whole, whether it fits, and the shade that says so without a number.
-- 50 and 90 per cent are reckoned in whole units: the shade never says more than the number.
local function cell_of(value, of, judged)
    local over = judged and value > of
    local tight = not over and value >= nine_tenths(of)
    local percent = over and 1000 or 0
    if of > 0 then
        percent = units.percent(value, of, over and "up" or "down")
    end
    return {
        value = value, percent = percent, over = over, tight = judged and tight,
        state = over and "over" or judged and tight and "tight" or "fits",
        shade = over and "over" or tight and "tight" or value > of / 2 and "most" or "half",
    }
end

--- What two rows of one cell differ in, for who must choose: the names, and one choice.
local function apart(a, b)
    local names = {}
    for name, value in pairs(a) do
        if type(value) == "string" and type(b[name]) == "string" and value ~= b[name] then
            names[#names + 1] = name
        end
    end
    if #names == 0 then return "; narrow the rows first" end
    table.sort(names)
    return (": their %s %s; narrow them first, as in :where{%s=%q}"):format(
        table.concat(names, " and "), #names == 1 and "differs" or "differ", names[1],
        a[names[1]])
end

--- A heat map of rows with the fields opts.x, opts.y and opts.v (or a list of lists of numbers).
-- With opts.available (bytes, or the rows' own .available) a cell is per cent of it; a field
-- "share" is of 1; else of the largest.
function M.heatmap(t, opts)
    expect_table(t, "heatmap", "a list of rows")
    local rows = type(t.rows) == "table" and t.rows or t
    if type(rows[1]) == "table" and not opts.x and rows[1].x == nil then
        rows = matrix_rows(rows)
    end
    local x, y, v = opts.x or "x", opts.y or "y", opts.v or "value"
    local available = size(opts.available, "heatmap", "available") or v == "share" and 1.0 or nil
    local largest, judged = nil, available ~= nil
    for i, row in ipairs(rows) do
        expect_table(row, "heatmap", "row " .. i .. " as a table")
        local value = size(row[v], "heatmap", ("%s of row %d"):format(v, i))
        largest = value and math.max(largest or value, value) or largest
        judged = judged or row.available ~= nil
    end
    if not largest then
        return nil
    end
    local fig = {
        kind = "heatmap", title = opts.title, x_name = tostring(x), y_name = tostring(y),
        judged = judged, cells = {},
        x = axis_values(rows, x), y = axis_values(rows, y), largest = largest,
    }
    if fig.title and opts.available then
        fig.title = ("%s, %% of %s available"):format(fig.title,
            units.bytes(available, { units = opts.units }))
    end
    fig.x_texts, fig.y_texts = axis_texts(fig.x, x), axis_texts(fig.y, y)
    local column, line, first = {}, {}, {}
    for i, value in ipairs(fig.x) do
        column[value] = i
    end
    for i, value in ipairs(fig.y) do
        line[value] = i
        fig.cells[i], first[i] = {}, {}
    end
    for i, row in ipairs(rows) do
        local value = number(row[v], "heatmap", v)
        if not (column[row[x]] and line[row[y]]) then
            fail("heatmap: row %d has no %s", i, column[row[x]] and y or x)
        end
        local cells = fig.cells[line[row[y]]]
        if value and cells[column[row[x]]] then
            local other = first[line[row[y]]][column[row[x]]]
            fail("heatmap: more than one row for %s %s and %s %s%s", x,
                fig.x_texts[column[row[x]]], y, fig.y_texts[line[row[y]]], apart(other, row))
        end
        if value then
            first[line[row[y]]][column[row[x]]] = row
            local of = judged and size(row.available, "heatmap", "available of row " .. i)
            cells[column[row[x]]] =
                cell_of(value, of or judged and available or largest, judged)
        end
    end
    return fig
end

return M
