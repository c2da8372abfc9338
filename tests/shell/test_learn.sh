#!/bin/sh
# What a log taught is kept in the user's folder and heeded from then on, and only there.
. tests/shell/tap.sh
log=$TREE/tests/logs/vllm-gemma-3-27b.log kept=$HOME/.config/oomph/presets/learned/overhead.json
export log kept
ask='local m = memory{model="gemma-3-27b", device="h100-sxm", engine="vllm", precision="bf16", seq=8192} print(m.overhead, (explain(m):find("learned from a log", 1, true)) ~= nil)'
export ask
is "without a log nothing is learned" 0 "268435456	false" "" "$oomph" -e "$ask"
is "a log is learned from and says by how much" 0 "*learned: 1?.?? MiB more overhead for vllm on h100-sxm, from now on" "" \
    "$oomph" -e 'print(check(os.getenv("log"), {model="gemma-3-27b", device="h100-sxm", learn=true}))'
holds "it is a file of the user's" test -s "$kept"
is "the next session adds it and explains it" 0 "27???????	true" "" "$oomph" -e "$ask"
is "the session that learns heeds it at once" 0 "true" "" sh -c 'rm "$kept"; "$oomph" -e "
    device = \"h100-sxm\"
    local o = {model=\"gemma-3-27b\", engine=\"vllm\", precision=\"bf16\", seq=8192}
    local before = memory(o).overhead
    local r = check(os.getenv(\"log\"), {model=\"gemma-3-27b\", device=\"h100-sxm\", learn=true})
    print(r.learned_bytes > 0 and memory(o).overhead == before + r.learned_bytes)"'
is "learning the same again changes nothing" 0 "true" "" "$oomph" -e '
    local function learnt() return check(os.getenv("log"), {model="gemma-3-27b", device="h100-sxm", learn=true}).learned_bytes end
    print(learnt() == learnt())'
is "a sweep adds it, too" 0 "true" "" "$oomph" -e '
    local o = {model="gemma-3-27b", device={"h100-sxm", "a100-sxm-80gb"}, engine="vllm", precision="bf16", seq=8192, show={"total"}}
    local rows, same = sweep(o), true
    for i = 1, 2 do
        same = same and rows[i].total == memory{model="gemma-3-27b", device=rows[i].device, engine="vllm", precision="bf16", seq=8192}.total
    end
    print(same)'
is "the sandbox keeps no file" 1 "" "error: check: learn=true keeps a file, which needs the shell outside its sandbox" "$oomph" --sandbox -e \
    'check("Model loading took 1 GiB\n", {model="gpt2", device="h100-sxm", learn=true})'
is "a broken file is said by name" 1 "" "error: *overhead.json*" sh -c 'echo "{" >"$kept"; "$oomph" -e "print(memory{model=\"gpt2\", device=\"h100-sxm\", precision=\"fp16\"}.total)"'
finish
