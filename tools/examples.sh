#!/bin/sh
# SPDX-License-Identifier: MIT
#
# tools/examples.sh BUILD [NAME...]: runs the examples that have an expected output (examples/NAME.out or
# examples/NAME/NAME.out), all or those named, and compares what they print byte for byte. They must end with status 0.
# Runs the test.sh of those that have one. A C++ example that was not built, for want of a compiler, is skipped.
set -u
cd "$(dirname "$0")/.." || exit 1
. tools/results.sh

# The thread sanitizer waits a second at every exit for races of threads that end late; these programs join theirs.
TSAN_OPTIONS="atexit_sleep_ms=20${TSAN_OPTIONS:+:$TSAN_OPTIONS}"
export TSAN_OPTIONS

build=${1:?usage: tools/examples.sh BUILD [NAME...]}
shift
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
failures=0

run_example()   # NAME EXPECTED
{
    start=$(now)
    if [ ! -x "$build/examples/$1" ] && [ -e "examples/$1.cpp" ]; then
        result skip "$start" "example: $1"
        return
    fi
    timeout -k 5 "${HAFT_EXAMPLE_LIMIT:-60}" "$build/examples/$1" >"$scratch/out" 2>"$scratch/err" </dev/null
    status=$?
    if [ "$status" -eq 0 ] && cmp -s "$2" "$scratch/out"; then
        result pass "$start" "example: $1"
        return
    fi
    failures=$((failures + 1))
    result FAIL "$start" "example: $1"
    echo "    status $status; expected (-) and printed (+):"
    diff -u "$2" "$scratch/out" | head -n 40 | indent
    head -n 60 "$scratch/err" | indent
}

for expected in examples/*.out examples/*/*.out; do
    [ -e "$expected" ] || continue
    name=$(basename "$expected" .out)
    case $expected in examples/"$name".out | examples/"$name"/"$name".out) ;; *) continue ;; esac
    if [ $# -eq 0 ]; then
        run_example "$name" "$expected"
    else
        for wanted; do
            [ "$wanted" != "$name" ] || run_example "$name" "$expected"
        done
    fi
done

# A folder's test.sh compares in its own way, and ends with "N passed, N failed, N skipped".
run_script()   # NAME SCRIPT
{
    start=$(now)
    if HAFT_BUILD=$build timeout -k 5 "${HAFT_EXAMPLE_LIMIT:-300}" sh "$2" >"$scratch/out" 2>&1 </dev/null; then
        result pass "$start" "example: $1: $(tail -n 1 "$scratch/out")"
        return
    fi
    failures=$((failures + 1))
    result FAIL "$start" "example: $1: $(tail -n 1 "$scratch/out")"
    tail -n 60 "$scratch/out" | indent
}

for script in examples/*/test.sh; do
    [ -e "$script" ] || continue
    name=$(basename "$(dirname "$script")")
    if [ $# -eq 0 ]; then
        run_script "$name" "$script"
    else
        for wanted; do
            [ "$wanted" != "$name" ] || run_script "$name" "$script"
        done
    fi
done
[ "$failures" -eq 0 ]
