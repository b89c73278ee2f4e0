# Disks that were left dirty: Quire and Debian's Linux are killed (kill -9 of QEMU) in the middle of work, and each recovers what the
# other left, to the same as e2fsck does.
. tests/disks/disks.sh

make -s -f tests/crash/Makefile >"$tmp/build" 2>&1 || { sed 's/^/# /' "$tmp/build" | tail -n5; }
mkdir -p "$tmp/root/p0" "$tmp/root/p1" "$tmp/root/p2" "$tmp/script"
build/crash/crash --script "$tmp/script" --seed 77 --operations 1500

is_dirty()
{
    dumpe2fs -h "$disk" 2>/dev/null | grep -q needs_recovery
}

# How many lines of the first script are over: what the workload notes behind the file system.
lines_over()
{
    od -An -tu4 -j $((20 << 20)) -N 4 "$disk" | tr -d ' '
}

# kill_at_work LINES: kills QEMU when so much is done.
kill_at_work()
{
    while [ "$(lines_over)" -lt "$1" ] && kill -0 "$run" 2>/dev/null; do
        sleep 0.02
    done
    kill -9 "$(cat "$tmp/pid")"
    wait "$run"
}

# leave_dirty KERNEL BLOCK-SIZE MOUNT-OPTIONS: $disk. A kill that comes too late, on a machine that stood still meanwhile, is tried again.
leave_dirty()
{
    for lines in 300 200 100 50 1; do
        new_disk "dirty" 20M -b "$2" -d "$tmp/root" -E root_owner=0:0
        truncate -s 21M "$disk"
        ./quire "$1" --timeout 300 --smp 2 --qemu "-pidfile $tmp/pid" --add build/disks/workload:/root/workload --add "$tmp/script:/root/script" \
            --drive "$disk" -- env "OPTIONS=$3" /root/workload /dev/vdb $((20 << 20)) /root/script/p0 /root/script/p1 /root/script/p2 >"$tmp/out" 2>&1 </dev/null &
        run=$!
        kill_at_work "$lines"
        ! is_dirty || break
    done
    ok "$1 was killed at work, blocks of $2, $3" is_dirty
}

# tree_by KERNEL: what it finds on the disk
tree_by()
{
    KERNEL=$1
    cp --sparse=always "$disk" "$tmp/copy"
    guest --add build/disks/tree:/root/tree --drive "$tmp/copy" -- /root/tree /dev/vdb
    KERNEL=run
    echo "$out" >"$tmp/tree-$1"
}

# recovered_alike KERNEL BLOCK-SIZE MOUNT-OPTIONS
recovered_alike()
{
    if [ "$1" = linux ] && [ ! -f build/linux/vmlinux ]; then
        echo "ok $((count += 1)) - a disk that Linux left # SKIP build/linux is not built (make linux)"
        return
    fi
    leave_dirty "$1" "$2" "$3"
    tree_by run
    ok "... Quire recovers it, and leaves it clean" e2fsck -fn "$tmp/copy"
    [ ! -f build/linux/vmlinux ] || { tree_by linux && ok "... Linux finds the same" diff "$tmp/tree-run" "$tmp/tree-linux"; }
    mv "$tmp/tree-run" "$tmp/tree"
    e2fsck -p "$disk" >"$tmp/fsck" 2>&1 || [ $? = 1 ] || sed 's/^/# /' "$tmp/fsck"
    tree_by run
    ok "... e2fsck too: $(grep -c . "$tmp/tree") names" diff "$tmp/tree" "$tmp/tree-run"
}

recovered_alike run 1024 data=ordered
recovered_alike linux 4096 data=ordered
recovered_alike run 4096 data=journal
recovered_alike linux 1024 data=journal
finish
