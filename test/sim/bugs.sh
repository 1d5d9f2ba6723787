#!/bin/sh
# SPDX-License-Identifier: MIT
#
# bugs.sh BUILD [NAME]: puts each of the deliberate bugs of bugs.txt into a copy of its source, and looks whether the
# simulator finds it, and finds it again, in the same steps, from the seed alone.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tools/results.sh

build=$(cd "${1:?the folder of a build}" && pwd)
only=${2:-}
seeds=${HAFT_SIM_BUG_SEEDS:-4000}
wanted=5
work=$build/test/sim/bugs
root=$(pwd)
bugs=0
found=0
replayed=0
mkdir -p "$work"

# The command that compiled a source for the simulator, with another source and another object in it.
compile()   # SOURCE COPY OBJECT
{
    compile_line=$(ninja -C "$build" -t commands test/sim/libhaft-sim.a |
        grep -F -- "-c $root/src/$1" | sed -e 's/^ccache //' -e "s|-c $root/src/$1|-c $2|" \
            -e 's|-MD -MT [^ ]* -MF [^ ]*||' -e "s|-o [^ ]*|-o $3|" -e 's/-Werror//')
    [ -n "$compile_line" ] && (cd "$build" && sh -c "$compile_line -w") >"$work/compile.log" 2>&1
}

# The command that linked a program, with an object in front of the library.
link()   # PROGRAM OBJECT OUTPUT
{
    link_line=$(ninja -C "$build" -t commands "test/sim/$1" | tail -n 1 |
        sed -e "s|-o test/sim/$1|-o $3|" -e "s|test/sim/libhaft-sim.a|$2 test/sim/libhaft-sim.a|" -e 's/^: && //' -e 's/ && :$//')
    (cd "$build" && sh -c "$link_line") >"$work/link.log" 2>&1
}

complain()   # WHAT [LOG]
{
    result FAIL "$start" "bugs: $name"
    echo "    $1"
    [ $# -lt 2 ] || head -n 5 "$2" | indent
}

# One deliberate bug.
try()
{
    start=$(now)
    copy=$work/$(basename "$source")
    program=${where%% *}_sim
    part=${where#* }
    bugs=$((bugs + 1))
    sed -e "$script" "src/$source" >"$copy"
    if cmp -s "src/$source" "$copy"; then
        complain "the script changes nothing in src/$source"
        return
    fi
    compile "$source" "$copy" "$work/bug.o" || { complain "does not compile" "$work/compile.log"; return; }
    link "$program" "$work/bug.o" "$work/program" || { complain "does not link" "$work/link.log"; return; }
    "$work/program" --seeds "$seeds" --findings $wanted "$part" >"$work/out.txt" 2>&1
    # "seed 12 (PCT 5), hash 0123: lost wake-up: ..." follows the name of the test.
    sed -n '/^FINDING /{s/^FINDING [^:]*: //;h;n;s/^    seed \([0-9]*\) ([^)]*), hash \([0-9a-f]*\): \([^:]*\):.*/\1 \2 \3/;G;s/\n/ /;p}' \
        "$work/out.txt" | head -n $wanted >"$work/seeds.txt"
    n=$(wc -l <"$work/seeds.txt")
    [ "$n" -ge $wanted ] || { complain "found with $n of $wanted seeds among $seeds" "$work/out.txt"; return; }
    found=$((found + 1))
    while read -r seed hash rest; do
        "$work/program" --seed "$seed" "$part" >"$work/again.txt" 2>&1
        grep -q "^$(basename program): .*: seed $seed: .*, hash $hash," "$work/again.txt" || {
            complain "seed $seed goes another way (hash $hash, ${rest})" "$work/again.txt"
            return
        }
    done <"$work/seeds.txt"
    replayed=$((replayed + 1))
    result pass "$start" "bugs: $name"
    echo "    $(sed 's/ .*//' "$work/seeds.txt" | tr '\n' ' '): $(awk '{ print $3, $4 }' "$work/seeds.txt" | sed 's/ [^w].*//' | sort | uniq -c | awk '{ $1 = ""; print }' | tr '\n' ',')"
}

grep -v '^#' test/sim/bugs.txt | {
    while IFS= read -r name; do
        [ -n "$name" ] || continue
        IFS= read -r source
        IFS= read -r script
        IFS= read -r where
        case $name in *"$only"*) try ;; esac
    done
    echo "$bugs bugs, $found found, $replayed replayed"
    [ $replayed -eq $bugs ]
}
