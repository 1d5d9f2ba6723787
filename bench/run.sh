#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Builds the peers written in Go and Rust, where their tools are installed, and starts the driver. Called by
# `./run bench`, which has built haft's side and the peers in C and C++ in HAFT_BUILD before.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
: "${HAFT_BUILD:=$here/../build/release}"
HAFT_BUILD=$(cd "$HAFT_BUILD" && pwd)
export HAFT_BUILD
peers=$HAFT_BUILD/bench/peers
mkdir -p "$peers"

command -v python3 >/dev/null || {
    echo "bench needs python3" >&2
    exit 1
}

# build NAME COMMAND…: a peer that cannot be built is left out, with its log named.
build() {
    name=$1
    shift
    if ! "$@" >"$peers/$name.log" 2>&1; then
        echo "peer $name could not be built and is left out: see $peers/$name.log" >&2
        return 1
    fi
}

build_go() (
    cd "$here/peers/go"
    GOFLAGS=-mod=mod GOPROXY=off go build -o "$peers/go" .
)

# Crates come from Debian's librust-*-dev packages only. cargo writes beside its sources, so it works on a copy. Debian's
# own compiler is taken where it is installed, because it is the one that these crates are packaged for.
build_rust() (
    mkdir -p "$peers/rust"
    cp -Rp "$here/peers/rust/." "$peers/rust/"
    cd "$peers/rust"
    cargo=cargo
    if [ -x /usr/bin/cargo ] && [ -x /usr/bin/rustc ]; then
        cargo=/usr/bin/cargo
        RUSTC=/usr/bin/rustc
        export RUSTC
    fi
    "$cargo" build --release --offline --target-dir target \
        --config 'source.crates-io.replace-with = "debian"' \
        --config 'source.debian.directory = "/usr/share/cargo/registry"'
    for program in rust_std parking_lot rayon tokio crossbeam; do
        cp "target/release/$program" "$peers/$program"
    done
)

rm -f "$peers/go" "$peers/rust_std" "$peers/parking_lot" "$peers/rayon" "$peers/tokio" "$peers/crossbeam"
if command -v go >/dev/null; then
    build go build_go || :
fi
if { [ -x /usr/bin/cargo ] || command -v cargo >/dev/null; } && [ -d /usr/share/cargo/registry ]; then
    build rust build_rust || :
fi

exec python3 -B "$here/driver.py" "$@"
