--- Which devices, and how many of each, for this model at this batch and sequence? One sweep over
-- every device times 1, 2, 4 and 8; of each the smallest number that fits is kept. Prices are the
-- user's: none are known here.
local ask = require("oomph.ask")
local core = require("oomph.core")
local result = require("oomph.result")
local term = require("oomph.term")
local units = require("oomph.units")

local M = {}

local COUNTS = { 1, 2, 4, 8 }
local SHOWN = 30

-- prices ------------------------------------------------------------------------------------------

--- prices.lua in the configuration folder: a file that returns the table `price` takes.
local function from_folder()
    local found, host = pcall(require, "oomph.host")
    local folder = found and host.config_dir and host.config_dir()
    if not folder or not loadfile then return nil end
    local path = folder .. "/prices.lua"
    local file = io and io.open(path)
    if not file then return nil end
    file:close()
    local chunk, problem = loadfile(path, "t", {})
    if not chunk then error(problem, 0) end
    local prices = chunk()
    if type(prices) ~= "table" then
        error(path .. " returns a " .. type(prices) .. ", expected a table of prices", 0)
    end
    return prices
end

local function is_price(v) return type(v) == "number" and v >= 0 and v < math.huge end

--- {["rtx-4090"]=0.35, ["p4d.24xlarge"]={device="a100-sxm-40gb", count=8, price=32.77}} as price
-- per device by id, and a list of instances.
local function read_prices(prices)
    local each, instances = {}, {}
    if type(prices) ~= "table" then
        error("gpus: price is a " .. type(prices)
            .. ", expected a table: price per hour by device, as in {[\"l4\"]=0.7}", 0)
    end
    for name, v in pairs(prices) do
        if is_price(v) then
            local known, facts = pcall(core.device_facts, name)
            if not known then
                error("gpus: price of \"" .. term.name(name) .. "\": " .. tostring(facts), 0)
            end
            each[facts.groups[1].id or facts.label] = v / facts.n
        elseif type(v) == "table" and type(v.device) == "string" and is_price(v.price) then
            local count = v.count or 1
            if math.type(count) ~= "integer" or count < 1 then
                error("gpus: count of \"" .. term.name(name) .. "\" is not a whole number", 0)
            end
            instances[#instances + 1] = { name = name, price = v.price, label = count == 1
                and v.device or count .. "x " .. v.device }
        else
            error("gpus: price of \"" .. term.name(name)
                .. "\" is not a number per hour or {device=, count=, price=}", 0)
        end
    end
    table.sort(instances, function(a, b) return a.name < b.name end)
    return each, instances
end

-- candidates --------------------------------------------------------------------------------------

local function counts_of(own)
    local list = own.count == nil and COUNTS or type(own.count) == "table" and own.count
        or { own.count }
    for _, n in ipairs(list) do
        if math.type(n) ~= "integer" or n < 1 or n > 128 then
            error("gpus: count takes whole numbers from 1 to 128, as in gpus{count={1, 2, 4, 8}}",
                0)
        end
    end
    list = table.move(list, 1, #list, 1, {})
    table.sort(list)
    return list
end

--- Every device times every count of it that a machine can hold, then the instances.
local function candidates(names, counts, instances)
    local list, about = {}, {}
    for _, name in ipairs(names) do
        local facts = core.device_facts(name)
        local one = facts.groups[1]
        if facts.memory and facts.memory > 0 then
            for _, n in ipairs(counts) do
                local label = n == 1 and name or n .. "x " .. name
                local most = one.per_machine or 128
                if (n == 1 or facts.n * n <= most) and not about[label] then
                    about[label] = { device = one.id or name, count = n, memory = facts.memory * n }
                    list[#list + 1] = label
                end
            end
        end
    end
    for _, i in ipairs(instances) do
        local facts = core.device_facts(i.label)
        local key = i.name
        about[key] = { device = facts.groups[1].id, count = facts.n, memory = facts.memory,
            instance = i }
        list[#list + 1] = key
    end
    return list, about
end

local function cheaper(a, b)
    if (a.price == nil) ~= (b.price == nil) then return a.price ~= nil end
    if a.price ~= b.price then return a.price < b.price end
    if a.memory ~= b.memory then return a.memory < b.memory end
    if a.count ~= b.count then return a.count < b.count end
    return a.devices < b.devices
end

--- gpus{model=, precision=, batch=, seq=, device="h100*", count={1, 2, 4, 8}, price={…}} -> devices
-- that do, cheapest first where prices are known, else by memory. The session's device is what is
-- asked for, so it is not used.
function M.gpus(opts)
    local o, own = ask.options("gpus", opts, { count = true, price = true, top = true })
    local model = ask.need("gpus", o, "model", "llama-3.1-8b")
    local precision = ask.one_precision("gpus", o)
    local each, instances = {}, {}
    local prices = own.price
    if prices == nil then prices = from_folder() end
    if prices ~= nil then each, instances = read_prices(prices) end
    local sweeps = require("oomph.sweep")
    local given = o.device
    local names = type(given) == "table" and #given == 0 and { given }
        or sweeps.names("device", given or "all")
    local labels, about = candidates(names, counts_of(own), given == nil and instances or {})
    local specs = {}
    for i, name in ipairs(labels) do
        specs[i] = about[name].instance and about[name].instance.label or name
    end
    local asked = ask.sweep(ask.with(o, { model = { model }, precision = { precision },
        device = specs,
        show = { "total", "available", "free", "fits" } }))
    local rows, done, tried, seen = {}, {}, 0, {}
    for i = 1, #asked do
        local row, a = asked[i], about[labels[i]]
        local key = a.instance and a.instance.name or a.device
        if not seen[key] then
            seen[key] = true
            tried = tried + 1
        end
        -- counts grow: the first that fits is the smallest
        if row.fits and not done[key] then
            done[key] = true
            rows[#rows + 1] = { devices = specs[i], device = a.device, count = a.count,
                memory = a.memory,
                instance = a.instance and a.instance.name,
                price = a.instance and a.instance.price or each[a.device]
                    and each[a.device] * a.count,
                total = row.total, available = row.available, free = row.free, seq = row.seq,
                    batch = row.batch }
        end
    end
    table.sort(rows, cheaper)
    local n = #rows
    if own.top then rows = table.move(rows, 1, math.min(own.top, n), 1, {}) end
    for _, row in ipairs(rows) do
        row.maxbatch = core.maxbatch(ask.with(o,
            { model = model, precision = precision, device = row.devices, seq = row.seq }))
    end
    local facts = core.model_facts(model)
    return ask.result("gpus", { model = facts.id, precision = precision == "stored"
        and ask.stored_name(facts) or precision,
        engine = ask.engine(o), batch = asked[1].batch, seq = asked[1].seq, rows = rows, n = n,
            of = tried,
        priced = prices ~= nil }, o)
end

local gpus = {}

local function grid(r, n)
    local headers = { "devices", { "memory", unit = "bytes", lesser = true },
        { "needs each", unit = "bytes", lesser = true },
        { "free each", unit = "bytes", round = "down" }, { "largest batch", unit = "count" } }
    if r.priced then table.insert(headers, 2, { "per hour", align = "right" }) end
    local rows = {}
    for i = 1, n do
        local row = r.rows[i]
        rows[i] = { (row.instance and row.instance .. " (" .. row.devices .. ")" or row.devices),
            row.memory, row.total,
            row.free, row.maxbatch }
        if r.priced then
            table.insert(rows[i], 2, row.price and ("%.2f"):format(row.price) or "")
        end
    end
    return headers, rows
end

function gpus.grid(r) return grid(r, #r.rows) end

function gpus.show(r)
    local head = "Devices for " .. r.model .. ", " .. r.precision .. ", " .. ask.load_words(r)
    if #r.rows == 0 then
        return head .. "\nnone of " .. units.group(r.of) .. " fits; advise() says what would help"
    end
    return head .. "\n" .. ask.layout_first(r, grid, SHOWN) .. "\n" .. r.n .. " of " .. r.of
        .. " devices, each in the smallest number that fits, "
        .. (r.priced and "cheapest first"
            or "by memory; price={[\"l4\"]=0.7} or prices.lua ranks by cost")
end

result.add_kind("gpus", gpus)

return M
