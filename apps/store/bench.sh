#!/bin/sh
# apps/store/bench.sh [N]: store beside LMDB and SQLite on Quire, in instructions for each operation (and nanoseconds of waiting
# for the disk in "durable"); what the three do is in bench/compare.c.
set -eu
cd "$(dirname "$0")/../.."
make -s store-bench
./quire run --icount --mem 1G --packages libsqlite3-0,liblmdb0,bash,coreutils --add build/apps-bench/compare:/root/compare -- \
    sh -c 'for e in store lmdb sqlite; do mkdir -p /root/$e; /root/compare $e /root/$e '"${1:-20000}"'; done'
