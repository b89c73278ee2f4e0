# ext3 is tested with the kernel's own page cache, inode cache and buffer cache.
ext3_SHADOW := tests/unit/host
ext3_SOURCES := lib/radix.c vm/object.c vm/readwrite.c vm/truncate.c vm/writeback.c vm/readahead.c vm/uio.c dev/block.c fs/buffer.c \
    fs/page_io.c fs/inode.c fs/super.c fs/writeback.c ../tests/unit/ext3host/disk.c $(patsubst kernel/%,%,$(wildcard kernel/fs/ext3/*.c kernel/fs/journal/*.c))

.DEFAULT_GOAL := all
$(UNIT)/ext3_test: $(wildcard tests/unit/ext3host/*.[ch] kernel/fs/ext3/*.h kernel/fs/journal/*.h)

journal_SHADOW := $(ext3_SHADOW)
journal_SOURCES := $(ext3_SOURCES)
$(UNIT)/journal_test: $(wildcard tests/unit/ext3host/*.[ch] kernel/fs/ext3/*.h kernel/fs/journal/*.h)
