--- Tables for people: columns aligned by display width, numbers to the right, a unit once in its
-- header. Also the same rows as CSV and Markdown. Knows nothing about models; gets values, gives
-- strings.
local M = {}

local paint = require("oomph.paint")
local term = require("oomph.term")
local units = require("oomph.units")

local GAP = 2        -- columns between columns
local ROWS = 40      -- a longer table is cut in the middle
local TEXT = 24      -- what a text column keeps when the table is too wide
local MAX_WIDTH = 400

-- Headers are strings, or {name, unit="bytes"|"tokens"|"params"|"count"|"percent"|text, align=}.
local function header_of(h)
    if type(h) == "table" then
        return { name = tostring(h.name or h[1]), unit = h.unit, align = h.align, round = h.round,
            lesser = h.lesser }
    end
    return { name = tostring(h) }
end

local function is_gap(v)
    return v == nil or v ~= v
end

-- A column of sizes: one unit for all, by the largest. What would read 0.00 in it keeps its own
-- unit.
local function size_texts(column, rows, c, opts)
    local largest
    for _, row in ipairs(rows) do
        local v = row[c]
        if type(v) == "number" and math.abs(v) < math.huge then
            largest = math.max(largest or 0, math.abs(v))
        end
    end
    if not largest then -- no size that would have a unit
        return units.number
    end
    local unit = units.unit_for(largest, opts.units)
    column.title = column.name .. " " .. unit
    local tail = " " .. unit
    return function(v)
        if math.abs(v) == math.huge then
            return units.number(v)
        end
        local text = units.bytes(v, { units = opts.units, scale = largest, round = column.round })
        return text:sub(-#tail) == tail and text:sub(1, -#tail - 1) or text == "0 B" and "0" or text
    end
end

-- A column of plain numbers: whole ones in groups, fractions with the same decimals in every row.
local function number_texts(rows, c, fixed)
    local largest, decimals = 0, fixed or 0
    for _, row in ipairs(rows) do
        local v = row[c]
        if type(v) == "number" and v == v and math.abs(v) < math.huge then
            largest = math.max(largest, math.abs(v))
            if not fixed and not math.tointeger(v) then
                decimals = 3
            end
        end
    end
    if not fixed then
        local most = largest >= 1000 and 0 or largest >= 100 and 1 or largest >= 10 and 2 or 3
        decimals = math.min(decimals, most)
    end
    return function(v)
        if decimals == 0 and math.tointeger(v) or math.abs(v) == math.huge then
            return units.group(v)
        end
        local text = ("%." .. decimals .. "f"):format(v)
        return v ~= 0 and not text:find("[1-9]") and units.number(v) or text
    end
end

local WRITERS = { tokens = units.ki, params = units.count, count = units.group }

-- The function that writes a column's numbers, and its title.
local function number_writer(column, rows, c, opts)
    column.title = column.name
    if column.unit == "bytes" then
        return size_texts(column, rows, c, opts)
    elseif WRITERS[column.unit] then
        return WRITERS[column.unit]
    elseif column.unit then
        column.title = column.name .. " " .. (column.unit == "percent" and "%" or column.unit)
    end
    return number_texts(rows, c, column.unit == "percent" and 1 or nil)
end

-- The columns with the cells of the rows shown as text: {title=, texts={[row]=}, right=, name=}.
local function written(headers, rows, shown, opts)
    local glyphs = opts.ascii and paint.ascii or paint.unicode
    local columns = {}
    for c = 1, #headers do
        local column = header_of(headers[c])
        local write = number_writer(column, rows, c, opts)
        local texts, numbers, others = {}, 0, 0
        for _, r in ipairs(shown) do
            local v = r and rows[r][c]
            if not r or is_gap(v) then
                texts[r] = ""
            elseif type(v) == "number" then
                texts[r] = write(v)
                numbers = numbers + 1
            elseif type(v) == "boolean" then
                texts[r] = v and glyphs.ok or glyphs.bad
            else
                texts[r] = term.clean(tostring(v), opts.ascii)
                others = others + (texts[r]:find("^[%d.,%s]+[KMGTi%%]*$") and 0 or 1)
                numbers = numbers + 1
            end
        end
        column.title = term.clean(column.title, opts.ascii)
        column.texts = texts
        column.right = column.align == "right" or not column.align and numbers > 0 and others == 0
        columns[c] = column
    end
    return columns
end

local function measure(columns, shown)
    for _, column in ipairs(columns) do
        column.width = term.width(column.title)
        for _, r in ipairs(shown) do
            column.width = math.max(column.width, r and term.width(column.texts[r]) or 0)
        end
    end
end

local function total_width(columns)
    local total = -GAP
    for _, column in ipairs(columns) do
        total = total + column.width + GAP
    end
    return total
end

-- The place of the column that is missed least: a lesser one, else one in the middle.
local function least_missed(columns)
    for c = #columns, 1, -1 do
        if columns[c].lesser then return c end
    end
    return #columns // 2 + 1
end

-- All columns but those not kept, each run of which leaves a mark.
local function marked(columns, kept, mark)
    local list, k = {}, 1
    for _, column in ipairs(columns) do
        if column == kept[k] then
            list[#list + 1], k = column, k + 1
        elseif list[#list] ~= mark then
            list[#list + 1] = mark
        end
    end
    return list
end

-- Make the columns fit: cut text, then leave out columns. Returns the columns to show and the names
-- of those left out.
local function narrowed(columns, width, ellipsis)
    for _, column in ipairs(columns) do
        local excess = total_width(columns) - width
        if excess > 0 and not column.right then
            local least = math.min(column.width, math.max(TEXT, term.width(column.title)))
            column.width = math.max(least, column.width - excess)
        end
    end
    local mark = { title = ellipsis, width = term.width(ellipsis), texts = {} }
    local kept, gone, names = table.move(columns, 1, #columns, 1, {}), {}, {}
    local shown = columns
    while #kept > 1 and total_width(shown) > width do
        gone[table.remove(kept, least_missed(kept))] = true
        shown = marked(columns, kept, mark)
    end
    if #kept == 1 and total_width(shown) > width then
        kept[1].width = math.max(1, width - (total_width(shown) - kept[1].width))
    end
    for _, column in ipairs(columns) do
        names[#names + 1] = gone[column] and column.name or nil
    end
    return shown, names
end

-- Which rows are shown: their indices, with false where some were left out.
local function shown_rows(n, most)
    local list = {}
    if most == "all" or n <= most then
        for r = 1, n do
            list[r] = r
        end
        return list, 0
    end
    local head = (most + 1) // 2
    for r = 1, head do
        list[r] = r
    end
    list[#list + 1] = false
    for r = n - (most - head) + 1, n do
        list[#list + 1] = r
    end
    return list, n - most
end

local function put(columns, text_of, ellipsis)
    local cells = {}
    for c, column in ipairs(columns) do
        local text = term.cut(text_of(column), column.width, ellipsis)
        cells[c] = term.pad(text, column.width, column.right and "right" or "left")
    end
    return (table.concat(cells, (" "):rep(GAP)):gsub(" +$", ""))
end

--- The same without the columns in which no row has anything.
function M.without_empty(headers, rows)
    local kept, cells = {}, {}
    for r in ipairs(rows) do cells[r] = {} end
    for c = 1, #headers do
        local any = false
        for _, row in ipairs(rows) do any = any or row[c] ~= nil end
        if any then
            kept[#kept + 1] = headers[c]
            for r, row in ipairs(rows) do cells[r][#kept] = row[c] end
        end
    end
    return kept, cells
end

--- What result:table{rows=, width=} asks for, checked.
-- @return most rows or "all" or nil, width or nil
function M.asked(o)
    o = o or {}
    for k, v in pairs(type(o) == "table" and o or { [1] = o }) do
        local whole = math.type(v) == "integer" and v >= 1
        if not (k == "rows" and (v == "all" or whole) or k == "width" and whole) then
            error('table takes rows=, a whole number or "all", and width=, columns', 0)
        end
    end
    return o.rows, o.width
end

--- Lay out rows under headers.
-- @param headers list of strings or
--        {name, unit="bytes"|"tokens"|"params"|"count"|"percent"|text, align="right"|"left",
--        round="down"|"up" of bytes: free space is rounded down, as in charts,
--        lesser=true: left out before the others where there is no room, the last one first}
-- @param rows    list of lists; nil and NaN are empty cells, true and false a tick and a cross
-- @param opts    {width=, ascii=, units=, rows=most rows shown or "all" (40 unless given),
--        left_out={after=, count=}: rows the caller left out after so many of those given}
-- @return one string, lines joined by "\n", no trailing blanks
function M.layout(headers, rows, opts)
    opts = opts or {}
    if #headers == 0 then
        return ""
    end
    local settings = term.settings()
    local ascii = opts.ascii
    if ascii == nil then
        ascii = settings.ascii
    end
    local width = math.min(math.tointeger(opts.width) or settings.width, MAX_WIDTH)
    local ellipsis = (ascii and paint.ascii or paint.unicode).ellipsis
    local most = opts.rows == "all" and "all" or math.max(2, math.tointeger(opts.rows) or ROWS)
    local shown, hidden = shown_rows(#rows, opts.left_out and "all" or most)
    if opts.left_out then
        hidden = opts.left_out.count
        table.insert(shown, opts.left_out.after + 1, false)
    end
    local columns = written(headers, rows, shown, { ascii = ascii, units = opts.units })
    measure(columns, shown)
    local kept, left_out = narrowed(columns, width, ellipsis)
    local lines = { put(kept, function(column) return column.title end, ellipsis) }
    lines[2] = put(kept, function(column)
        return (ascii and "-" or "─"):rep(column.width)
    end)
    local more = ('%s %s more (rows="all")'):format(ellipsis, units.group(hidden))
    more = term.cut(more, width, ellipsis)
    for _, r in ipairs(shown) do
        lines[#lines + 1] = r and put(kept, function(column)
            return column.texts[r] or ""
        end, ellipsis) or more
    end
    if #left_out > 0 then
        lines[#lines + 1] = term.cut(("%s %d column%s left out: %s"):format(ellipsis, #left_out,
            #left_out == 1 and "" or "s", table.concat(left_out, ", ")), width, ellipsis)
    end
    return table.concat(lines, "\n")
end

-- A value as a program reads it back: integers exact, floats in full, no grouping and no unit.
local function plain(v)
    if is_gap(v) then
        return ""
    elseif type(v) == "boolean" then
        return v and "TRUE" or "FALSE" -- as R knows them; DuckDB and pandas know both
    elseif math.type(v) == "float" then
        return math.tointeger(v) and tostring(math.tointeger(v)) or ("%.14g"):format(v)
    end
    return tostring(v)
end

local function quoted(text)
    if text:find('[",\r\n]') or text:find("^%s") or text:find("%s$") then
        return '"' .. text:gsub('"', '""') .. '"'
    end
    return text
end

--- The rows as CSV (RFC 4180, lines ended by "\n", none after the last): sizes in bytes, no units.
function M.csv(headers, rows)
    local lines, names = {}, {}
    for c = 1, #headers do
        names[c] = quoted(header_of(headers[c]).name)
    end
    lines[1] = table.concat(names, ",")
    for _, row in ipairs(rows) do
        local cells = {}
        for c = 1, #headers do
            cells[c] = quoted(plain(row[c]))
        end
        lines[#lines + 1] = table.concat(cells, ",")
    end
    return table.concat(lines, "\n")
end

--- The rows as a Markdown table, numbers to the right, written as in layout; all rows, all columns.
function M.markdown(headers, rows, opts)
    local shown = shown_rows(#rows, "all")
    local columns = written(headers, rows, shown, { units = opts and opts.units, ascii = false })
    local function bar(text_of)
        local cells = {}
        for c, column in ipairs(columns) do
            cells[c] = text_of(column):gsub("|", "\\|")
        end
        return "| " .. table.concat(cells, " | ") .. " |"
    end
    local lines = { bar(function(column) return column.title end) }
    lines[2] = bar(function(column) return column.right and "---:" or "---" end)
    for r = 1, #rows do
        lines[#lines + 1] = bar(function(column) return column.texts[r] end)
    end
    return table.concat(lines, "\n")
end

return M
