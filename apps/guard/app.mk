# The launcher, the allocator that it preloads, and a program with errors to be caught.
guard_SOURCES := apps/guard/guard.c

apps: $(O)/apps/libguard.so $(O)/apps/guard-errors

$(O)/apps/libguard.so: apps/guard/allocator.c apps/guard/report.c apps/guard/blocks.h $(O)/libvm/libvm.a
	@mkdir -p $(@D)
	@echo "  APP     $@"
	@$(GUEST_CC) $(APPS_CFLAGS) -fPIC -shared -fvisibility=hidden -ftls-model=initial-exec -static-libgcc -Wl,-z,now -o $@ \
	    $(filter %.c,$^) $(O)/libvm/libvm.a -Wl,--exclude-libs,ALL

$(O)/apps/guard-errors: apps/guard/errors/errors.c
	@mkdir -p $(@D)
	@echo "  APP     $@"
	@$(GUEST_CC) $(filter-out -static,$(APPS_CFLAGS)) -O0 -Wno-use-after-free -Wno-free-nonheap-object -o $@ $<
