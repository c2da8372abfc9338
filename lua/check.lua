--- An engine's log against what is predicted for the same run: predicted, measured, error.
-- The parser (core.engine_log) gives facts, checklog.lua makes a run of them.
-- Options of the call stand above what the log says.
local ask = require("oomph.ask")
local core = require("oomph.core")
local checklog = require("oomph.checklog")
local result = require("oomph.result")
local units = require("oomph.units")

local M = {}

local learn

local LARGEST = 64 << 20    -- bytes of a log that are read: start-up comes first

-- the whole ---------------------------------------------------------------------------------------

local WORDS = { model = "model", device = "device", seq = "context length",
    precision = "format of the weights" }

local function text_of(log)
    if type(log) ~= "string" then
        error("check takes a log: its text, or the name of a file, as in check(\"server.log\")", 0)
    end
    if log:find("\n") or #log > 4096 then return log, nil end
    local file, why = nil, nil
    if io then file, why = io.open(log, "rb") end
    if not file and why and not log:find(" ") and log:find("[/.]") then
        error("cannot read " .. why, 0) -- one word with a slash or a dot is a file's name
    end
    if file then
        local text = file:read(LARGEST)
        file:close()
        if text then return text, log end
    end
    return log, nil
end

--- Whose log it is: who says most; PyTorch's message may end either of the others.
local function engine_of(facts)
    local n = {}
    for _, f in ipairs(facts) do n[f.engine] = (n[f.engine] or 0) + 1 end
    if (n.vllm or 0) > 0 and (n.vllm or 0) >= (n["llama.cpp"] or 0) then return "vllm" end
    if (n["llama.cpp"] or 0) > 1 then return "llama.cpp" end
    return n.torch and "torch" or n["llama.cpp"] and "llama.cpp" or "vllm"
end

local function of_engine(facts, engine)
    local kept = {}
    for _, f in ipairs(facts) do if f.engine == engine then kept[#kept + 1] = f end end
    return kept
end

local function missing(run, what) run.missing[#run.missing + 1] = what end

--- The options of the run: what the log says, and the call's above it.
local function settle(run, own, reader)
    local o = run.options
    for name, v in pairs(own) do o[name] = v end
    if own.device == nil then run.notes[#run.notes + 1] = run.device_note end
    if o.seq == nil and o.model ~= nil and run.default_context then
        o.seq = core.model_facts(o.model).context
        run.notes[#run.notes + 1] = o.seq
            and "context length: the model's own, which vLLM takes unless told" or nil
    end
    if own.engine == nil and o.engine:find("@") and not pcall(core.memory, { model = "gpt2",
        precision = "fp16",
            engine = o.engine }) then
        o.engine = o.engine:match("^[^@]*")
    end
    if o.model ~= nil and o.precision == nil then o.precision = run.precision_of(o.model) end
    for _, name in ipairs { "model", "device", table.unpack(reader.needs) } do
        if o[name] == nil then
            local said = name == "model" and run.model_name or name == "device" and run.device_name
            missing(run, WORDS[name] .. (said and " (the log says \"" .. said .. "\")" or "")
                .. ": say " .. name .. "=")
            run.only_format_unknown = run.ready and name == "precision"
            run.ready = false
        end
    end
end

local function rename(o)
    local named = ask.with(o, {})
    if named.model ~= nil then named.model = core.model_facts(named.model).id end
    if named.device ~= nil then named.device = core.device_facts(named.device).label end
    return named
end

-- learning ----------------------------------------------------------------------------------------

-- Parts that rules and fits predict; weights and caches are counted.
local UNCERTAIN = { activations = true, ["outside torch"] = true, graphs = true, compute = true }

--- What the run took beyond the prediction: {bytes, over} of all uncertain parts that were
-- measured.
local function residual(r)
    local off, n = 0, 0
    for _, x in ipairs(r.rows) do
        if UNCERTAIN[x.part:match("^compute") or x.part] and x.predicted and x.measured then
            off, n = off + x.measured - x.predicted, n + 1
        end
    end
    return off, n
end

--- What was learned before of this device and engine, out of the terms of the prediction.
local function learned_before(memory)
    for _, t in ipairs(core.terms(memory)) do
        if t.source:find("^learned from a log") then return t.bytes end
    end
    return 0
end

--- Keeps the residual in the user's presets, for every later prediction of this device and engine.
function learn(r)
    local there, host = pcall(require, "oomph.host")
    local dir = there and not host.sandbox and host.config_dir()
    if not dir then
        error("check: learn=true keeps a file, which needs the shell outside its sandbox", 0)
    end
    if not r.memory then error("check: nothing to learn without a prediction; " .. (r.missing[1]
        or ""), 0) end
    local engine = r.engine:match("^[^@]*")
    local groups = core.device_facts(r.device).groups
    if engine == "transformers" then
        error("check: an out-of-memory message does not say what the run would have taken: "
            .. "nothing to learn", 0)
    elseif #groups > 1 or not groups[1].id then
        error("check: learn=true takes a log of one kind of device, with a name", 0)
    end
    local off, n = residual(r)
    if n == 0 then
        error("check: no measured activations, compute or runtime in the log: nothing to learn", 0)
    end
    local before = learned_before(r.memory)
    -- vLLM's rows have what was learned before in them, llama.cpp's have not
    local bytes = math.max(0, off + (engine == "vllm" and before or 0))
    core.learn(dir .. "/presets/learned/overhead.json", groups[1].id, engine, bytes,
        r.model .. ", " .. r.precision)
    local size = function(b) return units.bytes(b, { units = core.session("units") }) end
    r.learned_bytes = bytes
    r.learned = bytes > 0
        and ("learned: %s more overhead for %s on %s, from now on"):format(size(bytes), engine,
            groups[1].id)
        or ("learned: nothing to add for %s on %s, the prediction was %s above"):format(engine,
            groups[1].id,
            size(-off))
end

--- check(log [, options]) -> {rows = {{part=, predicted=, measured=, error=, line=}, …}, missing=,
-- …}
function M.check(log, opts)
    local text, path = text_of(log)
    local own, mine = ask.options("check", opts, { learn = true })
    local facts, lines = core.engine_log(text)
    if #facts == 0 then
        local said = path or "the text"
        if not path and not log:find("\n") then
            said = ("there is no file %q, and as a text it"):format(log:sub(1, 40))
        end
        error("check: " .. said .. " has no line of vLLM's, llama.cpp's or PyTorch's in its "
            .. lines .. (lines == 1 and " line" or " lines"), 0)
    end
    local engine = engine_of(facts)
    local reader = checklog.readers[engine]
    facts = of_engine(facts, engine)
    local run = { rows = {}, missing = {}, notes = {}, options = {}, ready = true }
    reader.options(run, facts)
    settle(run, own, reader)
    local latest = checklog.since(facts, reader.start)
    local fine, problem = pcall(reader.rows, run, latest, run.options)
    if not fine and run.ready then
        run.ready, run.rows = false, {}
        missing(run, "a prediction: " .. ask.reason(problem))
        reader.rows(run, latest, run.options)
    elseif not fine then
        error(problem, 0)
    end
    local measured = 0
    for _, r in ipairs(run.rows) do if r.measured then measured = measured + 1 end end
    if measured == 0 then missing(run, "a measured size") end
    local named = rename(run.options)
    local r = ask.result("check", { rows = run.rows, missing = run.missing, notes = run.notes,
        engine = named.engine,
        version = run.version, model = named.model, precision = named.precision,
            device = named.device,
        settings = named, memory = run.memory, lines = lines })
    if mine.learn then learn(r) end
    return r
end

-- showing -----------------------------------------------------------------------------------------

local kind = {}

local function shown(v, unit)
    if v == nil then return "" end
    if unit == "count" then return units.group(v) end
    if unit == "ratio" then return ("%.2f"):format(v) end
    return units.bytes(v, { units = core.session("units") })
end

local function shown_error(r)
    if not r.error then return "" end
    if r.error == 0.0 then return "0" end
    local percent = r.error * 100
    return ("%+.1f"):format(percent):gsub("^[+-]0%.0$", "0.0")
end

function kind.grid(r)
    local rows = {}
    for i, x in ipairs(r.rows) do rows[i] = { x.part, x.predicted, x.measured, x.error, x.line } end
    return { "part", "predicted", "measured", "error", "line" }, rows
end

local function head(r)
    local text = { r.model or "a model" }
    text[#text + 1] = r.precision
    text[#text + 1] = r.engine
    if r.settings.seq then text[#text + 1] = "seq " .. units.ki(r.settings.seq) end
    if (r.settings.batch or 1) > 1 then text[#text + 1] = "batch " .. r.settings.batch end
    return "Log of " .. table.concat(text, ", ") .. (r.device and " on " .. r.device or "")
end

function kind.show(r)
    local rows = {}
    for i, x in ipairs(r.rows) do
        rows[i] = { x.part, shown(x.predicted, x.unit), shown(x.measured, x.unit), shown_error(x),
            x.line }
    end
    local out = { head(r) }
    if #rows > 0 then
        out[2] = ask.layout({ "part", { "predicted", align = "right" }, { "measured",
            align = "right" },
            { "error %", align = "right" }, { "line", align = "right" } }, rows)
    end
    for _, note in ipairs(r.notes) do out[#out + 1] = note end
    for _, what in ipairs(r.missing) do out[#out + 1] = "not found: " .. what end
    if r.learned then out[#out + 1] = r.learned end
    return table.concat(out, "\n")
end

result.add_kind("check", kind)

return M
