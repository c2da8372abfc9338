--- A sweep as charts: what is drawn of its rows and how, as text by plot, heatmap, bars and spark,
-- as a picture by save.
local axes_of = require("oomph.axes")
local rows_of = require("oomph.rows")
local units = require("oomph.units")

local COLUMNS, label = axes_of.COLUMNS, axes_of.label
local methods, each = rows_of.methods, rows_of.each

local function fail(...) error(string.format(...), 0) end

--- The rows with the columns a chart is made of, the last of which it draws: some row must have it.
local function rows_with(self, call, ...)
    for _, name in ipairs { ... } do self = rows_of.with_column(self, call, name) end
    local drawn = select(-1, ...)
    for _, row in each(self) do
        if row[drawn] ~= nil then return self end
    end
    local first = self[1]
    fail("%s: no row has %s: %s", call, drawn,
        first and first.reason or "nothing of the sweep is left")
end

local function is_number(name) return COLUMNS[name] and name ~= "fits" end

--- "Memory of llama-3.1-8b, int4 on rtx-4090": what is drawn, and what is the same in all rows.
local function title_of(self, v)
    local varied, first, of = {}, self[1], {}
    for _, name in ipairs(rows_of.varied(self)) do varied[name] = true end
    for _, name in ipairs { "model", "precision" } do
        if not varied[name] then of[#of + 1] = first[name] end
    end
    local text = v == "total" and "Memory" or v
    if #of > 0 then text = text .. " of " .. table.concat(of, ", ") end
    return first.device and not varied.device and text .. " on " .. first.device or text
end

--- What tells rows apart but for the columns drawn: those that vary, as a name for each row.
local function namer(self, x, y)
    local varied = {}
    for _, name in ipairs(rows_of.varied(self)) do
        if name ~= x and name ~= y then varied[#varied + 1] = name end
    end
    return function(row)
        local parts = {}
        for i, name in ipairs(varied) do
            local v = row[name]
            parts[i] = name == "seq" and "seq " .. units.ki(v)
                or type(v) == "number" and name .. " " .. v or label(v)
        end
        return #parts > 0 and table.concat(parts, ", ") or nil
    end, varied
end

local pictures = {}

--- What is available, where it is the same for all rows: a share of it means something.
local function same_available(self)
    local available
    for _, row in each(self) do
        local one = row.free and row.total and row.free + row.total or available
        if available and one ~= available then return nil end
        available = one
    end
    return available
end

--- plot(x, y [, series]): curves, one per value of a third column, or of all columns that vary.
function pictures.plot(self, x, y, by)
    x, y = x or "seq", y or "total"
    if by then self = rows_of.with_column(self, "plot", by) end
    self = rows_with(self, "plot", x, y)
    local name_of = by and function(row) return label(row[by]) end or namer(self, x, y)
    local at, series = {}, {}
    for _, row in each(self) do
        local name = name_of(row) or y
        if not at[name] then
            at[name] = { name = name, points = {} }
            series[#series + 1] = at[name]
        end
        if row[x] ~= nil and row[y] ~= nil and row[y] ~= math.maxinteger then
            table.insert(at[name].points, { row[x], row[y] })
        end
    end
    return "plot", series, { units = rows_of.units(self), x = x, y = y,
        capacity = y == "total" and same_available(self) or nil,
        log = x == "seq" or x == "batch",
        title = title_of(self, y) .. " by " .. x, xkind = COLUMNS[x], ykind = COLUMNS[y] }
end

--- heatmap(x, y [, v]): share of what is available, as a map of what fits.
function pictures.heatmap(self, x, y, v)
    x, y, v = x or "seq", y or "batch", v or "total"
    self = rows_with(self, "heatmap", x, y, v)
    return "heatmap", rows_of.list(self), { units = rows_of.units(self), x = x, y = y, v = v,
        title = title_of(self, v),
        available = COLUMNS[v] == "bytes" and same_available(self) or nil }
end

--- bars([label] [, v]): a bar a row, named by a column or by all that vary. Of two columns the
-- second is drawn; one alone is drawn where it is a size or a count.
function pictures.bars(self, name, v)
    if not v and is_number(name) then name, v = nil, name end
    v = v or "total"
    if name then self = rows_of.with_column(self, "bars", name) end
    self = rows_with(self, "bars", v)
    local rows, name_of, varied = {}, namer(self, nil, v)
    local words = { bytes = units.bytes, tokens = units.ki, params = units.count,
        count = units.group }
    local write = name and words[COLUMNS[name]] or label
    for _, row in each(self) do
        local text = name_of(row) or row.model
        if name then text = row[name] == nil and "" or write(row[name]) end
        if row[v] ~= nil then rows[#rows + 1] = { text, row[v] } end
    end
    local by = name or #varied == 1 and varied[1]
    return "bars", rows, { units = rows_of.units(self),
        title = title_of(self, v) .. (by and " by " .. by or ""), unit = COLUMNS[v] or nil }
end

function pictures.spark(self, v)
    v = v or "total"
    self = rows_with(self, "spark", v)
    local values = {}
    for i, row in each(self) do values[i] = row[v] end
    return "spark", values, { units = rows_of.units(self) }
end

for name, picture in pairs(pictures) do
    methods[name] = function(self, ...)
        local kind, rows, opts = picture(self, ...)
        return require("oomph.chart")[kind](rows, opts)
    end
end

--- What tells most about the rows: a map of seq and batch, curves by seq, or bars.
local function best_picture(self)
    local varied, n = {}, 0
    for _, name in ipairs(rows_of.varied(self)) do varied[name], n = true, n + 1 end
    if varied.seq and varied.batch and n == 2 then return "heatmap" end
    return varied.seq and "plot" or "bars"
end

--- save("x.svg" [, "plot" | "heatmap" | "bars" | "spark", …]): a chart as a picture; .csv, .json
-- and .md write the rows.
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
    require("oomph.file").write(path, function(write) write(text) end)
end
