-- The catalogue as one question, a million rows as CSV: seconds, and the memory they took.

local function say(what, figure, target)
    print(("%-58s %14s   target %s"):format(what, figure, target))
end

--- Wall seconds from the clock of the machine; os.time counts whole ones only.
local function wall()
    local file = io.open("/proc/uptime")
    if not file then return os.clock() end
    local seconds = file:read("n")
    file:close()
    return seconds
end

local function peak_mib()
    local file = io.open("/proc/self/status")
    if not file then return nil end
    local text = file:read("a")
    file:close()
    return tonumber(text:match("VmHWM:%s+(%d+) kB")) // 1024
end

local twelve = { "fp32", "fp16", "int8", "int4", "q8_0", "q6_k", "q4_k_m", "awq", "gptq-4bit-128g",
    "nf4", "fp8-block", "bnb-int8" }
local started, cpu = wall(), os.clock()
local all = sweep { model = "all", device = "all", precision = twelve,
    seq = powers(512, 512 << 15), batch = range(1, 16) }
local best = #all:where { fits = true }:group("device"):best("params")
local points = #models().rows * 12 * 16 * 16 / 1e6 * best
say(("catalogue, %.0f M points filtered and grouped"):format(points),
    ("%.2f s"):format(wall() - started), "<= 2.5 s")
say("the same, CPU seconds", ("%.2f s"):format(os.clock() - cpu), "none")
say("the same, memory at its peak", (peak_mib() or "?") .. " MiB", "<= 256 MiB")

-- Every context is new to llama.cpp once: 16 x 16 of each model, on every device and in 12 formats.
local ggml = { "q4_k_m", "q8_0", "q5_k_m", "q6_k", "q4_k_s", "q3_k_m", "iq4_xs", "fp16", "q5_k_s",
    "q4_0", "q2_k", "bf16" }
cpu = os.clock()
points = sweep { model = "all", device = "all", precision = ggml, engine = "llama.cpp",
    seq = powers(512, 512 << 15), batch = range(1, 16) }:where { total = { min = 1 } }:count() / 1e6
say(("catalogue under llama.cpp, %.0f M points that can be"):format(points),
    ("%.0f M/s"):format(points / (os.clock() - cpu)), ">= 20 of a core")

local path = os.tmpname()
local rows = sweep { model = "llama-3.1-8b", device = { "rtx-4090", "h100-sxm" },
    precision = { "fp16", "int4" }, seq = range(1, 500), batch = range(1, 500) }
local n = #rows
started, cpu = wall(), os.clock()
rows:csv(path)
say((":csv of %d rows"):format(n), ("%.2f s"):format(wall() - started), "<= 1 s")
say("the same, CPU seconds", ("%.2f s"):format(os.clock() - cpu), "none")
started = wall()
sweep { model = "llama-3.1-8b", device = { "rtx-4090", "h100-sxm" }, precision = { "fp16", "int4" },
    seq = range(1, 500), batch = range(1, 500), to = path }
say("a million rows evaluated and streamed to CSV", ("%.2f s"):format(wall() - started), "none")
os.remove(path)
