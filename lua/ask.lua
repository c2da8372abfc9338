--- What the reverse questions (fit, gpus, quant, advise, compare) share: options of their own
-- beside the session's, results of their own kind, and the formats each engine is usually run in.
local core = require("oomph.core")
local result = require("oomph.result")

local M = {}

local meta = { __tostring = result.show, __index = result.index, __methods = result.methods }

--- A result of a kind that result.add_kind knows, in the units its call asked for.
function M.result(kind, fields, opts)
    fields.kind, fields.units = kind, opts and opts.units
    return setmetatable(fields, meta)
end

--- Options of a call: those of every call (checked), and those in `own`, which is a set of names.
function M.options(call, opts, own)
    if opts == nil then opts = {} end
    if type(opts) ~= "table" then
        error(call .. " takes named options, as in " .. call .. "{batch=4}", 0)
    end
    local common, mine = {}, {}
    for name, v in pairs(opts) do
        if type(name) ~= "string" then
            error(call .. ": options are named, as in " .. call .. "{batch=4}", 0)
        end
        if own[name] then
            mine[name] = v
        else
            core.check_option(call, name)
            common[name] = v
        end
    end
    return common, mine
end

--- An option as the call sees it: given, or the session's.
function M.value(opts, name)
    if opts[name] ~= nil then return opts[name] end
    return core.session(name)
end

--- A copy of options with others over them.
function M.with(opts, more)
    local all = {}
    for k, v in pairs(opts) do all[k] = v end
    for k, v in pairs(more) do all[k] = v end
    return all
end

function M.need(call, opts, name, example)
    local v = M.value(opts, name)
    if v == nil then
        error(call .. ": no " .. name .. " is set; try " .. name .. " = \"" .. example .. "\"", 0)
    end
    return v
end

-- What people run each engine with, widest first. A pure 4 bits is the bound no file quite reaches.
local LADDERS = {
    ["llama.cpp"] = { "bf16", "q8_0", "q6_k", "q5_k_m", "q4_k_m", "q3_k_m", "q2_k" },
    vllm = { "bf16", "fp8-channel", "awq" },
    transformers = { "bf16", "bnb-int8", "nf4" },
}
local GENERIC = { "fp16", "int8", "awq", "int4" }

--- The name of the engine without its version.
function M.engine(opts)
    local engine = M.value(opts, "engine") or "generic"
    if type(engine) ~= "string" then
        error("engine is a list; this question takes one engine", 0)
    end
    return engine:match("^[^@]*")
end

--- Formats to try, widest first: those given, or the engine's usual ones.
function M.ladder(opts)
    local given = opts.precision
    if type(given) == "string" then return { given } end
    if type(given) == "table" and #given > 0 then return given end
    return LADDERS[M.engine(opts)] or GENERIC
end

--- Whether a model is published packed (or read from a file): then what it stores is the widest
-- there is.
function M.packed(facts)
    local stored = facts.stored
    return facts.from_file or stored ~= nil and stored ~= "fp32" and stored ~= "fp16"
        and stored ~= "bf16"
end

--- "stored" by what it is.
function M.stored_name(facts) return facts.stored or "stored" end

--- One precision for a call that compares whole runs: given, the session's, or what the model
-- stores.
function M.one_precision(call, opts)
    local p = M.value(opts, "precision")
    if p == nil then return "stored" end
    if type(p) == "table" then
        if #p ~= 1 then
            error(call .. " takes one precision, not a list; " .. call .. "{precision=\""
                .. tostring(p[1]) .. "\"}", 0)
        end
        return p[1]
    end
    return p
end

--- A sweep that is part of an answer: Ctrl-C stops the question, since half of it is no answer.
function M.sweep(opts)
    local asked = require("oomph.sweep").sweep(opts)
    require("oomph.rows").state(asked).whole = true
    return asked
end

--- The message of an error raised on purpose.
function M.reason(problem) return (tostring(problem):gsub("^[%w]+: ", "", 1)) end

--- How a model or device given as text or table is called.
function M.model_name(spec) return core.model_facts(spec).id end
function M.device_name(spec) return spec ~= nil and core.device_facts(spec).label or nil end

--- "generic, batch 1, seq 8Ki" for the first line of an answer.
function M.load_words(r)
    local units = require("oomph.units")
    local text = r.engine .. ", batch " .. units.group(r.batch)
    if r.seq then
        text = text .. ", seq " .. units.ki(r.seq)
    end
    return text
end

M.layout, M.layout_first = result.layout, result.layout_first

return M
