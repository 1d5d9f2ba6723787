#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Searches real files with hgrep, checks every byte against grep -rnI | sort, and shows how long each took. HAFT_BUILD
# is the build directory, relative to the project or absolute. Exits with 1 if there was a difference.
cd "$(dirname "$0")/../.." || exit 1
LC_ALL=C
export LC_ALL
hgrep=${HAFT_BUILD:-build/release}/examples/hgrep
[ -x "$hgrep" ] || { echo "demo.sh: no $hgrep: build it first" >&2; exit 1; }
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' HUP INT TERM
jobs=$(nproc)
status=0

# seconds COMMAND...: runs it, with standard output to $tmp/out, and sets $seconds to the best of three times.
seconds() {
    seconds=
    for _ in 1 2 3; do
        start=$(date +%s%N)
        "$@" >"$tmp/out" 2>/dev/null
        end=$(date +%s%N)
        ms=$(((end - start) / 1000000))
        if [ -z "$seconds" ] || [ "$ms" -lt "$seconds" ]; then seconds=$ms; fi
    done
    seconds=$(printf '%d.%03d' $((seconds / 1000)) $((seconds % 1000)))
}

# shellcheck disable=SC2317
grep_sorted() { grep "$@" | sort; }

# compare DIALECT PATTERN PATH...
compare() {
    dialect=$1 pattern=$2
    shift 2
    option=
    [ "$dialect" = E ] && option=-E
    seconds grep_sorted "-rnI$dialect" -- "$pattern" "$@"
    mv "$tmp/out" "$tmp/want"
    grep_seconds=$seconds
    seconds "$hgrep" $option -j 1 -- "$pattern" "$@"
    one_seconds=$seconds
    cmp -s "$tmp/out" "$tmp/want" || status=1
    seconds "$hgrep" $option -j "$jobs" -- "$pattern" "$@"
    cmp -s "$tmp/out" "$tmp/want" || status=1
    result=same
    [ $status -eq 0 ] || result=DIFFERENT
    printf '%-60s %9d  %-9s %8s %8s %8s\n' "hgrep ${option:+$option }'$pattern' $where" \
        "$(wc -l <"$tmp/want")" "$result" "$one_seconds" "$seconds" "$grep_seconds"
}

# Everything here but what was built.
set --
for path in * .[!.]*; do
    case $path in build* | .git) ;; *) [ -e "$path" ] && set -- "$@" "$path" ;; esac
done

printf '%-60s %9s  %-9s %8s %8s %8s\n' '' '' '' 'hgrep' 'hgrep' 'grep'
printf '%-60s %9s  %-9s %8s %8s %8s\n' '' 'lines' 'output' '-j 1' "-j $jobs" '| sort'
where=.
compare F haft_spawn "$@"
compare E '^[a-z]+ haft_[a-z_]+\(' "$@"
if [ -d /usr/include ]; then
    where=/usr/include
    compare F pthread_mutex /usr/include
    compare F int /usr/include
    compare E '^#[[:space:]]*define[[:space:]]+[A-Z]+_MAX' /usr/include
else
    echo "(no /usr/include here: install libc6-dev to search more)"
fi
echo "seconds, best of three; output compared byte for byte; -j N: N jobs at a time (examples/hgrep/main.c, hand_out)"
[ $status -eq 0 ] || echo "demo.sh: hgrep and grep differ" >&2
exit $status
