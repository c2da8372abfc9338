-- What must hold of a chart, whatever is drawn: it is text of the width that was asked, or an error
-- of one line that is meant for people.
local asked = dofile("tests/fuzz/asked.lua")
local chart = require("oomph.chart")
local term = require("oomph.term")

local names = { "spark", "bars", "stack", "plot", "heatmap" }

local function lines_fit(text, columns)
    for line in text:gmatch("[^\n]+") do
        if term.width(line) > columns then return false end
    end
    return true
end

return function(which, opts, rows)
    local name = names[which % #names + 1]
    local ok, text = pcall(chart[name], rows, opts)
    local columns = math.min(math.tointeger(opts.width) or 80, 400)
    if ok and type(text) == "string" and lines_fit(text, columns) or not ok and asked.for_people(text) then
        return
    end
    error(("%s(%s, %s)\n%s"):format(name, asked.literal(rows), asked.literal(opts), tostring(text)), 0)
end
