--- Any value as JSON text: integers exact, lists as arrays, results by their fields, keys in order.
local M = {}

local escapes = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" }

local function quote(s)
    return '"' .. s:gsub('[%c"\\\127]', function(c)
        return escapes[c] or string.format("\\u%04x", c:byte())
    end) .. '"'
end

local function number(x)
    if math.type(x) == "integer" then return tostring(x) end
    if x ~= x or x == math.huge or x == -math.huge then return "null" end
    if x == math.floor(x) and x > -2^53 and x < 2^53 then return string.format("%d", x) end
    return (string.format("%.17g", x):gsub(",", "."))
end

local function is_list(t)
    local n = 0
    for k in pairs(t) do
        if math.type(k) ~= "integer" or k < 1 then return false end
        n = n + 1
    end
    return n == #t and (n > 0 or rawget(t, "kind") == "sweep")
end

local function sorted_keys(t)
    local keys = {}
    for k in pairs(t) do
        if type(k) ~= "string" and type(k) ~= "number" then
            error("json: a " .. type(k) .. " as a key, expected text or a number", 0)
        end
        keys[#keys + 1] = k
    end
    table.sort(keys, function(a, b)
        if type(a) == type(b) then return a < b end
        return type(a) == "number"
    end)
    return keys
end

local encode

local function object(t, seen)
    local parts = {}
    for _, k in ipairs(sorted_keys(t)) do
        parts[#parts + 1] = quote(tostring(k)) .. ":" .. encode(t[k], seen)
    end
    return "{" .. table.concat(parts, ",") .. "}"
end

local function array(t, seen)
    local parts = {}
    for i = 1, #t do parts[i] = encode(t[i], seen) end
    return "[" .. table.concat(parts, ",") .. "]"
end

function encode(x, seen)
    local kind = type(x)
    if kind == "nil" then return "null" end
    if kind == "boolean" then return tostring(x) end
    if kind == "number" then return number(x) end
    if kind == "string" then return quote(x) end
    if kind ~= "table" then error("json: a " .. kind .. " has no JSON form", 0) end
    if seen[x] then error("json: a table that contains itself", 0) end
    seen[x] = true
    if rawget(x, "kind") == "memory" then local _ = x.per_device end    -- worked out when asked for
    local text = is_list(x) and array(x, seen) or object(x, seen)
    seen[x] = nil
    return text
end

--- json(x) -> text
function M.json(x) return encode(x, {}) end

return M
