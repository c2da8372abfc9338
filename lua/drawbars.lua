--- Bars and stacked bars as text, with a line at the capacity: who fits ends before it, who does
-- not shows behind it.
local M = {}

local page = require("oomph.page")
local term = require("oomph.term")

local MIN_BAR = 16 -- columns a bar keeps while labels and notes can still give way
local SPARE = 3    -- at the right: " !" of a tight row, and the last column is never written

-- Columns of a bar chart: labels, bar, number and note, each giving way in its turn.
local function bar_columns(fig, on)
    local lay = { label = 0, number = 0, note = 0 }
    for _, row in ipairs(fig.rows) do
        row.text = term.clean(row.label, on.ascii)
        row.says = row.verdict and on.glyphs[row.mark] .. " " .. row.verdict
            or row.note and term.clean(row.note, on.ascii) or ""
        lay.label = math.max(lay.label, term.width(row.text))
        lay.number = math.max(lay.number, term.width(row.number))
        lay.note = math.max(lay.note, term.width(row.says))
        lay.tight = lay.tight or row.state == "tight"
    end
    local indent = fig.kind == "stack" and 1 or 0
    local spare = SPARE + (lay.tight and indent or 0)
    local function bar()
        return on.width - spare - lay.label - 2 - lay.number - (lay.note > 0 and lay.note + 2 or 0)
    end
    local missing = math.max(0, MIN_BAR - bar())
    lay.label = math.max(lay.label - missing, math.min(lay.label, page.MIN_LABEL))
    if bar() < MIN_BAR and lay.note > 0 then -- of the verdict the sign alone remains
        lay.note = fig.capacity and 1 or 0
    end
    lay.bar = bar()
    if lay.bar < 4 then
        return nil -- the numbers alone fill the page
    end
    if lay.bar < MIN_BAR then
        indent = 0
    end
    lay.start = indent + lay.label + 1
    lay.over = false
    for _, row in ipairs(fig.rows) do
        lay.over = lay.over or row.state == "over"
    end
    if fig.capacity then
        lay.line = page.round(fig.capacity / fig.span * lay.bar)
        if lay.over then -- room for the line and for one column behind it
            lay.line = math.min(lay.line, lay.bar - 2)
        end
        lay.device = fig.device and fig.device > fig.capacity
            and page.round(fig.device / fig.span * lay.bar)
    end
    if lay.device and (lay.device <= lay.line or lay.device > lay.bar) then
        lay.device = nil
    end
    lay.field = math.max(lay.bar, (lay.line or 0) + 1, (lay.device or 0) + 1)
    return lay
end

-- Columns that a value covers, in steps of 1/unit column: never none, and on its side of the line.
local function bar_length(row, fig, lay, unit)
    local share = fig.span > 0 and math.min(row.value, fig.span) / fig.span or 0
    local n = page.round(share * lay.bar * unit)
    if row.value > 0 then
        n = math.max(n, 1)
    end
    if row.state == "over" then
        n = math.min(math.max(n, (lay.line + 2) * unit), lay.bar * unit)
    elseif lay.line then
        n = math.min(n, lay.line * unit)
    end
    return n
end

-- Cells of a plain bar: text up to the line in one texture, behind it in another.
local function plain_cells(row, fig, lay, on)
    local cells, g = {}, on.glyphs
    local unit = row.state ~= "over" and g.eighths and 8 or 1
    local n = bar_length(row, fig, lay, unit)
    for i = 1, n // unit do
        cells[i] = { row.state == "over" and i > lay.line and g.beyond or g.bar, row.state }
    end
    if n % unit > 0 then
        cells[#cells + 1] = { g.eighths[n % unit], row.state }
    end
    return cells
end

--- Whole numbers in proportion to values that add up to `total`, by the largest remainder; what is
-- not zero gets at least `least`, taken from the largest.
function M.apportion(values, total, least)
    local sum, given, out, rest, left = 0, 0, {}, {}, total
    for _, v in ipairs(values) do
        sum = sum + v
        given = given + (v > 0 and 1 or 0)
    end
    least = math.min(least, given > 0 and total // given or 0)
    for i, v in ipairs(values) do
        local quota = sum > 0 and v / sum * total or 0
        out[i] = math.floor(quota)
        rest[i] = quota - out[i]
        left = left - out[i]
    end
    for _ = 1, left do
        local best = 1
        for i = 2, #values do
            best = rest[i] > rest[best] and i or best
        end
        out[best], rest[best] = out[best] + 1, -1
    end
    for i, v in ipairs(values) do
        while v > 0 and out[i] < least do
            local most = 1
            for j = 2, #values do
                most = out[j] > out[most] and j or most
            end
            out[i], out[most] = out[i] + 1, out[most] - 1
        end
    end
    return out
end

-- Cells of a stacked bar. In colour a boundary falls on an eighth of a column: the left part is
-- drawn on the ground of the right one. The parts of a row that crosses the line leave out the
-- line's column.
local function stack_cells(row, fig, lay, on)
    local g = on.glyphs
    local unit = on.colour ~= "none" and g.eighths and 8 or 1
    local parts, total = row.parts, bar_length(row, fig, lay, unit)
    if row.clipped then -- no part is drawn longer than the bar, which cuts what comes after it
        local sum = 0
        parts = {}
        for p, bytes in ipairs(row.parts) do
            parts[p] = math.min(bytes, fig.span)
            sum = sum + parts[p]
        end
        total = page.round(sum / fig.span * lay.bar * unit)
    end
    local crossed = row.state == "over" and 1 or 0
    local shares = M.apportion(parts, total - crossed * unit, unit)
    local cells, at, last = {}, 0, nil
    for p, share in ipairs(shares) do
        local name = fig.names[p]
        local stop = at + share
        while at < math.min(stop, (lay.bar - crossed) * unit) do
            local cell, inside = at // unit + 1, at % unit
            if inside > 0 then -- the part before ends within this column
                cells[cell] = { g.eighths[inside], last, name }
                at = math.min(stop, cell * unit)
            elseif stop - at >= unit then
                cells[cell] = { g[name], name }
                at = at + unit
            else
                cells[cell] = { g.eighths[stop - at], name }
                at = stop
            end
        end
        if share > 0 then
            last = name
        end
    end
    if crossed == 1 then
        table.insert(cells, lay.line + 1, false)
    end
    return cells
end

local function bar_row(row, fig, lay, on)
    local g, out = on.glyphs, page.line(on)
    out:to(lay.start - 1 - math.min(lay.label, term.width(row.text)))
    out:add(term.cut(row.text, lay.label, g.ellipsis)):to(lay.start)
    local cells = row.value and (row.parts and stack_cells or plain_cells)(row, fig, lay, on) or {}
    if row.clipped then
        cells[lay.bar] = { g.clipped, row.parts and "dim" or row.state }
    end
    if lay.line then
        cells[lay.line + 1] = { row.state == "over" and g.crossed or g.line, "dim" }
    end
    if lay.device and not cells[lay.device + 1] then
        cells[lay.device + 1] = { g.device, "dim" }
    end
    for i = 1, lay.field do
        local cell = cells[i]
        if cell then
            out:add(cell[1], cell[2], cell[3])
        else
            out:add(" ")
        end
    end
    out:add(" " .. term.pad(row.number, lay.number, "right"))
    if lay.note > 0 and row.says ~= "" then
        local says = lay.note == 1 and g[row.mark] or row.says
        out:add("  "):add(says, row.verdict and row.state or nil)
    end
    if row.state == "tight" then
        out:add(" " .. g.tight, "tight")
    end
    return out:text()
end

-- The figure above the line stands over it, beside the title where both have room, else on a line
-- of its own.
local function capacity_head(fig, lay, on, title)
    local text = term.clean(fig.capacity_text, on.ascii)
    local wide, at = term.width(text), lay.start + lay.line
    local lines = {}
    if title then
        local from = math.max(at - wide, term.width(title) + 2)
        if from <= at and from + wide < on.width then
            lines[1] = page.line(on):add(title):to(from):add(text):add(on.glyphs.head, "dim"):text()
            return lines
        end
        lines[1] = title
    end
    if at >= wide then
        lines[#lines + 1] = page.line(on):to(at - wide):add(text):add(on.glyphs.head, "dim"):text()
    else
        lines[#lines + 1] = page.line(on):to(at):add(on.glyphs.head, "dim"):add(" " .. text):text()
    end
    return lines
end

-- Below 40 columns: the numbers.
local function bar_numbers(fig, on)
    local lines = {}
    for i, row in ipairs(fig.rows) do
        local tail = row.number .. (row.mark and " " .. on.glyphs[row.mark] or "")
            .. (row.state == "tight" and " " .. on.glyphs.tight or "")
        local room = math.max(on.width - term.width(tail) - 1, 0)
        local label = page.cut(on, row.label, room)
        local text = label == "" and tail or label .. " " .. tail
        lines[i] = page.cut(on, text:gsub(" +$", ""), on.width)
    end
    return table.concat(lines, "\n")
end

--- A description of kind "bars" or "stack" on a page.
function M.draw(fig, on)
    local lay = on.width >= page.MIN_WIDTH and bar_columns(fig, on)
    if not lay then
        return bar_numbers(fig, on)
    end
    local lines = page.titled(fig, on)
    if fig.kind == "stack" then
        local items = {}
        for _, part in ipairs(fig.parts) do
            items[#items + 1] =
                { mark = on.glyphs[part.name], style = part.name, text = part.text, gap = 2 }
        end
        if fig.capacity then
            items[#items + 1] =
                { mark = on.glyphs.line, style = "dim", text = "available", gap = 4 }
        end
        if lay.device then
            items[#items + 1] =
                { mark = on.glyphs.device, style = "dim", text = "device", gap = 2 }
        end
        table.move(page.legend(items, on, 0), 1, #items, #lines + 1, lines)
        if fig.capacity then
            lines[#lines + 1] = capacity_head(fig, lay, on)[1]
        end
    elseif fig.capacity then
        local head = capacity_head(fig, lay, on, table.remove(lines))
        table.move(head, 1, #head, #lines + 1, lines)
    end
    for _, row in ipairs(fig.rows) do
        lines[#lines + 1] = bar_row(row, fig, lay, on)
    end
    return table.concat(lines, "\n")
end

return M
