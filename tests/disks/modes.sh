# Each data= mode at work, on a journal that is always nearly full: files hold what was written, also after the next mount.
. tests/disks/disks.sh

STEPS=${STEPS:-100} SEED=${SEED:-1} # for longer runs
for mode in journal-1024 journal-4096 writeback-1024 ordered-2048; do
    block_size=${mode#*-} mode=${mode%-*}
    new_disk "$mode" 16M -b "$block_size" -J "size=$((block_size / 1024))"
    on_disk modes --smp 2 --debug -- /root/modes /dev/vdb "$mode" "$STEPS" "$SEED"
    is "$status:$out" "0:done" "data=$mode, blocks of $block_size: four processes write, map, cut, copy and punch"
    is_clean "... the disk is clean after it"
done
finish
