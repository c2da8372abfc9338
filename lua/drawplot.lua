--- Curves as text: Braille dots for the lines, a marker on every computed point, ticks people know.
local M = {}

local page = require("oomph.page")
local scale = require("oomph.scale")
local term = require("oomph.term")

-- Bits of the eight dots of a Braille cell, [column][row] (Unicode block U+2800).
local DOTS = { [0] = { [0] = 1, 2, 4, 64 }, { [0] = 8, 16, 32, 128 } }

-- Every dot on the straight line between two dots.
local function each_dot(x1, y1, x2, y2, visit)
    local steps = math.max(math.abs(x2 - x1), math.abs(y2 - y1))
    for i = 0, steps do
        local t = steps > 0 and i / steps or 0
        visit(page.round(x1 + (x2 - x1) * t), page.round(y1 + (y2 - y1) * t))
    end
end

-- The drawing area as cells[row][column] = {glyph, style}; rows from the top, both from 0.
local function curve_cells(fig, on, columns, rows)
    local bits, owner, marks = {}, {}, {}
    local function dot(x, y, style)
        local key = y // 4 * columns + x // 2
        bits[key] = (bits[key] or 0) | DOTS[x % 2][y % 4]
        owner[key] = owner[key] or style
    end
    for _, series in ipairs(fig.series) do
        local px, py
        for i = 1, #series.points do
            local p = series.points[i]
            local x = p and page.round(scale.at(fig.x, p[1]) * (columns * 2 - 1))
            local y = p and page.round((1 - scale.at(fig.y, p[2])) * (rows * 4 - 1))
            if p and px and not on.ascii then
                each_dot(px, py, x, y, function(dx, dy)
                    dot(dx, dy, series.style)
                end)
            end
            if p then
                local key = y // 4 * columns + x // 2
                if not marks[key] then
                    marks[key] = { on.glyphs.markers[series.style], series.style }
                elseif marks[key][2] ~= series.style and on.glyphs.shared then
                    marks[key] = { on.glyphs.shared, marks[key][2] }
                end
            end
            px, py = x, y
        end
    end
    return function(row, column)
        local key = row * columns + column
        if marks[key] then
            return marks[key][1], marks[key][2]
        elseif bits[key] then
            return utf8.char(0x2800 + bits[key]), owner[key]
        end
    end
end

local function plot_legend(fig, on)
    local items = {}
    for _, series in ipairs(fig.series) do
        if series.name and not series.empty then
            items[#items + 1] = {
                mark = on.glyphs.markers[series.style], style = "series" .. series.style,
                text = series.name, gap = 2,
            }
        end
    end
    if fig.capacity_text then
        items[#items + 1] = {
            mark = on.glyphs.level, style = "dim", text = fig.capacity_text, gap = 2,
        }
    end
    if fig.absent then
        items[#items + 1] = { mark = "", text = "(" .. fig.absent .. ")", gap = 4 }
    end
    return page.legend(items, on, 0)
end

-- Below 40 columns: one line per point.
local function plot_numbers(fig, on)
    local lines = {}
    for _, series in ipairs(fig.series) do
        for i = 1, #series.points do
            local p = series.points[i]
            if p then
                local text = scale.text(fig.x, p[1]) .. ": " .. scale.text(fig.y, p[2])
                lines[#lines + 1] =
                    page.cut(on, series.name and series.name .. " " .. text or text, on.width)
            end
        end
    end
    return table.concat(lines, "\n")
end

--- A description of kind "plot" on a page.
function M.draw(fig, on)
    if on.width < page.MIN_WIDTH then
        return plot_numbers(fig, on)
    end
    local rows, label = on.height, 5
    local y_ticks = scale.ticks(fig.y, function(ticks)
        local above = rows + 2
        for _, tick in ipairs(ticks) do
            tick.row = page.round((1 - tick.at) * (rows * 4 - 1)) // 4
            if above - tick.row < 2 then
                return false
            end
            above = tick.row
        end
        return #ticks <= 6
    end)
    local last, at = y_ticks[#y_ticks], {}
    local unit = last.unit and " " .. last.unit or ""
    for _, tick in ipairs(y_ticks) do
        tick.row = tick.row or rows - 1
        at[tick.row] = tick.text .. (tick.unit and unit or (" "):rep(#unit))
        label = math.max(label, #at[tick.row])
    end
    local origin = label + 3 -- the label, a blank, the axis, a column of air
    local columns = math.max(8, on.width - origin - 8)
    local function places(ticks)
        for _, tick in ipairs(ticks) do
            tick.column = page.round(tick.at * (columns * 2 - 1)) // 2
        end
        return page.tick_places(ticks, origin, on.width - 1)
    end
    local x_ticks = scale.ticks(fig.x, places)
    places(x_ticks)
    local lines = page.titled(fig, on)
    for _, text in ipairs(plot_legend(fig, on)) do
        lines[#lines + 1] = text
    end
    local cell = curve_cells(fig, on, columns, rows)
    local level = fig.capacity
        and page.round((1 - scale.at(fig.y, fig.capacity)) * (rows * 4 - 1)) // 4
    for row = 0, rows - 1 do
        local out = page.line(on):add(term.pad(at[row] or "", label, "right") .. " ")
        out:add(at[row] and on.glyphs.tick_y or on.glyphs.axis, "dim"):add(" ")
        for column = 0, columns - 1 do
            local glyph, style = cell(row, column)
            if glyph then
                out:add(glyph, "series" .. style)
            else
                out:add(row == level and on.glyphs.level or " ", row == level and "dim" or nil)
            end
        end
        lines[#lines + 1] = out:text()
    end
    lines[#lines + 1], lines[#lines + 2] =
        page.base_lines(x_ticks, columns, origin, on.glyphs.base, on)
    return table.concat(lines, "\n")
end

return M
