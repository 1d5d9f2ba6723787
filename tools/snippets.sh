#!/bin/sh
# SPDX-License-Identifier: MIT
#
# tools/snippets.sh BUILD: keeps the documentation true. Takes the fenced blocks of README.md and docs/*.md that begin
# with
#
#     ```c          with a main: built against BUILD's library and run; must end with status 0, and if the next block
#                   of the file is ```text, print exactly that. Without a main: only shown.
#     ```c file     declarations and functions: compiled behind the usual includes
#     ```c wrap     statements: compiled inside a function, behind the usual includes
#     ```c begin    as file; and all blocks below it in the document are compiled behind it
#     ```c next     as file; and it is added to what began
#
# A begin forgets an earlier one. A block with a main gets the usual includes, too, if something began before.
set -u
cd "$(dirname "$0")/.." || exit 1
. tools/results.sh

build=${1:?usage: tools/snippets.sh BUILD}
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
failures=0
flags="-std=gnu11 -Wall -Wextra -Wno-unused -Werror -Iinclude -pthread"
includes='#include <haft/haft.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>'

# Writes each block to SCRATCH/N.c, what it stands behind to SCRATCH/N.before, and an output expected of it to
# SCRATCH/N.text; prints "N LINE KIND".
extract()
{
    awk -v scratch="$scratch" '
        !inside && /^```/ {
            inside = 1; kind = substr($0, 4); has_main = 0
            if (kind ~ /^c( |$)/) {
                n++; line = NR; file = scratch "/" n ".c"; last = n
                if (kind == "c begin") before = ""
                if (before != "") { printf "%s", before >(scratch "/" n ".before"); close(scratch "/" n ".before") }
            }
            else if (kind == "text" && last) { file = scratch "/" last ".text"; last = 0; printf "" >file }
            else { file = ""; last = 0 }
            next
        }
        inside && /^```$/ {
            inside = 0
            if (file != "") close(file)
            if (kind == "c") { print n, line, (has_main ? "main" : "shown"); if (!has_main) last = 0 }
            else if (kind ~ /^c /) { print n, line, substr(kind, 3); last = 0 }
            next
        }
        inside && file != "" { print >file; if (/int main\(/) has_main = 1 }
        inside && (kind == "c begin" || kind == "c next") { before = before $0 "\n" }
    ' "$1"
}

# The whole file to compile.
whole()   # NUMBER KIND
{
    [ "$2" = main ] && [ ! -e "$scratch/$1.before" ] || echo "$includes"
    [ ! -e "$scratch/$1.before" ] || cat "$scratch/$1.before"
    [ "$2" != wrap ] || echo 'int snippet(void); int snippet(void) {'
    cat "$scratch/$1.c"
    [ "$2" != wrap ] || echo 'return 0; }'
}

run_snippet()   # NUMBER
{
    # shellcheck disable=SC2086  # the flags are words
    ${CC:-cc} $flags "$scratch/whole.c" -o "$scratch/program" -L"$build" -lhaft "-Wl,-rpath,$PWD/$build" || return 1
    timeout -k 5 60 "$scratch/program" >"$scratch/out" </dev/null || { echo "ended with status $?"; return 1; }
    [ ! -e "$scratch/$1.text" ] || diff -u "$scratch/$1.text" "$scratch/out"
}

compile_snippet()
{
    # shellcheck disable=SC2086
    ${CC:-cc} $flags -fsyntax-only "$scratch/whole.c"
}

check_snippet()   # NUMBER KIND
{
    whole "$1" "$2" >"$scratch/whole.c"
    case $2 in
        main) run_snippet "$1" ;;
        wrap | file | begin | next) compile_snippet ;;
        *) echo "unknown kind of block: c $2"; return 1 ;;
    esac
}

case $build in "$PWD"/*) build=${build#"$PWD"/} ;; esac
for document in README.md docs/*.md; do
    [ -e "$document" ] || continue
    rm -f "$scratch"/*
    extract "$document" >"$scratch/blocks"
    while read -r number line kind; do
        [ "$kind" != shown ] || continue
        start=$(now)
        if check_snippet "$number" "$kind" >"$scratch/log" 2>&1 </dev/null; then
            result pass "$start" "snippet: $document:$line"
        else
            failures=$((failures + 1))
            result FAIL "$start" "snippet: $document:$line"
            head -n 40 "$scratch/log" | indent
        fi
    done <"$scratch/blocks"
done
[ "$failures" -eq 0 ]
