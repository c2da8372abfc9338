# tap.sh: what the *.sh tests share. Sourced, from the root of the tree.
#
#   is "a sentence" STATUS STDOUT STDERR command ...
#       STDOUT and STDERR are compared whole; "*" within them is anything (a shell pattern)
#   holds "a sentence" command ...           the command succeeds
#   interrupted BEFORE CODE                  a command: CODE runs and is stopped by Ctrl-C
BUILD=${BUILD:-build}
case $BUILD in /*) ;; *) BUILD=$PWD/$BUILD ;; esac
oomph=$BUILD/oomph
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export HOME="$scratch/home" TREE="$PWD" oomph scratch
unset XDG_CONFIG_HOME XDG_STATE_HOME OOMPH_PATH OOMPH_MAX_MEMORY OOMPH_HISTORY NO_COLOR COLORTERM
mkdir -p "$HOME"
count=0 failed=0

verdict() {                             # verdict STATUS "sentence"
    count=$((count + 1))
    if [ "$1" = 0 ]; then echo "ok $count - $2"; else failed=1; echo "not ok $count - $2"; fi
}

matches() {                             # matches PATTERN FILE
    text=$(cat "$2")
    # shellcheck disable=SC2254
    case $text in $1) return 0 ;; esac
    return 1
}

is() {
    sentence=$1 wanted=$2 out=$3 err=$4
    shift 4
    "$@" >"$scratch/out" 2>"$scratch/err"
    status=$?
    fine=0
    [ "$status" = "$wanted" ] || { fine=1; echo "# status $status, expected $wanted"; }
    matches "$out" "$scratch/out" || { fine=1; echo "# stdout, expected: $out"; sed 's/^/#   /' "$scratch/out"; }
    matches "$err" "$scratch/err" || { fine=1; echo "# stderr, expected: $err"; sed 's/^/#   /' "$scratch/err"; }
    verdict $fine "$sentence"
}

holds() {
    sentence=$1
    shift
    "$@" >"$scratch/out" 2>&1
    status=$?
    [ $status = 0 ] || sed 's/^/#   /' "$scratch/out"
    verdict $status "$sentence"
}

worked() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | awk '$1 != "Z" { print $12 + $13 }'; }

# interrupted BEFORE CODE: Ctrl-C while CODE runs, once it has worked on it for a fifth of a second of
# its own time: on a busy machine a process may not have run at all for that long.
interrupted() {
    rm -f "$scratch/runs"
    "$oomph" --no-init -e "$1 io.open('$scratch/runs', 'w'):close() $2" & pid=$!
    until [ -e "$scratch/runs" ]; do sleep 0.05; done
    sleep 0.3
    from=$(worked $pid)
    while now=$(worked $pid) && [ -n "$now" ] && [ "$now" -lt $((from + 20)) ]; do sleep 0.05; done
    kill -INT $pid
    wait $pid
}

finish() { echo "1..$count"; exit $failed; }
