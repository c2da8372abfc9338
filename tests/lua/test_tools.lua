-- Logs, command lines and layers: what real logs say against what is predicted, what the flags are
-- for, and that the layers are the most that fit.

local GIB, MIB = 1 << 30, 1 << 20

local function find(r, part)
    for _, row in ipairs(r.rows) do if row.part == part then return row end end
    error("no row " .. part .. " in\n" .. tostring(r), 2)
end

local function with(t, more)
    local all = {}
    for k, v in pairs(t) do all[k] = v end
    for k, v in pairs(more or {}) do all[k] = v end
    return all
end

-- check -------------------------------------------------------------------------------------------

test("a llama.cpp log gives model, device and settings, and its buffers are as predicted",
    function()
    local r = check("tests/logs/llamacpp-llama-3.1-8b.log")
    equal(r.model, "llama-3.1-8b")
    equal(r.device, "rtx-4090")
    equal(r.precision, "q4_k_m")
    equal(r.settings.batch, 4)
    equal(r.settings.seq, 2048)
    equal(r.settings.chunk, 512)
    equal(r.settings.attention, "eager")
    equal(#r.missing, 0)
    -- what is printed with two decimals is met to those decimals
    for _, part in ipairs { "weights", "host weights", "kv" } do
        equal(find(r, part).error, 0.0, part)
    end
    equal(find(r, "weights").measured, math.floor(4403.49 * MIB + 0.5))
    equal(find(r, "weights").line, 17)
    equal(find(r, "kv").predicted, 1024 * MIB)
    assert(math.abs(find(r, "compute").error) < 0.05)
end)

test("two caches of one device are one row", function()
    local r = check("tests/logs/llamacpp-gpt-oss-20b.log", { device = "m4-max-64gb" })
    equal(r.precision, "mxfp4_moe")
    equal(find(r, "kv").measured, (3072 + 54) * MIB)
    equal(find(r, "kv").error, 0.0)
    equal(find(r, "host weights").error, 0.0)
    assert(tostring(r):find("Metal_Mapped is a span of the file", 1, true))
end)

local function all_are_exact(r)
    for _, x in ipairs(r.rows) do equal(x.error, 0.0, x.part) end
end

test("a log of several devices is dealt by what each had free, in the order of the log", function()
    local r = check("tests/logs/llamacpp-three-devices.log")
    equal(r.device, "1x rtx-4090 + 1x rtx-3060-12gb + 1x rtx-4090")
    equal(r.settings.tensor_split, "23318,11400,23818")
    equal(find(r, "kv CUDA1").measured, 832 * MIB)
    equal(#r.rows, 11)
    all_are_exact(r)
end)

test("a command line's --tensor-split stands above what was free", function()
    local r = check("tests/logs/llamacpp-tensor-split.log")
    equal(r.settings.tensor_split, "3,1")
    equal(find(r, "kv CUDA0").measured, 800 * MIB) -- 25 of 32 layers
    equal(#r.rows, 8)
    all_are_exact(r)
    local file = assert(io.open("tests/logs/llamacpp-tensor-split.log"))
    local text = file:read("a")
    file:close()
    all_are_exact(check((text:gsub("%-%-tensor%-split 3,1", "-ts 3/1"))))
    local untold = check((text:gsub("%-%-tensor%-split 3,1", "")))
    assert(find(untold, "kv CUDA0").error < -0.3)
    assert(tostring(untold):find("say tensor_split=", 1, true))
    all_are_exact(check((text:gsub("%-%-tensor%-split 3,1", "")), { tensor_split = "3,1" }))
end)

test("matrices cut over devices are measured, not predicted", function()
    local file = assert(io.open("tests/logs/llamacpp-tensor-split.log"))
    local text = file:read("a"):gsub("%-%-tensor%-split 3,1", "-sm row")
    file:close()
    local r = check(text)
    equal(find(r, "weights CUDA0").predicted, nil)
    equal(find(r, "kv CUDA0").measured, 800 * MIB)
    assert(r.missing[1]:find("split mode row", 1, true), r.missing[1])
end)

test("what a log does not say is said, and asked for", function()
    local r = check("tests/logs/llamacpp-gpt-oss-20b.log")
    equal(#r.missing, 1)
    assert(r.missing[1]:find("device", 1, true))
    equal(find(r, "kv").predicted, nil)
    equal(find(r, "kv").measured, 3126 * MIB)
    assert(tostring(r):find("not found: device", 1, true))
end)

test("a vLLM log is predicted once the model is said", function()
    local r = check("tests/logs/vllm-gemma-3-27b.log", { model = "gemma-3-27b",
        device = "h100-sxm" })
    equal(r.settings.utilization, 0.95)
    equal(r.settings.seq, 8192)
    equal(find(r, "tokens").measured, 36560)
    near(find(r, "weights").measured, 51.45 * GIB, 1)
    for _, part in ipairs { "weights", "cache pool", "tokens", "concurrency" } do
        assert(math.abs(find(r, part).error) < 0.03, part .. " is off by " .. find(r, part).error)
    end
end)

test("the version of its attention tells one device of 79 GiB from another", function()
    local file = assert(io.open("tests/logs/vllm-llama-3.1-8b-debug.log"))
    local text = file:read("a")
    file:close()
    local r = check(text)
    equal(r.device, "h100-sxm")
    equal(r.settings.kv, "fp8")
    for _, part in ipairs { "weights", "activations", "outside torch", "cache pool", "tokens" } do
        assert(math.abs(find(r, part).error) < 0.006, part .. " is off by " .. find(r, part).error)
    end
    equal(check((text:gsub("FlashAttention version 3", ""))).device, "a100-pcie-80gb")
end)

test("the wording of a log tells a version that it does not say", function()
    local function engine(line) -- lines of starts in tests/truth/vllm.json
        return check("Starting to load model Qwen/Qwen3-8B...\n" .. line).engine
    end
    equal(engine("INFO worker.py: # CUDA blocks: 5519, # CPU blocks: 9362"), "vllm@0.7")
    equal(engine("INFO Model loading took 7.1217 GB and 3.6 seconds"), "vllm@0.8")
    equal(engine("INFO Model loading took 15.2683 GiB and 3.617503 seconds"), "vllm@0.11")
    equal(engine("(EngineCore_DP0 pid=10479) INFO [gpu_model_runner.py:4130] Model loading took "
        .. "14.99 GiB memory and 6.720924 seconds"), "vllm@0.15")
    equal(engine("(EngineCore pid=241) INFO Model loading took 14.99 GiB memory and 6.9 seconds"),
        "vllm@0.19")
    equal(engine("CUDA graph memory profiling is enabled (default since v0.21.0)."), "vllm@0.21")
end)

test("vLLM's logo and its name of a format are read", function()
    local r = check(" ▄▄ ▄█ █     █     █ ▀▄▀ █  version 0.18.0\nnon-default args: {'model': "
        .. "'meta-llama/Llama-3.1-405B-Instruct-FP8', 'tensor_parallel_size': 8, 'quantization': "
        .. "'fbgemm_fp8', 'max_model_len': 8192}\nModel loading took 56.75 GiB memory and 60.5 "
        .. "seconds\n", { device = "h100-sxm" })
    equal(r.engine, "vllm@0.18")
    equal(r.precision, "fp8-mlp")
    assert(math.abs(find(r, "weights").error) < 0.001, find(r, "weights").error)
end)

test("the name of a kernel's configuration tells the device", function()
    local r = check("vLLM API server version 0.10.2\nvllm serve Qwen/Qwen3-30B-A3B "
        .. "--max-model-len 32768\nUsing configuration from fused_moe/configs/"
        .. "E=128,N=192,device_name=NVIDIA_GeForce_RTX_3090.json for MoE layer.\n"
        .. "Model loading took 14.7708 GiB and 25.5 seconds\n")
    equal(r.device, "rtx-3090")
end)

test("a checkpoint's path is taken for the model it is of", function()
    local r = check("tests/logs/vllm-qwen3.6-27b-args.log")
    assert(r.model:find("27b", 1, true))
    equal(r.settings.tp, 2)
    equal(r.settings.max_seqs, 2)
    equal(r.settings.kv, "fp8")
    equal(r.settings.prefix_caching, true)
    equal(r.settings.seq, 262144)
end)

test("options of the call stand above the log", function()
    local r = check("tests/logs/llamacpp-llama-3.1-8b.log", { precision = "q8_0", seq = 4096 })
    equal(r.precision, "q8_0")
    equal(r.settings.seq, 4096)
    equal(find(r, "kv").predicted, 2048 * MIB)
    equal(find(r, "kv").error, 1.0)
end)

test("PyTorch's message says how much was held and asked for", function()
    local r = check("tests/logs/torch-a100.log", { model = "llama-2-13b" })
    equal(r.device, "a100-pcie-40gb")
    near(find(r, "held and asked for").measured, (31.66 + 3.15) * GIB, 2)
    equal(find(r, "reserved, not used").predicted, nil)
    assert(find(r, "held and asked for").predicted > 24 * GIB) -- 13.0 B parameters x 2 B
end)

test("PyTorch's message names the maker of the device, in every back end's words", function()
    local old = "RuntimeError: CUDA out of memory. Tried to allocate 20.00 MiB (GPU 0; 23.69 GiB "
        .. "total capacity; 21.79 GiB already allocated; 7.50 MiB free; 22.00 GiB reserved in total"
    local hip = "torch.OutOfMemoryError: HIP out of memory. Tried to allocate 224.00 MiB. GPU 0 has "
        .. "a total capacity of 23.98 GiB of which 62.00 MiB is free. Of the allocated memory "
        .. "23.41 GiB is allocated by PyTorch, and 103.82 MiB is reserved by PyTorch but unallocated."
    local mps = "RuntimeError: MPS backend out of memory (MPS allocated: 17.95 GiB, other "
        .. "allocations: 1.20 GiB, max allowed: 18.13 GiB). Tried to allocate 32.00 MB on private "
        .. "pool."
    local with_model = { model = "llama-2-7b" }
    equal(check("\n" .. old, with_model).device, "rtx-3090") -- as drivers until 2023 count it
    equal(check("\n" .. hip, with_model).device, "rx-7900-xtx")
    local r = check("\n" .. mps, { model = "llama-2-7b", device = "m1-16gb" })
    near(find(r, "total").measured, 10.66 * GIB, 0.01 * GIB) -- two thirds of 16 GiB
    near(find(r, "held and asked for").measured, 17.95 * GIB + 32e6, 2)
end)

test("a log is pasted as well as opened", function()
    local file = assert(io.open("tests/logs/llamacpp-llama-3.1-8b.log"))
    local text = file:read("a")
    file:close()
    equal(tostring(check(text)), tostring(check("tests/logs/llamacpp-llama-3.1-8b.log")))
    -- with colours and a prefix, as containers and terminals show them
    local dressed = text:gsub("[^\n]+", "2025-12-01T20:28:54Z worker | \27[32m%0\27[0m")
    equal(find(check(dressed), "weights").error, 0.0)
    equal(find(check((text:gsub("\n", "\r\n"))), "kv").error, 0.0)
end)

test("a log names its format as llama.cpp does", function()
    local file = assert(io.open("tests/logs/llamacpp-llama-3.1-8b.log"))
    local text = file:read("a")
    file:close()
    -- llama_model_ftype_name, llama-model-loader.cpp
    for said, meant in pairs { ["IQ3_S mix - 3.66 bpw"] = "iq3_m", ["IQ2_XS - 2.3125 bpw"] = "iq2_xs",
        ["TQ1_0 - 1.69 bpw ternary"] = "tq1_0", ["Q3_K - Large"] = "q3_k_l", Q6_K = "q6_k",
        ["(guessed) Q2_K - Small"] = "q2_k_s",
        ["Q5_K - Medium (guessed)"] = "q5_k_m", ["all F32"] = "fp32", Q8_0 = "q8_0" } do
        equal(check((text:gsub("Q4_K %- Medium", said))).precision, meant)
    end
end)

test("caches are predicted where the format of the weights is not known", function()
    local file = assert(io.open("tests/logs/llamacpp-llama-3.1-8b.log"))
    local text = file:read("a"):gsub("Q4_K %- Medium", "IQ4_K - 4.5 bpw") -- another engine's own
    file:close()
    local r = check(text)
    equal(find(r, "weights").predicted, nil)
    equal(find(r, "kv").error, 0.0)
    assert(math.abs(find(r, "compute").error) < 0.05)
    assert(r.missing[1]:find("precision", 1, true), r.missing[1])
end)

test("what is no log is refused in one line", function()
    raises(function() check("nothing\nof the kind") end, "check: the text has no line of vLLM's")
    raises(function() check("nofile") end,
        "check: there is no file \"nofile\", and as a text it has no line of vLLM's")
    raises(function() check(7) end, "check takes a log")
    raises(function() check("Model loading took 1 GiB", { modell = "x" }) end,
        "no option \"modell\"")
end)

test("a result of check is a table as others are", function()
    local r = check("tests/logs/llamacpp-llama-3.1-8b.log")
    local head = r:csv():match("^[^\n]*")
    equal(head, "part,predicted,measured,error,line")
    assert(json(r):find('"missing":', 1, true))
end)

-- flags -------------------------------------------------------------------------------------------

local llama = { model = "llama-3.1-8b", device = "rtx-4090", precision = "q4_k_m",
    engine = "llama.cpp", seq = 8192 }

local function first(text) return text:match("^[^\n]*") end

test("flags of llama.cpp are what was asked", function()
    equal(first(flags(memory(llama))),
        "llama-server -m Llama-3.1-8B-Q4_K_M.gguf -c 8192 -np 1 -ngl 33 -fa on")
    equal(first(flags(memory(with(llama, { batch = 4, kv = { k = "q8_0", v = "fp16" },
        chunk = 1024, n_batch = 4096,
        gpu_layers = 20, unified = true, flash = true })))),
        "llama-server -m Llama-3.1-8B-Q4_K_M.gguf -c 32768 -np 4 -b 4096 -ub 1024 -ngl 20 -fa on -ctk q8_0 -ctv f16 "
        .. "--kv-unified")
    equal(first(flags(memory(with(llama, { model = "gpt-oss-20b", precision = "mxfp4_moe",
        cpu_moe = 7,
        swa_full = true, kv_offload = false, flash = false })))),
        "llama-server -m gpt-oss-20b-MXFP4_MOE.gguf -c 8192 -np 1 -ngl 25 -fa off --swa-full --no-kv-offload "
        .. "--n-cpu-moe 7")
end)

test("flags of vLLM are what was asked", function()
    equal(flags(memory { model = "llama-3.1-8b", device = "2x h100-sxm", precision = "bf16",
        engine = "vllm",
        seq = 16384, kv = "fp8", chunk = 4096, max_seqs = 64, eager = true, utilization = 0.85,
            block_size = 32,
        prefix_caching = false }),
        "vllm serve meta-llama/Llama-3.1-8B --tensor-parallel-size 2 --max-model-len 16384 --max-num-seqs 64 "
        .. "--gpu-memory-utilization 0.85 --kv-cache-dtype fp8 --max-num-batched-tokens 4096 --block-size 32 "
        .. "--enforce-eager --no-enable-prefix-caching")
    local text = flags(memory { model = "mixtral-8x7b", device = "4x h100-sxm", precision = "awq",
        engine = "vllm",
        seq = 8192, tp = 2, pp = 2, ep = 2 })
    assert(text:find("--tensor-parallel-size 2 --pipeline-parallel-size 2 --enable-expert-parallel", 1, true))
    assert(text:find("--quantization awq", 1, true))
    assert(text:find("\n# in place of", 1, true))
end)

test("words that a shell would read otherwise are quoted", function()
    local quote = require("oomph.flags").quote
    equal(quote("a b"), "'a b'")
    equal(quote("it's"), "'it'\\''s'")
    equal(quote("$(rm -rf x)"), "'$(rm -rf x)'")
    equal(quote("models/a-1.5_b.gguf"), "models/a-1.5_b.gguf")
    equal(quote(""), "''")
end)

test("engines without a command line say which have one", function()
    raises(function() flags(memory { model = "llama-3.1-8b", precision = "fp16" }) end,
        "llama.cpp and vllm have one")
    raises(function() flags(17) end, "flags takes a result")
    raises(function() flags(memory { model = "llama-3.1-8b", precision = "bf16", engine = "vllm",
        kv = "q8_0" }) end,
        "")
end)

-- maxlayers ---------------------------------------------------------------------------------------

local function fits(o, layers, moe)
    return memory(with(o, { engine = "llama.cpp", gpu_layers = layers, cpu_moe = moe })).fits
end

test("the layers are the most that fit", function()
    for _, device in ipairs { "rtx-4090", "rtx-3060-12gb", "rtx-5090" } do
        local o = { model = "llama-3.3-70b", device = device, precision = "q4_k_m", seq = 8192 }
        local r = maxlayers(o)
        equal(r.layers, 80)
        equal(r.cpu_moe, 0)
        assert(r.gpu_layers > 0 and r.gpu_layers < 81, device)
        equal(fits(o, r.gpu_layers), true)
        equal(fits(o, r.gpu_layers + 1), false)
        assert(r.host.total > 0)
    end
end)

test("what fits whole keeps every layer and the output", function()
    local r = maxlayers { model = "llama-3.1-8b", device = "rtx-4090", precision = "q4_k_m",
        seq = 8192 }
    equal(r.gpu_layers, 33)
    assert(tostring(r):find("all 32 layers and the output", 1, true))
end)

test("a mixture moves the experts of as few layers as need be", function()
    local o = { model = "gpt-oss-120b", device = "rtx-4090", precision = "mxfp4_moe", seq = 8192 }
    local r = maxlayers(o)
    equal(r.gpu_layers, 37)
    assert(r.cpu_moe > 0 and r.cpu_moe < 36)
    equal(fits(o, 37, r.cpu_moe), true)
    equal(fits(o, 37, r.cpu_moe - 1), false)
    assert(flags(r):find("-ngl 37 .*--n%-cpu%-moe " .. r.cpu_moe))
end)

test("nothing fits is zero layers, and said", function()
    local r = maxlayers { model = "llama-3.3-70b", device = "256MiB", precision = "q4_k_m",
        seq = 8192 }
    equal(r.gpu_layers, 0)
    equal(r.fits, false)
    assert(tostring(r):find("nothing fits", 1, true))
    raises(function() maxlayers { model = "llama-3.1-8b", device = "rtx-4090",
        engine = "vllm" } end,
        "llama.cpp alone")
end)

-- explain -----------------------------------------------------------------------------------------

test("explain says where what is available comes from", function()
    local text = explain(memory { model = "llama-3.1-8b", device = "h100-sxm", precision = "fp16",
        engine = "vllm",
        seq = 8192, reserve = "1GiB" })
    -- 0.9 of the 79.11 GiB that processes see, less one
    local usable = devices("h100-sxm").rows[1].usable
    assert(text:find(("0.9 x %d B - %d B"):format(usable, GIB), 1, true), text)
    assert(text:find("what a process can get of it", 1, true))
end)

test("the pool is explained as what the budget leaves", function()
    local c = capacity { model = "llama-3.1-8b", device = "rtx-4090", precision = "fp16",
        engine = "vllm", seq = 8192 }
    equal(c.kv_bytes, c.available - c.weights - c.activations - c.overhead)
    local text = explain(c)
    assert(text:find("available - weights - activations - overhead", 1, true))
    assert(not text:find("requests x blocks", 1, true))
end)

test("a solved number is explained by the one after it", function()
    local r = maxbatch { model = "llama-3.1-8b", device = "rtx-4090", precision = { "fp16",
        "awq" }, seq = 8192,
        kv = "fp8" }
    local text = explain(r)
    for _, row in ipairs(r.rows) do
        assert(text:find(("batch %d: [%%d.]+ GiB of [%%d.]+ GiB available, fits"):format(row.batch)), text)
        assert(text:find(("batch %d: [%%d.]+ GiB of [%%d.]+ GiB available, does not fit"):format(row.batch + 1)), text)
    end
end)

test("weights are explained tensor by tensor", function()
    local text = explain(footprint { model = "llama-3.1-8b", device = "rtx-4090",
        precision = "q4_k_m" })
    -- ffn_gate: 32 x 14336 x 4096 elements in q4_K, 144 bytes for 256
    assert(text:find("ffn_gate: 32 of 1 879 048 192 elements in all, 4.50 bits each  =  1 056 964 608 bytes", 1, true),
        text)
    raises(function() explain(models("llama-3.1-8b")) end, "has no terms")
    raises(function() explain(7) end, "explain takes a result")
end)

test("devices that hold different parts are listed one by one", function()
    local mixed = tostring(memory { model = "llama-3.1-70b", device = "1x rtx-4090 + 2x rtx-3090",
        precision = "q4_k_m",
        engine = "llama.cpp", seq = 8192 })
    assert(mixed:find("device  weights GiB", 1, true), mixed)
    local same = tostring(memory { model = "llama-3.1-70b", device = "4x rtx-4090",
        precision = "awq", engine = "vllm",
        seq = 8192 })
    assert(same:find("the same on each of 4 devices", 1, true), same)
end)
