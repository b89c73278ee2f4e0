# libvm: the library (riscv64, static), its tests for the guest and for the host, its benchmark, and its installation.
#
#   make libvm                          build/libvm/libvm.a, vm.pc
#   make install-libvm PREFIX=/usr/local [DESTDIR=]
#   make libvm-tests                    build/libvm/tests/NAME (guest), build/libvm/host/NAME (ASan and UBSan), .../tsan/NAME

PREFIX ?= /usr/local
LIBVM_CFLAGS := -std=gnu11 -O2 -g -fno-strict-aliasing -pthread -Ilibvm/include $(WARNINGS)
LIBVM_SOURCES := $(wildcard libvm/*.c)
LIBVM_HEADERS := $(wildcard libvm/*.h libvm/include/*.h libvm/include/*/*.h tests/guest/tap.h)
LIBVM_OBJECTS := $(patsubst libvm/%.c,$(O)/libvm/%.o,$(LIBVM_SOURCES)) $(patsubst libvm/%.S,$(O)/libvm/%.o,$(wildcard libvm/*.S))
LIBVM_TESTS := $(notdir $(basename $(wildcard libvm/tests/*.c)))
LIBVM_HOST_CC ?= gcc

.PHONY: libvm install-libvm libvm-tests libvm-host-tests

libvm: $(O)/libvm/libvm.a $(O)/libvm/vm.pc

# Position independent: the library may become part of a shared object.
$(O)/libvm/%.o: libvm/%.c $(LIBVM_HEADERS)
	@mkdir -p $(@D)
	@echo "  LIBVM   $<"
	@$(GUEST_CC) $(LIBVM_CFLAGS) -fPIC -fvisibility=hidden -c -o $@ $<

$(O)/libvm/%.o: libvm/%.S $(LIBVM_HEADERS)
	@mkdir -p $(@D)
	@echo "  LIBVM   $<"
	@$(GUEST_CC) -Ilibvm/include -fPIC -c -o $@ $<

$(O)/libvm/libvm.a: $(LIBVM_OBJECTS)
	@echo "  AR      $@"
	@rm -f $@
	@$(CROSS)ar rcs $@ $^

$(O)/libvm/vm.pc: libvm/vm.pc.in
	@mkdir -p $(@D)
	@sed 's|@PREFIX@|$(PREFIX)|' $< >$@

install-libvm: libvm
	@install -d $(DESTDIR)$(PREFIX)/include/quire $(DESTDIR)$(PREFIX)/lib/pkgconfig
	@install -m 644 libvm/include/vm.h $(DESTDIR)$(PREFIX)/include/
	@for h in $(wildcard libvm/include/quire/*.h); do install -m 644 $$h $(DESTDIR)$(PREFIX)/include/quire/; done
	@install -m 644 $(O)/libvm/libvm.a $(DESTDIR)$(PREFIX)/lib/
	@install -d $(DESTDIR)$(PREFIX)/share/man/man2
	@install -m 644 docs/man/vmtrap.2 $(DESTDIR)$(PREFIX)/share/man/man2/
	@sed 's|@PREFIX@|$(PREFIX)|' libvm/vm.pc.in >$(DESTDIR)$(PREFIX)/lib/pkgconfig/vm.pc

libvm-tests: $(LIBVM_TESTS:%=$(O)/libvm/tests/%)
libvm-host-tests: $(LIBVM_TESTS:%=$(O)/libvm/host/%) $(LIBVM_TESTS:%=$(O)/libvm/tsan/%)

$(O)/libvm/tests/%: libvm/tests/%.c $(O)/libvm/libvm.a $(LIBVM_HEADERS)
	@mkdir -p $(@D)
	@echo "  GUEST   $<"
	@$(GUEST_CC) $(LIBVM_CFLAGS) -static -Itests/guest -Ilibvm -o $@ $< $(O)/libvm/libvm.a

$(O)/libvm/host/%: libvm/tests/%.c $(LIBVM_SOURCES) $(LIBVM_HEADERS)
	@mkdir -p $(@D)
	@echo "  HOSTCC  $@"
	@$(LIBVM_HOST_CC) $(LIBVM_CFLAGS) -O1 -fsanitize=address,undefined -fno-sanitize-recover=undefined -Itests/guest -Ilibvm -o $@ $< $(LIBVM_SOURCES)

$(O)/libvm/tsan/%: libvm/tests/%.c $(LIBVM_SOURCES) $(LIBVM_HEADERS)
	@mkdir -p $(@D)
	@echo "  HOSTCC  $@"
	@$(LIBVM_HOST_CC) $(LIBVM_CFLAGS) -O1 -fsanitize=thread -Itests/guest -Ilibvm -o $@ $< $(LIBVM_SOURCES)

$(O)/guest/appel: bench/appel.c $(O)/libvm/libvm.a libvm/include/vm.h
	@mkdir -p $(@D)
	@echo "  GUEST   $<"
	@$(GUEST_CC) $(GUEST_CFLAGS) -o $@ $< $(O)/libvm/libvm.a
