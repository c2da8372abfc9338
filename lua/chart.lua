--- Charts as text: sparklines, bars, stacked bars, curves and heat maps. A chart is a string: lines
-- joined by "\n", no trailing newline, no trailing blanks; nothing is printed here. opts.width,
-- .colour ("256", "16", "none"), .ascii and .height stand above what the terminal says. What a
-- chart says is worked out in lua/figure.lua, how it looks on a page of text in lua/draw*.lua, as a
-- picture in lua/vector.lua.
local M = {}

local figure = require("oomph.figure")
local page = require("oomph.page")
local shape = require("oomph.shape")
local term = require("oomph.term")

local function draw_spark(fig, on)
    local glyphs, groups = on.glyphs.spark, math.min(fig.n, math.max(on.width, 1))
    local out = {}
    for g = 1, groups do
        local peak -- of the values that share this column: a peak must not vanish
        for i = (g - 1) * fig.n // groups + 1, g * fig.n // groups do
            local v = fig.values[i]
            peak = v and math.max(peak or v, v) or peak
        end
        if not peak then
            out[g] = " "
        elseif fig.constant or fig.lo == fig.hi then
            out[g] = glyphs[4]
        else
            local level = math.floor(8 * ((peak + 0.0 - fig.lo) / (fig.hi + 0.0 - fig.lo))) + 1
            out[g] = glyphs[math.max(1, math.min(8, level))]
        end
    end
    return (table.concat(out):gsub(" +$", ""))
end

-- Which module draws a kind of description; loaded when the first one is drawn.
local DRAWN_BY = {
    bars = "oomph.drawbars", stack = "oomph.drawbars",
    plot = "oomph.drawplot", heatmap = "oomph.drawheat",
}

--- A description of lua/figure.lua as text.
function M.text(fig, opts)
    local on = page.of(opts or {})
    if not fig then
        return page.cut(on, figure.NOTHING, on.width)
    end
    return fig.kind == "spark" and draw_spark(fig, on) or require(DRAWN_BY[fig.kind]).draw(fig, on)
end

-- The options of a call, checked; what they leave out of units comes from the session.
local function options(opts, who, known)
    opts = shape.check_options(opts, who, known)
    local units = opts.units or term.settings().units
    return setmetatable({ units = units }, { __index = opts })
end

-- Rows and results are lists, too, but not of points.
local function refuse_result(t, who)
    local kind = type(t) == "table" and getmetatable(t) and rawget(t, "kind")
    if kind == "sweep" then
        shape.fail("%s: a sweep draws itself, as in s:%s()", who, who)
    elseif kind then
        shape.fail("%s: a result draws itself: print it", who)
    end
end

--- spark(list [, {min=, max=}]) -> one line, one column per value.
function M.spark(list, opts)
    refuse_result(list, "spark")
    opts = options(opts, "spark", "min max")
    return M.text(figure.spark(list, opts), opts)
end

--- bars(rows [, {title=, capacity=, capacity_label=, device=, unit="bytes"|"tokens"|text}]).
-- rows: numbers, {label, value} pairs, or values by name (then sorted by name).
function M.bars(rows, opts)
    opts = options(opts, "bars", "capacity capacity_label device unit")
    return M.text(figure.bars(rows, opts), opts)
end

--- stack(rows [, {title=, available=, device=}]): rows {label=, weights=, kv=, state=,
-- activations=, overhead=}.
function M.stack(rows, opts)
    opts = options(opts, "stack", "available capacity capacity_label device")
    return M.text(figure.stack(rows, opts), opts)
end

--- plot(series [, {x=, y=, log=, title=, absent=, order=, xmin=, xmax=, ymin=, ymax=, xkind=,
-- ykind=, capacity=}]). series: {name=, points={{x, y}, ...}} up to eight, lists by name, or one
-- list of numbers. x and y name the fields of a point; log is true, "x", "y" or "xy"; absent names
-- what could not be drawn; a line stands at the capacity.
function M.plot(series, opts)
    refuse_result(series, "plot")
    opts = options(opts, "plot",
        "x y log absent order xmin xmax ymin ymax xkind ykind capacity")
    return M.text(figure.plot(series, opts), opts)
end

--- heatmap(rows, x, y, v [, {available=, title=}]) or heatmap(rows [, {x=, y=, v=}]): rows with
-- those fields, or a list of lists.
function M.heatmap(rows, x, y, v, opts)
    if type(x) == "table" then
        x, opts = nil, x
    end
    if not x and not (opts and opts.x) then
        refuse_result(rows, "heatmap")
    end
    opts = options(opts, "heatmap", "x y v available")
    if x ~= nil then
        opts = setmetatable({ x = x, y = y, v = v }, { __index = opts })
    end
    return M.text(figure.heatmap(rows, opts), opts)
end

return M