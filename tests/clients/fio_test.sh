# fio: files written through a mapping, read back and verified by checksums, beside other engines and processes.
. /programs/tap.sh

size=8m
[ -z "$LONG" ] || size=64m

# verify NAME OPTION...: a job that writes and verifies.
verify()
{
    name=$1
    shift
    ok "$name" fio --name=job --size="$size" --filename_format='file.$jobnum' --verify=crc32c --verify_fatal=1 --do_verify=1 --output=report "$@"
    is "$(sed -n 's/.*err= *\([0-9]*\).*/\1/p' report | sort -u)" 0 "no error is reported"
    rm -f file.*
}

verify "mmap, random writes" --ioengine=mmap --rw=randwrite --bs=4k
verify "mmap, sequential in big blocks, with fsync" --ioengine=mmap --rw=write --bs=64k --fsync=16
verify "mmap, reads among writes, two processes" --ioengine=mmap --rw=randrw --bs=4k --numjobs=2
verify "mmap, three threads" --ioengine=mmap --rw=randwrite --bs=8k --numjobs=3 --thread
verify "pwrite" --ioengine=psync --rw=randwrite --bs=4k
verify "pwritev, odd sizes" --ioengine=pvsync --rw=randwrite --bsrange=512-16k
ok "written by pwrite" fio --name=w --filename=both --size="$size" --ioengine=psync --rw=write --bs=16k --verify=md5 --do_verify=0 --output=report
ok "is verified through a mapping" fio --name=w --filename=both --size="$size" --ioengine=mmap --rw=read --bs=16k --verify=md5 --verify_only --output=report
finish
