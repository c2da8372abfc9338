-- What a person might type at the shell, and what a cat on the keyboard would: statements over our
-- functions, models, devices, options and blocks, well formed and nearly so, cut off, with keys in
-- between. Prints one item a line, control characters as \ddd; prompt.c types them.
--   oomph prompt.lua SEED ITEMS

local seed, items = tonumber(arg[1]), tonumber(arg[2])
math.randomseed(seed)
local random = math.random

local function one(list) return list[random(#list)] end
local function often(percent) return random(100) <= percent end

local functions, options = {}, {}
do
    local docs, opts = require("oomph.core").docs()
    for _, d in ipairs(docs) do functions[#functions + 1] = d end
    for _, o in ipairs(opts) do options[#options + 1] = o.name end
end
local words = {
    model = { "llama-3.1-8b", "qwen2.5-14b", "gemma-3-27b", "mixtral-8x7b", "mamba-2.8b", "t5-base",
        "meta-llama/Llama-3.1-8B", "llama3.1:8b", "lama", "", "./config.json", "deepseek-v3" },
    device = { "rtx-4090", "h100", "2x h100-sxm", "24GiB", "24GB", "1x rtx-4090 + 1x rtx-3090", "cpu",
        "m3 max 36gb", "h100-sxm mig 1g.10gb", "rtx", "0", "-1GiB" },
    precision = { "fp16", "int4", "q4_k_m", "awq", "stored", "nf4", "exl2-3.5", "fp17", "type:q4_0" },
    kv = { "auto", "q8_0", "fp8", "nope" },
    engine = { "generic", "ideal", "vllm", "vllm@0.9", "llama.cpp", "transformers", "vlm" },
    attention = { "flash", "sdpa", "eager" }, outputs = { "last", "all" }, units = { "GB", "GiB" },
    charset = { "ascii", "unicode" },
}
local numbers = { "0", "1", "4", "-1", "8192", "2^20", "1e18", "0/0", "1/0", "-1/0", "1.5", "0x7fffffffffffffff",
    "math.mininteger", "1e308", "'32Ki'", "nil", "true", "{}", "{1, 2, 4}", "range(1, 9)", "powers(512, 4096)" }
local columns = { "total", "free", "fits", "params", "seq", "batch", "weights", "maxbatch", "nope", "model" }
local methods = { "csv", "json", "markdown", "table", "where", "sort", "top", "group", "best", "pivot", "select",
    "count", "plot", "heatmap", "bars", "spark", "nope" }

local value, expression

local function text(s) return often(90) and ('"%s"'):format(s) or often(50) and "[[" .. s .. "]]" or "'" .. s end

local function option()
    local name = often(95) and one(options) or one { "bacth", "_", "model.x", "[1]", "[{}]" }
    return name .. (often(97) and "=" or "==") .. value(name)
end

local function list(of, most)
    local out = {}
    for i = 1, random(0, most) do out[i] = of() end
    return table.concat(out, often(97) and ", " or " ")
end

function value(name)
    local known = words[name]
    if known and often(80) then
        return often(85) and text(one(known)) or "{" .. list(function() return text(one(known)) end, 3) .. "}"
    end
    if name == "model" and often(50) then
        return ("{params=%s, hidden_size=%s, num_hidden_layers=%s}"):format(one(numbers), one(numbers), one(numbers))
    end
    return often(90) and one(numbers) or expression()
end

-- Small grids: what is typed is to be answered.
local function call()
    local f = one(functions)
    if f.name == "save" or f.name == "reload" then return f.name .. "()" end
    if often(25) then return f.example end
    local arguments = list(option, 4)
    if f.name == "sweep" or f.name == "fit" or f.name == "gpus" or f.name == "advise" then
        arguments = 'model="llama-3.1-8b", device="rtx-4090", ' .. arguments
    end
    return often(85) and ("%s{%s}"):format(f.name, arguments) or ("%s(%s)"):format(f.name, list(expression, 3))
end

local function chart()
    return ("%s(%s, {width=%s})"):format(one { "spark", "bars", "plot" },
        "{" .. list(function() return one(numbers) end, 6) .. "}", one(numbers))
end

local function method()
    return ("%s:%s(%s)"):format(one { "_", "s", "models('llama')" }, one(methods),
        often(50) and text(one(columns)) or list(function() return often(50) and text(one(columns)) or one(numbers) end, 3))
end

function expression()
    local kind = random(9)
    if kind <= 3 then return call() end
    if kind == 4 then return method() end
    if kind == 5 then return chart() end
    if kind == 6 then return one(numbers) .. one { " + ", " .. ", " // ", " == ", " and " } .. one(numbers) end
    if kind == 7 then return one { "_", "_.kv", "_.rows[1]", "_.x.y", "model", "device", "x", "nope", "_ENV", "_G", "arg" } end
    if kind == 8 then return ("(function(...) %s return ... end)(%s)"):format(often(30) and "error(_) " or "", list(expression, 2)) end
    return one { "explain(_)", "flags(_)", "json(_)", "tostring(_)", "#_", "-_", "help()", "check('x')", "compare{_, _}",
        "setmetatable({}, {__tostring = function() error {} end})", "setmetatable({}, {__index = error})",
        "coroutine.wrap(function() memory{} end)()", "string.rep('x', 1e9)", "error(setmetatable({}, {}))", "load('x =')" }
end

local function statement()
    local kind = random(12)
    if kind <= 3 then
        local name = one(options)
        return name .. " = " .. value(name)
    end
    if kind <= 6 then return expression() end
    if kind == 7 then return "s = " .. call() end
    if kind == 8 then return ("for i = 1, %d do %s end"):format(random(0, 3), statement()) end
    if kind == 9 then return ("if %s then %s else %s end"):format(expression(), statement(), statement()) end
    if kind == 10 then return one { "x = ", "local x = ", "x, y = ", "function f() return ", "x.y = " } .. expression() end
    if kind == 11 then return ("pcall(function() %s end)"):format(statement()) end
    return one { "?", "help ", "=", "" } .. one(functions).name .. one { "", "?", ";", "()", " x" }
end

local keys = { "\t", "\t\t", "\3", "\1", "\5", "\11", "\21", "\23", "\25", "\27[A", "\27[B", "\27[C", "\27[D", "\27h",
    "\18mem", "\27", "\127", "\22\1", "\31", "\12", "\20", "\27.", "\27?", "\27u", "\0", "\255", "\27[200~", "\27[201~" }
local junk = { ":q", ":help", "/help", "ls -l", "oomph> 1 + 1", "  ...> end", "!!", "`x`", "漢字 = 1", "“model”", "--[[", "[==[",
    "]]", "\"", "end", "}}}}", "((((", "goto x", "::x::", "return", "break", "# x", "\\", "é", "😀", "\226\128\174", "\195" }

-- A character or a word taken out, doubled, or moved.
local function nearly(line)
    if #line == 0 then return line end
    local at = random(#line)
    local kind = random(4)
    if kind == 1 then return line:sub(1, at - 1) .. line:sub(at + 1) end
    if kind == 2 then return line:sub(1, at) .. line:sub(at) end
    if kind == 3 then return line:sub(1, at) .. one(junk) .. line:sub(at + 1) end
    return line:sub(1, at)
end

local function item()
    local kind = random(20)
    if kind <= 9 then return statement() .. "\r" end
    if kind <= 12 then return nearly(statement()) .. "\r" end
    if kind == 13 then return nearly(statement()) .. one(keys) .. one(keys) .. "\r" end
    if kind == 14 then return one(junk) .. one { "\r", " ", "\t", "\3" } end
    if kind == 15 then return (statement():gsub("[ ,]", function(c) return c .. (often(20) and "\r" or "") end)) .. "\r" end
    if kind == 16 then return "\27[200~" .. statement() .. "\n" .. nearly(statement()) .. "\n\27[201~\r" end
    if kind == 17 then return one(keys) .. one(keys) .. one(keys) end
    if kind == 18 then return statement():sub(1, random(12)) .. "\t\t" end
    if kind == 19 then return one { "while true do end\r", "while true do pcall(error) end\r",
        'sweep{model="llama-3.1-8b", device="rtx-4090", precision="fp16", seq=range(1, 9000), batch=range(1, 9000)}\r' } end
    return one(functions).name .. one { "{", "(", "{model=\"", "{precision=\"q", ":" } .. "\t" .. one { "\r", "\3", "\21" }
end

for _ = 1, items do
    print((item():gsub("[%c\128-\255\\]", function(c) return ("\\%03d"):format(c:byte()) end)))
end
