#!/bin/sh
# The list of findings: each names who found it, a test that exists, and what was wrong.
. tests/shell/tap.sh

# there FILE "sentence": how the sentence of a test stands in each kind of file
there() {
    case $1 in
    *.session) grep -qxF "# $2" "$1" ;;
    tests/unit/*) grep -qE "cmocka_unit_test[a-z_]*\($(echo "$2" | tr ' ' _)[,)]" "$1" ;;
    *) grep -qF "\"$2\"" "$1" ;;
    esac
}

whole() {                               # whole WHO FILE "sentence" "    what was wrong."
    case $1 in
    fuzz_*) test -f "tests/fuzz/$1.c" || echo "no harness $1" ;;
    *) grep -q "^# .*\`$1\`" tests/found/findings || echo "who is $1?" ;;
    esac
    there "$2" "$3" || echo "$2 has no such test"
    expr "$4" : "    .*[.]$" >/dev/null || echo "what was wrong?"
}

sed '/^#/d; /^$/d' tests/found/findings >"$scratch/found"
while IFS= read -r line && IFS= read -r wrong; do
    file=${line#* | } sentence=${line##* | }
    is "$sentence" 0 "" "" whole "${line%% | *}" "${file%% | *}" "$sentence" "$wrong"
done <"$scratch/found"
finish
