-- result:save writes a picture or a table, whole or not at all.

local function read(path)
    local file = assert(io.open(path))
    local text = file:read("a")
    file:close()
    os.remove(path)
    return text
end

local setting = { model = "llama-3.1-8b", device = "rtx-4090" }
local path = os.tmpname()

test("a footprint is saved as the picture of its bars", function()
    footprint(setting):save(path .. ".svg")
    local text = read(path .. ".svg")
    assert(text:find("^<svg ") and text:find("</svg>\n$"))
    for _, said in ipairs { "Weights of llama-3.1-8b on rtx-4090", "23.99 GiB", "29.92 GiB", "✗ 5.93 GiB over" } do
        assert(text:find(said, 1, true), said)
    end
end)

test("memory and curves have pictures, too", function()
    memory { model = "llama-3.1-8b", device = "rtx-4090", precision = "fp16" }:save(path .. ".svg")
    assert(read(path .. ".svg"):find("activations", 1, true))
    maxcurve(setting):save(path .. ".svg")
    assert(read(path .. ".svg"):find("(fp32 does not fit)", 1, true))
end)

test("the ending of the name says what is written", function()
    footprint(setting):save(path .. ".csv")
    assert(read(path .. ".csv"):find("fp16,16060522496,TRUE", 1, true))
    footprint(setting):save(path .. ".md")
    assert(read(path .. ".md"):find("| fp16 | 14.96 |", 1, true))
    raises(function() footprint(setting):save(path .. ".gif") end, "save takes a file name that ends in .svg")
    raises(function() footprint(setting):save() end, "save takes a file name")
    raises(function() maxbatch { model = "llama-3.1-8b", device = "rtx-4090", seq = 1024 }:save(path .. ".svg") end,
        "a result of maxbatch() has no chart")
end)

test("a sweep is saved as what tells most about it", function()
    local all = sweep { model = "llama-3.1-8b", device = "rtx-4090", precision = { "fp16", "int4" },
        seq = powers(1024, 8192), batch = powers(1, 4) }
    local one = all:where { precision = "int4" }
    one:save(path .. ".svg")
    assert(read(path .. ".svg"):find("Memory of llama-3.1-8b, int4 on rtx-4090, % of 23.52 GiB available", 1, true))
    one:where { batch = 1 }:save(path .. ".svg")
    assert(read(path .. ".svg"):find("<polyline", 1, true))
    all:save(path .. ".svg") -- six curves: two precisions at three batches
    assert(read(path .. ".svg"):find("fp16, batch 4", 1, true))
    all:where { seq = 1024, batch = 1 }:save(path .. ".svg", "bars")
    assert(read(path .. ".svg"):find("by precision", 1, true))
    raises(function() all:save(path .. ".svg", "pie") end, 'save draws "plot"')
    raises(function() all:heatmap() end, "heatmap: more than one row for seq 1Ki and batch 1: "
        .. "their precision differs; narrow them first, as in :where{precision=\"")
end)

os.remove(path)
