#!/bin/sh
# What a person might type, and what nobody would, briefly: `make fuzz ONLY=prompt` is the long one.
BUILD=${BUILD:-build}
sentence="a session stays alive and keeps its insides to itself, whatever is typed"
if "$BUILD/prompt" 1 7 >"$BUILD/tests/prompt" 2>&1; then echo "ok 1 - $sentence"; else
    sed 's/^/# /' "$BUILD/tests/prompt"
    echo "not ok 1 - $sentence"
fi
echo 1..1
