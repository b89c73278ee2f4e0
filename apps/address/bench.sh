# A tree of records with 64-bit names through a window of 1024 pages.
# count: yes
. /bench/bench.sh

n=${QUICK:+2000}
m=${QUICK:+500}
rm -rf tree
runs address --window 1024 tree add "${n:-60000}" && {
    row "add: per number" "$(counted "${n:-60000}" "$(value nanoseconds)")" instructions "$(value pages) pages in the end"
    row "add: traps" "$(value traps)" "" "$(value reads) pages read, $(value writes) written, $(value swizzled) words translated"
}
runs address --window 1024 tree find "${m:-3000}" &&
    row "find: per number" "$(counted $((${m:-3000} * 2)) "$(value nanoseconds)")" instructions "half of them there; $(value traps) traps"
runs address --window 16384 tree find "${m:-3000}" &&
    row "find, all in the window" "$(counted $((${m:-3000} * 2)) "$(value nanoseconds)")" instructions "$(value traps) traps"
