#!/bin/sh
# SPDX-License-Identifier: MIT
#
# install.sh BUILD: installs that build into a new place and uses it from there as a stranger would, by pkg-config and
# by CMake, shared and static, with README's first program.
cd "$(dirname "$0")/.." || exit 1
. tools/results.sh
build=${1:?usage: install.sh BUILD}
DIR=$(mktemp -d) || exit 1
trap 'rm -rf "$DIR"' EXIT
trap 'exit 1' HUP INT TERM
status=0
prefix=$DIR/prefix
start=$(now)

# works NAME PROGRAM: whether what was built is there and prints what it must.
works()
{
    if [ -x "$2" ] && [ "$("$2" 2>&1)" = 'success: 500000500000' ]; then
        result pass "$start" "install: $1"
    else
        result FAIL "$start" "install: $1"
        indent <"$DIR/log"
        status=1
    fi
    start=$(now)
}

sed -n '/^```c$/,/^```$/p;/^```text$/q' README.md | grep -v '^```' >"$DIR/program.c"
cmake --install "$build" --prefix "$prefix" >"$DIR/log" 2>&1 || { result FAIL "$start" install; indent <"$DIR/log"; exit 1; }
libraries=$(dirname "$(find "$prefix" -name libhaft.a)")
PKG_CONFIG_PATH=$libraries/pkgconfig
LD_LIBRARY_PATH=$libraries
export PKG_CONFIG_PATH LD_LIBRARY_PATH

# The build was configured for another prefix.
flags=$(pkg-config "--define-variable=prefix=$prefix" --cflags --libs haft)
# shellcheck disable=SC2086  # a list of words
cc "$DIR/program.c" -o "$DIR/by_name" $flags >"$DIR/log" 2>&1
works "pkg-config names what a program needs" "$DIR/by_name"
cc "$DIR/program.c" "-I$prefix/include" "$libraries/libhaft.a" -pthread -o "$DIR/static" >"$DIR/log" 2>&1
works "the static library and -pthread are enough" "$DIR/static"

cat >"$DIR/CMakeLists.txt" <<'END'
cmake_minimum_required(VERSION 3.25)
project(user C)
find_package(haft 0.1 REQUIRED)
foreach(target haft haft_static)
  add_executable(with_${target} program.c)
  target_link_libraries(with_${target} PRIVATE haft::${target})
endforeach()
END
cmake -G Ninja -S "$DIR" -B "$DIR/user" "-DCMAKE_PREFIX_PATH=$prefix" >"$DIR/log" 2>&1 &&
    cmake --build "$DIR/user" >>"$DIR/log" 2>&1
works "CMake finds haft::haft" "$DIR/user/with_haft"
works "CMake finds haft::haft_static" "$DIR/user/with_haft_static"
[ $status -eq 0 ]
