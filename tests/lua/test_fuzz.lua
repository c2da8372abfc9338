-- What the fuzzers of charts and options found: each was a fault of ours, and is now an answer or an
-- error of one line.
local chart = require("oomph.chart")
local term = require("oomph.term")

test("a title that is no text is refused", function()
    raises(function() chart.bars({ 1 }, { title = 7 }) end, "bars: title is a number, expected text")
end)

test("an order that is no list is refused", function()
    raises(function() chart.plot({}, { order = 0 }) end, "plot: expected order as a list of names, not a number")
end)

test("what is absent may be called anything", function()
    assert(chart.plot({ { 1, 2 } }, { absent = { true, 1.5 } }))
end)

test("a list with a value at the end of the world is refused, not walked", function()
    for _, name in ipairs { "spark", "bars", "stack", "plot" } do
        raises(function() chart[name] { [1 << 40] = 1 } end, name .. ": a list up to 1 099 511 627 776")
    end
    raises(function() chart.heatmap { { [1 << 40] = 1 } } end, "heatmap: a list up to 1 099 511 627 776")
end)

test("nothing to draw is not wider than asked", function()
    for width = 1, 20 do
        assert(term.width(chart.spark({}, { width = width })) <= width)
    end
end)

test("a chart of a million rows is as high as a chart can be", function()
    local _, lines = chart.plot({ { 1, 2 } }, { height = 1000000 }):gsub("\n", "")
    assert(lines < 210, lines)
end)
