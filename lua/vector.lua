--- Charts as pictures: a description of lua/figure.lua becomes a list of rectangles, lines, curves,
-- markers and texts in pixels, which lua/svg.lua writes down. What a chart says is the same as in
-- text: only the geometry is worked out here.
local M = {}

local scale = require("oomph.scale")
local term = require("oomph.term")

M.FONT = 13              -- pixels; a fixed pitch, so that a text's width is known
M.INK = "#222222"

local PITCH = M.FONT * 0.602 -- a character of DejaVu Sans Mono is 1233 of 2048 units wide
local WIDTH, LEAST = 800, 320
local MARGIN = 16
local ROW = 24
local BAR = 16
local PLOT = 320         -- height of the drawing area of curves
local LABEL = 30         -- characters a label keeps

-- Okabe and Ito's palette: told apart by people who do not see red and green.
local BLUE, ORANGE, VERMILION, GREEN = "#0072b2", "#e69f00", "#d55e00", "#009e73"
local PURPLE, SKY, YELLOW, GREY = "#cc79a7", "#56b4e9", "#f0e442", "#999999"
local RULE, DARK_VERMILION = "#dddddd", "#a34700"
local STATES = { fits = BLUE, tight = ORANGE, over = VERMILION }
local SERIES = { BLUE, ORANGE, VERMILION, GREEN, PURPLE, SKY, YELLOW, GREY }
local PARTS = { -- colour and texture
    weights = { BLUE }, kv = { ORANGE, "hatch" },
    activations = { GREEN, "dots" }, overhead = { PURPLE, "lines" },
}
local SHADES = {
    half = { "#cfe6f5" }, most = { "#7fbce3" },
    tight = { "#f5c04d", "dots" }, over = { "#f0a076", "hatch" },
}
local SIGNS = { ok = "✓", bad = "✗", tight = "!", clipped = "»" }

local function wide(text)
    return term.width(text) * PITCH
end

local function label_text(text)
    return term.cut(term.clean(text), LABEL)
end

-- The pen that collects items; y is where the next row begins.
local Pen = {}
Pen.__index = Pen

function Pen:put(item)
    self.items[#self.items + 1] = item
end

function Pen:rect(x, y, w, h, fill, texture)
    self:put { kind = "rect", x = x, y = y, w = w, h = h, fill = fill, texture = texture }
end

function Pen:line(x1, y1, x2, y2, stroke, thick, dash)
    self:put {
        kind = "line", x1 = x1, y1 = y1, x2 = x2, y2 = y2,
        stroke = stroke, thick = thick, dash = dash,
    }
end

-- Text whose upper edge is y; align is "left", "right" or "middle" of x.
function Pen:text(x, y, text, align, fill)
    fill = fill or M.INK
    self:put { kind = "text", x = x, y = y + M.FONT, text = text, align = align, fill = fill }
end

local function pen_for(fig, width)
    local title = fig.title and term.clean(fig.title)
    local pen = { items = {}, y = MARGIN, width = width, title = title or fig.kind }
    setmetatable(pen, Pen)
    if title then
        pen:text(MARGIN, pen.y, title)
        pen.items[1].bold = true
        pen.y = pen.y + ROW
    end
    return pen
end

local function swatch(fill, texture)
    return function(pen, x, y)
        pen:rect(x - 6, y - 6, 12, 12, fill, texture)
    end
end

-- A legend of {swatch or false, text}, broken into lines where the picture ends.
function Pen:legend(entries, left)
    local x = left
    for _, entry in ipairs(entries) do
        local lead = entry[1] and 20 or 0
        if x > left and x + lead + wide(entry[2]) > self.width - MARGIN then
            x, self.y = left, self.y + ROW
        end
        if entry[1] then
            entry[1](self, x + 6, self.y + BAR / 2)
        end
        self:text(x + lead, self.y, entry[2])
        x = x + lead + wide(entry[2]) + 20
    end
    self.y = self.y + (#entries > 0 and ROW or 0)
end

-- bars and stacks ---------------------------------------------------------------------------------

-- Where the columns of a bar chart are, and how many pixels a unit of its values takes.
local function bar_places(fig, width)
    local at = { label = 0, number = 0, says = 0 }
    for _, row in ipairs(fig.rows) do
        row.text = label_text(row.label)
        row.says = row.verdict and SIGNS[row.mark] .. " " .. row.verdict
            .. (row.state == "tight" and " " .. SIGNS.tight or "") or row.note or ""
        at.label = math.max(at.label, wide(row.text))
        at.number = math.max(at.number, wide(row.number))
        at.says = math.max(at.says, wide(row.says))
    end
    at.bar = MARGIN + at.label + 8
    at.stop = math.max(width - MARGIN - at.says - 16 - at.number - 22, at.bar + 40)
    at.number = at.stop + 22 + at.number
    at.says = at.number + 16
    at.unit = fig.span > 0 and (at.stop - at.bar) / fig.span or 0
    at.line = fig.capacity and at.bar + fig.capacity * at.unit
    at.device = fig.device and fig.capacity and fig.device > fig.capacity and fig.device <= fig.span
        and at.bar + fig.device * at.unit
    return at
end

local function plain_bar(pen, row, at, stop)
    local inside = at.line and math.min(stop, at.line) or stop
    pen:rect(at.bar, pen.y, math.max(inside - at.bar, 1), BAR, STATES[row.state])
    if row.state == "over" then
        pen:rect(at.line, pen.y, math.max(stop - at.line, 2), BAR, STATES.over, "hatch")
    end
end

-- Parts side by side, each at least a pixel wide, up to where the bar ends.
local function stacked_bar(pen, row, fig, at, stop)
    local sum = 0
    for _, part in ipairs(fig.parts) do
        local bytes, look = row.parts[part.index], PARTS[part.name]
        local from = math.min(at.bar + sum * at.unit, stop)
        sum = sum + bytes
        local to = math.min(at.bar + sum * at.unit, stop)
        if bytes > 0 then
            pen:rect(from, pen.y, math.max(to - from, 1), BAR, look[1], look[2])
        end
    end
end

local function bar_row(pen, row, fig, at)
    pen:text(at.bar - 8, pen.y, row.text, "right")
    if row.value and row.value > 0 then
        local stop = at.bar + math.min(row.value, fig.span) * at.unit
        if row.parts then
            stacked_bar(pen, row, fig, at, stop)
        else
            plain_bar(pen, row, at, stop)
        end
        if row.clipped then
            pen:text(stop + 2, pen.y, SIGNS.clipped)
        end
    end
    pen:text(at.number, pen.y, row.number, "right")
    pen:text(at.says, pen.y, row.says, "left", row.state == "over" and DARK_VERMILION)
    pen.y = pen.y + ROW
end

local function draw_bars(fig, width)
    local pen, at = pen_for(fig, width), bar_places(fig, width)
    if fig.kind == "stack" then
        local entries = {}
        for i, part in ipairs(fig.parts) do
            entries[i] = { swatch(PARTS[part.name][1], PARTS[part.name][2]), part.text }
        end
        pen:legend(entries, MARGIN)
    end
    local top = pen.y + BAR
    if at.line then
        local text = term.clean(fig.capacity_text) .. (fig.kind == "stack" and " available" or "")
        pen:text(at.line, pen.y, text, at.line - wide(text) >= MARGIN and "right" or "left")
        if at.device then
            pen:text(at.device + 4, pen.y, "device")
        end
        pen.y = pen.y + ROW
    end
    for _, row in ipairs(fig.rows) do
        bar_row(pen, row, fig, at)
    end
    local bottom = pen.y - ROW + BAR + 4
    if at.line then
        pen:line(at.line, top, at.line, bottom, M.INK, 2)
    end
    if at.device then
        pen:line(at.device, top, at.device, bottom, M.INK, 1, "2 3")
    end
    pen.y = bottom
    return pen
end

-- curves ------------------------------------------------------------------------------------------

-- Corners of the markers ◆ ◇ ▲ △ ■ □ around their middle; the first two series have circles.
local CORNERS = {
    [3] = { { 0, -6 }, { 6, 0 }, { 0, 6 }, { -6, 0 } },
    [5] = { { 0, -6 }, { 6, 5 }, { -6, 5 } },
    [7] = { { -5, -5 }, { 5, -5 }, { 5, 5 }, { -5, 5 } },
}

-- Series with odd numbers have filled markers, those with even ones hollow markers.
local function marker(style)
    local stroke = SERIES[style]
    local fill = style % 2 == 1 and stroke or "#ffffff"
    local corners = CORNERS[style] or CORNERS[style - 1]
    return function(pen, x, y)
        if not corners then
            pen:put { kind = "circle", x = x, y = y, r = 5, fill = fill, stroke = stroke }
            return
        end
        local points = {}
        for i, c in ipairs(corners) do
            points[i] = { x + c[1], y + c[2] }
        end
        pen:put { kind = "shape", points = points, fill = fill, stroke = stroke }
    end
end

local function tick_text(tick)
    return tick.unit and tick.text .. " " .. tick.unit or tick.text
end

-- Whether labels along an axis of `length` pixels stay apart; need(tick) is half of what one takes.
local function apart(length, need)
    return function(ticks)
        for i = 2, #ticks do
            local distance = (ticks[i].at - ticks[i - 1].at) * length
            if distance < need(ticks[i]) + need(ticks[i - 1]) then
                return false
            end
        end
        return true
    end
end

-- The points of a series as runs between gaps, in pixels.
local function runs_of(series, place)
    local run = {}
    local runs = { run }
    for i = 1, #series.points do
        local p = series.points[i]
        if p then
            run[#run + 1] = { place(p) }
        elseif #run > 0 then
            run = {}
            runs[#runs + 1] = run
        end
    end
    return runs
end

local function plot_legend(pen, fig)
    local entries = {}
    for _, series in ipairs(fig.series) do
        if series.name and not series.empty then
            entries[#entries + 1] = { marker(series.style), label_text(series.name) }
        end
    end
    if fig.capacity then
        entries[#entries + 1] = { function(to, x, y)
            to:line(x - 6, y, x + 6, y, M.INK, 1, "4 3")
        end, fig.capacity_text }
    end
    if fig.absent then
        entries[#entries + 1] = { false, "(" .. term.clean(fig.absent) .. ")" }
    end
    pen:legend(entries, MARGIN)
end

local function draw_plot(fig, width)
    local pen = pen_for(fig, width)
    plot_legend(pen, fig)
    local top = pen.y + 8
    local bottom, base = top + PLOT, top + PLOT + 8
    local y_ticks = scale.ticks(fig.y, apart(PLOT, function() return M.FONT end))
    local label = 0
    for _, tick in ipairs(y_ticks) do
        label = math.max(label, wide(tick_text(tick)))
    end
    local axis, right = MARGIN + label + 16, width - MARGIN - 16
    local left, length = axis + 8, right - axis - 16
    for _, tick in ipairs(y_ticks) do
        local y = bottom - tick.at * PLOT
        pen:line(axis, y, right, y, RULE)
        pen:text(axis - 8, y - M.FONT * 0.65, tick_text(tick), "right")
    end
    local x_ticks = scale.ticks(fig.x, apart(length, function(tick)
        return wide(tick_text(tick)) / 2 + PITCH
    end))
    for _, tick in ipairs(x_ticks) do
        local x = left + tick.at * length
        pen:line(x, base, x, base + 6, M.INK)
        pen:text(x, base + 8, tick_text(tick), "middle")
    end
    pen:line(axis, top - 4, axis, base, M.INK)
    pen:line(axis, base, right, base, M.INK)
    if fig.capacity then
        local y = bottom - scale.at(fig.y, fig.capacity) * PLOT
        pen:line(axis, y, right, y, M.INK, 1, "4 3")
    end
    for s = #fig.series, 1, -1 do -- the first series is drawn last: it keeps what it shares
        local style, draw = fig.series[s].style, marker(fig.series[s].style)
        local runs = runs_of(fig.series[s], function(p)
            return left + scale.at(fig.x, p[1]) * length, bottom - scale.at(fig.y, p[2]) * PLOT
        end)
        for _, run in ipairs(runs) do
            if #run > 1 then
                pen:put { kind = "curve", points = run, stroke = SERIES[style] }
            end
            for _, p in ipairs(run) do
                draw(pen, p[1], p[2])
            end
        end
    end
    pen.y = base + 8 + M.FONT + 4
    return pen
end

-- heat maps ---------------------------------------------------------------------------------------

-- Labels over the columns: the values people know, where there is room.
local function column_labels(pen, fig, left, cell)
    local free = -math.huge
    for _, i in ipairs(scale.known(fig.x)) do
        local x, text = left + (i - 0.5) * cell, label_text(fig.x_texts[i])
        if x - wide(text) / 2 > free then
            pen:text(x, pen.y, text, "middle")
            free = x + wide(text) / 2 + 2 * PITCH
        end
    end
    pen.y = pen.y + ROW
end

local function shade_names(fig)
    if fig.judged then
        return { half = "up to 50 %", most = "up to 90 %", tight = "tight", over = "does not fit" }
    end
    return { half = "up to 50 % of the largest", most = "up to 90 %", tight = "above" }
end

local function draw_heatmap(fig, width)
    local pen, label = pen_for(fig, width), wide(label_text(fig.y_name))
    for _, text in ipairs(fig.y_texts) do
        label = math.max(label, wide(label_text(text)))
    end
    local left = MARGIN + label + 8
    local cell_width = math.min((width - MARGIN - left) / #fig.x, 80)
    local numbers = cell_width >= 7 * PITCH -- ✗>999% and a blank
    local function look_of(shade) -- where there is a number, a texture would hide it
        return numbers and { SHADES[shade][1] } or SHADES[shade]
    end
    pen:text(left - 8, pen.y, label_text(fig.y_name), "right")
    column_labels(pen, fig, left, cell_width)
    local used = {}
    for y = #fig.y, 1, -1 do
        pen:text(left - 8, pen.y + 3, label_text(fig.y_texts[y]), "right")
        for x = 1, #fig.x do
            local cell, at = fig.cells[y][x], left + (x - 1) * cell_width
            if cell then
                used[cell.shade] = true
                local look = look_of(cell.shade)
                pen:rect(at, pen.y, cell_width - 1, ROW - 1, look[1], look[2])
            end
            if cell and numbers then
                local sign = cell.over and SIGNS.bad or cell.tight and SIGNS.tight or ""
                local number = cell.percent > 999 and ">999" or cell.percent
                pen:text(at + cell_width - 6, pen.y + 3, sign .. number .. "%", "right")
            end
        end
        pen.y = pen.y + ROW
    end
    pen.y = pen.y + 8
    local entries, names = {}, shade_names(fig)
    for _, shade in ipairs { "half", "most", "tight", "over" } do
        if used[shade] then
            entries[#entries + 1] = { swatch(table.unpack(look_of(shade))), names[shade] }
        end
    end
    pen:legend(entries, left)
    return pen
end

-- sparklines --------------------------------------------------------------------------------------

local function draw_spark(fig)
    local pen = pen_for(fig, 2 * MARGIN + 8 * math.max(fig.n, 1))
    for i = 1, fig.n do
        local v = fig.values[i]
        if v then
            local share = fig.hi > fig.lo and not fig.constant
                and (v + 0.0 - fig.lo) / (fig.hi + 0.0 - fig.lo) or 0.5
            local height = 1 + 31 * math.max(0, math.min(1, share))
            pen:rect(MARGIN + (i - 1) * 8, pen.y + 32 - height, 7, height, BLUE)
        end
    end
    pen.y = pen.y + 32
    return pen
end

local DRAW = {
    bars = draw_bars, stack = draw_bars, plot = draw_plot, heatmap = draw_heatmap,
    spark = draw_spark,
}

--- The drawing of a description: {width=, height=, title=, items=}, in pixels from the upper left.
-- An item's kind is "rect", "line", "curve", "shape", "circle" or "text".
-- @param opts {width=pixels, 800 unless given}
function M.draw(fig, opts)
    local width = opts and math.tointeger(opts.width) or WIDTH
    local pen = DRAW[fig.kind](fig, math.max(LEAST, width))
    return { width = pen.width, height = pen.y + MARGIN, title = pen.title, items = pen.items }
end

return M
