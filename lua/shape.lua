--- Input of charts checked: numbers, gaps, lists with holes, options. A mistake is an error in one
-- line that names the chart and what in it is wrong.
local M = {}

local term = require("oomph.term")
local units = require("oomph.units")

--- One line for the user, whatever the names in it hold.
function M.fail(...)
    error(term.clean(string.format(...)), 0)
end

--- A number to draw; nil for a gap (nil, NaN). Infinity is a mistake.
function M.number(v, who, name)
    if v == nil or v ~= v then
        return nil
    elseif type(v) ~= "number" then
        M.fail("%s: %s is a %s, expected a number", who, term.cut(name, 40), type(v))
    elseif v == math.huge or v == -math.huge then
        M.fail("%s: %s is infinite, expected a finite number", who, term.cut(name, 40))
    end
    return v
end

--- The same for a size or a count: zero or more, an integer where it is one.
function M.size(v, who, name)
    v = M.number(v, who, name)
    if v and v < 0 then
        M.fail("%s: %s is %s, expected zero or more", who, term.cut(name, 40), units.number(v))
    end
    return v and (math.tointeger(v) or v)
end

local MOST = 100000 -- values in a list, holes counted

--- Largest index of a list that may have holes.
function M.length(list, who)
    local n = math.tointeger(list.n) or 0
    for k in pairs(list) do
        if math.type(k) == "integer" and k > n then
            n = k
        end
    end
    if n > MOST then
        M.fail("%s: a list up to %s, at most %s can be drawn", who, units.group(n),
            units.group(MOST))
    end
    return n
end

--- Names of a table's fields, sorted: the order of a map.
function M.sorted_names(map)
    local names = {}
    for k in pairs(map) do
        if type(k) == "string" then
            names[#names + 1] = k
        end
    end
    table.sort(names)
    return names
end

--- Refuse what is no table.
function M.expect_table(t, who, what)
    if type(t) ~= "table" then
        M.fail("%s: expected %s, not a %s", who, what, type(t))
    end
end

local CHOICES = {
    colour = { ["256"] = true, ["16"] = true, none = true },
    units = { GiB = true, GB = true },
}

local TEXT = { "title", "capacity_label", "unit", "xkind", "ykind" }

-- Options that must be text, one of a few words, or a number of columns or rows.
local function check_common(opts, who)
    for _, name in ipairs(TEXT) do
        if opts[name] ~= nil and type(opts[name]) ~= "string" then
            M.fail("%s: %s is a %s, expected text", who, name, type(opts[name]))
        end
    end
    for _, name in ipairs { "width", "height" } do
        local n = opts[name]
        if n ~= nil and not (type(n) == "number" and math.tointeger(n) and n >= 1) then
            M.fail("%s: %s is %s, expected a whole number from 1", who, name, tostring(n))
        end
    end
    for _, name in ipairs { "colour", "units" } do
        if opts[name] ~= nil and not CHOICES[name][opts[name]] then
            M.fail("%s: %s is %q, expected %s", who, name, tostring(opts[name]),
                name == "units" and '"GiB" or "GB"' or '"256", "16" or "none"')
        end
    end
end

--- Refuse option names that a chart does not know, and values nobody can draw with.
function M.check_options(opts, who, known)
    if opts == nil then
        return {}
    end
    M.expect_table(opts, who, "a table of options")
    check_common(opts, who)
    known = " width height colour ascii units title " .. known .. " "
    for _, name in ipairs(M.sorted_names(opts)) do
        if not known:find(" " .. name .. " ", 1, true) then
            M.fail("%s: no option %q; there are %s", who, name, known:match("^ *(.-) *$"))
        end
    end
    return opts
end

return M
