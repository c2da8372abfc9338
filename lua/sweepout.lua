--- A sweep as people and programs read it: tables, CSV that streams, JSON, Markdown, pivots.
local ask = require("oomph.ask")
local axes_of = require("oomph.axes")
local core = require("oomph.core")
local result = require("oomph.result")
local rows_of = require("oomph.rows")
local units = require("oomph.units")
local write_file = require("oomph.file").write
require("oomph.sweepdraw")

local COLUMNS, label = axes_of.COLUMNS, axes_of.label
local methods, state = rows_of.methods, rows_of.state
local row_at, length, each = rows_of.at, rows_of.length, rows_of.each
local with_column = rows_of.with_column

--- Columns of a table: axes with more than one value, options that vary, then what was asked.
local function headers_of(st)
    if st.selected then return st.selected end
    local names, shown = {}, { model = true }
    for _, name in ipairs(st.columns) do shown[name] = true end
    for _, name in ipairs(axes_of.all_columns(st)) do
        local values = st.axes[name]
        if not values or #values > 1 or shown[name] then names[#names + 1] = name end
    end
    return names
end

local function grid_rows(self, list)
    local st = state(self)
    local names, headers, rows, reasons = headers_of(st), {}, {}, false
    for c, name in ipairs(names) do
        headers[c] = { name, round = name == "free" and "down" or nil,
            unit = axes_of.place(st, name) == "value" and COLUMNS[name] or nil }
    end
    for i, row in ipairs(list) do
        local cells = {}
        for c, name in ipairs(names) do cells[c] = row[name] end
        if row.reason then
            reasons = true
            cells[#names + 1] = row.reason
        end
        rows[i] = cells
    end
    for c, name in ipairs(names) do         -- what is the same in every row is missed least
        local same = #rows > 1 and axes_of.place(st, name) == "axis"
        for _, cells in ipairs(rows) do same = same and cells[c] == rows[1][c] end
        headers[c].lesser = same
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
    local headers, rows = require("oomph.table").without_empty(grid_rows(self, list))
    local text = require("oomph.table").layout(headers, rows, { rows = "all", width = width,
        units = rows_of.units(self), left_out = cut and { after = head, count = n - most }
        or nil })
    text = text .. "\n" .. units.group(n) .. (n == 1 and " row" or " rows")
    if rows_of.interrupted(self) and not st.fixed then
        text = text .. ", interrupted after " .. units.group(st.stored.points) .. " of "
            .. units.group(st.axes.size) .. " points"
    elseif rows_of.interrupted(self) then
        text = text .. " of an interrupted sweep"
    end
    return text
end

local function csv_cell(v)
    v = type(v) == "boolean" and tostring(v):upper() or label(v)
    return v:find("[\",\n\r]") and '"' .. v:gsub('"', '""') .. '"' or v
end

-- A column is of one type from its first row on, since its readers guess it from the first rows:
-- whole numbers beside fractions are fractions, numbers of layers beside "all" and true are words.
-- `all`: the values of the whole sweep, of which `values` may be a slice.
local function cells_of(axis, values, all)
    local cells, seen = { axis = axis }, {}
    for _, v in ipairs(all) do seen[math.type(v) or type(v)] = true end
    local mixed = (seen.integer or seen.float) and (seen.string or seen.boolean)
    for i, v in ipairs(values) do
        if mixed and type(v) ~= "string" then
            v = v == true and "all" or v == false and "none" or label(v) .. " layers"
        end
        cells[i] = seen.float and not mixed and tostring(v + 0.0) or csv_cell(v)
    end
    return cells
end

local function values_of(axes, option)
    local values = {}
    for i, variant in ipairs(axes.variants) do values[i] = variant[option] end
    return values
end

--- What core.rows_csv takes for each column: its name, or an axis with its cells.
local function csv_columns(st, axes, names)
    local labels, columns = axes_of.labels(axes), {}
    for c, name in ipairs(names) do
        local kind, axis, option = axes_of.place(st, name)
        if kind ~= "axis" then
            columns[c] = name
        elseif option then
            columns[c] = cells_of(axis, values_of(axes, option), values_of(st.axes, option))
        else
            columns[c] = cells_of(axis, labels[name], labels[name])
        end
    end
    return columns
end

-- The names of columns. One that may hold quotes has them in its name, too: DuckDB looks for them
-- in the first rows only.
local function csv_header(names, columns)
    local cells = {}
    for c, name in ipairs(names) do
        local quotes = name == "reason"
        for _, cell in ipairs(type(columns[c]) == "table" and columns[c] or {}) do
            quotes = quotes or cell:find('"', 1, true)
        end
        cells[c] = quotes and '"' .. name .. '"' or name
    end
    return table.concat(cells, ",") .. "\n"
end

local CHUNK = 20000         -- rows written at once
-- points evaluated at once when rows go to a file: their memory is bounded
local SLICE = 1 << 18

local function put_rows(got, columns, write)
    for from = 1, got.n, CHUNK do
        write(core.rows_csv(got.rows, from, from + CHUNK - 1, columns))
    end
    return got.n
end

--- Every row, evaluated slice by slice and written as it comes.
local function stream(st, names, write)
    local points, n = axes_of.size(st.axes), 0
    local tell, clear = rows_of.progress(points)
    axes_of.slices(st.axes, SLICE, function(axes)
        local size, started = axes_of.size(axes), os.clock()
        local query = rows_of.query(st)
        query.whole = true
        local got = rows_of.run(st, query, axes,
            tell and function(share, seconds) tell(share, seconds, size) end or false)
        if got.stopped then error("interrupted", 0) end
        n = n + put_rows(got, csv_columns(st, axes, names), write)
        clear(size, os.clock() - started)
    end)
    clear()
    return n
end

--- Whether rows are there that cannot be, asked before the first is written.
local function has_reasons(self)
    local st = state(self)
    if st.stored or rows_of.answered(st) then
        return not core.rows_whole(rows_of.stored(self).rows)
    end
    local all = #st.where == 0 and axes_of.size(st.axes) or methods.count(self)
    return methods.count(methods.where(self, { total = { min = 0 } })) < all
end

--- Columns of a file: all, with the reason; or those selected, with it where there is one.
local function file_columns(self)
    local st = state(self)
    local names = st.selected or axes_of.all_columns(st)
    names = table.move(names, 1, #names, 1, {})
    for _, name in ipairs(names) do
        if name == "reason" then return names end
    end
    if not st.selected or has_reasons(self) then names[#names + 1] = "reason" end
    return names
end

--- Writes the rows as CSV and says how many.
local function produce_csv(self, write)
    local st, names = state(self), file_columns(self)
    write(csv_header(names, csv_columns(st, st.axes, names)))
    if rows_of.answered(st) or st.stored and not st.stored.stopped then
        return put_rows(rows_of.stored(self), csv_columns(st, st.axes, names), write)
    end
    return stream(st, names, write)
end

--- Writes the rows as JSON: a list of objects, one a line; of what was selected, or of all.
local function produce_json(self, write)
    local encode, selected = require("oomph.json").json, state(self).selected
    local before = "["
    for _, row in each(self) do
        local fields = selected and { reason = row.reason } or row
        for _, name in ipairs(selected or {}) do fields[name] = row[name] end
        write(before .. encode(fields))
        before = ",\n"
    end
    write(before == "[" and "[]\n" or "]\n")
end

local function produce_markdown(self, write)
    local headers, rows = grid_rows(self, rows_of.list(self))
    write(require("oomph.table").markdown(headers, rows, { units = rows_of.units(self) }) .. "\n")
end

--- What a producer writes: as text, or to a file.
local function out(produce, self, path)
    if path then return write_file(path, function(write) produce(self, write) end) end
    local parts = {}
    produce(self, function(text) parts[#parts + 1] = text end)
    return (table.concat(parts):gsub("\n$", ""))
end

--- csv([path]): every row, one line each; sizes in bytes.
function methods.csv(self, path) return out(produce_csv, self, path) end
function methods.json(self, path) return out(produce_json, self, path) end
function methods.markdown(self, path) return out(produce_markdown, self, path) end

--- For sweep{to=}: the rows go to the file and are not kept.
function methods.stream_to(self, path)
    local n
    write_file(path, function(write) n = produce_csv(self, write) end)
    state(self).written = { path = path, rows = n }
    return self
end

-- pivot -------------------------------------------------------------------------------------------

--- pivot([x, y, v]): a line per value of x, a column per value of y, v in the cells; what varies
-- beside them stands before x.
function methods.pivot(self, x, y, v)
    x, y, v = x or "seq", y or "batch", v or "total"
    for _, name in ipairs { x, y, v } do self = with_column(self, "pivot", name) end
    local st = state(self)
    local lead, across, lines, at, reason = {}, {}, {}, {}, nil
    for _, name in ipairs(rows_of.varied(self)) do
        if name ~= x and name ~= y then lead[#lead + 1] = name end
    end
    lead[#lead + 1] = x
    for _, row in each(self) do
        local key = {}
        for i, name in ipairs(lead) do key[i] = label(row[name]) end
        key = table.concat(key, "\0")
        if not at[key] then
            at[key] = {}
            for _, name in ipairs(lead) do at[key][name] = row[name] end
            lines[#lines + 1] = at[key]
        end
        local name = COLUMNS[y] == "tokens" and units.ki(row[y]) or label(row[y])
        if not across[name] then
            across[name] = true
            across[#across + 1] = name
        end
        at[key][name] = row[v]
        reason = reason or row.reason
    end
    return ask.result("pivot", { rows = lines, lead = lead, across = across, value = v,
        unit = axes_of.place(st, v) == "value" and COLUMNS[v] or nil, reason = reason }, st)
end

local pivot = {}

function pivot.grid(r)
    local headers, rows = {}, {}
    for c, name in ipairs(r.lead) do headers[c] = { name, unit = COLUMNS[name] or nil } end
    for _, name in ipairs(r.across) do headers[#headers + 1] = { name, unit = r.unit } end
    for i, line in ipairs(r.rows) do
        rows[i] = {}
        for c, header in ipairs(headers) do rows[i][c] = line[header[1]] end
    end
    return headers, rows
end

function pivot.show(r)
    local text = ask.layout(pivot.grid(r))
    return r.reason and text .. "\nempty where it cannot be: " .. r.reason or text
end

result.add_kind("pivot", pivot)
