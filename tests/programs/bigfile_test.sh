# A file of 200 MB written, read back and removed: its blocks come back.
. /programs/tap.sh

before=$(df -k / | awk 'NR == 2 { print $3 }')
ok "200 MB are written" dd if=/dev/zero of=big bs=1M count=200
is "$(stat -c %s big)" 209715200 "its size"
is "$(md5sum <big)" "$(dd if=/dev/zero bs=1M count=200 2>/dev/null | md5sum)" "read back"
ok "sync" sync
during=$(df -k / | awk 'NR == 2 { print $3 }')
ok "df shows its blocks" [ $((during - before)) -ge 204800 ]
ok "a byte in the middle" sh -c 'printf X | dd of=big bs=1 seek=104857600 conv=notrunc 2>/dev/null'
is "$(dd if=big bs=1 skip=104857600 count=1 2>/dev/null)" X "is there"
ok "the middle cut out" truncate -s 100M big
is "$(stat -c %s big)" 104857600 "the new size"
ok "grown again" truncate -s 101M big
is "$(dd if=big bs=1 skip=104857600 count=1 2>/dev/null | od -An -tx1 | tr -d ' ')" 00 "the cut bytes read as zeros"
rm big
sync
after=$(df -k / | awk 'NR == 2 { print $3 }')
ok "removed, its blocks are free" [ $((after - before)) -le 64 ]
finish
