-- The presets against their schemas, and what a schema cannot say: names that
-- mean one record only, order, and figures of a record that must agree.
-- Reads the files of the tree: run it from the repository's root.

local null = setmetatable({}, { __name = "null" })

--- Read JSON text. Objects and arrays become tables, null the value above;
-- a key given twice is an error, which most readers let pass.
local function decode(text)
    local at = 1
    local value

    local function fail(what)
        local _, line = text:sub(1, at):gsub("\n", "")
        error(("line %d: %s"):format(line + 1, what), 0)
    end
    local function skip() at = text:find("[^ \t\r\n]", at) or #text + 1 end
    local function take(c)
        skip()
        if text:sub(at, at) ~= c then return false end
        at = at + 1
        return true
    end
    local function str()
        local from = at + 1
        local to = from
        while true do
            to = text:find('["\\]', to) or fail("string without an end")
            if text:sub(to, to) == '"' then break end
            to = to + 2
        end
        at = to + 1
        local escapes = { b = "\b", f = "\f", n = "\n", r = "\r", t = "\t" }
        return (text:sub(from, to - 1):gsub("\\u(%x%x%x%x)", function(h)
            return utf8.char(tonumber(h, 16))
        end):gsub("\\(.)", function(c) return escapes[c] or c end))
    end
    local function list()
        local t = { array = true }
        if take("]") then return t end
        repeat t[#t + 1] = value() until not take(",")
        return take("]") and t or fail("expected , or ]")
    end
    local function object()
        local t = {}
        if take("}") then return t end
        repeat
            skip()
            if text:sub(at, at) ~= '"' then fail("expected a key") end
            local key = str()
            if t[key] ~= nil then fail("key " .. key .. " twice") end
            if not take(":") then fail("expected :") end
            t[key] = value()
        until not take(",")
        return take("}") and t or fail("expected , or }")
    end
    function value()
        skip()
        local c = text:sub(at, at)
        if c == '"' then return str() end
        if take("[") then return list() end
        if take("{") then return object() end
        local word = text:match("^[%w.+-]+", at) or fail("expected a value")
        at = at + #word
        if word == "null" then return null end
        if word == "true" or word == "false" then return word == "true" end
        return tonumber(word) or fail("unknown word " .. word)
    end

    local v = value()
    skip()
    return at > #text and v or fail("text after the end")
end

local function type_of(v)
    if v == null then return "null" end
    if math.type(v) then return math.type(v) == "integer" and "integer" or "number" end
    if type(v) == "table" then return v.array and "array" or "object" end
    return type(v)
end

--- Check v against the part of JSON Schema that the two schemas use; patterns
-- are written so that Lua's and JSON Schema's reading of them agree.
local function validate(v, schema, root, where, complain)
    if schema["$ref"] then
        validate(v, root["$defs"][schema["$ref"]:match("^#/%$defs/(.*)$")], root, where, complain)
    end
    local kind = type_of(v)
    local wanted = schema.type
    if wanted then
        wanted = type(wanted) == "table" and wanted or { wanted }
        local ok = false
        for _, w in ipairs(wanted) do
            ok = ok or w == kind or (w == "number" and kind == "integer")
        end
        if not ok then
            return complain(where, "is a " .. kind .. ", expected " .. table.concat(wanted, " or "))
        end
    end
    if schema.enum then
        local ok = false
        for _, e in ipairs(schema.enum) do ok = ok or e == v end
        if not ok then complain(where, "has a value that is not in the list") end
    end
    if math.type(v) then
        if schema.minimum and v < schema.minimum then complain(where, "is below the minimum") end
        if schema.maximum and v > schema.maximum then complain(where, "is above the maximum") end
    elseif kind == "string" then
        if schema.minLength and #v < schema.minLength then complain(where, "is too short") end
        if schema.pattern and not v:find(schema.pattern) then
            complain(where, ("is %q, expected %s"):format(v, schema.pattern))
        end
    elseif kind == "array" then
        if schema.minItems and #v < schema.minItems then complain(where, "has too few items") end
        for i, item in ipairs(v) do
            if schema.items then
                validate(item, schema.items, root, ("%s[%d]"):format(where, i), complain)
            end
        end
    elseif kind == "object" then
        for _, key in ipairs(schema.required or {}) do
            if v[key] == nil then complain(where, "lacks " .. key) end
        end
        for key, item in pairs(v) do
            local s = schema.properties and schema.properties[key] or schema.additionalProperties
            if s then
                validate(item, s, root, where .. "." .. key, complain)
            elseif s == false then
                complain(where, "has the unknown member " .. key)
            end
        end
    end
end

local function read(path)
    local f = assert(io.open(path, "rb"))
    local text = f:read("a")
    f:close()
    local ok, v = pcall(decode, text)
    return ok and v or error(path .. ": " .. v, 0)
end

local function files(folder)
    local pipe = assert(io.popen("ls " .. folder .. "/*.json"))
    local paths = {}
    for path in pipe:lines() do paths[#paths + 1] = path end
    pipe:close()
    return paths
end

--- Everything that a record answers to, in lists.
local function names_of(r)
    return { { r.id }, r.aliases or {}, { r.hf_id }, r.variants or {}, { r.name } }
end

--- Two names that people would not tell apart have one such key: case and -_. :/ do not
-- count, but for the dot between digits: opt-1.3b is not opt-13b.
local function key_of(name)
    name = (" " .. name:lower() .. " "):gsub("(%D)%.", "%1"):gsub("%.(%D)", "%1")
    return (name:gsub("[-_: /]", ""))
end

--- A test that goes on to the end and then shows what it found, not only the first fault.
local function check(sentence, body)
    test(sentence, function()
        local faults = {}
        body(function(where, what) faults[#faults + 1] = where .. " " .. what end)
        if #faults > 0 then error(table.concat(faults, "\n", 1, math.min(#faults, 20)), 0) end
    end)
end

local catalogue = {}                -- "models", "devices" -> { {path=, data=, records=} ... }
local schemas = {}
for kind, schema in pairs { models = "model", devices = "device" } do
    schemas[kind] = read("presets/" .. schema .. ".schema.json")
    catalogue[kind] = {}
    for i, path in ipairs(files("presets/" .. kind)) do
        local data = read(path)
        catalogue[kind][i] = { path = path, data = data, records = data[kind] or {} }
    end
end

local function each(kind, visit)
    for _, file in ipairs(catalogue[kind]) do
        for _, record in ipairs(file.records) do visit(record, file) end
    end
end

check("every file is as its schema says", function(complain)
    for kind, list in pairs(catalogue) do
        for _, file in ipairs(list) do
            validate(file.data, schemas[kind], schemas[kind], file.path, complain)
        end
    end
end)

check("the schemas refuse what is wrong", function(complain)
    local good = '{"vendor":"A","models":[{"id":"a","config":{"model_type":"b",' ..
        '"architectures":["c"]},"config_source":"d","confidence":"copied"}]}'
    local function faults(text)
        local n = 0
        validate(decode(text), schemas.models, schemas.models, "", function() n = n + 1 end)
        return n
    end
    if faults(good) ~= 0 then complain("the good one", "is refused") end
    for from, to in pairs {
        ['"id":"a"'] = '"id":"A"', ['"copied"'] = '"guessed"', ['"vendor":"A",'] = "",
        ['"model_type":"b",'] = "", ['["c"]'] = "[]", ['"d"'] = "7",
        ['"id":"a",'] = '"id":"a","ids":1,',
        ['"architectures"'] = '"text_config":{"hidden_size":-1},"architectures"',
        ['"model_type":"b"'] = '"model_type":"b","num_hidden_layers":1.5',
    } do
        local text = good:gsub(from:gsub("%p", "%%%0"), (to:gsub("%%", "%%%%")))
        if text == good or faults(text) == 0 then complain(to, "is let pass") end
    end
end)

check("the records that the manual shows are as the schemas say", function(complain)
    for kind, path in pairs { models = "docs/adding-a-model.md", devices = "docs/adding-a-device.md" } do
        local f = assert(io.open(path))
        local record = f:read("a"):match("```json\n(.-)```")
        f:close()
        local file = decode(('{"vendor": "A", "%s": [%s]}'):format(kind, record))
        validate(file, schemas[kind], schemas[kind], path, complain)
    end
end)

check("a name means one record", function(complain)
    for kind in pairs(catalogue) do
        local owner = {}
        each(kind, function(r)
            local mine = {}
            for _, names in ipairs(names_of(r)) do
                for _, name in ipairs(names) do
                    local key = key_of(name)
                    if owner[key] and owner[key] ~= r then
                        complain(r.id, ("and %s are both called %s"):format(owner[key].id, name))
                    elseif mine[key] and name ~= r.name then
                        complain(r.id, "says " .. name .. " twice")
                    end
                    owner[key], mine[key] = r, true
                end
            end
        end)
    end
end)

check("records are in the order of their ids", function(complain)
    for _, list in pairs(catalogue) do
        for _, file in ipairs(list) do
            for i = 2, #file.records do
                if file.records[i - 1].id >= file.records[i].id then
                    complain(file.path, file.records[i].id .. " is out of order")
                end
            end
        end
    end
end)

check("a published count has its source", function(complain)
    each("models", function(r)
        if (r.params_exact == nil) ~= (r.params_exact_source == nil) then
            complain(r.id, "has one of params_exact and params_exact_source without the other")
        end
    end)
end)

check("a context of its own belongs to a variant or an alias", function(complain)
    each("models", function(r)
        local names = {}
        for _, list in ipairs { r.variants or {}, r.aliases or {} } do
            for _, name in ipairs(list) do names[name] = true end
        end
        for name in pairs(r.variant_context or {}) do
            if not names[name] then complain(r.id, "is not called " .. name) end
        end
    end)
end)

check("as many layer types as layers", function(complain)
    each("models", function(r)
        for _, c in ipairs { r.config, r.config.text_config } do
            local layers = c.num_hidden_layers
            if c.layer_types and layers and #c.layer_types ~= layers then
                complain(r.id, ("has %d layer types, %d layers"):format(#c.layer_types, layers))
            end
            if c.block_configs and #c.block_configs ~= layers then
                complain(r.id, ("has %d block configs, %d layers"):format(#c.block_configs, layers))
            end
        end
    end)
end)

check("query heads share key and value heads evenly", function(complain)
    each("models", function(r)
        for _, c in ipairs { r.config, r.config.text_config } do
            local n, g = c.num_attention_heads, c.num_key_value_heads
            if n and g and g ~= null and g > 0 and n % g ~= 0 then
                complain(r.id, ("has %d query heads, %d others"):format(n, g))
            end
        end
    end)
end)

check("a device has memory, or is a processor and takes the machine's", function(complain)
    each("devices", function(r)
        if r.kind ~= "cpu" and not (r.memory_gb_marketing or r.memory_mib_reported) then
            complain(r.id, "has no memory")
        end
    end)
end)

check("the driver reports what the label promises, within a tenth", function(complain)
    each("devices", function(r)
        local label, reported = r.memory_gb_marketing, r.memory_mib_reported
        local share = label and reported and reported / (label * 1024)
        if share and (share > 1.03 or share < 0.9) then
            complain(r.id, ("is labelled %d GB and reports %d MiB"):format(label, reported))
        end
    end)
end)

check("a process gets no more than the driver reports", function(complain)
    each("devices", function(r)
        local reported = r.memory_mib_reported or (r.memory_gb_marketing or 0) * 1024
        for _, f in ipairs { "torch_total_gib", "torch_total_gib_estimate" } do
            if r[f] and r[f] * 1024 > reported + 16 then complain(r.id, "has too large a " .. f) end
        end
        for _, f in ipairs { "gpu_limit_mib_default", "gpu_limit_mib_older_macos" } do
            if r[f] and r[f] >= reported then complain(r.id, "has too large a " .. f) end
        end
    end)
end)

check("a device names a source, or says that it has none", function(complain)
    each("devices", function(r)
        if #r.sources == 0 and not r.unsourced_fields then complain(r.id, "has no source") end
        if r.verified and not r.verified_fields then complain(r.id, "is verified by nothing") end
    end)
end)

check("the records that everything else is written for are there", function(complain)
    local found = {}
    for kind in pairs(catalogue) do each(kind, function(r) found[r.id] = true end) end
    local required = [[
        llama-2-7b llama-2-13b llama-2-70b llama-3-8b llama-3-70b llama-3.1-8b llama-3.1-70b
        mistral-7b mistral-13b-amethyst mixtral-8x7b qwen-7b qwen1.5-7b gemma-2b gemma-2-9b
        gemma-2-27b llava-7b llava-1.5-13b llava-1.6-34b
        rtx-3060-8gb rtx-3060-12gb rtx-4090 a10 l40 a100-pcie-40gb a100-sxm-40gb a100-pcie-80gb
        a100-sxm-80gb h100-pcie h100-sxm h100-nvl h100-nvl-pair]]
    for id in required:gmatch("%S+") do
        if not found[id] then complain(id, "is missing") end
    end
end)

check("what people type leads to the record they mean", function(complain)
    local owner = {}
    for kind in pairs(catalogue) do
        each(kind, function(r)
            for _, names in ipairs(names_of(r)) do
                for _, name in ipairs(names) do owner[key_of(name)] = r.id end
            end
        end)
    end
    for name, id in pairs {
        ["meta-llama/Llama-3.1-8B-Instruct"] = "llama-3.1-8b",
        ["google/gemma-2-9b-it"] = "gemma-2-9b",
        ["llama3.1:8b"] = "llama-3.1-8b",
        ["qwen2.5:7b"] = "qwen2.5-7b",
        ["qwen2:57b"] = "qwen2-57b-a14b",
        ["opt-13b"] = "opt-13b",
        ["gemma3:27b"] = "gemma-3-27b",
        ["mixtral:8x7b"] = "mixtral-8x7b",
        ["phi3:mini"] = "phi-3-mini",
        ["deepseek-r1:7b"] = "deepseek-r1-distill-qwen-7b",
        ["gpt-oss:20b"] = "gpt-oss-20b",
        ["llava:13b"] = "llava-1.5-13b",
        ["4090"] = "rtx-4090",
        ["NVIDIA GeForce RTX 4090"] = "rtx-4090",
        ["h100"] = "h100-sxm",
        ["A100"] = "a100-sxm-80gb",
        ["3060"] = "rtx-3060-12gb",
        ["m3 max 36gb"] = "m3-max-36gb",
        ["Mac Studio M3 Ultra 512GB"] = "m3-ultra-512gb",
        ["dgx spark"] = "gb10",
        ["strix halo 128gb"] = "ryzen-ai-max-395-128gb",
        ["rpi5"] = "cpu-raspberry-pi-5",
    } do
        local got = owner[key_of(name)]
        if got ~= id then complain(name, "leads to " .. tostring(got) .. ", expected " .. id) end
    end
end)

check("the program lists every record", function(complain)
    for kind, listed in pairs { models = models().rows, devices = devices().rows } do
        local there = {}
        for _, row in ipairs(listed) do there[row.id] = true end
        each(kind, function(r)
            if not there[r.id] then complain(r.id, "is not listed") end
        end)
        if tostring(_ENV[kind]()) == "" then complain(kind, "are shown as nothing") end
    end
end)
