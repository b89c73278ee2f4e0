pager_CFLAGS := -D_GNU_SOURCE -Iapps/pager -isystem build/src/lz4/lib -Wno-unused-function

# The library's source, as for the kernel.
apps/pager/lz4_page.c: | build/src/lz4/lib/lz4.c
