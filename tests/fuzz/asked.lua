-- What the harnesses of Lua share: a call as Lua text, so that a finding can be typed again, and
-- which errors are meant for people.
local M = {}

--- A value as Lua text.
function M.literal(v, depth)
    depth = depth or 0
    if type(v) == "string" then return (("%q"):format(v):gsub("\\\n", "\\n")) end
    if v ~= v then return "0/0" end
    if math.type(v) == "float" then return ("%.17g"):format(v):gsub("^(-?)inf$", "%1math.huge") .. "" end
    if type(v) ~= "table" then return type(v) == "function" and "tostring" or tostring(v) end
    if depth > 8 then return "{}" end
    local parts = {}
    for k, x in pairs(v) do
        parts[#parts + 1] = "[" .. M.literal(k, depth + 1) .. "]=" .. M.literal(x, depth + 1)
    end
    return "{" .. table.concat(parts, ", ") .. "}"
end

--- One line that names no file of ours and is not Lua's own complaint about an argument.
function M.for_people(message)
    return type(message) == "string" and message ~= "" and not message:find("\n")
        and not message:find("%.lua:%d") and not message:find("bad argument")
        and not message:find("internal") and not message:find("attempt to")
end

return M
