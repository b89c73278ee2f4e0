# The same work on ordinary memory in a machine of which only so much is left as a tenth of it, and as much again: the kernel has to
# swap. Beside it the pager with as much: a tenth for pages, a tenth for compressed ones, the rest in a file. Quire's machine is smaller,
# as its store of compressed pages may take a share of the machine's memory, locked or not.
# machine quire: --mem 64M --qemu -m%16M
# machine linux: --mem 192M
# drive: 256M
# sides: quire linux
# count: yes
. /bench/bench.sh

disk=/dev/vdb
for serial in /sys/block/vd*/serial; do # Linux may have named the disks in another order
    [ -r "$serial" ] || continue
    [ "$(cat "$serial")" != drive1 ] || { disk=${serial%/serial}; disk=/dev/${disk##*/}; }
done
{ mkswap $disk && swapon $disk; } >/dev/null || exit 2

for work in sort matrix; do
    case $work in
    sort) size=$((32 << 20)) ;;
    matrix) size=$((16 << 20)) ;;
    esac
    [ -z "$QUICK" ] || size=$((8 << 20))
    tenth=$((size / 10)) what="$((size >> 20))M on ordinary memory, $((size / 5 >> 10))K left of the machine's"
    runs pager --size $size --budget $tenth --compressed $tenth $work &&
        row "$work, pager and file: all" "$(counted 1 "$(value nanoseconds)")" instructions \
            "$((size >> 20))M, $((tenth >> 10))K of pages, as much compressed; $(value faults) faults, $(value from_file) from the file"
    runs pager --method plain --leave $((2 * tenth)) --size $size $work &&
        row "$work, the kernel's swap: all" "$(counted 1 "$(value nanoseconds)")" instructions \
            "$what; $(value faults) faults, at most $(($(value most_resident) >> 10))K resident, what is locked counted in"
done
