#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Compiles the snippets of this folder with each compiler there is. bad_*.c and bad_*.cpp must be refused, and what the
# compiler says must contain the text of their line "expect: …" ("expect-gcc: …", "expect-clang: …" where they differ).
# good_*.c and good_*.cpp must compile without a warning, and each public header must by itself.
#
# run.sh [-v]; with -v a result line each; the last line is "N passed, N failed, N skipped". COMPILERS (default "gcc clang") names the C compilers.

here=$(dirname "$0")
include=$here/../../include
verbose=false
[ "${1:-}" = -v ] && verbose=true
passed=0 failed=0 skipped=0
said=$(mktemp) || exit 1
trap 'rm -f "$said"' EXIT

warnings="-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wvla -Wundef -Werror"
c_warnings="-Wstrict-prototypes -Wmissing-prototypes"

pass() {
    passed=$((passed + 1))
    if $verbose; then echo "pass     0.000 s  compile: $1"; fi
}

fails() {
    failed=$((failed + 1))
    echo "FAIL     0.000 s  compile: $1: $2"
    sed 's/^/    | /' "$said" | head -20
}

# family COMPILER: gcc or clang, whatever it is called
family() {
    case $("$1" --version 2>/dev/null) in
    *clang*) echo clang ;;
    *) echo gcc ;;
    esac
}

# check NAME FILE COMPILER-AND-FLAGS…
check() {
    name=$1 file=$2
    shift 2
    if "$@" -I"$include" -O1 -c -o /dev/null "$file" >"$said" 2>&1; then ok=true; else ok=false; fi
    case $(basename "$file") in
    good_*)
        if $ok; then pass "$name"; else fails "$name" "was refused"; fi
        ;;
    bad_*)
        text=$(sed -n "s/^.*expect-$kind: //p" "$file")
        [ -n "$text" ] || text=$(sed -n 's/^.*expect: //p' "$file")
        if [ -z "$text" ]; then
            fails "$name" "has no line \"expect:\""
        elif $ok; then
            fails "$name" "was accepted"
        elif grep -qF -e "$text" "$said"; then
            pass "$name"
        else
            fails "$name" "did not say \"$text\""
        fi
        ;;
    esac
}

# check_header NAME HEADER COMPILER-AND-FLAGS…
check_header() {
    name=$1 header=$2
    shift 2
    if echo "#include <haft/$header>" | "$@" -I"$include" -O1 -c -o /dev/null - >"$said" 2>&1; then
        pass "$name"
    else
        fails "$name" "does not compile by itself"
    fi
}

for compiler in ${COMPILERS:-gcc clang}; do
    if ! command -v "$compiler" >/dev/null 2>&1; then
        skipped=$((skipped + 1))
        echo "skip     $compiler is not here"
        continue
    fi
    kind=$(family "$compiler")
    flags="$warnings $c_warnings"
    [ "$kind" = gcc ] && flags="$flags -Wjump-misses-init"
    for file in "$here"/bad_*.c; do
        # shellcheck disable=SC2086 # flags are words
        check "$compiler $(basename "$file")" "$file" "$compiler" -std=c11 $flags
    done
    for standard in c11 gnu11 c17 c2x; do
        for file in "$here"/good_*.c; do
            # shellcheck disable=SC2086
            check "$compiler -std=$standard $(basename "$file")" "$file" "$compiler" -std=$standard $flags
        done
    done
    for header in "$include"/haft/*.h; do
        # shellcheck disable=SC2086
        check_header "$compiler $(basename "$header")" "$(basename "$header")" "$compiler" -std=c11 $flags -x c
    done

    case $kind in
    gcc) plus=$(echo "$compiler" | sed 's/gcc/g++/') ;;
    *) plus=$(echo "$compiler" | sed 's/clang/clang++/') ;;
    esac
    if ! command -v "$plus" >/dev/null 2>&1; then
        skipped=$((skipped + 1))
        echo "skip     $plus is not here"
        continue
    fi
    for file in "$here"/bad_*.cpp; do
        # shellcheck disable=SC2086
        check "$plus $(basename "$file")" "$file" "$plus" -std=c++17 $warnings
    done
    for standard in c++17 c++20; do
        for file in "$here"/good_*.cpp; do
            # shellcheck disable=SC2086
            check "$plus -std=$standard $(basename "$file")" "$file" "$plus" -std=$standard $warnings
        done
        # shellcheck disable=SC2086
        check_header "$plus -std=$standard haft.hpp" haft.hpp "$plus" -std=$standard $warnings -x c++
    done
    for header in "$include"/haft/*.h; do
        # shellcheck disable=SC2086
        check_header "$plus $(basename "$header")" "$(basename "$header")" "$plus" -std=c++11 $warnings -x c++
    done
done

echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
