--- What-if sweeps: any option a value, a list, a range, a pattern or a function of the others. The
-- grid runs in C (core.grid_run); lua/axes.lua makes its lists of the options, lua/rows.lua asks
-- for its rows. A sweep is lazy: where, group, top and count are asked of the grid, rows are stored
-- when they are looked at; then they are filtered and sorted where they are.
local axes_of = require("oomph.axes")
local core = require("oomph.core")
local rows_of = require("oomph.rows")
require("oomph.sweepout")

local M = { range = axes_of.range, powers = axes_of.powers, names = axes_of.names }

local COLUMNS, AXES, LISTED = axes_of.COLUMNS, axes_of.AXES, axes_of.LISTED
local label, labels_of, values_of = axes_of.label, axes_of.labels_of, axes_of.names
local methods, state, make, copy = rows_of.methods, rows_of.state, rows_of.make, rows_of.copy
local answered, stored = rows_of.answered, rows_of.stored
local with_column, with_rows = rows_of.with_column, rows_of.with_rows

local function fail(...) error(string.format(...), 0) end

--- The rows at these places.
local function picked(self, places)
    return with_rows(self, core.rows_pick(stored(self).rows, places))
end

--- The rows for which keep(row) is true.
local function kept(self, keep)
    return with_rows(self, core.rows_keep(stored(self).rows,
        function(i) return keep(rows_of.at(self, i)) end))
end

local function word(call, given, allowed)
    local found = (" " .. allowed .. " "):find(" " .. tostring(given) .. " ", 1, true)
    if given ~= nil and not found then
        fail("%s: \"%s\", expected %s", call, tostring(given), (allowed:gsub(" ", " or ")))
    end
    return given
end

-- filters -----------------------------------------------------------------------------------------

-- A bound of a condition: a number, or text with the unit of its column.
local function bound(name, v)
    local n = math.tointeger(v)
    if n then return n end
    if type(v) == "string" then
        return COLUMNS[name] == "bytes" and core.bytes(v) or core.count(v)
    end
    fail("where: %s is %s, expected a whole number, true, false or {min=, max=}", name,
        v ~= v and "nan" or type(v) == "number" and tostring(v) or "a " .. type(v))
end

local function interval(name, v)
    if type(v) == "boolean" then return v and 1 or 0, v and 1 or 0 end
    if type(v) ~= "table" then return bound(name, v), bound(name, v) end
    for k in pairs(v) do
        if k ~= "min" and k ~= "max" then fail("where: %s takes a value or {min=, max=}", name) end
    end
    return v.min and bound(name, v.min) or math.mininteger + 1,
        v.max and bound(name, v.max) or math.maxinteger
end

--- The option that varies and is called so, or whose column is.
local function varied_option(st, name)
    for _, option in ipairs(st.axes.shown) do
        if option == name or axes_of.column(st, option) == name then return option end
    end
end

--- Whether a condition names values of an axis, rather than bounds of a column.
local function names_values(st, name, v)
    local list = type(v) == "table" and #v > 0
    return LISTED[name] or varied_option(st, name) or list and (name == "seq" or name == "batch")
end

--- The names that a condition on an axis means, as a set.
local function named(name, v)
    local set = {}
    for _, one in ipairs(labels_of(name, values_of(name, v))) do set[one] = true end
    return set
end

--- Keeps the values of an axis that are named, by pattern or list.
local function narrowed(st, name, v)
    local keep, list, axes = named(name, v), {}, {}
    local option = varied_option(st, name)
    local axis = option and "variants" or name
    for k, x in pairs(st.axes) do axes[k] = x end
    for i, one in ipairs(st.axes[axis] or {}) do
        local called = one
        if option then called = one[option] end
        if LISTED[name] then called = st.labels[name][i] end
        if keep[label(called)] then list[#list + 1] = one end
    end
    if #list == 0 then fail("where: no %s of this sweep matches", name) end
    axes[axis], axes.grid, axes.size = list, nil, nil
    st.axes, st.labels = axes, axes_of.labels(axes)
end

--- Whether a row meets conditions, made once for all rows.
local function matcher(st, conditions)
    local tests = {}
    for name, v in pairs(conditions) do
        if names_values(st, name, v) then
            local option, keep = varied_option(st, name), named(name, v)
            local column = option and axes_of.column(st, option) or name
            tests[#tests + 1] = function(row) return keep[label(row[column])] end
        else
            local least, most = interval(name, v)
            tests[#tests + 1] = function(row)
                local x = row[name]
                if type(x) == "boolean" then x = x and 1 or 0 end
                return x ~= nil and x >= least and x <= most
            end
        end
    end
    return function(row)
        for _, meets in ipairs(tests) do
            if not meets(row) then return false end
        end
        return true
    end
end

--- where{fits=true, seq={min=8192}, device="rtx*"} in the grid; where(function(row) … end) over
-- rows. After group, top, sort or a function the rows there are are filtered.
function methods.where(self, conditions)
    local st = state(self)
    if type(conditions) == "function" then return kept(self, conditions) end
    if type(conditions) ~= "table" then
        fail("where takes a table of conditions, as in where{fits=true}, or a function")
    end
    for name in pairs(conditions) do
        if not varied_option(st, name) and not axes_of.place(st, name) then
            axes_of.no_column("where", st, name)
        end
    end
    if answered(st) then
        for name in pairs(conditions) do self = with_column(self, "where", name) end
        return kept(self, matcher(state(self), conditions))
    end
    st = copy(st)
    st.where = table.move(st.where, 1, #st.where, 1, {})
    for name, v in pairs(conditions) do
        if names_values(st, name, v) then
            narrowed(st, name, v)
        else
            local least, most = interval(name, v)
            st.where[#st.where + 1] = { name, least, most }
        end
    end
    return make(st)
end

-- groups and order --------------------------------------------------------------------------------

--- The places of the best row of each value of a column, in the order of the values.
local function best_places(self, column, by, smallest)
    local places, most, order = {}, {}, {}
    for i, row in rows_of.each(self) do
        local v, x = row[column], row[by]
        if type(x) == "boolean" then x = x and 1 or 0 end
        if v ~= nil and x ~= nil and not row.reason then
            if most[v] == nil then order[#order + 1] = v end
            if most[v] == nil or smallest and x < most[v] or not smallest and x > most[v] then
                places[v], most[v] = i, x
            end
        end
    end
    for i, v in ipairs(order) do order[i] = places[v] end
    return order
end

--- How many rows of each value of a column, as a list that prints as a table.
local function counted(name, values, count)
    local counts, cells = {}, {}
    for i, v in ipairs(values) do
        counts[i] = { [name] = v, count = count[i] }
        cells[i] = { v, count[i] }
    end
    return setmetatable(counts, { __tostring = function()
        return require("oomph.table").layout({ name, { "count", unit = "count" } }, cells)
    end })
end

local function count_here(self, axis, column)
    local values, count, at = {}, {}, {}
    for _, row in rows_of.each(self) do
        local v = row[column]
        if not at[v] then
            values[#values + 1] = v
            at[v] = #values
        end
        count[at[v]] = (count[at[v]] or 0) + 1
    end
    return counted(axis, values, count)
end

--- A count that is whole or an error.
local function count_run(st, query)
    query.count, query.reasons, query.whole = true, true, true
    local run = rows_of.run(st, query)
    if run.stopped then error("interrupted", 0) end
    return run
end

local function count_in_grid(st, axis)
    local count = core.rows_counts(count_run(st, { group = axis }).rows)
    return counted(axis, st.labels[axis] or st.axes[axis], count)
end

--- group("device"):best("params" [, "smallest"]), group("device"):count(). Axes are grouped in the
-- grid; options that vary (kv, engine, …) and rows already there are grouped here.
function methods.group(self, axis)
    local st = state(self)
    local varied, known = varied_option(st, axis), false
    for _, name in ipairs(AXES) do known = known or name == axis and st.axes[name] ~= nil end
    if not known and not varied then
        fail("group takes model, precision, device, seq, batch or an option that varies, "
            .. "not \"%s\"", require("oomph.term").name(axis))
    end
    local grouped, here = {}, answered(st) or varied
    local column = varied and axes_of.column(st, varied) or axis
    function grouped.best(_, by, order)
        local smallest = word("best", order, "largest smallest") == "smallest"
        local whole = with_column(self, "best", by)
        if here then return picked(whole, best_places(whole, column, by, smallest)) end
        local new = copy(state(whole))
        new.group, new.by, new.smallest = axis, by, smallest
        return make(new)
    end
    function grouped.count()
        if here then return count_here(self, axis, column) end
        return count_in_grid(st, axis)
    end
    return grouped
end

--- top(n, by [, "smallest"]): the n rows with the most (least) of a column.
function methods.top(self, n, by, order)
    by = by or "total"
    if math.type(n) ~= "integer" or n < 1 then
        fail("top takes a number of rows, as in top(10, \"params\")")
    end
    local smallest = word("top", order, "largest smallest") == "smallest"
    self = with_column(self, "top", by)
    local st = state(self)
    if axes_of.place(st, by) == "value" and not answered(st) then
        st = copy(st)
        st.top, st.by, st.smallest = n, by, smallest
        return make(st)
    end
    local sorted, places = methods.sort(self, by, smallest and "up" or "down"), {}
    for i, row in rows_of.each(sorted) do
        if #places == n then break end
        if not row.reason and row[by] ~= nil then places[#places + 1] = i end
    end
    return picked(sorted, places)
end

--- best(column [, "smallest"]): the one row with the most (least) of it.
function methods.best(self, by, order)
    return methods.top(with_column(self, "best", by), 1, by, order)
end

--- How many rows there are, counted without storing them.
function methods.count(self)
    local st = state(self)
    if st.stored or answered(st) then return rows_of.length(self) end
    return count_run(st, {}).matched
end

--- The place of each value in their order: numbers by size, the rest as text.
local function ranks(values)
    local order, place = {}, {}
    for i, v in ipairs(values) do order[i] = v end
    table.sort(order, function(a, b)
        if type(a) == "number" and type(b) == "number" then return a < b end
        return tostring(a) < tostring(b)
    end)
    for i = #order, 1, -1 do place[order[i]] = i end
    for i, v in ipairs(values) do order[i] = place[v] end
    return order
end

--- sort(column [, "down"]): rows in order; what is missing comes last.
function methods.sort(self, by, order)
    word("sort", order, "up down asc desc")
    local down = order == "down" or order == "desc"
    self = with_column(self, "sort", by)
    local st = state(self)
    local kind, axis, option = axes_of.place(st, by)
    local rows = stored(self).rows
    if kind == "value" then return with_rows(self, core.rows_sort(rows, by, down)) end
    local values = st.labels[by] or {}
    for i, variant in ipairs(option and st.axes.variants or {}) do
        values[i] = type(variant[option]) == "table" and label(variant[option]) or variant[option]
    end
    return with_rows(self, core.rows_sort(rows, axis, down, ranks(values)))
end

--- select("model", "total", …): the columns shown and written.
function methods.select(self, ...)
    local names = { ... }
    if #names == 1 and type(names[1]) == "table" then names = names[1] end
    if #names == 0 then fail("select takes columns, as in select(\"model\", \"total\")") end
    local values = {}
    for _, name in ipairs(names) do
        if name ~= "reason" then
            self = with_column(self, "select", name)
            if axes_of.place(state(self), name) == "value" then values[#values + 1] = name end
        end
    end
    local st = copy(state(self))
    if not st.fixed and #values > 0 then st.columns = values end
    st.selected = names
    return make(st)
end

--- sweep{model=, device=, precision=, seq=, batch=, …, show={…}, to="file.csv"} -> rows
function M.sweep(opts)
    if type(opts) ~= "table" then
        fail("sweep takes named options, as in sweep{model=\"qwen*\", device=\"rtx-4090\"}")
    end
    local given, functions = axes_of.gathered(opts)
    local axes, index = axes_of.of(given, functions), nil
    if next(functions) then axes, index = require("oomph.derived").expand(axes, functions) end
    local st = { axes = axes, columns = axes_of.columns(opts.show, axes.device ~= nil), where = {},
        labels = axes_of.labels(axes), units = opts.units }
    if index then
        st.stored = rows_of.run(st, { columns = st.columns, index = index, n = #index })
        st.fixed = true
    end
    local result = make(st)
    return opts.to and methods.stream_to(result, opts.to) or result
end

M.methods = methods -- a wrong name is compared with them

return M
