--- What a session variable was understood as: the line printed after an assignment.
local core = require("oomph.core")
local term = require("oomph.term")
local units = require("oomph.units")

local M = {}

-- The parts on a line, or on as many as the page wants, each part whole.
local function join(parts)
    local width, lines, line = term.settings().width, {}, parts[1]
    for i = 2, #parts do
        local longer = line .. " · " .. parts[i]
        if term.width(longer) > width then
            lines[#lines + 1], longer = line, "  " .. parts[i]
        end
        line = longer
    end
    lines[#lines + 1] = line
    return term.fold(table.concat(lines, "\n"))
end

local function plural(n, word) return units.group(n) .. " " .. word .. (n == 1 and "" or "s") end

local function model(value)
    local m = core.model_facts(value)
    local parts = { m.id, units.count(m.params) .. " parameters" }

    -- a Hugging Face id of the same shapes: say which record answers for it
    if type(value) == "string" and value:match("^[^/]+/[^/]+$") and m.family:sub(1, 5) ~= "gguf:"
        and not m.from_file
        and not value:find("%.json$") then
        parts[1] = m.id .. " (for " .. value .. ")"
    end
    if m.active_params < m.params then
        parts[2] = parts[2] .. " (" .. units.count(m.active_params) .. " active)"
    end
    if m.vision_params > 0 then
        parts[2] = parts[2] .. ", " .. units.count(m.vision_params) .. " of them vision"
    end
    if m.shape_unknown then
        parts[#parts + 1] = "weights only: hidden_size and num_hidden_layers would tell the cache"
        return join(parts)
    end
    if m.layers > 0 then parts[#parts + 1] = plural(m.layers, "layer") end
    if m.hidden_size > 0 then parts[#parts + 1] = "hidden " .. m.hidden_size end
    if m.heads > 0 then
        local heads = plural(m.heads, "head")
        if m.attention:find("mla", 1, true) then heads = heads .. ", MLA"
        else
            heads = heads .. ", " .. m.kv_heads .. " KV head" .. (m.kv_heads == 1 and "" or "s")
                .. " x " .. m.head_dim
        end
        parts[#parts + 1] = heads
    end
    if m.experts then parts[#parts + 1] = m.experts .. " experts, " .. m.experts_used .. " used" end
    if m.context then parts[#parts + 1] = "context " .. units.ki(m.context) end
    if m.stored and not m.stored:match("^[bf]p?[f]?%d+$") then
        parts[#parts + 1] = "stored as " .. m.stored
    end
    if m.note then parts[#parts + 1] = m.note end
    return join(parts)
end

local function rate(x, per, name)
    local v = x / per
    return (v >= 100 and string.format("%.0f", v) or string.format("%.1f", v)) .. " " .. name
end

local function group(d, n, label, hint)
    local parts = { d.cpu and label .. " (no GPU: main memory)" or label }
    local opts = { units = core.session("units") }

    parts[2] = (n > 1 and n .. " x " or "") .. units.bytes(d.memory, opts)
    if d.unified and d.usable < d.memory then
        parts[#parts + 1] = units.bytes(d.usable, opts) .. " for the GPU"
    elseif d.usable < d.memory * 0.95 then -- more than any driver keeps: said in the name
        parts[#parts + 1] = units.bytes(d.usable, opts) .. " usable"
    end
    if d.unused then parts[#parts + 1] = units.bytes(d.unused, opts) .. " free now" end
    if d.bandwidth then parts[#parts + 1] = rate(d.bandwidth, 1e9, "GB/s") end
    if d.flops then parts[#parts + 1] = rate(d.flops, 1e12, "TFLOP/s fp16") end
    parts[#parts + 1] = hint
    return join(parts)
end

--- A decimal "24GB" is not what a 24 GB card has: say so once, where it is typed.
local function decimal_hint(value)
    local n = type(value) == "string" and value:match("^%s*(%d+)%s*[gG][bB]%s*$")
    if n then
        return "a " .. n .. " GB card has " .. n .. " GiB: write \"" .. n .. "GiB\" for one"
    end
end

local function device(value)
    local d = core.device_facts(value)

    if #d.groups == 1 then
        local g = d.groups[1]
        return group(g, g.count, d.label, decimal_hint(value))
    end
    local lines = {}
    for i, g in ipairs(d.groups) do lines[i] = group(g, g.count, g.id or g.name) end
    return table.concat(lines, "\n")
end

--- @param name of the session variable, value as assigned
-- @return the line to print, or nil where there is nothing to say
function M.assigned(name, value)
    if name == "model" then return model(value) end
    if name == "device" then return device(value) end
    if name == "seq" or name == "prompt" or name == "chunk" then
        if type(value) == "string" then
            return name .. " " .. units.group(core.count(value)) .. " tokens"
        end
    end
    return nil
end

return M
