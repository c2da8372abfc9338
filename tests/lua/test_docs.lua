-- Help, README and code say the same: every documented example runs, README's table is the docs table.

local core = require("oomph.core")
local docs, options = core.docs()

local function chunk_of(text)
    return load("return " .. text, "=example", "t", _ENV) or load(text, "=example", "t", _ENV)
end

for _, d in ipairs(docs) do
    test("the example of " .. d.name .. " runs and shows something", function()
        local f = assert(chunk_of(d.example), "does not parse: " .. d.example)
        local result = f()
        assert(result ~= nil, "no result: " .. d.example)
        assert(#tostring(result) > 0)
        assert(#d.sentence > 0 and #d.sentence <= 120, d.sentence)
    end)
end

test("help shows every function and every option", function()
    local page = help()
    for _, d in ipairs(docs) do
        assert(page:find("\n" .. d.name, 1, true), d.name)
        assert(help(d.name):find(d.example, 1, true), d.name)
    end
    for _, o in ipairs(options) do      -- in lines as long as the page
        assert(help(o.name):gsub("%s+", " "):find(o.sentence, 1, true), o.name)
    end
    raises(function() help("footprnt") end, "no help on \"footprnt\"")
end)

test("README's table is the docs table", function()
    local file = assert(io.open("README.md"))
    local readme = file:read("a")
    file:close()
    for _, d in ipairs(docs) do
        local row = "| `" .. d.signature:gsub("|", "\\|") .. "` | " .. d.sentence .. " |"
        assert(readme:find(row, 1, true), "README.md lacks (run make readme): " .. row)
    end
end)
