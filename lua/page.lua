--- The page that charts of text are drawn on: its width, glyphs and colour, and what all charts
-- share: titles, legends, the axis under a drawing.
local M = {}

local paint = require("oomph.paint")
local term = require("oomph.term")

M.MIN_WIDTH = 40 -- below it only numbers are written
M.MIN_LABEL = 12 -- columns that a label keeps

local MAX_WIDTH, MAX_HEIGHT = 400, 200

--- Where a chart goes: width, colour, glyphs.
function M.of(opts)
    local settings = term.settings()
    local ascii = opts.ascii
    if ascii == nil then
        ascii = settings.ascii
    end
    return {
        width = math.min(math.tointeger(opts.width) or settings.width, MAX_WIDTH),
        height = math.min(math.tointeger(opts.height) or settings.tty and settings.height
            and math.max(8, settings.height // 3) or 14, MAX_HEIGHT),
        colour = opts.colour or settings.colour,
        ascii = ascii,
        glyphs = ascii and paint.ascii or paint.unicode,
    }
end

--- To the nearest whole number, halves up.
function M.round(x)
    return math.floor(x + 0.5)
end

--- An empty line of the page.
function M.line(on)
    return paint.line(on.colour)
end

--- Text from outside, harmless and cut to n columns.
function M.cut(on, s, n)
    return term.cut(term.clean(s, on.ascii), n, on.glyphs.ellipsis)
end

--- The title as lines: none, one, or two, broken at a blank where one is too short for it.
function M.titled(fig, on)
    if not fig.title then
        return {}
    end
    local title, first = term.clean(fig.title, on.ascii), ""
    for word, stop in title:gmatch("([^ ]+ *)()") do
        if term.width((first .. word):gsub(" +$", "")) >= on.width then
            if first ~= "" then
                return { (first:gsub(" +$", "")), M.cut(on, title:sub(stop - #word), on.width - 1) }
            end
            break
        end
        first = first .. word
    end
    return { M.cut(on, title, on.width - 1) }
end

--- A legend: items {mark, style, text, gap before it}, broken between items where the page ends.
function M.legend(items, on, indent)
    local lines, current = {}, nil
    for _, item in ipairs(items) do
        local text = M.cut(on, item.text, on.width - indent - 3)
        local wide = term.width(item.mark) + 1 + term.width(text)
        if item.mark == "" then
            wide = wide - 1
        end
        if current and current.width + item.gap + wide >= on.width then
            lines[#lines + 1] = current:text()
            current = nil
        end
        if current then
            current:add((" "):rep(item.gap))
        else
            current = M.line(on):add((" "):rep(indent))
        end
        current:add(item.mark, item.style):add((item.mark == "" and "" or " ") .. text)
    end
    lines[#lines + 1] = current and current:text()
    return lines
end

--- Labels under an axis, centred at their ticks, the last one moved left to end where the chart
-- does; true when they stay two columns apart.
function M.tick_places(ticks, origin, width)
    local stop = -2
    for _, tick in ipairs(ticks) do
        tick.label = tick.unit and tick.text .. " " .. tick.unit or tick.text
        local centred = origin + tick.column - #tick.text // 2
        tick.start = math.max(0, math.min(centred, width - #tick.label))
        if tick.start < stop + 2 then
            return false
        end
        stop = tick.start + #tick.label
    end
    return true
end

--- An axis line with its ticks, and the line of labels under it; `air` is the axis before the first
-- column and after the last.
function M.base_lines(ticks, columns, origin, air, on)
    local g, at, base = on.glyphs, {}, M.line(on)
    for _, tick in ipairs(ticks) do
        at[tick.column] = true
    end
    base:to(origin - term.width(air) - 1):add(g.corner .. air, "dim")
    for c = 0, columns - 1 do
        base:add(at[c] and g.tick_x or g.base, "dim")
    end
    base:add(air, "dim")
    local labels = M.line(on)
    for _, tick in ipairs(ticks) do
        labels:to(tick.start):add(tick.label)
    end
    return base:text(), labels:text()
end

return M
