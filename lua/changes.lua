--- What a changed answer changed: one line beside a memory breakdown that differs from the one
-- before it. Only the prompt asks; a result itself is the same wherever it is shown.
local core = require("oomph.core")
local units = require("oomph.units")

local M = {}

local PARTS = { "weights", "kv", "state", "activations", "overhead" }
local SMALLEST = 100 -- changes below this part of the largest one are not worth a word
local previous

local function difference(now, before, opts)
    local sign, n = "+", now - before
    if n < 0 then
        sign, n = "-", -n
    end
    return sign .. units.bytes(n, opts)
end

local function verdict(result, opts)
    if not result.available then
        return "now " .. units.bytes(result.total, opts) .. " in all"
    elseif result.fits then
        return "now " .. units.free(result.free, opts) .. " free"
    end
    return "now " .. units.over(result.total - result.available, opts) .. " over"
end

--- Compare a result with the one shown before it.
-- @return the line, or nil where there is nothing to compare or nothing changed
function M.since(result)
    local before = previous
    if rawget(result, "kind") ~= "memory" or not rawget(result, "total") then
        return nil
    end
    previous = result
    if not before or before.total == result.total and before.available == result.available then
        return nil
    end
    local opts = { units = core.session("units") }
    local out, largest = {}, 0
    for _, part in ipairs(PARTS) do
        largest = math.max(largest, math.abs(result[part] - before[part]))
    end
    for _, part in ipairs(PARTS) do
        local change = math.abs(result[part] - before[part])
        if change > 0 and change >= largest // SMALLEST then
            out[#out + 1] = part .. " " .. difference(result[part], before[part], opts)
        end
    end
    if result.available and before.available and result.available ~= before.available then
        out[#out + 1] = "available " .. difference(result.available, before.available, opts)
    end
    out[#out + 1] = verdict(result, opts)
    return "since the last: " .. table.concat(out, ", ")
end

return M
