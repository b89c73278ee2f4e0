# Random calls by eight processes on one small tree, under the debug kernel with four harts: in each data mode, with each block size,
# and on disks that fill up. `STEPS=20000 SEED=7 sh tests/disks/stress.sh` for longer.
. tests/disks/disks.sh

STEPS=${STEPS:-300} SEED=${SEED:-1}
for run in ordered-1024-8M writeback-2048-24M journal-4096-64M journal-1024-8M ordered-4096-16M; do
    mode=${run%%-*} size=${run##*-}
    block_size=${run#*-} block_size=${block_size%-*}
    new_disk stress "$size" -b "$block_size" -m 0 -J "size=$((block_size / 1024))"
    on_disk stress --smp 4 --debug -- /root/stress /dev/vdb "data=$mode" "$STEPS" "$SEED"
    is "$status:$out" "0:done" "data=$mode, blocks of $block_size, a disk of $size: eight processes do all that they can think of"
    is_clean "... the disk is clean after it"
done
finish
