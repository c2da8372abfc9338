--- The command line that makes an engine do what a result was asked: flags(memory{…}).
-- Names as of llama-server of 2026 and vllm serve 0.19; what was not asked is left to the engine.
local core = require("oomph.core")

local M = {}

--- A word for a POSIX shell: bare where nothing in it is special, else in single quotes.
function M.quote(word)
    if word:find("^[%w%-%._/:=@%%+,]+$") then return word end
    return "'" .. word:gsub("'", "'\\''") .. "'"
end

local function line(words)
    local out = {}
    for i, w in ipairs(words) do out[i] = M.quote(tostring(w)) end
    return table.concat(out, " ")
end

local function add(words, ...)
    for _, w in ipairs { ... } do words[#words + 1] = w end
end

-- llama.cpp ---------------------------------------------------------------------------------------

local GGML = { fp16 = "f16", fp32 = "f32" }
local CACHES = { f16 = true, f32 = true, bf16 = true, q8_0 = true, q4_0 = true, q4_1 = true,
    iq4_nl = true, q5_0 = true, q5_1 = true }

local function ggml_cache(name)
    local type = GGML[name] or name
    if not CACHES[type] then error("flags: llama.cpp has no cache in " .. name, 0) end
    return type
end

--- The file of a model in a precision, as converters call it.
local function gguf_name(a)
    local base = (a.hf_id or a.model):match("[^/]*$")
    local format = a.format:gsub("^gguf:", "")
    if GGML[format] then format = GGML[format] end
    return base .. "-" .. format:upper() .. ".gguf"
end

local function llama(a)
    local words, note = { "llama-server" }, nil
    if a.is_gguf then
        add(words, "-m", a.spec or a.model)
    else
        local file = gguf_name(a)
        add(words, "-m", file)
        note = "# " .. file .. ": where yours lies; made from " .. (a.hf_id or a.model) .. ", in "
            .. a.format
    end
    local batch = a.batch or 1
    if a.seq then add(words, "-c", a.seq * batch) end
    add(words, "-np", batch)
    if a.n_batch then add(words, "-b", a.n_batch) end
    if a.chunk then add(words, "-ub", a.chunk) end
    add(words, "-ngl", a.gpu_layers or a.layers + 1)
    add(words, "-fa", a.attention == "flash" and "on" or "off")
    if a.kv_k then add(words, "-ctk", ggml_cache(a.kv_k)) end
    if a.kv_v then add(words, "-ctv", ggml_cache(a.kv_v)) end
    if a.unified then add(words, "--kv-unified") end
    if a.swa_full then add(words, "--swa-full") end
    if a.kv_offload == false then add(words, "--no-kv-offload") end
    if a.cpu_moe == true then
        add(words, "--cpu-moe")
    elseif a.cpu_moe then
        add(words, "--n-cpu-moe", a.cpu_moe)
    end
    if a.tensor_split then add(words, "-ts", a.tensor_split) end
    return words, note
end

-- vLLM --------------------------------------------------------------------------------------------

-- What vLLM does by itself to a checkpoint of 16 bits; the others need a checkpoint made so.
local AT_RUN_TIME = { ["fp8-channel"] = "fp8", ["fp8-tensor"] = "fp8",
    ["bnb-int8"] = "bitsandbytes",
    nf4 = "bitsandbytes" }
local IN_CHECKPOINT = { awq = "awq", mxfp4 = "mxfp4" }

local function precision(a, words)
    local format = a.precision
    if not format or format == "stored" or format == "fp16" or format == "bf16" then return nil end
    if format == "fp32" then
        add(words, "--dtype", "float32")
        return nil
    end
    if AT_RUN_TIME[format] then
        add(words, "--quantization", AT_RUN_TIME[format])
        return nil
    end
    local method = IN_CHECKPOINT[format] or format:match("^gptq") and "gptq"
    if method then add(words, "--quantization", method) end
    return "# in place of " .. (a.hf_id or a.model) .. ": a checkpoint of it in " .. format
end

local function cache_type(a, words)
    for _, name in ipairs { a.kv_k or false, a.kv_v or false } do
        if name and name ~= "fp16" and name ~= "bf16" and name ~= "fp8" then
            error("flags: vllm has no cache in " .. name .. ", but in auto and fp8", 0)
        end
    end
    if a.kv_k == "fp8" or a.kv_v == "fp8" then add(words, "--kv-cache-dtype", "fp8") end
end

local function vllm(a)
    local words = { "vllm", "serve", a.from_file and a.spec or a.hf_id or a.spec or a.model }
    local dp, pp = a.dp or 1, a.pp or 1
    local tp = a.tp or math.max(1, (a.devices or 1) // (dp * pp))
    if tp > 1 then add(words, "--tensor-parallel-size", tp) end
    if pp > 1 then add(words, "--pipeline-parallel-size", pp) end
    if dp > 1 then add(words, "--data-parallel-size", dp) end
    if (a.ep or 1) > 1 then add(words, "--enable-expert-parallel") end
    if a.seq then add(words, "--max-model-len", a.seq) end
    if a.max_seqs then add(words, "--max-num-seqs", a.max_seqs) end
    -- 0.90 until 0.21, 0.92 from about 0.22: said, so that another release does the same
    add(words, "--gpu-memory-utilization", ("%.4g"):format(a.utilization or 0.9))
    cache_type(a, words)
    local note = precision(a, words)
    if a.chunk then add(words, "--max-num-batched-tokens", a.chunk) end
    if a.block_size then add(words, "--block-size", a.block_size) end
    if a.eager then add(words, "--enforce-eager") end
    if a.prefix_caching ~= nil then
        add(words, a.prefix_caching and "--enable-prefix-caching" or "--no-enable-prefix-caching")
    end
    return words, note
end

local engines = { ["llama.cpp"] = llama, vllm = vllm }

--- flags(result) -> text; a table of options is taken as memory{…} of them.
function M.flags(result)
    if type(result) == "table" and not core.is_result(result) then
        result = rawget(result, "kind") == "maxlayers" and result.memory or core.memory(result)
    end
    if type(result) == "table" and rawget(result, "rows") then result = result.rows[1] end
    local asked = type(result) == "table" and core.asked_of(result)
    if not asked then
        error("flags takes a result, as in flags(memory{engine=\"vllm\", …}); "
            .. "maxbatch{} of one precision is a number", 0)
    end
    local make = engines[asked.engine]
    if not make then
        error("flags: " .. asked.engine .. " has no command line; llama.cpp and vllm have one: "
            .. "flags(memory{engine=\"llama.cpp\"})", 0)
    end
    local words, note = make(asked)
    return line(words) .. (note and "\n" .. note or "")
end

return M
