gc_CFLAGS := -DPRELUDE='"apps/gc/prelude.scm"'
$(O)/apps/gc: apps/gc/prelude.scm

# The same interpreter on Debian's libgc, to compare: make build/gc-boehm
GC_LIBGC := $(O)/gc-libgc/usr
$(O)/gc-libgc/usr/include/gc.h: ; @tools/packages.sh unpack $(O)/gc-libgc libgc-dev
GC_BOEHM_SOURCES := $(filter-out $(addprefix apps/gc/,heap.c collect.c concurrent.c generational.c trap.c),$(wildcard apps/gc/*.c)) \
    apps/gc/boehm/boehm.c
$(O)/gc-boehm: $(GC_BOEHM_SOURCES) $(wildcard apps/gc/*.h) apps/gc/prelude.scm $(O)/gc-libgc/usr/include/gc.h
	@echo "  APP     $@"
	@$(GUEST_CC) $(APPS_CFLAGS) -static $(gc_CFLAGS) -DGC_BOEHM -I$(GC_LIBGC)/include -o $@ $(GC_BOEHM_SOURCES) \
	    $(GC_LIBGC)/lib/riscv64-linux-gnu/libgc.a -lm
