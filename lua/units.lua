--- Numbers as people read them: bytes, counts, context lengths, shares. Sizes stay integers until
-- the last digit is written; no locale, no float takes part in rounding a size.
local M = {}

local BINARY = { { "GiB", 1 << 30 }, { "MiB", 1 << 20 }, { "KiB", 1 << 10 }, { "B", 1 } }
local DECIMAL = { { "GB", 1000000000 }, { "MB", 1000000 }, { "kB", 1000 }, { "B", 1 } }

--- The units of a system, "GiB" (default) or "GB", largest first: a list of {name, bytes}.
function M.system(units)
    return units == "GB" and DECIMAL or BINARY
end

-- A size as an integer; a fraction of a byte goes where the rounding goes.
local function whole(n, round)
    local exact = math.tointeger(n)
    if exact then
        return math.max(exact, -math.maxinteger) -- so that its absolute value is an integer, too
    end
    if n ~= n or n >= 2 ^ 63 or n < -2 ^ 63 then
        error(("%s is not a size in bytes"):format(n), 0)
    end
    local floor = math.floor(n)
    return (round == "up" or round ~= "down" and n - floor >= 0.5) and floor + 1 or floor
end

--- n / divisor as text with a fixed number of decimals, rounded "nearest" (half up), "down" or
-- "up". Exact for every integer n >= 0 and divisor up to 10^9 * 2^23.
function M.fixed(n, divisor, decimals, round)
    n = whole(n, round)
    if n < 0 then
        local other = round == "down" and "up" or round == "up" and "down" or round
        return "-" .. M.fixed(-n, divisor, decimals, other)
    end
    local power = math.tointeger(10 ^ decimals)
    local units, rest = n // divisor, n % divisor * power
    local digits = rest // divisor
    local left = rest % divisor
    local nearest = round ~= "up" and round ~= "down"
    if round == "up" and left > 0 or nearest and left >= divisor - left then
        digits = digits + 1
    end
    if digits == power then
        units, digits = units + 1, 0
    end
    if decimals == 0 then
        return tostring(units)
    end
    return ("%d.%0" .. decimals .. "d"):format(units, digits)
end

--- The unit for sizes up to `largest`: the largest one that does not exceed it.
-- @return name, bytes
function M.unit_for(largest, units)
    local system = M.system(units)
    for _, unit in ipairs(system) do
        if largest >= unit[2] then
            return unit[1], unit[2]
        end
    end
    return "B", 1
end

--- Decimals of a chart whose largest value is given: two below 100 of the unit, one from there on.
function M.decimals_for(largest, bytes)
    return bytes == 1 and 0 or largest >= 100 * bytes and 1 or 2
end

--- A size with its unit: bytes(16060522496) is "14.96 GiB".
-- @param opts {units="GiB"|"GB", round="nearest"|"down"|"up", scale=bytes the unit is chosen for,
--        decimals=}. A size that would show as zero in the unit uses a smaller one.
function M.bytes(n, opts)
    opts = opts or {}
    local size = math.abs(whole(n, opts.round))
    local name, bytes = M.unit_for(opts.scale or size, opts.units)
    local decimals = opts.decimals or M.decimals_for(opts.scale or size, bytes)
    if size == 0 then
        return "0 B"
    elseif bytes == 1 then
        decimals = 0
    end
    -- What would read 0.00 GiB, or be rounded up to one hundredth of it, says its size in a smaller
    -- unit.
    local power = math.tointeger(10 ^ decimals)
    local exact = opts.round == "up" or opts.round == "down"
    if size < bytes and size * power * (exact and 1 or 2) < bytes then
        return M.bytes(n, { units = opts.units, round = opts.round })
    end
    return M.fixed(n, bytes, decimals, opts.round) .. " " .. name
end

local function rounded(opts, round)
    return { units = opts.units, scale = opts.scale, decimals = opts.decimals, round = round }
end

--- Free space: rounded down. M.over: what is missing, rounded up.
function M.free(n, opts)
    return M.bytes(n, rounded(opts or {}, "down"))
end

function M.over(n, opts)
    return M.bytes(n, rounded(opts or {}, "up"))
end

--- Whole numbers with thin grouping: 131 072. Fractions as short as they are. The largest number
-- there is stands for none: what is solved for grows without limit.
function M.group(n)
    local exact = math.tointeger(n)
    if not exact then
        return M.number(n)
    elseif exact == math.maxinteger then
        return "no limit"
    end
    local digits = tostring(exact):gsub("^%-", "")
    if #digits > 4 then
        digits = digits:reverse():gsub("(%d%d%d)", "%1 "):reverse():gsub("^ ", "")
    end
    return (exact < 0 and "-" or "") .. digits
end

--- A number of no particular kind: integers in full, others with four digits, never 1e+15.
function M.number(n)
    local exact = math.tointeger(n)
    if exact then
        return tostring(exact)
    elseif n ~= n then
        return "nan"
    elseif n == math.huge or n == -math.huge then
        return n > 0 and "inf" or "-inf"
    end
    local size = math.abs(n)
    if size >= 2 ^ 63 then -- no size and no count is this large
        return ("%.4g"):format(n)
    elseif size >= 1000 then
        return ("%.0f"):format(n)
    elseif size < 0.001 then
        return ("%.3g"):format(n)
    end
    local decimals = size >= 100 and 1 or size >= 10 and 2 or 3
    local text = ("%." .. decimals .. "f"):format(n):gsub("0+$", ""):gsub("%.$", "")
    return text
end

local COUNTS = { { "T", 10 ^ 12 }, { "B", 10 ^ 9 }, { "M", 10 ^ 6 }, { "K", 10 ^ 3 } }

--- A large count in three digits: 8.03 B, 70.6 B, 405 B, 137 M.
function M.count(n)
    for i, unit in ipairs(COUNTS) do
        if math.abs(n) >= unit[2] and math.abs(n) < 2 ^ 63 then
            local value = n / unit[2]
            local decimals = math.abs(value) < 9.995 and 2 or math.abs(value) < 99.95 and 1 or 0
            local text = ("%." .. decimals .. "f"):format(value)
            if text == "1000" and i > 1 then
                return "1.00 " .. COUNTS[i - 1][1]
            end
            return text .. " " .. unit[1]
        end
    end
    return M.number(n)
end

--- Tokens: 131072 is 128Ki, 512 is 512, 1000 is 1000.
function M.ki(n)
    local exact = math.tointeger(n)
    if exact and exact >= 1 << 20 and exact % (1 << 20) == 0 then
        return (exact >> 20) .. "Mi"
    elseif exact and exact >= 1024 and exact % 1024 == 0 then
        return (exact >> 10) .. "Ki"
    end
    return M.group(n)
end

--- n as per cent of a whole, as an integer, rounded "down" (default), "up" or "nearest". What fits
-- never reads more than 100, what does not, rounded up, never less than 101.
function M.percent(n, of, round)
    local share = n / of * 100
    local nearest = math.floor(share + 0.5)
    if round == "nearest" or math.abs(share - nearest) < 1e-9 * share then -- 110.00000000000001
        share = nearest
    end
    if round == "up" then
        local up = math.ceil(share)
        return n > of and up < 101 and 101 or up
    end
    local down = math.floor(share)
    return n <= of and down > 100 and 100 or down
end

return M
