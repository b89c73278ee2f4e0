# Mount options of ext3, one by one: what /proc/mounts says of them and of a remount, and what they do. The expected lines are
# what Linux 6.12 says.
. tests/disks/disks.sh

cat >"$tmp/script" <<'EOF'
mkdir -p /mnt
shows() { grep " /mnt " /proc/mounts | cut -d' ' -f4; }
try() { mount -t ext3 -o "$1" /dev/vdb /mnt 2>/dev/null && echo "$1: $(shows)" && umount /mnt || echo "$1: refused"; }
again() { mount -t ext3 -o "$1" /dev/vdb /mnt; mount -o "remount,$2" /mnt 2>/dev/null || echo -n "refused "; echo "$1, then $2: $(shows)"; umount /mnt; }
for o in rw ro sync dirsync noatime strictatime nodiratime errors=continue errors=remount-ro errors=panic errors=foo barrier=0 barrier=1 barrier=2 \
    nobarrier data=ordered data=writeback data=foo commit=0 commit=5 commit=9 commit=-1 commit= ro,noload bsddf noacl foo; do
    try $o
done
again rw ro; again ro rw; again rw noatime; again noatime strictatime; again rw sync; again rw errors=panic; again rw barrier=0; again barrier=0 barrier=1
again rw commit=9; again commit=9 commit=0; again commit=9 rw; again rw data=journal; again rw foo; again errors=remount-ro rw
EOF
cat >"$tmp/want" <<'EOF'
rw: rw,relatime
ro: ro,relatime
sync: rw,sync,relatime
dirsync: rw,dirsync,relatime
noatime: rw,noatime
strictatime: rw
nodiratime: rw,nodiratime,relatime
errors=continue: rw,relatime
errors=remount-ro: rw,relatime,errors=remount-ro
errors=panic: rw,relatime,errors=panic
errors=foo: refused
barrier=0: rw,relatime,nobarrier
barrier=1: rw,relatime
barrier=2: rw,relatime
nobarrier: rw,relatime,nobarrier
data=ordered: rw,relatime,data=ordered
data=writeback: rw,relatime,data=writeback
data=foo: refused
commit=0: rw,relatime
commit=5: rw,relatime
commit=9: rw,relatime,commit=9
commit=-1: refused
commit=: refused
ro,noload: ro,relatime,norecovery
bsddf: rw,relatime
noacl: refused
foo: refused
rw, then ro: ro,relatime
ro, then rw: rw,relatime
rw, then noatime: rw,noatime
noatime, then strictatime: rw
rw, then sync: rw,sync,relatime
rw, then errors=panic: rw,relatime,errors=panic
rw, then barrier=0: rw,relatime,nobarrier
barrier=0, then barrier=1: rw,relatime
rw, then commit=9: rw,relatime,commit=9
commit=9, then commit=0: rw,relatime
commit=9, then rw: rw,relatime,commit=9
refused rw, then data=journal: rw,relatime
refused rw, then foo: rw,relatime
errors=remount-ro, then rw: rw,relatime,errors=remount-ro
EOF
new_disk options 16M -b 1024
guest --drive "$disk" --add "$tmp/script:/root/script" -- sh /root/script
echo "$out" >"$tmp/got"
ok "/proc/mounts says what was asked for" diff "$tmp/want" "$tmp/got"
tune2fs -o journal_data "$disk" >"$tmp/tune2fs"
guest --drive "$disk" -- sh -c 'mkdir -p /mnt && mount -t ext3 /dev/vdb /mnt && (grep -h data= /proc/fs/ext[34]/vdb/options || cat /proc/fs/ext3/vdb) 2>/dev/null | grep -o data=journal; umount /mnt'
is "$out" "data=journal" "the disk's own default: data=journal"

# What ro, sync and dirsync do.
new_disk ro 16M -b 1024
sum=$(cksum <"$disk")
guest --drive "$disk" -- sh -c 'mkdir -p /mnt && mount -t ext3 -o ro /dev/vdb /mnt && { mkdir /mnt/d; : >/mnt/f; ls /mnt; } 2>&1 | grep -c "Read-only file system"; umount /mnt'
is "$out" 2 "ro: EROFS"
is "$(cksum <"$disk")" "$sum" "... not a byte of the disk is written"
if [ "$KERNEL" = linux ]; then
    echo "ok $((count += 1)) - sync, dirsync # SKIP Linux counts transactions elsewhere"
else
    # Commits that a mkdir and a write make by themselves.
    guest --drive "$disk" -- sh -c 'mkdir -p /mnt
        commits() { sed -n "s/^\([0-9]*\) transactions.*/\1/p" /proc/fs/jbd/vdb; }
        for o in async sync dirsync; do
            mount -t ext3 -o $o,commit=300 /dev/vdb /mnt; mkdir /mnt/$o; a=$(commits); mkdir /mnt/$o/d; b=$(commits); : >/mnt/$o/f; c=$(commits)
            echo x >>/mnt/$o/f; d=$(commits); echo "$o $((b > a)) $((c > b)) $((d > c))"; umount /mnt
        done'
    is "$out" "async 0 0 0
sync 1 1 1
dirsync 1 1 0" "sync, dirsync: what is durable when the call returns"
fi

if [ "$KERNEL" != linux ]; then # Linux empties its journal for it
    new_disk swap 16M -b 4096 -J size=4
    guest --drive "$disk" -- sh -c 'mkdir -p /mnt; for mode in ordered journal; do
        mount -t ext3 -o data=$mode /dev/vdb /mnt; dd if=/dev/zero of=/mnt/swap bs=1M count=1 2>/dev/null; mkswap /mnt/swap >/dev/null
        swapon /mnt/swap 2>&1 | grep -o "Invalid argument"; swapoff /mnt/swap 2>/dev/null && echo on; umount /mnt; done'
    is "$out" "on
Invalid argument" "no swap in a file whose data go through the journal"
fi

# A directory whose entries make no sense.
damaged_disk()
{
    new_disk damaged 16M -b 1024 "$@"
    debugfs -w -R 'mkdir bad' "$disk" >"$tmp/debugfs" 2>&1
    block=$(debugfs -R 'bmap bad 0' "$disk" 2>/dev/null)
    printf '\377\377\377\377\377\377\377\377' | dd of="$disk" bs=1 seek=$((block * 1024)) conv=notrunc 2>/dev/null
}
for journal in has_journal ^has_journal; do
    for on_error in continue remount-ro; do
        damaged_disk -O "$journal"
        guest --drive "$disk" -- sh -c "mkdir -p /mnt && mount -t $([ "$journal" = has_journal ] && echo ext3 || echo ext2) -o errors=$on_error /dev/vdb /mnt; ls /mnt/bad >/dev/null 2>&1; mkdir /mnt/new 2>/dev/null && echo rw || echo ro; umount /mnt"
        is "$out" "$([ "$on_error" = continue ] && echo rw || echo ro)" "errors=$on_error, $journal"
        like "$(dumpe2fs -h "$disk" 2>/dev/null | grep 'Filesystem state')" "*with errors" "... the disk is marked"
    done
done
damaged_disk
[ "$KERNEL" = linux ] || {
    guest --drive "$disk" -- sh -c "mkdir -p /mnt && mount -t ext3 -o errors=panic /dev/vdb /mnt; ls /mnt/bad; echo alive"
    is "$status:$out" "3:" "errors=panic"
}

# Which file systems are ext3, and which are ext2.
for type in ext2 ext3; do
    new_disk "$type" 16M -b 1024 -O "$([ "$type" = ext3 ] && echo has_journal || echo ^has_journal)"
    guest --drive "$disk" -- sh -c 'mkdir -p /mnt; for type in ext2 ext3; do mount -t $type /dev/vdb /mnt 2>/dev/null && : >/mnt/$type && grep -o " /mnt ext[23] rw" /proc/mounts
        mount -t $([ $type = ext2 ] && echo ext3 || echo ext2) /dev/vdb /mnt 2>&1 | grep -o "Resource busy\|Device or resource busy"; umount /mnt 2>/dev/null; done'
    is "$out" "$([ "$type" = ext2 ] && echo " /mnt ext2 rw" || echo " /mnt ext2 rw
Device or resource busy
 /mnt ext3 rw")
Device or resource busy" "$type: mounted as ext2 without its journal, as ext3 with it, never as both"
    is_clean "... it is clean"
done
finish
