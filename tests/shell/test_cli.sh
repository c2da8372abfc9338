#!/bin/sh
# The command line: what is run, what is printed where, and the exit status.
. tests/shell/tap.sh
feed() { printf "$1" >"$scratch/in"; shift; "$@" <"$scratch/in"; }
file() { printf "$2" >"$scratch/$1"; }

is "--version goes to stdout" 0 "oomph 0.1.0" "" "$oomph" --version
is "--help goes to stdout" 0 "usage: oomph*--sandbox*exit status: 0 fine, 1*" "" "$oomph" --help
is "an unknown option is wrong usage" 2 "" "oomph: no option --frobnicate
try 'oomph --help'" "$oomph" --frobnicate
is "a value that --color does not take is wrong usage" 2 "" "oomph: --color takes auto, always or never, not red*" "$oomph" --color=red
is "-e without code is wrong usage" 2 "" "oomph: -e needs CODE*" "$oomph" -e
is "a switch takes no value" 2 "" "oomph: --debug=1 takes no value*" "$oomph" --debug=1

is "code runs in order, and prints nothing by itself" 0 "3" "" "$oomph" -e 'a = 1 + 2' -e 'math.max(a, 9)' -e 'print(a)'
is "code is Lua, not a line at the prompt" 1 "" "error: (-e):1:*" "$oomph" -e '1 +'
is "an error ends it with status 1 and one line" 1 "1" "error: (-e):1: attempt to call a nil value (global 'footprnt'); did you mean \"footprint\"?" \
    "$oomph" -e 'print(1) footprnt() print(2)'
is "an error raised for people has no position" 1 "" "error: no model \"lama-3.1-8b\"; did you mean \"llama-3.1-8b\"*" "$oomph" -e 'model = "lama-3.1-8b"'
is "an error can be any value" 1 "" "error: an error that is a table value" "$oomph" -e 'error({})'
is "--debug adds a traceback that ends at the script" 1 "" "error: (-e):1: x
stack traceback:*in *'f'*in main chunk" "$oomph" --debug -e 'function f() error("x") end f() '

file args.lua '#!/usr/bin/env oomph\nprint(#arg, arg[0]:match("[^/]*$"), arg[1], ...)\n'
is "a script gets its arguments, and its first line may be #!" 0 "2	args.lua	a	a	-b" "" "$oomph" "$scratch/args.lua" a -b
is "a script gets a thousand arguments" 0 "1000	args.lua	1	1	2	*	1000" "" "$oomph" "$scratch/args.lua" $(seq 1000)
is "- is a script on stdin: one piece, and nothing prints by itself" 0 "5" "" feed 'local a = 5\nprint(a)\nmath.max(1, 2)\n' "$oomph" -
is "a script that is not there is an error" 1 "" "error: cannot open*nowhere.lua*" "$oomph" nowhere.lua
is "a script finds modules beside it" 0 "beside" "" sh -c 'mkdir -p "$scratch/s" && echo "return \"beside\"" >"$scratch/s/mod.lua" &&
    echo "print((require \"mod\"))" >"$scratch/s/main.lua" && "$oomph" "$scratch/s/main.lua"'
is "what os.exit says is the status" 3 "" "" "$oomph" -e 'os.exit(3)'

is "piped lines show their results, without prompt or echo" 0 "2
3" "" feed '1 + 1\nbatch = 3\nbatch\n' "$oomph"
is "a block over several piped lines runs once it is whole" 0 "1
2" "" feed 'for i = 1, 2 do\n  print(i)\nend\n' "$oomph"
is "a local in a pipe lives to its end" 0 "10" "" feed 'local z = 5\nz * 2\n' "$oomph"
is "piped lines stop at the first error" 1 "1" "error: *nothing*" feed '1\nnothing()\n2\n' "$oomph"
is "a pipe that ends in a statement is an error" 1 "" "error: the input ends in the middle of a statement" feed 'f = function()\n' "$oomph"
is "a pasted transcript runs" 0 "2" "" feed 'oomph> a = 1\noomph> a + 1\n' "$oomph"
is "quit leaves a pipe, too" 0 "1" "" feed '1\nquit\n2\n' "$oomph"
is "lines may end as in other systems" 0 "2" "" feed '1 + 1\r\n' "$oomph"
is "help needs no parentheses" 0 "maxbatch{*" "" feed 'help maxbatch\n' "$oomph"
is "a question mark asks for help" 0 "maxbatch{*" "" feed '?maxbatch\n' "$oomph"

fits='memory{model="llama-3.1-8b", device="rtx-4090", precision='
is "--fits: what fits is 0" 0 "" "" "$oomph" --fits "$fits\"fp16\"}"
is "--fits: what does not is 1" 1 "" "" "$oomph" --fits "$fits\"fp32\"}"
is "--fits: an error is 2" 2 "" "error: no device*" "$oomph" --fits 'memory{model="llama-3.1-8b", device="rtx-40900"}'
is "--fits: a truth is a verdict, too" 1 "" "" "$oomph" --fits 'maxbatch{model="llama-3.1-8b", device="rtx-4090", precision="fp16", seq=8192} > 100'
is "--fits: text says nothing about fitting" 2 "" "error: --fits: a string says nothing about fitting" "$oomph" --fits '"yes"'

is "load reaches the validation of session variables" 1 "" "error: no model \"bad\"*" "$oomph" -e 'load("model = [[bad]]")()'
is "a global of a user's module is the session's" 0 "32" "" sh -c 'echo "batch = 32" >"$scratch/m.lua"; cd "$scratch" && "$oomph" -e "require \"m\" print(batch)"'
is "a user's table named like a library does not reach ours" 0 "*16060522496*" "" "$oomph" -e 'table, string = {}, {} print(json(footprint{model="llama-3.1-8b", precision="fp16"}))'
is "pairs over the globals finds what a name can mean" 0 "true	true	true" "" "$oomph" -e 'mine, batch = 1, 2
local has = {} for k in pairs(_G) do has[k] = true end print(has.mine, has.batch, has.print)'
is "precompiled chunks are refused by load" 0 "nil	attempt to load a binary chunk (mode is 't')" "" "$oomph" -e 'print(load(string.dump(function() end), "x", "b"))'
"$oomph" -e 'io.open(os.getenv("scratch") .. "/binary.lua", "wb"):write(string.dump(function() print(1) end))'
is "precompiled chunks are refused as scripts" 1 "" "error: *attempt to load a binary chunk*" "$oomph" "$scratch/binary.lua"
is "precompiled chunks are refused by dofile" 1 "" "error: *attempt to load a binary chunk*" "$oomph" -e 'dofile(os.getenv("scratch") .. "/binary.lua")'
is "precompiled chunks are refused by require" 1 "" "error: *attempt to load a binary chunk*" sh -c 'cd "$scratch" && "$oomph" -e "require \"binary\""'
is "the locale of numbers cannot be changed" 0 "nil" "" "$oomph" -e 'print(os.setlocale)'
is "LUA_INIT and LUA_PATH are not asked" 0 "true" "" env LUA_INIT='print(1)' LUA_PATH='/x/?.lua' "$oomph" -e 'print(not package.path:find("/x/", 1, true))'

is "a script that eats memory hits the limit" 1 "" "error: not enough memory" env OOMPH_MAX_MEMORY=64MiB "$oomph" -e 'local t = {} for i = 1, 1e9 do t[i] = ("x"):rep(1000) .. i end'
is "a string too large is an error the script can catch" 0 "false	not enough memory
fine" "" env OOMPH_MAX_MEMORY=64MiB "$oomph" -e 'print(pcall(string.rep, "x", 1e9)) print("fine")'
is "a limit that is no size is wrong usage" 2 "" "oomph: *OOMPH_MAX_MEMORY*" env OOMPH_MAX_MEMORY=lots "$oomph" -e ''

is "an interrupted script ends with 130" 130 "" "error: interrupted" interrupted "" 'while true do pcall(error) end'
is "a closed pipe is no error" 0 "1" "" sh -c '"$oomph" -e "for i = 1, 1e9 do print(i) end" | head -n 1'
is "a full disk is one" 1 "" "oomph: cannot write: No space left on device" sh -c '"$oomph" -e "print(1)" >/dev/full'
is "without a home all is well" 0 "1" "" env -i "$oomph" -e 'print(1)'
is "no colour goes into a pipe" 0 "*fp16*" "" sh -c '"$oomph" -e "print(footprint{model=[[llama-3.1-8b]], device=[[rtx-4090]]})" | grep -v "$(printf "\033")"'
is "a pipe keeps the character set of the locale" 0 "*█*" "" env LC_ALL=C.UTF-8 "$oomph" -e 'print(footprint{model="llama-3.1-8b", device="rtx-4090"})'
is "a C locale gets ASCII" 0 "" "" sh -c 'LC_ALL=C "$oomph" -e "print(footprint{model=[[llama-3.1-8b]], device=[[rtx-4090]]})" | LC_ALL=C grep "[^ -~]"; true'

is "--sandbox leaves no files and no processes" 0 "nil	nil	nil	nil	nil	nil	nil" "" "$oomph" --sandbox -e 'print(io, os.execute, os.remove, debug, dofile, loadfile, package.loadlib)'
is "--sandbox reads no file as a model" 1 "" "error: /etc/passwd: no files in the sandbox" "$oomph" --sandbox -e 'model = "/etc/passwd"'
is "--sandbox asks no device" 1 "" "error: local: no device is asked in the sandbox" "$oomph" --sandbox -e 'device = "local"'
is "--sandbox writes no file" 1 "" "error: cannot write x.csv: no files in the sandbox" "$oomph" --sandbox -e 'models():csv("x.csv")'
is "a file on a full disk is an error, and not there" 1 "" "error: cannot write *" sh -c 'cd "$scratch" && mkdir -p full && (ulimit -f 1; trap "" XFSZ; "$oomph" -e "memory{model=[[llama-3.1-8b]]}:csv([[full/ok.csv]]) models():csv([[full/x.csv]])"); s=$?; test -f full/ok.csv && test ! -e full/x.csv && test ! -e full/x.csv.part && exit $s'
is "--sandbox finds no module of the user's" 1 "" "error: *module 'mod' not found*no files in the sandbox" sh -c 'cd "$scratch/s" && "$oomph" --sandbox -e "require \"mod\""'
is "--sandbox still answers" 0 "16060522496" "" "$oomph" --sandbox -e 'print(footprint{model="llama-3.1-8b", precision="fp16"}.fp16.bytes)'
is "--sandbox still draws" 0 "*fp16*" "" "$oomph" --sandbox -e 'print(footprint{model="llama-3.1-8b", device="rtx-4090"})'

is "save writes a script that gives the same answers" 0 "4 lines in *
42
llama-3.1-8b" "" sh -c 'cd "$scratch" && printf "a = 6 * 7\na\nmodel = \"llama-3.1-8b\"\nmodel;\nsave(\"plan.lua\");\nprint(save(\"plan.lua\"))\n" | "$oomph" | tail -n 1 &&
    echo "print(_)" >>plan.lua && "$oomph" plan.lua'
is "save has the last ten thousand lines, and says so" 0 "10000 lines in *; 51 before them are no longer kept
x = 51*" "" sh -c 'cd "$scratch" && { for i in $(seq 0 10050); do echo "x = $i"; done; echo "print(save(\"plan.lua\"))"; } | "$oomph" && sed -n 2p plan.lua'
is "save says why it could not" 1 "" "error: cannot write /nowhere/plan.lua: No such file or directory" "$oomph" -e 'save("/nowhere/plan.lua")'

holds "the embedded files come out as they went in" sh -c '"$oomph" --dump-embedded "$scratch/dump" && diff -r "$scratch/dump/lua" lua &&
    for f in presets/*/*.json; do cmp "$f" "$scratch/dump/$f" || exit 1; done'
is "a tree in OOMPH_PATH goes before the binary" 0 "edited" "" sh -c 'echo "return { show = function() return \"edited\" end }" >"$scratch/dump/lua/show.lua"
    printf "{}\n" | OOMPH_PATH="$scratch/dump" "$oomph"'
is "the user's folder goes before the binary" 0 "mine" "" sh -c 'mkdir -p "$HOME/.config/oomph/lua" && echo "return { show = function() return \"mine\" end }" >"$HOME/.config/oomph/lua/show.lua"
    printf "{}\n" | "$oomph"; rm -r "$HOME/.config"'
finish
