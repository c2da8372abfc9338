--- A sweep as people and programs read it: tables, CSV that streams, JSON, Markdown, pivots,
-- charts.
local axes_of = require("oomph.axes")
local core = require("oomph.core")
local rows_of = require("oomph.rows")
local units = require("oomph.units")
local write_file = require("oomph.file").write

local COLUMNS, AXES, label = axes_of.COLUMNS, axes_of.AXES, axes_of.label
local methods, state = rows_of.methods, rows_of.state
local list_of, row_at, length, of_list = rows_of.list, rows_of.at, rows_of.length, rows_of.of_list

local function fail(...) error(string.format(...), 0) end

--- Columns of a table: axes with more than one value, options that vary, then what was asked.
local function headers_of(self)
    local st = state(self)
    if st.selected then return st.selected end
    local names = {}
    for _, name in ipairs(AXES) do
        if st.axes[name] and (#st.axes[name] > 1 or name == "model") then
            names[#names + 1] = name
        end
        if name == "precision" then
            for _, v in ipairs(st.axes.shown) do names[#names + 1] = axes_of.column(st, v) end
        end
    end
    for _, name in ipairs(st.columns) do
        if name ~= "seq" and name ~= "batch" then names[#names + 1] = name end
    end
    return names
end

local function grid_rows(self, list)
    local names, headers, rows, reasons = headers_of(self), {}, {}, false
    local st, varied = state(self), {}
    for _, name in ipairs(st.axes.shown) do varied[axes_of.column(st, name)] = true end
    for c, name in ipairs(names) do
        headers[c] = { name, round = name == "free" and "down" or nil,
            unit = not varied[name] and (COLUMNS[name] or st.cell_unit and c > 1 and st.cell_unit)
            or nil }
    end
    for i, row in ipairs(list) do
        local cells = {}
        for c, name in ipairs(names) do
            cells[c] = row[name]
            if row[name] == math.maxinteger then cells[c] = "no limit" end
        end
        if row.reason then
            reasons = true
            cells[#names + 1] = row.reason
        end
        rows[i] = cells
    end
    if reasons then headers[#headers + 1] = "reason" end
    return headers, rows
end

local SHOWN = 20 -- rows of a table, three quarters of them from its head

--- table{rows="all", width=}: the rows as text, as many as asked for.
function methods.table(self, o)
    local st = state(self)
    if st.written then
        return units.group(st.written.rows) .. " rows in " .. st.written.path
    end
    local n, list = length(self), {}
    local most, width = require("oomph.table").asked(o)
    if n == 0 then return "no row: nothing of the sweep is left" end
    most = most or SHOWN
    local cut = most ~= "all" and n > most + 1
    local head = cut and most - most // 4 or n
    for i = 1, head do list[i] = row_at(self, i) end
    if cut then for i = n - most // 4 + 1, n do list[#list + 1] = row_at(self, i) end end
    local headers, rows = grid_rows(self, list)
    local text = require("oomph.table").layout(headers, rows, { rows = "all", width = width,
        units = core.session("units"), left_out = cut and { after = head, count = n - most }
        or nil })
    text = text .. "\n" .. units.group(n) .. (n == 1 and " row" or " rows")
    if st.stored and st.stored.stopped then
        text = text .. ", interrupted after " .. units.group(st.stored.points) .. " of "
            .. units.group(st.axes.size) .. " points"
    elseif rows_of.interrupted(self) then
        text = text .. " of an interrupted sweep"
    end
    return text
end

local function csv_cell(v)
    v = label(v)
    return v:find("[\",\n\r]") and '"' .. v:gsub('"', '""') .. '"' or v
end

local function csv_header(st)
    local names = { "model", "precision" }
    for _, name in ipairs(st.axes.shown) do names[#names + 1] = axes_of.column(st, name) end
    if st.axes.device then names[#names + 1] = "device" end
    names[#names + 1], names[#names + 2] = "seq", "batch"
    for _, name in ipairs(st.columns) do
        if name ~= "seq" and name ~= "batch" then names[#names + 1] = name end
    end
    names[#names + 1] = "reason"
    return table.concat(names, ",")
end

local function csv_labels(axes)
    local names, cells = axes_of.labels(axes), { {}, {}, nil, nil }
    for i, v in ipairs(names.model) do cells[1][i] = csv_cell(v) end
    for i, v in ipairs(names.precision) do cells[2][i] = csv_cell(v) end
    if #axes.shown > 0 then
        cells[3] = {}
        for i, variant in ipairs(axes.variants) do
            local parts = {}
            for c, name in ipairs(axes.shown) do parts[c] = csv_cell(variant[name]) end
            cells[3][i] = table.concat(parts, ",")
        end
    end
    if axes.device then
        cells[4] = {}
        for i, v in ipairs(names.device) do cells[4][i] = csv_cell(v) end
    end
    return cells
end

local CHUNK = 20000         -- rows written at once
-- points evaluated at once when rows go to a file: their memory is bounded
local SLICE = 1 << 18

local function put_rows(got, cells, write)
    for from = 1, got.n, CHUNK do write(core.rows_csv(got.rows, from, from + CHUNK - 1, cells)) end
    return got.n
end

--- Every row, evaluated slice by slice and written as it comes.
local function stream(st, write)
    local points, n = axes_of.size(st.axes), 0
    local tell, clear = rows_of.progress(points)
    axes_of.slices(st.axes, SLICE, function(axes)
        local size, started = axes_of.size(axes), os.clock()
        local query = rows_of.query(st)
        query.whole = true
        local got = rows_of.run(st, query, axes,
            tell and function(share, seconds) tell(share, seconds, size) end or false)
        if got.stopped then error("interrupted", 0) end
        n = n + put_rows(got, csv_labels(axes), write)
        clear(size, os.clock() - started)
    end)
    clear()
    return n
end

--- Writes the rows as CSV and says how many.
local function produce_csv(self, write)
    local st = state(self)
    if st.list or st.selected then
        write(require("oomph.table").csv(grid_rows(self, list_of(self))) .. "\n")
        return length(self)
    end
    write(csv_header(st) .. "\n")
    local whole = st.stored and not st.stored.stopped or st.group or st.top
    if not whole then return stream(st, write) end
    return put_rows(rows_of.stored(self), csv_labels(st.axes), write)
end

local function gathered_text(produce, self)
    local parts = {}
    produce(self, function(text) parts[#parts + 1] = text end)
    return (table.concat(parts):gsub("\n$", ""))
end

--- csv([path]): every row, one line each; sizes in bytes.
function methods.csv(self, path)
    if not path then return gathered_text(produce_csv, self) end
    write_file(path, function(write) state(self).rows_written = produce_csv(self, write) end)
end

--- For sweep{to=}: the rows go to the file and are not kept.
function methods.stream_to(self, path)
    methods.csv(self, path)
    state(self).written = { path = path, rows = state(self).rows_written }
    return self
end

function methods.json(self, path)
    local text = require("oomph.json").json(list_of(self))
    if not path then return text end
    write_file(path, function(write) write(text .. "\n") end)
end

function methods.markdown(self, path)
    local headers, rows = grid_rows(self, list_of(self))
    local text = require("oomph.table").markdown(headers, rows, { units = core.session("units") })
    if not path then return text end
    write_file(path, function(write) write(text .. "\n") end)
end

-- charts ------------------------------------------------------------------------------------------

local function distinct(list, name)
    local seen, values = {}, {}
    for _, row in ipairs(list) do
        local v = row[name]
        if v ~= nil and not seen[v] then
            seen[v] = true
            values[#values + 1] = v
        end
    end
    return values
end

--- pivot(x, y, v): one line per value of x, one column per value of y.
function methods.pivot(self, x, y, v)
    local list = list_of(self)
    local across, cells, order = distinct(list, y), {}, distinct(list, x)
    for _, row in ipairs(list) do
        if row[x] ~= nil and row[y] ~= nil then
            cells[row[x]] = cells[row[x]] or {}
            cells[row[x]][row[y]] = row[v]
        end
    end
    local rows, names = {}, { x }
    for _, one in ipairs(across) do
        names[#names + 1] = COLUMNS[y] == "tokens" and units.ki(one) or tostring(one)
    end
    for i, one in ipairs(order) do
        rows[i] = { [x] = one }
        for c, other in ipairs(across) do rows[i][names[c + 1]] = cells[one][other] end
    end
    return of_list(self, rows, { selected = names, cell_unit = COLUMNS[v] or nil })
end

-- Which chart shows the rows, what is drawn and how: drawn
-- as text by plot, heatmap, bars and spark, -- as a picture by save.
local pictures = {}

local function chart_opts(extra)
    extra.units = core.session("units")
    return extra
end

--- "Memory of llama-3.1-8b, int4 on rtx-4090": what is drawn, and what is the same in all rows.
local function title_of(list, v)
    local function only(name)
        local values = distinct(list, name)
        return #values == 1 and tostring(values[1]) or nil
    end
    local of = {}
    for _, name in ipairs { "model", "precision" } do of[#of + 1] = only(name) end
    local text = v == "total" and "Memory" or v
    if #of > 0 then text = text .. " of " .. table.concat(of, ", ") end
    return only("device") and text .. " on " .. only("device") or text
end

--- What tells the curves of a plot over x apart: the columns that vary, as a name for each row.
local function namer(self, list, x, y)
    local varied = {}
    local function consider(names)
        for _, name in ipairs(names) do
            if name ~= x and #distinct(list, name) > 1 then varied[#varied + 1] = name end
        end
    end
    consider(AXES)
    for _, name in ipairs(state(self).axes.shown) do
        consider { axes_of.column(state(self), name) }
    end
    return function(row)
        local parts = {}
        for i, name in ipairs(varied) do
            local v = row[name]
            parts[i] = name == "seq" and "seq " .. units.ki(v)
                or type(v) == "number" and name .. " " .. v or tostring(v)
        end
        return #parts > 0 and table.concat(parts, ", ") or y
    end
end

--- plot(x, y [, series]): curves, one per value of a third column, or of all columns that vary.
function pictures.plot(self, x, y, by)
    x, y = x or "seq", y or "total"
    local list = list_of(self)
    local name_of = by and function(row) return tostring(row[by]) end or namer(self, list, x, y)
    local at, series = {}, {}
    for _, row in ipairs(list) do
        local name = name_of(row)
        if not at[name] then
            at[name] = { name = name, points = {} }
            series[#series + 1] = at[name]
        end
        if row[x] ~= nil and row[y] ~= nil and row[y] ~= math.maxinteger then
            table.insert(at[name].points, { row[x], row[y] })
        end
    end
    return "plot", series, chart_opts { x = x, y = y, log = x == "seq" or x == "batch",
        title = title_of(list, y) .. " by " .. x, xkind = COLUMNS[x], ykind = COLUMNS[y] }
end

--- heatmap(x, y [, v]): share of what is available, as a map of what fits.
function pictures.heatmap(self, x, y, v)
    local list = list_of(self)
    v = v or "total"
    -- a share of it means something where it is the same in all rows
    local available
    for _, row in ipairs(list) do
        local one = row.free and row.total and row.free + row.total or available
        if available and one ~= available then
            available = nil
            break
        end
        available = one
    end
    return "heatmap", list, chart_opts { x = x or "seq", y = y or "batch", v = v,
        title = title_of(list, v), available = COLUMNS[v] == "bytes" and available or nil }
end

--- bars([label [, v]]): a bar a row.
function pictures.bars(self, name, v)
    local list, rows = list_of(self), {}
    v = v or "total"
    name = name or #distinct(list, "device") > 1 and "device" or #distinct(list, "precision") > 1
        and "precision" or "model"
    for _, row in ipairs(list) do
        if row[v] ~= nil then rows[#rows + 1] = { tostring(row[name]), row[v] } end
    end
    return "bars", rows, chart_opts { title = title_of(list, v) .. " by " .. name, unit = COLUMNS[v]
        or nil }
end

function pictures.spark(self, v)
    local values = {}
    for i, row in ipairs(list_of(self)) do values[i] = row[v or "total"] end
    return "spark", values, chart_opts {}
end

for name, picture in pairs(pictures) do
    methods[name] = function(self, ...)
        local kind, rows, opts = picture(self, ...)
        return require("oomph.chart")[kind](rows, opts)
    end
end

--- What tells most about the rows: a map of seq and batch, curves by seq, or bars.
local function best_picture(self)
    local list = list_of(self)
    local long, wide = #distinct(list, "seq"), #distinct(list, "batch")
    if long > 1 and wide > 1 and #list <= long * wide then return "heatmap" end
    return long > 1 and "plot" or "bars"
end

--- save("x.svg" [, "plot" | "heatmap" | "bars" | "spark",
-- ...]): a chart as a picture; .csv, .json and
--- .md write the rows.
function methods.save(self, path, how, ...)
    local writers = { csv = methods.csv, json = methods.json, md = methods.markdown }
    local ending = type(path) == "string" and path:match("%.(%w+)$")
    if writers[ending] then return writers[ending](self, path) end
    local drawn = require("oomph.picture")
    if not drawn.ENDINGS[ending] then
        fail("save takes a file name that ends in .svg, .png, .pdf, .csv, .json or .md")
    end
    local picture = pictures[how or best_picture(self)]
    if not picture then
        fail("save draws \"plot\", \"heatmap\", \"bars\" or \"spark\", not \"%s\"", tostring(how))
    end
    local text = drawn.bytes(ending, picture(self, ...))
    write_file(path, function(write) write(text) end)
end
