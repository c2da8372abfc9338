--- The rows of a sweep: evaluated by the grid in C when they are looked at, kept there at eight
-- bytes a value, turned into Lua tables one at a time. lua/sweep.lua filters them, lua/sweepout.lua
-- and lua/sweepdraw.lua show them.
local axes_of = require("oomph.axes")
local core = require("oomph.core")

local M = { methods = {} }

local meta = { __methods = M.methods } -- Tab lists them

--- What a sweep is: axes, labels, columns; a query: where, group, by, smallest, top, whole (Ctrl-C
-- leaves no rows); selected: the columns shown; stored: its rows, once looked at. `fixed` where no
-- query of the grid stands for them: they were sorted, or kept by a function.
function M.state(self) return rawget(self, meta) end

local state = M.state

function M.make(st) return setmetatable({ kind = "sweep", [meta] = st }, meta) end

--- The units its call asked for, or the session's.
function M.units(self) return state(self).units or core.session("units") end

--- The same question; not yet answered, where it is one of the grid.
function M.copy(st)
    local new = {}
    for k, v in pairs(st) do new[k] = v end
    new.written = nil
    if not st.fixed then new.stored = nil end
    return new
end

--- Whether the rows are an answer, so that what is asked next is asked of them, not of the grid.
function M.answered(st) return st.fixed or st.group or st.top end

function M.grid(axes)
    if not axes.grid then
        axes.grid, axes.size = core.grid { model = axes.model, precision = axes.precision,
            device = axes.device, seq = axes.seq, batch = axes.batch, variants = axes.variants }
    end
    return axes.grid
end

local function rate(n)
    return n >= 1e6 and ("%.0f M"):format(n / 1e6) or n >= 1e3 and ("%.0f k"):format(n / 1e3)
        or ("%.0f "):format(n)
end

--- One line on the terminal while a run takes more than a second; cleared at the end. A run may be
-- one of several: `points` is the size of all, done() says how many are behind it.
function M.progress(points)
    local found, host = pcall(require, "oomph.host")
    if not found or not host.interactive() then return nil, function() end end
    local shown, behind, before = false, 0, 0
    local function tell(share, seconds, size)
        local done = behind + share * (size or points)
        local took = before + seconds
        shown = true
        host.tell(("\rsweep %3.0f %%, %spoints/s, %.0f s left \27[K"):format(done / points * 100,
            rate(done / took), done > 0 and took / done * (points - done) or 0))
    end
    local function clear(size, seconds)
        behind, before = behind + (size or 0), before + (seconds or 0)
        if shown and not size then host.tell("\r\27[K") end
    end
    return tell, clear
end

function M.run(st, query, axes, tell)
    local clear
    axes = axes or st.axes
    query.where = st.where
    if tell == nil then
        tell, clear = M.progress(query.n or axes_of.size(axes))
    end
    local rows, n, points, matched, stopped = core.grid_run(M.grid(axes), query, tell or nil)
    if clear then clear() end
    return { rows = rows, n = n, points = points, matched = matched, stopped = stopped }
end

--- What is asked of the grid for rows. Those that cannot be stay, with their reason, where nothing
-- is asked of a value that they lack; none of them is the best.
function M.query(st)
    return { columns = st.columns, reasons = not st.group and not st.top, group = st.group,
        by = st.by, smallest = st.smallest, top = st.top, whole = st.whole }
end

function M.stored(self)
    local st = state(self)
    if not st.stored then
        local got = M.run(st, M.query(st))
        if st.whole and got.stopped then error("interrupted", 0) end
        st.stored = got
    end
    return st.stored
end

--- The same sweep with other rows, made of its own in C.
function M.with_rows(self, rows, n)
    local st, got = M.copy(state(self)), M.stored(self)
    st.stored = { rows = rows, n = n, points = got.points, matched = n, stopped = got.stopped }
    st.fixed, st.where, st.group, st.top = true, {}, nil, nil
    return M.make(st)
end

local function row_from(st, got, i)
    local row, m, p, v, d, index = core.rows_get(got.rows, i)
    row.model, row.precision = st.labels.model[m], st.labels.precision[p]
    if st.axes.device then row.device = st.labels.device[d] end
    for _, name in ipairs(st.axes.shown) do
        local value = st.axes.variants[v][name]
        row[axes_of.column(st, name)] = type(value) == "table" and axes_of.label(value) or value
    end
    for _, name in ipairs(st.columns) do
        if row[name] == nil then
            row.reason = core.grid_reason(M.grid(st.axes), index)
            break
        end
    end
    return row
end

function M.at(self, i)
    local got = M.stored(self)
    if i < 1 or i > got.n then return nil end
    return row_from(state(self), got, i)
end

function M.length(self) return M.stored(self).n end

--- for i, row in each(self): rows one at a time.
function M.each(self)
    return function(_, i)
        local row = M.at(self, i + 1)
        if row then return i + 1, row end
    end, self, 0
end

--- All rows as a Lua list, for charts and tables.
function M.list(self)
    local list = {}
    for i, row in M.each(self) do list[i] = row end
    return list
end

--- The same rows with a column that they must have.
function M.with_column(self, call, name)
    local st = state(self)
    local kind = axes_of.place(st, name)
    if not kind then axes_of.no_column(call, st, name) end
    if kind == "axis" or name == "seq" or name == "batch" then return self end
    for _, column in ipairs(st.columns) do
        if column == name then return self end
    end
    axes_of.columns({ name }, st.axes.device ~= nil)
    local got = st.stored
    st = M.copy(st)
    st.columns = table.move(st.columns, 1, #st.columns, 2, { name })
    if st.fixed then    -- these very rows, evaluated again
        st.stored = M.run(st, { columns = st.columns, index = got.rows, n = got.n, whole = true })
        if st.stored.stopped then error("interrupted", 0) end
        st.stored.stopped, st.stored.points = got.stopped, got.points
    end
    return M.make(st)
end

--- The columns of axes and options in which the rows differ.
function M.varied(self)
    local st, first, differs, names = state(self), M.at(self, 1), {}, {}
    for _, row in M.each(self) do
        for name, v in pairs(row) do
            if v ~= first[name] then differs[name] = true end
        end
    end
    for _, name in ipairs(axes_of.all_columns(st)) do
        local point = name == "seq" or name == "batch" or axes_of.place(st, name) == "axis"
        if point and differs[name] then
            names[#names + 1] = name
        end
    end
    return names
end

--- Whether the rows are only those of the points before Ctrl-C.
function M.interrupted(self)
    local got = state(self).stored
    return got ~= nil and got.stopped
end

function meta.__len(self) return M.length(self) end

function meta.__index(self, key)
    if math.type(key) == "integer" then return M.at(self, key) end
    if key == "interrupted" then return M.interrupted(self) or nil end
    return M.methods[key]
end

function meta.__pairs(self) return M.each(self) end

function meta.__tostring(self) return M.methods.table(self) end

return M
