-- Charts: the layouts written down for them, and the rules that hold for every chart. Sizes are
-- those of llama-3.1-8b (8030261248 parameters), llama-3.1-70b (70553706496) and of an RTX 4090
-- (24564 MiB).

local chart = require("oomph.chart")
local drawbars = require("oomph.drawbars")
local term = require("oomph.term")

local RTX_4090 = 24564 << 20
local GiB = 1 << 30
local WEIGHTS = { { "fp32", 32121044992 }, { "fp16", 16060522496 }, { "int8", 8030261248 },
    { "int4", 4015130624 } }
local B70 = 70553706496
local WEIGHTS_70B = { { "fp32", 4 * B70 }, { "fp16", 2 * B70 }, { "int8", B70 },
    { "int4", B70 // 2 } }

local function lines_of(text)
    local lines = {}
    for one in (text .. "\n"):gmatch("(.-)\n") do
        lines[#lines + 1] = one
    end
    return lines
end

local function plain(text)
    return (text:gsub("\27%[[%d;]*m", ""))
end

test("weights against a device are drawn as laid down", function()
    local opts = { title = "Weights of llama-3.1-8b on rtx-4090", capacity = RTX_4090, width = 80 }
    equal(chart.bars(WEIGHTS, opts), [[
Weights of llama-3.1-8b on rtx-4090  23.99 GiB╷
fp32 ███████████████████████████████████┃▒▒▒▒▒▒▒▒ 29.92 GiB  ✗ 5.93 GiB over
fp16 ██████████████████████             │         14.96 GiB  ✓ 9.03 GiB free
int8 ███████████                        │          7.48 GiB  ✓ 16.50 GiB free
int4 █████▌                             │          3.74 GiB  ✓ 20.24 GiB free]])
end)

test("bars beyond two and a half capacities are clipped, their numbers are not", function()
    local opts = { title = "Weights of llama-3.1-70b on rtx-4090", capacity = RTX_4090, width = 80 }
    equal(chart.bars(WEIGHTS_70B, opts), [[
Weights of llama-3.1-70b on rtx-4090
              23.99 GiB╷
fp32 ██████████████████┃▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒» 262.8 GiB  ✗ 238.9 GiB over
fp16 ██████████████████┃▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒» 131.4 GiB  ✗ 107.5 GiB over
int8 ██████████████████┃▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒»  65.7 GiB  ✗ 41.8 GiB over
int4 ██████████████████┃▒▒▒▒▒                      32.9 GiB  ✗ 8.9 GiB over]])
end)

test("ASCII bars have the same layout", function()
    local lines = lines_of(chart.bars(WEIGHTS, { title = "Weights", capacity = RTX_4090,
        ascii = true, width = 80 }))
    equal(lines[2], "fp32 ###################################|xxxxxxxx 29.92 GiB  x 5.93 GiB over")
    equal(lines[3], "fp16 ######################             |         14.96 GiB  + 9.03 GiB free")
end)

test("sparklines are drawn as laid down", function()
    equal(chart.spark { 0.125, 0.25, 0.5, 1, 2, 4, 8, 16 }, "▁▁▁▁▂▃▅█")
    equal(chart.spark { 144, 72, 36, 18, 9, 4, 2, 1, nil }, "█▅▃▂▁▁▁▁")
    equal(chart.spark { 7.17, 6.15, 5.13, 4.11, 3.09, 2.07, 1.05, 0.04 }, "█▇▆▅▄▃▂▁")
    equal(chart.spark({ 0.125, 0.25, 0.5, 1, 2, 4, 8, 16 }, { ascii = true }), "____.-+@")
end)

test("a sparkline keeps gaps and peaks, and draws a constant at mid height", function()
    equal(chart.spark { 1, nil, 8, 0 / 0, 4 }, "▂ █ ▅")
    equal(chart.spark { 5, 5, 5 }, "▄▄▄")
    equal(chart.spark({ 5, 5 }, { min = 0, max = 10 }), "▅▅")
    local many = {}
    for i = 1, 1000 do
        many[i] = 0
    end
    many[517] = 1
    local text = chart.spark(many, { width = 50 })
    equal(term.width(text), 50)
    assert(text:find("█"), "the peak vanished")
end)

test("a dense heat map is drawn as laid down", function()
    local rows = {}
    for b = 0, 6 do
        for s = 0, 28 do
            local seq = math.floor(1024 * 2 ^ (s / 4))
            rows[#rows + 1] = { seq = seq, batch = 1 << b, total = 6 * GiB + (seq << b) * 131072 }
        end
    end
    equal(chart.heatmap(rows, "seq", "batch", "total", { available = 22730956800, width = 80 }), [[
    64 │▒▒▒▒▒▒▓▓··················································
    32 │░░▒▒▒▒▒▒▒▒▒▒▒▒▓▓··········································
    16 │░░░░░░░░░░▒▒▒▒▒▒▒▒▒▒▒▒▓▓··································
     8 │░░░░░░░░░░░░░░░░░░▒▒▒▒▒▒▒▒▒▒▒▒▓▓··························
     4 │░░░░░░░░░░░░░░░░░░░░░░░░░░▒▒▒▒▒▒▒▒▒▒▒▒▓▓··················
     2 │░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░▒▒▒▒▒▒▒▒▒▒▒▒▓▓··········
     1 │░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░▒▒▒▒▒▒▒▒▒▒▒▒▓▓··
       └┬───────┬───────┬───────┬───────┬───────┬───────┬───────┬─
       1Ki     2Ki     4Ki     8Ki    16Ki    32Ki    64Ki   128Ki
   ░ up to 50 %   ▒ up to 90 %   ▓ tight   · does not fit]])
end)

test("a heat map with room shows its numbers: down where it fits, up where it does not", function()
    local rows = {
        { seq = 1024, batch = 1, total = 499 }, { seq = 2048, batch = 1, total = 900 },
        { seq = 1024, batch = 2, total = 1001 }, { seq = 2048, batch = 2, total = 99900 },
        { seq = 1024, batch = 4, total = 1000 }, { seq = 2048, batch = 4 },
    }
    local opts = { available = 1000, width = 80, title = "Memory" }
    equal(chart.heatmap(rows, "seq", "batch", "total", opts), [[
Memory, % of 1000 B available
 batch      1Ki    2Ki
     4 │  !100%
     2 │  ✗101% ✗>999%
     1 │    49%   !90%]])
end)

test("a byte over shows behind the line, a byte free before it, and neither reads zero", function()
    local lines = lines_of(chart.bars({ { "a", RTX_4090 }, { "b", RTX_4090 + 1 },
        { "c", RTX_4090 - 1 }, { "d", 1 }, { "e", 0 } },
        { capacity = RTX_4090, width = 80 }))
    assert(lines[2]:find("█│") and lines[2]:find("✓ 0 B free !", 1, true), lines[2])
    assert(lines[3]:find("┃▒") and lines[3]:find("✗ 1 B over", 1, true), lines[3])
    assert(lines[4]:find("✓ 1 B free !", 1, true), lines[4])
    assert(lines[5]:find("▏", 1, true), lines[5])
    assert(not lines[6]:find("▏", 1, true), lines[6])
end)

test("tight begins at exactly nine tenths", function()
    local lines = lines_of(chart.bars({ { "a", 900 }, { "b", 899 } },
        { capacity = 1000, width = 60 }))
    assert(lines[2]:find("!$") and not lines[3]:find("!$"))
end)

test("a stack draws every part, in proportion, and keeps its side of the line", function()
    local text = chart.stack({
        { label = "batch 1", weights = 5 * GiB, kv = GiB, activations = 1, overhead = 1 },
        { label = "batch 16", weights = 5 * GiB, kv = 16 * GiB, state = GiB, activations = GiB,
            overhead = 1 },
    }, { available = 21 * GiB, device = 24 * GiB, width = 80, title = "Memory" })
    -- 40 columns for 24 GiB, the line after 35. Batch 1 is 10 columns: 8.3 and 1.7 round to 8 and
    -- 2, two of the 8 go to the bytes. Batch 16 is 38, one of them the line's: 8.0, 27.3, 1.6 round
    -- to 8, 27, 2, and one of the 27 goes to the byte.
    equal(text, [[
Memory
█ weights  ▓ kv and state  ▒ activations  ░ overhead    │ available  ┊ device
                                    21.00 GiB╷
  batch 1 ██████▓▓▒░                         │    ┊  6.00 GiB  ✓ 14.99 GiB free
 batch 16 ████████▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▒┃▒░  ┊ 23.00 GiB  ✗ 2.01 GiB over]])
end)

test("shares keep their sum, and none that is not zero vanishes", function()
    equal(drawbars.apportion({ 100, 1, 1, 0 }, 10, 1), { 8, 1, 1, 0 })
    equal(drawbars.apportion({ 1, 1, 1 }, 10, 1), { 4, 3, 3 })
    equal(drawbars.apportion({ 0, 0 }, 0, 1), { 0, 0 })
    equal(drawbars.apportion({ 5, 3, 2 }, 7, 1), { 4, 2, 1 }) -- 3.5, 2.1, 1.4
end)

-- Exact largest batches by seq, for weights of 2, 1 and 1/2 bytes a parameter and 128 KiB a token.
local function curves()
    local series = {}
    for _, format in ipairs { { "fp16", 16060522496 }, { "int8", 8030261248 },
        { "int4", 4015130624 } } do
        local points = {}
        for e = 9, 17 do
            local batch = (RTX_4090 - format[2]) // (131072 << e)
            points[#points + 1] = { seq = 1 << e, batch = batch > 0 and batch or nil }
        end
        series[#series + 1] = { name = format[1], points = points }
    end
    return series
end

local CURVES = { x = "seq", y = "batch", log = true, absent = { "fp32" }, width = 80,
    title = "Largest batch" }

test("curves have powers of two at both axes and name what does not fit", function()
    local lines = lines_of(chart.plot(curves(), CURVES))
    equal(#lines, 18)
    equal(lines[2], "● fp16  ○ int8  ◆ int4    (fp32 does not fit)")
    for row, label in pairs { [4] = "256", [7] = "64", [10] = "16", [13] = "4", [16] = "1" } do
        equal(lines[row]:match("^ *(%d+) ┤"), label)
    end
    equal(lines[17], "      └─┬───────┬───────┬───────┬───────┬──────┬───────┬───────┬───────┬─")
    equal(lines[18], "       512     1Ki     2Ki     4Ki     8Ki   16Ki    32Ki    64Ki    128Ki")
end)

test("every computed point has its marker, the first series keeps a shared cell", function()
    local text = chart.plot(curves(), CURVES)
    local function count(mark)
        return select(2, text:gsub(mark, mark))
    end
    equal(count("●"), 1 + 8) -- the legend, and 512 to 64Ki: at 128Ki not even one fits
    equal(count("○"), 1 + 9)
    local a, b = { { 1, 1 }, { 4, 4 } }, { { 1, 4 }, { 4, 4 } }
    text = chart.plot({ { name = "a", points = a }, { name = "b", points = b } },
        { width = 40, ascii = true })
    equal(select(2, text:gsub("%*", "")), 1)
end)

test("a gap breaks the line and a point outside the limits is cut", function()
    local whole = chart.plot({ { 1, 1 }, { 2, 1 }, { 3, 1 } }, { width = 40 })
    local broken = chart.plot({ { 1, 1 }, { 2, nil }, { 3, 1 } }, { width = 40 })
    assert(whole:find("⠉", 1, true) or whole:find("⠒", 1, true))
    equal(select(2, broken:gsub("●", "")), 2)
    assert(not broken:find("⠉", 1, true) and not broken:find("⠒", 1, true))
    local cut = chart.plot({ { 1, 1 }, { 2, 2 }, { 3, 9 } }, { ymax = 3, width = 40 })
    equal(select(2, cut:gsub("●", "")), 2)
end)

test("a line stands at the capacity, behind the curves", function()
    local points = { { 1, 8 * GiB }, { 2, 32 * GiB } }  -- markers in the first and last column
    local opts = { ykind = "bytes", capacity = 16 * GiB, width = 60 }
    local lines = lines_of(chart.plot({ points }, opts))
    equal(lines[1], "● 1  ╌ available 16 GiB")
    -- the axis goes from 0 to 32 GiB over 14 rows of 4 dots: half of it is dot 28, row 7
    for row = 2, #lines do
        equal(lines[row]:find("╌", 1, true) ~= nil, row == 2 + 7)
    end
    assert(lines[9]:find("16     ┤ ╌╌╌", 1, true), lines[9])
    equal(lines_of(chart.plot({ points }, { ykind = "bytes", width = 60 }))[1]:find("╌"), nil)
    -- a capacity above all values is in the picture, too
    opts.capacity = 64 * GiB
    assert(lines_of(chart.plot({ points }, opts))[2]:find("64 GiB ┤ ╌╌╌", 1, true))
end)

test("sizes have ticks by powers of two, other numbers by 1, 2, 5", function()
    local text = chart.plot({ { 0, 0 }, { 10, 32 * GiB } }, { ykind = "bytes", width = 60 })
    local ticks = {}
    for tick in text:gmatch("\n? *(%d+[ GiB]*) ┤") do
        ticks[#ticks + 1] = tick
    end
    equal(table.concat(ticks, "|"), "32 GiB|24    |16    |8    |0    ")
    local axis = lines_of(text)
    equal(axis[#axis]:gsub("^ +", ""):gsub(" +", " "), "0 2 4 6 8 10")
end)

test("more than eight series is an error that names the limit", function()
    local many = {}
    for i = 1, 9 do
        many[i] = { name = "s" .. i, points = { 1 } }
    end
    raises(function() chart.plot(many) end, "plot: 9 series, at most 8")
end)

test("infinity is an error with the name of the series", function()
    raises(function() chart.bars { fp16 = 1 / 0 } end, "bars: fp16 is infinite")
    raises(function() chart.bars { 1, 1 / 0 } end, "bars: row 2 is infinite")
    raises(function() chart.plot { { name = "int8", points = { 1, 1 / 0 } } } end,
        "plot: int8, point 2 is infinite")
    raises(function() chart.spark { 1, -1 / 0 } end, "spark: value 2 is infinite")
    raises(function() chart.stack { { label = "a", weights = 1, kv = 1 / 0 } } end,
        "stack: a: kv is infinite")
    raises(function() chart.heatmap { { 1, 1 / 0 } } end, "heatmap: value of row 2 is infinite")
end)

test("empty and all-nil input says that there is nothing to draw", function()
    for _, draw in ipairs { chart.spark, chart.bars, chart.stack, chart.plot, chart.heatmap } do
        equal(draw {}, "nothing to draw")
    end
    equal(chart.spark { nil, 0 / 0, nil }, "nothing to draw")
    equal(chart.bars { { "fp16" } }, "nothing to draw")
    equal(chart.plot { { name = "a", points = { { 1 }, { 2 } } } }, "nothing to draw")
end)

test("mistakes are told in one line", function()
    raises(function() chart.bars(3) end, "bars: expected a list or a table by name, not a number")
    raises(function() chart.bars { "x" } end, "bars: row 1 is a string")
    raises(function() chart.bars { { "a", "b" } } end, "bars: a is a string, expected a number")
    raises(function() chart.bars { { "a", -1 } } end, "bars: a is -1, expected zero or more")
    raises(function() chart.bars({ 1 }, { capcity = 3 }) end, 'bars: no option "capcity"')
    raises(function() chart.plot { name = 3 } end, "plot: expected a list of points for name")
    raises(function() chart.heatmap({ { x = 1, value = 2 } }) end, "heatmap: row 1 has no y")
    local s = sweep { model = "gpt2", device = "l4", precision = "fp16", seq = { 64, 128 } }
    raises(function() chart.plot(s) end, "plot: a sweep draws itself, as in s:plot()")
    raises(function() chart.spark(s) end, "spark: a sweep draws itself, as in s:spark()")
    raises(function() chart.heatmap(s) end, "heatmap: a sweep draws itself, as in s:heatmap()")
    raises(function() chart.plot(maxcurve { model = "gpt2", device = "l4" }) end,
        "plot: a result draws itself: print it")
    raises(function() chart.spark({ 1 }, { min = 3, max = 1 }) end, "spark: min is 3, above max 1")
    raises(function() chart.bars({ 1 }, { width = "wide" }) end,
        "bars: width is wide, expected a whole number from 1")
    raises(function() chart.bars({ 1 }, { units = "MB" }) end,
        'bars: units is "MB", expected "GiB" or "GB"')
    raises(function() chart.plot({ 1 }, { log = 2 }) end, "plot: log is 2, expected true")
    raises(function() chart.plot({ 1 }, { log = true, ymin = 0 }) end,
        "plot: ymin is 0, expected more than zero")
    raises(function() chart.stack { { label = "a", weights = math.maxinteger, kv = 1 } } end,
        "stack: a: the parts add up")
end)

test("friendly shapes: numbers, a map by name, pairs", function()
    equal(chart.bars({ b = 2, a = 1 }, { width = 40 }),
        chart.bars({ { "a", 1 }, { "b", 2 } }, { width = 40 }))
    equal(chart.bars({ 1, 2 }, { width = 40 }), chart.bars({ { "1", 1 }, { "2", 2 } },
        { width = 40 }))
    equal(chart.bars({ rows = { { precision = "fp16", bytes = 5 } } }, { width = 40 }),
        chart.bars({ fp16 = 5 }, { width = 40 }))
    equal(chart.plot({ 1, 4, 9 }, { width = 40 }),
        chart.plot({ { 1, 1 }, { 2, 4 }, { 3, 9 } }, { width = 40 }))
    equal(chart.plot({ series = { b = { 1 }, a = { 2 } } }, { width = 40 }),
        chart.plot({ { name = "a", points = { 2 } }, { name = "b", points = { 1 } } },
            { width = 40 }))
end)

test("labels are aligned by columns, cut before the bar shrinks, and made harmless", function()
    local lines = lines_of(chart.bars({ ["模型"] = 1, ["a\27[31m"] = 2, [("x"):rep(70)] = 3 },
        { width = 60 }))
    local starts = {}
    for i, one in ipairs(lines) do
        starts[i] = term.width(one:match("^(.-)█"))
        assert(not one:find("\27"))
    end
    equal(starts[1], starts[2])
    equal(starts[2], starts[3])
    assert(lines[2]:find("xx…", 1, true))
end)

-- What holds for every chart, whatever its width, glyphs and colour.
local function with(opts, more)
    for k, v in pairs(more) do
        opts[k] = v
    end
    return opts
end

local CHARTS = {}

function CHARTS.bars(o)
    return chart.bars(WEIGHTS, with(o, { capacity = RTX_4090, title = "Weights of llama-3.1-8b" }))
end

function CHARTS.clipped(o)
    return chart.bars(WEIGHTS_70B, with(o, { capacity = RTX_4090, title = "模型模型" }))
end

function CHARTS.tight(o)
    local rows = { int8 = 8030261248, ["模型的一个很长的名字"] = 7e9 }
    return chart.bars(rows, with(o, { capacity = 8030261250 }))
end

function CHARTS.numbers(o)
    return chart.bars({ a = 1, b = 123456.75 }, o)
end

function CHARTS.stack(o)
    local rows = {}
    for b = 0, 5 do
        rows[#rows + 1] = { label = "batch " .. (1 << b), weights = 5 * GiB, kv = GiB << b,
            activations = 7 << 20, overhead = GiB // 3 }
    end
    return chart.stack(rows, with(o, { available = 21 * GiB, device = 24 * GiB,
        title = "Memory of llama-3.1-8b, awq" }))
end

function CHARTS.alone(o)
    local row = { label = "q4_k_m", weights = 5 * GiB, kv = 5 * GiB, overhead = 1 }
    return chart.stack(row, with(o, { available = 9 * GiB }))
end

function CHARTS.plot(o)
    local width = o.width
    return chart.plot(curves(), with(with(o, CURVES), { width = width }))
end

function CHARTS.linear(o)
    return chart.plot({ a = { 3 * GiB, 7 * GiB }, b = { 1, 2, 3 } }, with(o, { ykind = "bytes" }))
end

function CHARTS.heat(o)
    local rows = {}
    for b = 0, 5 do
        for s = 10, 17 do
            rows[#rows + 1] = { seq = 1 << s, batch = 1 << b,
                total = 6 * GiB + (1 << (s + b + 17)) }
        end
    end
    return chart.heatmap(rows, with(o, { x = "seq", y = "batch", v = "total",
        available = 21 * GiB, title = "Memory" }))
end

function CHARTS.spark(o)
    return chart.spark({ 1, 2, 3, nil, 5 }, o)
end

local function every(check)
    for name, draw in pairs(CHARTS) do
        for _, width in ipairs { 12, 30, 39, 40, 41, 47, 60, 79, 80, 81, 120, 200, 400 } do
            for _, ascii in ipairs { false, true } do
                for _, colour in ipairs { "none", "16", "256" } do
                    local function again()
                        return draw { width = width, ascii = ascii, colour = colour }
                    end
                    local glyphs = ascii and " in ASCII" or ""
                    check(again(), ("%s at %d%s, colour %s"):format(name, width, glyphs, colour),
                        width, ascii, colour, again)
                end
            end
        end
    end
end

test("no line is wider than the page, ends in blanks, or is left coloured", function()
    every(function(text, what, width)
        assert(not text:find("\n$"), what)
        for _, one in ipairs(lines_of(text)) do
            local bare = plain(one)
            if term.width(bare) > width then
                error(("%s: %d columns: %s"):format(what, term.width(bare), bare))
            end
            assert(not one:find(" $"), what .. ": trailing blank: " .. one)
            local last = one:match(".*(\27%[[%d;]*m)")
            assert(not last or last == "\27[0m", what)
        end
    end)
end)

test("ASCII charts are ASCII, and charts without colour hold no escape", function()
    every(function(text, what, _, ascii, colour)
        assert(not ascii or not plain(text):find("[^\n -~]"), what)
        assert(colour ~= "none" or not text:find("\27"), what)
    end)
end)

test("the same input gives the same bytes", function()
    every(function(text, what, _, _, _, again)
        equal(again(), text, what)
    end)
end)

test("colour changes nothing but colour, except at the borders of a stack", function()
    for name, draw in pairs(CHARTS) do
        if name ~= "stack" and name ~= "alone" then
            equal(plain(draw { width = 80, colour = "256" }), draw { width = 80 }, name)
            equal(plain(draw { width = 80, colour = "16", ascii = true }),
                draw { width = 80, ascii = true }, name)
        end
    end
end)

test("a wider terminal than 400 columns is drawn at 400", function()
    equal(CHARTS.bars { width = 1000 }, CHARTS.bars { width = 400 })
end)

test("below 40 columns the numbers remain", function()
    equal(CHARTS.bars { width = 39 },
        "fp32 29.92 GiB ✗\nfp16 14.96 GiB ✓\nint8 7.48 GiB ✓\nint4 3.74 GiB ✓")
end)

-- Values at the ends of what numbers can be, gaps, names of all kinds; a generator of our own, so
-- that every run sees the same ones.
test("whatever the numbers, a chart is drawn within its page or refused in one line", function()
    local seed = 42
    local function random(n)
        seed = (seed * 1103515245 + 12345) % 2147483648
        return seed // 65536 % n + 1
    end
    local values = { 0, 1, -1, 0.5, 1e-300, 1e300, 0 / 0, 1 / 0, math.maxinteger, math.mininteger,
        3, 1024, 1 << 40, 7.25e9, false, "x", {} }
    local names = { "fp16", "模型", "", "a\nb", ("long "):rep(30), "\xff" }
    local function value()
        return random(3) == 1 and values[random(#values)]
            or random(100000) * (random(2) == 1 and 1 or 0.37)
    end
    local function list(make)
        local out = {}
        for i = 1, random(12) - 1 do
            out[i] = make()
        end
        return out
    end
    local function point()
        return random(5) == 1 and value() or { value(), value() }
    end
    local function name()
        return names[random(#names)]
    end
    local function maybe(make)
        return random(2) == 1 and make() or nil
    end
    local drawn = 0
    for round = 1, 4000 do
        local opts = { width = random(120), ascii = random(2) == 1,
            colour = ({ "none", "16", "256" })[random(3)] }
        local what = round % 5
        local ok, text = pcall(function()
            if what == 0 then
                return chart.spark(list(value), opts)
            elseif what == 1 then
                opts.capacity, opts.unit = maybe(value), maybe(function() return "bytes" end)
                return chart.bars(list(function() return { name(), value() } end), opts)
            elseif what == 2 then
                opts.available, opts.device = maybe(value), maybe(value)
                return chart.stack(list(function()
                    return { label = name(), weights = value(), kv = value(), overhead = value() }
                end), opts)
            elseif what == 3 then
                opts.log, opts.ymax = ({ "x", "y", "xy", false })[random(4)], maybe(value)
                opts.ykind = ({ "bytes", "tokens", "count" })[random(3)]
                return chart.plot(list(function()
                    return { name = name(), points = list(point) }
                end), opts)
            end
            opts.available = maybe(value)
            return chart.heatmap(list(function() return list(value) end), opts)
        end)
        if ok then
            drawn = drawn + (text ~= "nothing to draw" and 1 or 0)
            for _, one in ipairs(lines_of(text)) do
                assert(term.width(one) <= opts.width or text == "nothing to draw", one)
            end
        else
            assert(not text:find("%.lua:%d") and not text:find("\n"), text)
        end
    end
    assert(drawn > 1000, drawn .. " drawn")
end)

test("a heat map takes field names in order, and a share is of one", function()
    local rows = { { seq = 1024, batch = 1, share = 0.3 }, { seq = 2048, batch = 1, share = 1.1 },
        { seq = 4096, batch = 1, share = 0.9 } }
    equal(chart.heatmap(rows, "seq", "batch", "share", { width = 80 }),
        " batch      1Ki    2Ki    4Ki\n     1 │    30%  ✗110%   !90%")
    equal(chart.heatmap(rows, "seq", "batch", "share", { width = 80 }),
        chart.heatmap(rows, { x = "seq", y = "batch", v = "share", width = 80 }))
end)

test("bars of counts, tokens and parameters are written as such", function()
    equal(chart.bars({ a = 131072 }, { unit = "tokens", width = 30 }), "a 128Ki")
    equal(chart.bars({ a = 8030261248 }, { unit = "params", width = 30 }), "a 8.03 B")
    equal(chart.bars({ a = 12345 }, { unit = "count", width = 30 }), "a 12 345")
    equal(chart.bars({ a = 62.5 }, { unit = "t/s", width = 30 }), "a 62.5 t/s")
end)

-- Colours of 256 and of 16 (blue 34, yellow 33, magenta 35, cyan 36, white 37) by use.
test("blue fits, orange is tight, vermilion is over", function()
    local rows = { { "fits", 50 }, { "tight", 90 }, { "over", 101 } }
    local function codes(colour)
        local lines = lines_of(chart.bars(rows, { capacity = 100, width = 80, colour = colour }))
        local list = {}
        for i = 2, 4 do
            list[#list + 1] = lines[i]:match("^ *%a+ (\27%[[%d;]*m)")
        end
        return list
    end
    equal(codes("256"), { "\27[38;5;32m", "\27[38;5;214m", "\27[38;5;166m" })
    equal(codes("16"), { "\27[34m", "\27[33m", "\27[35m" })
end)

test("parts of a stack and series of curves have their colours", function()
    local row = { label = "a", weights = 1, kv = 1, activations = 1, overhead = 1 }
    local text = chart.stack({ row }, { width = 80, colour = "256" })
    for part, code in pairs { weights = 32, kv = 214, activations = 36, overhead = 175 } do
        assert(text:find("\27%[38;5;" .. code .. "m[^\27]+\27%[0m " .. part), part)
    end
    local series = {}
    for i = 1, 8 do
        series[i] = { name = "s" .. i, points = { i, i } }
    end
    text = chart.plot(series, { width = 80, colour = "256" })
    for i, code in ipairs { 32, 214, 166, 36, 175, 74, 221, 250 } do
        assert(text:find("\27%[38;5;" .. code .. "m[^\27]+\27%[0m s" .. i), "series " .. i)
    end
    text = chart.plot(series, { width = 80, colour = "16" })
    for i, code in ipairs { "34", "33", "35", "36", "1;34", "1;33", "1;35", "1;36" } do
        assert(text:find("\27%[" .. code .. "m[^\27]+\27%[0m s" .. i), "series " .. i)
    end
end)

test("a title longer than the page goes on in a second line, and not further", function()
    local lines = lines_of(chart.bars({ a = 1 }, { width = 40, title = ("word "):rep(30) }))
    equal(lines[1], "word word word word word word word word")
    equal(lines[2], "word word word word word word word wor…")
    lines = lines_of(chart.bars({ a = 1 }, { width = 40, title = ("w"):rep(60) }))
    equal(lines[1], ("w"):rep(38) .. "…")
end)
