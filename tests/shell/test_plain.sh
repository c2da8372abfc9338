#!/bin/sh
# The program without Readline (make READLINE=0): the same answers, lines read plainly.
. tests/shell/tap.sh
plain=$BUILD/plain/oomph
holds "it builds" env MAKEFLAGS= make -s READLINE=0 BUILD="$BUILD/plain" CFLAGS=-O0 all
holds "it is not linked with Readline" sh -c "! ldd '$plain' | grep -q readline"
is "a script runs" 0 16060522496 "" "$plain" --no-init -e 'print(footprint{model="llama-3.1-8b", device="rtx-4090"}.fp16.bytes)'
typed() { printf '%s\n' "$@" | "$plain" --no-init -q; }
is "what is typed is run, and left results are shown" 0 "7" "" typed \
    'model = "llama-3.1-8b"' 'device = "rtx-4090"' 'maxbatch{precision="fp16", seq=8192}'
is "an error ends a script on stdin with status 1" 1 "" "*no model \"lama-3.1-8b\"*" typed 'model = "lama-3.1-8b"'
holds "on a terminal it prompts and answers" sh -c '
    printf "1 + 1\nquit()\n" | script -qec "$0 --no-init -q" /dev/null | tr -d "\r" | grep -Eq "(^|oomph> )2$"' "$plain"
finish
