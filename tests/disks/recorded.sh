# Power failures of machines: QEMU writes down what a guest's disk is told while three processes work, and the log is cut. Each
# state is recovered on the host, by e2fsck too, and compared with what had been promised; some are booted, by Quire and by Linux.
. tests/disks/disks.sh

SEEDS=${SEEDS:-"1 2 3-journal 4-writeback"} OPERATIONS=${OPERATIONS:-150} STATES=${STATES:-300} EVERY=${EVERY:-20} BOOTED=${BOOTED:-4}
make -s -f tests/crash/Makefile >"$tmp/build" 2>&1 || { sed 's/^/# /' "$tmp/build" | tail -n5; }

# record SEED BLOCK-SIZE SIZE OPTION...: $tmp/before is the disk as it was, $tmp/log what happened to it.
record()
{
    seed=$1 size=$3
    rm -rf "$tmp/root" "$tmp/script" "$tmp/after" "$tmp/log"
    mkdir -p "$tmp/root/p0" "$tmp/root/p1" "$tmp/root/p2" "$tmp/script"
    rm -f "$tmp/before"
    mke2fs -q -F -t ext3 -b "$2" -N 256 -J "size=$(($2 / 1024))" -E root_owner=0:0 -d "$tmp/root" "$tmp/before" "${size}k" >/dev/null 2>"$tmp/mke2fs"
    truncate -s $((size * 1024 + 3 * 4096)) "$tmp/before"
    cp --sparse=always "$tmp/before" "$tmp/after"
    truncate -s 0 "$tmp/log"
    build/crash/crash --script "$tmp/script" --data "$data" --seed "$seed" --operations "$OPERATIONS"
    disk=$tmp/after
    guest --smp 2 --add build/disks/workload:/root/workload --add "$tmp/script:/root/script" --kernel-log "$tmp/kernel" --qemu "$(recorded_drive)" -- \
        env "OPTIONS=data=$data" /root/workload /dev/vdb $((size * 1024)) /root/script/p0 /root/script/p1 /root/script/p2
    is "$status:$out" "0:done" "seed $seed, blocks of $2, data=$data: three processes perform $OPERATIONS operations each on a recorded disk"
}

# boot KERNEL: the saved states' trees as it recovers them, in $tmp/trees.
boot()
{
    recorded_by=${KERNEL:-}
    KERNEL=$1
    set --
    devices=
    letters="b c d e f g h i"
    for i in $(seq 0 $((BOOTED - 1))); do
        cp --sparse=always "$tmp/states/state$i" "$tmp/states/boot$i"
        set -- "$@" --drive "$tmp/states/boot$i"
        devices="$devices /dev/vd${letters%% *}"
        letters=${letters#* }
    done
    # shellcheck disable=SC2086
    guest --add build/disks/tree:/root/tree "$@" --kernel-log "$tmp/kernel" -- /root/tree $devices
    KERNEL=$recorded_by
    echo "$out" >"$tmp/trees"
}

for seed in $SEEDS; do
    data=${seed#*-}
    seed=${seed%%-*}
    [ "$data" != "$seed" ] || data=ordered
    case $((seed % 3)) in
    0) record "$seed" 1024 4096 ;;
    1) record "$seed" 2048 6144 ;;
    2) record "$seed" 4096 9216 ;;
    esac
    [ "$status" = 0 ] || continue
    mkdir -p "$tmp/states"
    ok "... every state of the disk is recovered to what was promised" build/crash/crash --recorded "$tmp/before" "$tmp/log" --seed "$seed" \
        --operations "$OPERATIONS" --data "$data" --states "$STATES" --fsck "$EVERY" --save "$BOOTED" "$tmp/states"
    sed 's/^/# /' "$tmp/output" | tail -n2
    for i in $(seq 0 $((BOOTED - 1))); do
        echo "disk $i"
        cat "$tmp/states/tree$i"
    done >"$tmp/want"
    boot run
    ok "... Quire, booted, recovers $BOOTED of them to the same" diff "$tmp/want" "$tmp/trees"
    clean=0
    for i in $(seq 0 $((BOOTED - 1))); do
        e2fsck -fn "$tmp/states/boot$i" >"$tmp/fsck" 2>&1 || { clean=1; sed 's/^/# /' "$tmp/fsck" | tail -n5; }
    done
    is "$clean" 0 "... and leaves them clean"
    if [ -f build/linux/vmlinux ]; then
        boot linux
        ok "... so does Linux" diff "$tmp/want" "$tmp/trees"
    else
        echo "ok $((count += 1)) - ... so does Linux # SKIP build/linux is not built (make linux)"
    fi
done
finish
