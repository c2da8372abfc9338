--- Values of a sweep that are functions of the others: called for each combination of the rest.
-- What they return widens the axes; of the wider grid only the rows that were named are evaluated.
local axes_of = require("oomph.axes")
local core = require("oomph.core")

local M = {}

local POINT = axes_of.POINT

--- Each combination of what is no function.
local function each_point(axes, visit)
    for _, model in ipairs(axes.model) do
        for _, precision in ipairs(axes.precision) do
            for _, variant in ipairs(axes.variants) do
                for _, device in ipairs(axes.device or { false }) do
                    for _, seq in ipairs(axes.seq) do
                        for _, batch in ipairs(axes.batch) do
                            local o = { model = model, precision = precision,
                                device = device or nil, seq = seq, batch = batch }
                            for k, v in pairs(variant) do o[k] = v end
                            visit(o)
                        end
                    end
                end
            end
        end
    end
end

--- A point for every value that its functions give.
local function expanded(o, functions, visit)
    local name, f = next(functions)
    if not name then return visit(o) end
    local rest = {}
    for k, v in pairs(functions) do if k ~= name then rest[k] = v end end
    for _, v in ipairs(axes_of.names(name, f(o))) do
        local one = {}
        for k, x in pairs(o) do one[k] = x end
        one[name] = v
        expanded(one, rest, visit)
    end
end

local function key_of(v)
    return type(v) == "table" and v or type(v) .. tostring(v)
end

--- A list that numbers its values as they come.
local function numbered()
    local list, at = {}, {}
    return list, function(v, key)
        key = key or key_of(v)
        if not at[key] then
            list[#list + 1] = v
            at[key] = #list
        end
        return at[key]
    end
end

--- The options of a point that are no axes of their own, and a key for them.
local function variant_of(o)
    local variant, words = {}, {}
    for name, v in pairs(o) do
        if not POINT[name] then
            variant[name] = v
            words[#words + 1] = name .. "=" .. axes_of.label(v)
        end
    end
    table.sort(words)
    return variant, table.concat(words, "\0")
end

--- The axes with what the functions return on them, and the rows to look at, counted from 0.
function M.expand(axes, functions)
    local wide = { shown = table.move(axes.shown, 1, #axes.shown, 1, {}) }
    local order = { "model", "precision", "variants", "device", "seq", "batch" }
    local number, points = {}, {}
    for _, name in ipairs(order) do wide[name], number[name] = numbered() end
    each_point(axes, function(o)
        for name in pairs(functions) do o[name] = nil end
        expanded(o, functions, function(point)
            local at = points
            at[#at + 1] = number.model(point.model)
            at[#at + 1] = number.precision(point.precision)
            at[#at + 1] = number.variants(variant_of(point))
            at[#at + 1] = number.device(point.device or false)
            at[#at + 1] = number.seq(core.count(point.seq))
            at[#at + 1] = number.batch(core.count(point.batch))
        end)
    end)
    for name in pairs(functions) do
        if not POINT[name] then table.insert(wide.shown, name) end
    end
    local index = {}
    for i = 1, #points, #order do
        local n = 0
        for a, name in ipairs(order) do n = n * #wide[name] + points[i + a - 1] - 1 end
        index[#index + 1] = n
    end
    if not wide.device[1] then wide.device = nil end
    return wide, index
end

return M
