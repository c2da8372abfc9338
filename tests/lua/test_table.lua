-- Tables, CSV, Markdown.

local tables = require("oomph.table")
local term = require("oomph.term")

local GiB = 1 << 30
local HEADERS = { "model", { "weights", unit = "bytes" }, "fits", { "seq", unit = "tokens" },
    { "speed", unit = "t/s" } }
local ROWS = {
    { "llama-3.1-8b", 16060522496, true, 131072, 62.5 },
    { "模型", 5 * GiB // 2, false, 4096, nil },
    { "tiny|1", 1 << 20, true, 500, 400 },
}

test("columns are aligned, numbers to the right, the unit once in the header", function()
    equal(tables.layout(HEADERS, ROWS, { width = 80 }), [[
model         weights GiB  fits    seq  speed t/s
────────────  ───────────  ────  ─────  ─────────
llama-3.1-8b        14.96  ✓     128Ki       62.5
模型                 2.50  ✗       4Ki
tiny|1           1.00 MiB  ✓       500      400.0]])
end)

test("ASCII tables are ASCII", function()
    local text = tables.layout(HEADERS, ROWS, { width = 80, ascii = true })
    assert(not text:find("[^\n -~]"), text)
end)

test("a long table is cut in the middle and says how much is missing", function()
    local rows = {}
    for i = 1, 130 do
        rows[i] = { i }
    end
    equal(tables.layout({ "n" }, rows, { rows = 6, width = 80 }),
        "  n\n───\n  1\n  2\n  3\n… 124 more (rows=\"all\")\n128\n129\n130")
    local _, lines = tables.layout({ "n" }, rows, { rows = "all" }):gsub("\n", "")
    equal(lines, 131)
    equal(tables.layout({ "n" }, { { 1 }, { 2 } }, { rows = 2, width = 80 }), "n\n─\n1\n2")
end)

test("a table too wide leaves out columns from the middle and names them", function()
    equal(tables.layout(HEADERS, { ROWS[1] }, { width = 40 }), [[
model         weights GiB  …  speed t/s
────────────  ───────────  ─  ─────────
llama-3.1-8b        14.96         62.50
… 2 columns left out: fits, seq]])
end)

test("lesser columns are left out first, the last one first, and each gap is marked", function()
    local headers = { "a", { "bbbb", lesser = true }, "c", { "dddd", lesser = true }, "e" }
    local rows = { { "1", "2", "3", "4", "5" } }
    equal(tables.layout(headers, rows, { width = 19 }), "a  bbbb  c  dddd  e\n─  ────  ─  ────  ─\n1     2  3     4  5")
    equal(tables.layout(headers, rows, { width = 18 }),
        "a  bbbb  c  …  e\n─  ────  ─  ─  ─\n1     2  3     5\n… 1 column left o…")
    equal(tables.layout(headers, rows, { width = 15 }),
        "a  …  c  …  e\n─  ─  ─  ─  ─\n1     3     5\n… 2 columns le…")
    equal(tables.layout(headers, rows, { width = 12 }), "a  …  e\n─  ─  ─\n1     5\n… 3 columns…")
end)

test("no table is wider than it may be", function()
    for width = 10, 120, 7 do
        for one in (tables.layout(HEADERS, ROWS, { width = width }) .. "\n"):gmatch("(.-)\n") do
            assert(term.width(one) <= width, width .. ": " .. one)
            assert(not one:find(" $"), one)
        end
    end
end)

test("a table without rows shows its header", function()
    equal(tables.layout({ "a", "b" }, {}, { width = 80 }), "a  b\n─  ─")
    equal(tables.layout({}, {}, { width = 80 }), "")
end)

test("text from outside cannot break a table", function()
    local text = tables.layout({ "a" }, { { "x\ny\27[2J" } }, { width = 80 })
    equal(select(2, text:gsub("\n", "")), 2)
    assert(not text:find("\27"))
end)

test("CSV holds exact integers, nothing for nil, quotes where needed", function()
    equal(tables.csv(HEADERS, ROWS), [[
model,weights,fits,seq,speed
llama-3.1-8b,16060522496,TRUE,131072,62.5
模型,2684354560,FALSE,4096,
tiny|1,1048576,TRUE,500,400]])
    equal(tables.csv({ "a" }, { { 'say "x"' }, { "1,5" }, { "two\nlines" }, { 2.0 ^ 53 } }),
        'a\n"say ""x"""\n"1,5"\n"two\nlines"\n9007199254740992')
end)

test("Markdown aligns numbers and escapes bars", function()
    equal(tables.markdown(HEADERS, ROWS), [[
| model | weights GiB | fits | seq | speed t/s |
| --- | ---: | --- | ---: | ---: |
| llama-3.1-8b | 14.96 | ✓ | 128Ki | 62.5 |
| 模型 | 2.50 | ✗ | 4Ki |  |
| tiny\|1 | 1.00 MiB | ✓ | 500 | 400.0 |]])
end)

test("fractions of a column have the same decimals, and none reads zero that is not", function()
    equal(tables.layout({ "v" }, { { 12.345 }, { 1 }, { 0.0001 } }, { width = 80 }),
        "     v\n──────\n 12.35\n  1.00\n0.0001")
    equal(tables.layout({ { "share", unit = "percent" } }, { { 12.345 }, { 100 } }, { width = 80 }),
        "share %\n───────\n   12.3\n  100.0")
    equal(tables.layout({ { "p", unit = "params" } }, { { 8030261248 } }, { width = 80 }),
        "     p\n──────\n8.03 B")
end)

test("free space is rounded down where the header says so", function()
    -- 17726959616 bytes are 16.5095 GiB; 6363824128 too many are 5.9267 GiB
    equal(tables.layout({ { "free", unit = "bytes", round = "down" } },
        { { 17726959616 }, { -6363824128 } },
        { width = 80 }), "free GiB\n────────\n   16.50\n   -5.93")
end)

test("rows that the caller left out are counted at their place", function()
    equal(tables.layout({ "n" }, { { 1 }, { 12345 } },
        { width = 80, left_out = { after = 1, count = 12343 } }),
        "     n\n──────\n     1\n… 12 343 more (rows=\"all\")\n12 345")
end)
