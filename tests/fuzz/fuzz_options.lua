-- What must hold of a call, whatever its options are: an answer that can be shown, explained and
-- written, whose parts add up, or an error of one line that is meant for people.
local asked = dofile("tests/fuzz/asked.lua")
local oomph = require("oomph")

local names = { "memory", "footprint", "capacity", "maxbatch", "maxseq", "maxcurve" }

local function adds_up(m)
    local parts = m.weights + m.kv + m.state + m.activations + m.overhead
    return m.total == parts and (m.free == nil or m.free == m.available - m.total)
        and (m.fits == nil or m.fits == (m.total <= m.available))
end

local function holds(name, result)
    if type(tostring(result)) ~= "string" or type(oomph.json(result)) ~= "string" then return false end
    if name ~= "memory" then return true end
    for _, m in ipairs(result.rows or { result }) do
        if not adds_up(m) then return false end
    end
    return type(oomph.explain(result)) == "string"
end

return function(which, options)
    local name = names[which % #names + 1]
    local ok, result = pcall(oomph[name], options)
    local why = result
    if ok then
        ok, why = pcall(holds, name, result)
        if ok and why then return end
    elseif asked.for_people(result) then
        return
    end
    error(("%s%s\n%s"):format(name, asked.literal(options), tostring(why)), 0)
end
