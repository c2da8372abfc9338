#!/bin/sh
# The man page and the completions say what help says.
. tests/shell/tap.sh
manual() { "$oomph" --no-init scripts/manual.lua "$1"; }
manual man >"$scratch/man"
manual bash >"$scratch/bash"

"$oomph" -e 'for _, d in ipairs((require("oomph.core").docs())) do print(d.name) end' >"$scratch/names"
"$oomph" --help | sed -n 's/^ .*--\([a-z-]*\).*/--\1/p' | sed 's/-/\\-/g' >"$scratch/flags"
every() { while read -r word; do grep -qF -- "$2$word" "$scratch/man" || { echo "$word"; return 1; }; done <"$scratch/$1"; }
holds "the man page has every function" every names '\fB'
holds "the man page has every option of the command line" every flags ''
if command -v groff >/dev/null; then
    is "the man page is well formed" 0 "" "" sh -c 'groff -man -Tutf8 -ww "$scratch/man" 2>&1 >/dev/null'
fi
complete='. "$scratch/bash"; COMP_LINE="oomph $1" COMP_POINT=$((6 + ${#1})) COMP_WORDS=(oomph $2) COMP_CWORD=$(($(echo $2 | wc -w))); compopt() { :; }; _oomph; echo "${COMPREPLY[*]}"'
if command -v bash >/dev/null; then
    is "bash completes an option" 0 "--sandbox" "" bash -c "$complete" x --sa --sa
    is "bash completes the value of --color" 0 "always" "" bash -c "$complete" x --color=al "--color = al"
fi
finish
