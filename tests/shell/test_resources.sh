#!/bin/sh
# What a system can run out of: file descriptors, memory, disk, a reader, a terminal. Each is an
# error in one line and a status, never a crash and never half a file.
. tests/shell/tap.sh
export A='model="llama-3.1-8b", device="rtx-4090"'

# ---- descriptors ----
all='local t = {} repeat local f = io.open("/dev/null") t[#t + 1] = f until not f'
is "no descriptor left for a model's file is an error that names it" 1 "" "error: *config.json*Too many open files" \
    sh -c 'echo "{}" >"$scratch/config.json"; ulimit -n 32; "$oomph" -e "$0 inspect(os.getenv([[scratch]]) .. [[/config.json]])"' "$all"
is "and the script goes on with what needs none" 0 "16060522496" "" \
    sh -c 'ulimit -n 32; "$oomph" -e "$0 pcall(inspect, os.getenv([[scratch]]) .. [[/config.json]]) print(footprint{$A}.fp16.bytes)"' "$all"
is "a table is not written without one, and says so" 1 "" "error: cannot write *x.csv: *Too many open files" \
    sh -c 'ulimit -n 32; "$oomph" -e "$0 models():csv(os.getenv([[scratch]]) .. [[/x.csv]])"' "$all"
is "a closed stdin is an error" 1 "" "error: cannot read stdin: Bad file descriptor" sh -c '"$oomph" - <&-'
is "a closed stdout is an error" 1 "" "oomph: cannot write: Bad file descriptor" sh -c '"$oomph" -e "print(1)" >&-'
is "a closed stderr does not change the answer" 0 "2" "" sh -c '"$oomph" -e "print(2)" 2>&-'

# ---- memory ---- (an address sanitizer needs more than any limit: not under it)
if grep -q sanitize "$BUILD/flags"; then :; else
    for limit in 8000 12000 16000 24000 40000; do
        holds "address space of $limit KiB: an answer or an error, no crash" sh -c '
            (ulimit -v $0; "$oomph" -e "print(sweep{model=\"all\", device=\"all\", precision=\"all\", seq=powers(1024, 65536)}:where{fits=true}:top(1000, \"params\"):csv() ~= nil)") >"$scratch/got" 2>&1
            status=$?
            [ $status = 0 ] || [ $status = 1 ] || [ $status = 127 ]' $limit
    done
    is "and with all of it the same question has an answer" 0 "true" "" \
        "$oomph" -e 'print(sweep{model="all", device="all", precision="all", seq=powers(1024, 65536)}:where{fits=true}:top(1000, "params"):csv() ~= nil)'
fi

# ---- disk ----
is "a full disk: a table is not written in silence" 1 "" "error: cannot write /dev/full: No space left on device" "$oomph" -e 'models():csv("/dev/full")'
is "a device is written through, never replaced" 0 "model,*" "" "$oomph" -e 'models("llama-3.1-8b"):csv("/dev/stdout")'
holds "and so is a link" sh -c 'touch "$scratch/real" && ln -s real "$scratch/link" && "$oomph" -e "models():csv(os.getenv([[scratch]]) .. [[/link]])" && test -L "$scratch/link" && test -s "$scratch/real"'
is "a full disk: nor what help says" 1 "" "oomph: cannot write: No space left on device" sh -c '"$oomph" --help >/dev/full'
is "a folder that is not there" 1 "" "error: *o such file or directory*" "$oomph" -e 'models():csv("/nowhere/x.csv")'

# ---- readers that leave, signals that come ----
is "a closed pipe ends a piped session quietly" 0 "1" "" sh -c 'yes "1" | "$oomph" --no-init | head -n 1'
is "signals that are handled or ignored do not cut a read short" 0 "500" "" sh -c '
    (sleep 0.3; for i in $(seq 500); do echo "n = (n or 0) + 1"; done; echo "print(n)") | "$oomph" --no-init & pid=$!
    for i in 1 2 3 4 5 6 7 8 9 10; do kill -WINCH $pid; kill -STOP $pid; kill -CONT $pid; sleep 0.05; done 2>/dev/null
    wait $pid'
if command -v script >/dev/null; then
    holds "a terminal that goes away takes the shell with it" sh -c '
        code="io.open(\"$scratch/pid\", \"w\"):write(io.open(\"/proc/self/stat\"):read(\"n\")):close()"
        sleep 60 | script -qec "$oomph -i --no-init -e '"'"'$code'"'"'" /dev/null >/dev/null 2>&1 & rig=$!
        until [ -s "$scratch/pid" ]; do sleep 0.1; done
        shell=$(cat "$scratch/pid") && kill -0 "$shell" || exit 1
        kill -KILL $(sed -n "s/^PPid:[^0-9]*//p" "/proc/$shell/status") 2>/dev/null
        for i in $(seq "${PATIENCE:-120}"); do kill -0 "$shell" 2>/dev/null || exit 0; sleep 0.5; done
        kill -KILL "$shell"; exit 1'
fi
finish
