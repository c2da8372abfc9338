#!/bin/sh
# Sweeps that are interrupted or cannot be written: a clear error, no file under the final name.
cd "$(dirname "$0")/../.." || exit 1
. tests/shell/tap.sh
work=$scratch

# a thousand million points: interrupted long before the last
long='model="llama-3.1-8b", device="rtx-4090", precision="fp16", seq=range(1, 20000), batch=range(1, 50000)'

stop() { interrupted "$@" >"$work/said" 2>"$work/problem"; status=$?; }

stop "" "sweep{$long, to=\"$work/all.csv\"}"
holds "an interrupted stream ends with 130" test "$status" = 130
holds "and says so" grep -q interrupted "$work/problem"
holds "and leaves no file" test ! -e "$work/all.csv" -a ! -e "$work/all.csv.part"

stop "" "print(sweep{$long}:where{total={min=1}}:count())"
holds "an interrupted count is an error, not a smaller number" test "$status" = 130 -a ! -s "$work/said"

stop "s = sweep{$long}:where{total={max=1}}" "print(#s, s.interrupted)"
holds "rows looked at are kept, and say that they are not all" grep -q "^0.true" "$work/said"

millions='model="llama-3.1-8b", device="rtx-4090", precision="fp16", seq=range(1, 3000), batch=range(1, 1000)'
stop "s = sweep{$millions} print(#s)" "s:json(\"$work/all.json\")"
holds "nor does JSON that was interrupted leave a file" test "$status" = 130 -a ! -e "$work/all.json" -a ! -e "$work/all.json.part"
stop "s = sweep{$millions} print(#s)" "k = s:where(function(r) return r.fits end) print(#k)"
holds "a function over rows is interrupted" test "$status" = 130
is "rows that memory does not hold are an error, and the session goes on" 0 "false	not enough memory*1000" "" \
    env OOMPH_MAX_MEMORY=8MiB "$oomph" --no-init -e "s = sweep{$millions} print(pcall(s.json, s)) print(s:where{seq=5}:count())"

"$oomph" --no-init -e "sweep{model='gpt2', device='rtx-4090', to='$work/none/x.csv'}" 2>"$work/problem"
holds "a folder that is not there is named" grep -q "cannot write $work/none/x.csv" "$work/problem"

"$oomph" --no-init -e "print(sweep{model='all', device='rtx-4090', seq=range(1, 1000)}:csv())" 2>"$work/problem" | head -1 >"$work/said"
holds "a reader that leaves is no error" test ! -s "$work/problem"
finish
