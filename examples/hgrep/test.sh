#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Compares hgrep with grep -rnI | sort on a made-up tree of odd files, names and patterns: what is printed, what is said
# on standard error, and the exit status. HAFT_BUILD is the build directory. Ends with "N passed, N failed, N skipped".
#
# shellcheck disable=SC1003,SC2016
LC_ALL=C
export LC_ALL
unset GREP_COLORS POSIXLY_CORRECT
: "${HAFT_BUILD:=$(cd "$(dirname "$0")/../.." && pwd)/build/dev}"
case $HAFT_BUILD in /*) ;; *) HAFT_BUILD=$PWD/$HAFT_BUILD ;; esac
HGREP=$HAFT_BUILD/examples/hgrep
[ -x "$HGREP" ] || { echo "test.sh: no $HGREP" >&2; exit 1; }
DIR=$(mktemp -d) || exit 1
trap 'chmod -R u+rwx "$DIR"; rm -rf "$DIR"' EXIT
trap 'exit 1' HUP INT TERM
passed=0 failed=0 skipped=0
NL='
'

pass() { passed=$((passed + 1)); }
fail() { failed=$((failed + 1)); echo "FAILED: $*"; }
skip() { skipped=$((skipped + 1)); echo "skipped: $*"; }

# same GREP-DIALECT ARGUMENTS...: with standard input from $DIR/in.
same() {
    dialect=$1
    shift
    option=$dialect
    [ "$option" = F ] && option=
    { grep "-rnI$dialect" "$@" 2>"$DIR/want.err" <"$DIR/in"; echo $? >"$DIR/want.rc"; } | sort >"$DIR/want"
    sed -e '/warning:/d' -e 's/^grep:/hgrep:/' "$DIR/want.err" | sort >"$DIR/want.said"
    for jobs in 1 4; do
        "$HGREP" ${option:+-$option} -j "$jobs" "$@" >"$DIR/got" 2>"$DIR/got.err" <"$DIR/in"
        echo $? >"$DIR/got.rc"
        sort "$DIR/got.err" >"$DIR/got.said"
        if cmp -s "$DIR/want" "$DIR/got" && cmp -s "$DIR/want.rc" "$DIR/got.rc" &&
            cmp -s "$DIR/want.said" "$DIR/got.said"; then
            pass
        else
            fail "-$dialect -j $jobs $*"
            diff "$DIR/want" "$DIR/got" | head -n 5
            diff "$DIR/want.said" "$DIR/got.said"
            diff "$DIR/want.rc" "$DIR/got.rc"
        fi
    done
}
both() { same F "$@"; same E "$@"; }

# What a program prints once: a file of about $1 KiB of text.
filler() { yes 'a line of nothing that matters to anyone' | head -c "$(($1 * 1024))"; echo; }

# --- The tree -------------------------------------------------------------------------------------------------------

mkdir -p "$DIR/ground/tree/sub/deeper" "$DIR/ground/tree/.hidden" "$DIR/ground/tree/empty" "$DIR/ground/other" || exit 1
cd "$DIR/ground" || exit 1
printf 'needle in\n\nthe input\n' >"$DIR/in"
printf 'a needle\nplain\nanother needle' >tree/no-newline
printf 'needle\r\nplain\r\n\r\n' >tree/crlf
printf '\n\n\n' >tree/newlines
: >tree/nothing
printf 'needle' >tree/.hidden/.dot
printf 'needle\n\0needle\n' >tree/nul
printf 'needle \377\376 \303\n\200needle\n' >tree/bytes
printf 'needle\tneedle\nneedle*\n-needle\n{needle}\n(needle)\nneedle\\\n' >tree/sub/signs
printf 'nee\ndle\n needle \n\fneedle\v\n' >tree/sub/spaces
printf 'abab\nabba\nxx\nneedleneedle\n' >tree/sub/deeper/twice
printf 'needle\n' >'tree/a name:1:with colons'
printf 'needle\n' >"tree/a name${NL}of two lines"
printf 'needle\n' >tree/-needle
printf 'needle\n' >"$(printf 'tree/\001\377')"
{ filler 40; printf 'needle\n\0\nneedle\n'; } >tree/nul-40k
{ printf 'needle\n'; filler 140; printf 'needle\n\0needle\n'; } >tree/nul-140k
{ printf 'needle\n'; filler 300; printf 'needle'; } >tree/long
{ printf 'needle\n'; filler 120; printf 'needle\n'; } >tree/hole && truncate -s 400K tree/hole
for size in 98303 98304 98305; do
    { printf 'needle\n'; filler 200; } | head -c "$size" >tree/block-$size
    { printf 'needle\n'; filler 200; } | head -c "$((size - 7))" >tree/block-needle-$size
    printf '\nneedle' >>tree/block-needle-$size
done
# Apart, because grep reads larger blocks after a line like this, and then finds NULs earlier.
{ printf 'needle '; filler 300 | tr '\n' ' '; printf 'needle\nneedle'; } >long-line
ln -s no-newline tree/link
ln -s sub tree/link-to-sub
ln -s nowhere tree/dangling
ln -s .. tree/sub/loop
mkfifo tree/fifo
i=0
while [ $i -lt 300 ]; do
    mkdir -p "other/$((i % 17))/$((i % 5))"
    printf 'needle %d\n%d\nneedle\n' $i $i >"other/$((i % 17))/$((i % 5))/$i"
    i=$((i + 1))
done

# --- Patterns -------------------------------------------------------------------------------------------------------

for pattern in needle e '' ' ' 'needle*' '*' '.' '-needle' '(needle)' '{needle}' 'needle\\' "a${NL}b" "needle${NL}" \
    "${NL}needle" "$NL" "plain${NL}plain needle${NL}nee" "$(printf '\377')" "$(printf '\r')" 'no such thing'; do
    same F -- "$pattern" tree
done
for pattern in needle '' '^' '$' '^$' '.' '^.' '.$' 'need.*' '^needle$' 'nee|ab' '(ab)+' '(a)(b)\2\1' '(.)\1' '(nee.*)\1' \
    '^(.*)\1$' 'n{1}e{2}' 'e{2,}' 'e{,3}d' 'a{1' '\bneedle\b' '\<n' 'e\>' '\w+' '\W' '\s' '\S\s\S' '[[:space:]]needle' \
    '[[:space:]]' '[^a]' '[^n]needle' "x|${NL}" "abab${NL}xx" '\`needle' "needle\\'" '\`$' '*needle' 'needle|' \
    '|needle' 'e+\*' 'needle\\' '[]]' '[^]a-z]' '()' 'a()b' '(|a)b' 'x*' '[[:upper:]]' '.*needle.*needle' ')' 'needle)' 'a**' \
    '(^needle|e$)' 'e[[:space:]]*$' '\.' '-n' '^[^[:print:]]' 'n\{1' 'a{1}{2}' \
    "$(printf '\377.')" "$(printf '[\200-\377]n')"; do
    same E -- "$pattern" tree
done
for pattern in '(' 'needle\' '(a|{)' 'a{2,1}' 'a{99999}' '[:alpha:]' 'x[^:alpha:]' '[' '[:' '[[:foo:]]' "(a${NL}b)" "[a${NL}b]" \
    "a\\${NL}b" "(a)x${NL}(b)\\1\\2"; do
    same E -- "$pattern" tree
done
# A brace that begins no interval, and an interval with nothing before it.
for pattern in '{' '^{' '{}' '{n' '{needle}' '{{' '{\}' 'x|{' '({n)' '{1' '^{1' '{2,1}' '{99999' 'e{1,2' \
    '{1}n' '^{1}n' '(^{1}n)' '\b{2}' '${1}' '{,}' 'x|{1}' 'e{,2}' '[{]' '[^{]n' 'x|{{2,1}' '(n|{{)'; do
    same E -- "$pattern" tree
done
# Each line by itself: what it refers back to is counted there.
for pattern in "(n)x${NL}(b)\\1" "(b)\\1${NL}(x)\\1${NL}plain" "(.)\\1${NL}" '[:a]' '[]:a:]' \
    '[:a[:digit:]:]' '[[.a.]]' '[[=a=]x]' '[a[.].]]'; do
    same E -- "$pattern" tree
done
# Groups within groups take stack.
for depth in 100 1000 4000; do
    same E "$(printf "%${depth}s" '' | tr ' ' '(')needle$(printf "%${depth}s" '' | tr ' ' ')')" tree
done

# --- Paths ----------------------------------------------------------------------------------------------------------

both needle tree/
both needle tree//
both needle tree///sub
both needle ./tree
both needle .
both needle "$DIR/ground/tree"
both needle long-line
same E 'e\b.*needle$' long-line
both needle tree tree
both needle tree tree/ ./tree tree/sub tree/no-newline
both needle tree/no-newline
both needle tree/no-newline tree/no-newline
both needle tree/nul
both needle tree/nothing
both needle tree/empty
both needle tree/empty tree/no-newline
both needle tree/link
both needle tree/link-to-sub
both needle tree/link-to-sub/
both needle tree/sub/loop/sub
both needle tree/dangling
both needle tree/dangling tree/sub
both needle missing
both needle missing missing tree missing/too
both needle ''
both needle tree/nothing/
both needle -
both needle - tree
both needle tree/sub - tree
both needle /dev/null
both needle /dev/null tree
both needle other
both 1 other
both needle -- tree -needle
both -- -needle tree
both -- needle tree/-needle
both needle "$(printf '%05000d' 0)"
both needle "/$(printf '%05000d' 0)"
(cd tree && cd sub && mkdir here && cd here && printf 'needle\n' >x) || exit 1
for place in tree tree/sub/here tree/empty; do
    cd "$DIR/ground/$place" || exit 1
    both needle
    both needle ..
    both needle ../. missing
done
cd "$DIR/ground" || exit 1

{ sleep 0.1; printf 'needle\n'; } >tree/fifo &
"$HGREP" needle tree/fifo >"$DIR/got"
wait
if [ "$(cat "$DIR/got")" = 1:needle ]; then pass; else fail "a FIFO that is named is read"; fi

# --- Limits ---------------------------------------------------------------------------------------------------------

# A tree deeper than a path can be long; built from its end, for a shell cannot go there.
name=$(printf '%0200d' 0)
mkdir deep
i=0
while [ $i -lt 40 ]; do
    printf 'needle %d\n' $i >deep/file
    mkdir above && mv deep "above/$name" && mv above deep || exit 1
    i=$((i + 1))
done
both needle deep
both needle "deep/$name" deep//

# Fewer descriptors than jobs.
grep -rnIF needle other | sort >"$DIR/want"
# shellcheck disable=SC3045
if ! (ulimit -n 16) 2>"$DIR/got.err"; then
    skip "few descriptors: $(cat "$DIR/got.err")"
elif (ulimit -n 16 && exec "$HGREP" -j 32 needle other >"$DIR/got" 2>"$DIR/got.err") &&
    cmp -s "$DIR/want" "$DIR/got" && [ ! -s "$DIR/got.err" ]; then
    pass
else
    fail "few descriptors: $(head -n 1 "$DIR/got.err")"
fi

# Files that may not be read. For root nothing is forbidden, so somebody else has to look.
printf 'needle\n' >tree/forbidden
mkdir -p tree/locked/in
printf 'needle\n' >tree/locked/file
chmod 0 tree/forbidden tree/locked
if [ "$(id -u)" -ne 0 ]; then
    both needle tree
    both needle tree/forbidden
    both needle tree/locked tree/sub
else
    chmod 711 "$DIR"
    set -- setpriv --reuid=65534 --regid=65534 --clear-groups
    if "$@" test -x "$HGREP" 2>/dev/null && ! "$@" test -r tree/forbidden; then
        "$@" grep -rnIF needle tree 2>"$DIR/want.err" | sort >"$DIR/want"
        "$@" "$HGREP" needle tree >"$DIR/got" 2>"$DIR/got.err"
        rc=$?
        sed 's/^grep:/hgrep:/' "$DIR/want.err" | sort >"$DIR/want.said"
        sort "$DIR/got.err" >"$DIR/got.said"
        if [ $rc -eq 2 ] && cmp -s "$DIR/want" "$DIR/got" && cmp -s "$DIR/want.said" "$DIR/got.said" &&
            [ -s "$DIR/want.said" ]; then
            pass
        else
            fail "files that may not be read"
        fi
    else
        skip "files that may not be read: nobody else to try it as"
    fi
fi
chmod 755 tree/locked

# Whoever reads the output may stop, and then nothing more is said.
yes needle | head -n 100000 >many
if env --default-signal=PIPE true 2>/dev/null; then
    { env --default-signal=PIPE "$HGREP" needle many 2>"$DIR/got.err"; echo $? >"$DIR/got.rc"; } | head -n 1 >"$DIR/got"
    if [ "$(cat "$DIR/got")" = 100000:needle ] && [ "$(cat "$DIR/got.rc")" -eq 141 ] && [ ! -s "$DIR/got.err" ]; then
        pass
    else
        fail "a pipe that nobody reads: $(cat "$DIR/got.rc" "$DIR/got.err")"
    fi
else
    skip "SIGPIPE: no env --default-signal"
fi
rm many

# As many jobs as it takes.
"$HGREP" -j 1000 needle tree/no-newline other >"$DIR/got" 2>"$DIR/got.err"
rc=$?
grep -rnIF needle tree/no-newline other | sort >"$DIR/want"
if [ $rc -eq 0 ] && cmp -s "$DIR/want" "$DIR/got" && [ ! -s "$DIR/got.err" ]; then pass; else fail "-j 1000: $rc"; fi

# Output that cannot be written is an error.
if [ -w /dev/full ]; then
    "$HGREP" needle other >/dev/full 2>"$DIR/got.err"
    rc=$?
    if [ $rc -eq 2 ] && grep -qx 'hgrep: No space left on device' "$DIR/got.err"; then pass; else fail "/dev/full"; fi
else
    skip "no /dev/full"
fi

# Files that vanish, and appear, while they are searched: no crash, and what stays is found.
mkdir moving
cp tree/sub/signs moving/stays
( while [ -d moving ]; do : >moving/a$$; mkdir -p moving/b/c; rm -rf moving/a$$ moving/b; done ) 2>/dev/null &
vanisher=$!
i=0
while [ $i -lt 50 ]; do
    "$HGREP" -j 4 '(needle)' moving 2>"$DIR/got.err" >"$DIR/got"
    rc=$?
    [ "$(cat "$DIR/got")" = "moving/stays:5:(needle)" ] || break
    [ $rc -ne 1 ] || break
    i=$((i + 1))
done
kill $vanisher
wait $vanisher 2>/dev/null
if [ $i -eq 50 ]; then pass; else fail "files that vanish: $rc $(cat "$DIR/got" "$DIR/got.err")"; fi

# --- Ending early ---------------------------------------------------------------------------------------------------

# A pipe that nobody writes to holds one job up for ever. What the others found is printed, and nobody waits for it. With
# one job things have an order: the pipe is opened once the file before it was searched.
mkfifo mute
printf 'hgrep: interrupted: not everything was searched\n' >"$DIR/want.said"
grep -nF needle tree/no-newline | sed 's/^/tree\/no-newline:/' | sort >"$DIR/want"
if env --default-signal=INT true 2>/dev/null; then
    for jobs in 1 4; do
        # A shell lets its background commands ignore SIGINT.
        env --default-signal=INT "$HGREP" -j $jobs needle tree/no-newline mute >"$DIR/got" 2>"$DIR/got.err" &
        hgrep=$!
        exec 3>mute # waits until hgrep has opened it
        [ $jobs -eq 1 ] || sleep 0.2 # for the other job; with one there is no need
        kill -INT $hgrep
        wait $hgrep
        rc=$?
        exec 3>&-
        if [ $rc -eq 130 ] && cmp -s "$DIR/want" "$DIR/got" && cmp -s "$DIR/want.said" "$DIR/got.err"; then
            pass
        else
            fail "SIGINT with $jobs jobs: $rc $(cat "$DIR/got" "$DIR/got.err")"
        fi
    done
    # In the middle of many files: a part of what there is, in order, and no line in pieces.
    grep -rnIF needle other | sort >"$DIR/whole"
    env --default-signal=INT "$HGREP" -j 4 needle other mute >"$DIR/got" 2>"$DIR/got.err" &
    hgrep=$!
    exec 3>mute
    kill -INT $hgrep
    wait $hgrep
    rc=$?
    exec 3>&-
    if [ $rc -eq 130 ] && sort -c "$DIR/got" && [ -z "$(comm -13 "$DIR/whole" "$DIR/got")" ]; then
        pass
    else
        fail "SIGINT among many files: $rc"
    fi
else
    skip "SIGINT: no env --default-signal"
fi
(trap '' INT; exec "$HGREP" needle tree/no-newline mute >"$DIR/got" 2>"$DIR/got.err") &
hgrep=$!
exec 3>mute
kill -INT $hgrep
echo 'a needle' >&3
exec 3>&-
wait $hgrep
rc=$?
if [ $rc -eq 0 ] && [ "$(wc -l <"$DIR/got")" -eq 3 ]; then pass; else fail "SIGINT that is ignored: $rc"; fi

printf 'hgrep: out of time: not everything was searched\n' >"$DIR/want.said"
for jobs in 1 4; do
    "$HGREP" --timeout 0.3 -j $jobs needle tree/no-newline mute >"$DIR/got" 2>"$DIR/got.err"
    rc=$?
    if [ $rc -eq 124 ] && cmp -s "$DIR/want" "$DIR/got" && cmp -s "$DIR/want.said" "$DIR/got.err"; then
        pass
    else
        fail "--timeout with $jobs jobs: $rc $(cat "$DIR/got" "$DIR/got.err")"
    fi
done
"$HGREP" --timeout 0 needle tree >"$DIR/got" 2>"$DIR/got.err"
rc=$?
if [ $rc -eq 124 ] && cmp -s "$DIR/want.said" "$DIR/got.err"; then pass; else fail "--timeout 0: $rc"; fi
grep -rnIF needle other | sort >"$DIR/want"
"$HGREP" --timeout 1000 needle other >"$DIR/got" 2>"$DIR/got.err"
rc=$?
if [ $rc -eq 0 ] && cmp -s "$DIR/want" "$DIR/got" && [ ! -s "$DIR/got.err" ]; then pass; else fail "--timeout 1000: $rc"; fi

# --- Jobs and progress ----------------------------------------------------------------------------------------------

# Each pipe that says nothing holds a job, and no more of them are open than there may be jobs.
mkfifo mute1 mute2 mute3
exec 3<>mute1 4<>mute2 5<>mute3
"$HGREP" --timeout 100 -j 2 needle mute1 mute2 mute3 >"$DIR/got" 2>"$DIR/got.err" 3>&- 4>&- 5>&- &
hgrep=$!
# open_pipes WHICH: how many of them are open. Until it is hgrep the process is a shell, which has them all.
open_pipes() {
    case $(readlink /proc/$hgrep/exe) in
        */hgrep) find /proc/$hgrep/fd -lname "*/mute$1" 2>/dev/null | wc -l ;;
        *) echo 0 ;;
    esac
}
# until_open WHICH N: waits until so many of them are open.
until_open() {
    i=0
    while [ "$(open_pipes "$1")" -lt "$2" ] && [ $i -lt 600 ]; do
        sleep 0.05
        i=$((i + 1))
    done
}
until_open '[123]' 2
sleep 0.3 # for a third one that must not come
open=$(open_pipes '[123]')
echo 'a needle' >&3
echo 'a needle' >&4
exec 3>&- 4>&-
until_open 3 1 # before its last writer goes
echo 'a needle' >&5
exec 5>&-
wait $hgrep
rc=$?
if [ $rc -eq 0 ] && [ "$open" -eq 2 ] && [ "$(wc -l <"$DIR/got")" -eq 3 ]; then
    pass
else
    fail "-j 2 with three pipes: $rc, $open open, $(cat "$DIR/got" "$DIR/got.err")"
fi

if command -v script >/dev/null; then
    script -qec "$HGREP needle other" /dev/null </dev/null >"$DIR/typescript" 2>&1
    if grep -q '[0-9] files, [0-9]* bytes of matches' "$DIR/typescript"; then
        pass
    else
        fail "no progress on a terminal"
    fi
else
    skip "progress on a terminal: no script"
fi
"$HGREP" needle other >"$DIR/got" 2>"$DIR/got.err"
if [ -s "$DIR/got" ] && [ ! -s "$DIR/got.err" ]; then pass; else fail "progress where there is no terminal"; fi

# --- The command line -----------------------------------------------------------------------------------------------

for bad in '' '-j' '-j 0 x' '-j -1 x' '-j 1001 x' '-j 9999999 x' '-j 2x x' '-j 99999999999999999999 x' '-Q x' \
    '--timeout' '--timeout x' '--timeout -1 x' '--timeout 1s x'; do
    # shellcheck disable=SC2086
    "$HGREP" $bad >"$DIR/got" 2>"$DIR/got.err" </dev/null
    if [ $? -eq 2 ] && [ ! -s "$DIR/got" ] && grep -q '^usage: ' "$DIR/got.err"; then pass; else fail "usage: $bad"; fi
done

echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
