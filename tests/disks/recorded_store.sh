# Power failures under apps/store: QEMU writes down what the disk of a guest is told while keeper commits numbered transactions, the log
# is cut, each state is recovered on the host, and the store that it holds must have all transactions whose commit had returned.
. tests/disks/disks.sh

COMMITS=${COMMITS:-150} STATES=${STATES:-60} SEED=${SEED:-1}
SIZE=16384 # KiB of the file system; behind it a page of marks
{
    make -s -f tests/crash/Makefile && make -s build/disks/keeper build/disks/keeper-host
} >"$tmp/build" 2>&1 || { sed 's/^/# /' "$tmp/build" | tail -n5; }

# keeper_finds IMAGE N
cat >"$tmp/keeper_finds" <<END
PATH=\$PATH:/usr/sbin:/sbin
rm -rf "$tmp/files" && mkdir "$tmp/files"
e2fsck -fn "\$1" || exit 1
debugfs -R "rdump / $tmp/files" "\$1"
if [ ! -f "$tmp/files/store" ]; then
    [ "\$2" = 0 ]
    exit
fi
build/disks/keeper-host "$tmp/files/store" check >"$tmp/kept"
cat "$tmp/kept"
awk -v want="\$2" '\$3 == "ok" && \$2 >= want { good = 1 } END { exit !good }' "$tmp/kept"
END

new_disk before "${SIZE}K" -b 1024 -E root_owner=0:0
truncate -s $((SIZE * 1024 + 3 * 4096)) "$disk"
cp --sparse=always "$tmp/before" "$tmp/after"
: >"$tmp/log"
guest --smp 2 --add build/disks/keeper:/root/keeper --kernel-log "$tmp/kernel" --timeout 400 --qemu "$(recorded_drive)" -- \
    sh -c "mkdir -p /mnt && mount -t ext3 /dev/vdb /mnt && /root/keeper /mnt/store /dev/vdb $((SIZE * 1024)) $COMMITS"
is "$status:$(echo "$out" | tail -n 1)" "0:store $COMMITS ." "a store commits $COMMITS transactions on a recorded disk"
ok "... every state of the disk has those whose commit had returned" build/crash/crash --recorded "$tmp/before" "$tmp/log" --each "sh $tmp/keeper_finds" \
    --seed "$SEED" --states "$STATES"
sed 's/^/# /' "$tmp/output" | tail -n2
finish
