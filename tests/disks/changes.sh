# What is easily lost: changes under way while the file system is remounted read-only or memory is short, and requests for which
# the disk's ring has no room.
. tests/disks/disks.sh

new_disk remounted 16M -b 1024 -J size=1
on_disk remount --smp 2 --debug -- /root/remount /dev/vdb 30
is "$status:$out" "0:done" "names change while the file system is remounted read-only, and back"
is_clean "... the disk is clean after it"

new_disk scarce 16M -b 1024 -J size=1
on_disk memory --smp 2 --debug -- /root/memory /dev/vdb
is "$status:$out" "0:done" "allocations fail in the middle of changes, while the journal commits"
is_clean "... nothing is half done"

new_disk narrow 64M -b 1024
guest --drive "$disk" --qemu "-global virtio-blk-device.indirect_desc=off -global virtio-blk-device.queue-size=8" -- sh -c '
    mkdir -p /mnt && mount -t ext3 /dev/vdb /mnt && cd /mnt || exit 1
    for i in 1 2 3 4 5 6; do (mkdir $i && for k in 1 2 3 4 5 6 7 8; do dd if=/dev/zero of=$i/$k bs=100k count=3 conv=fsync 2>/dev/null || exit 1; done) & done
    wait; ls */* | wc -l; cd /; umount /mnt'
is "$status:$out" "0:48" "a ring that is full makes requests wait, also between a flush and its write"
is_clean "... the disk is clean after it"
finish
