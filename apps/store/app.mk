store_CFLAGS := -D_GNU_SOURCE -Iapps/store

# The comparison with LMDB and SQLite: linked to Debian's libraries for riscv64, runs where these are installed.
STORE_SYSROOT := $(O)/apps-bench/sysroot
STORE_LIBRARIES := $(STORE_SYSROOT)/usr/lib/riscv64-linux-gnu

.PHONY: store-bench
store-bench: $(O)/apps-bench/compare

$(STORE_SYSROOT)/usr/include/lmdb.h:
	@tools/packages.sh unpack $(STORE_SYSROOT) libsqlite3-dev liblmdb-dev libsqlite3-0 liblmdb0
	@touch $@

$(O)/apps-bench/compare: apps/store/bench/compare.c $(filter-out %/main.c,$(wildcard apps/store/*.c)) apps/store/*.h $(O)/libvm/libvm.a $(STORE_SYSROOT)/usr/include/lmdb.h
	@mkdir -p $(@D)
	@echo "  APP     $@"
	@$(CROSS)gcc -std=gnu11 -O2 -g -pthread -Ilibvm/include $(WARNINGS) $(store_CFLAGS) -isystem $(STORE_SYSROOT)/usr/include \
		-o $@ $(filter %.c,$^) $(O)/libvm/libvm.a -L$(STORE_LIBRARIES) -l:liblmdb.so.0 -l:libsqlite3.so.0 -Wl,--allow-shlib-undefined
