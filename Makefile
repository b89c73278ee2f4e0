# Quire for people who live in make. `./quire` calls it too.
#
#   make                the kernel and the disk image
#   make kernel         build/kernel/quire.elf and Image            (DEBUG=1: build/debug-kernel)
#   make disk           build/disk.img: Debian's busybox on ext3
#   make packages       build/packages/NAMES.img: the same and Debian's PACKAGES="bash coreutils"
#   make guest          the programs of tests/guest and bench, for the guest
#   make libvm          the library of page traps and protections; make install-libvm PREFIX=: where it is to be
#   make apps           the programs that use it, for the guest
#   make linux          Debian's Linux for riscv64, the referee
#   make clean          removes build output; make distclean: what was downloaded too
#
# O=DIR builds somewhere else than build/; what is downloaded stays in build/ all the same.

O ?= build
CROSS ?= riscv64-linux-gnu-

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.PHONY: all disk packages guest differ linux tools counter clean distclean

all: kernel disk tools

include kernel/kernel.mk

WARNINGS := -Wall -Wextra -Wshadow -Wvla -Wmissing-prototypes -Werror

# --- Programs for the host -------------------------------------------------------------------------------------------

tools: $(O)/tools/vm-run

$(O)/tools/%: tools/%.c
	@mkdir -p $(@D)
	@echo "  HOSTCC  $<"
	@$(CC) -std=gnu11 -O2 -g $(WARNINGS) -o $@ $<

# The plugin with which the benchmark counts, in two versions for older and newer QEMU.
counter: $(O)/tools/counter-1.so $(O)/tools/counter-3.so

$(O)/tools/counter-%.so: bench/counter.c
	@mkdir -p $(@D)
	@echo "  HOSTCC  $@"
	@$(CC) -std=gnu11 -O2 -fPIC -shared -fvisibility=hidden $(WARNINGS) -DVERSION=$* -o $@ $<

# --- Programs for the guest ------------------------------------------------------------------------------------------

GUEST_CC := $(CROSS)gcc
GUEST_CFLAGS := -std=gnu11 -O2 -g -static -pthread -I. -Itests/guest $(WARNINGS)
GUEST_PROGRAMS := $(patsubst %.c,$(O)/guest/%,$(notdir $(wildcard tests/guest/*.c bench/vmbench.c)))

guest: $(GUEST_PROGRAMS)

$(O)/guest/%: tests/guest/%.c
	@mkdir -p $(@D) $(O)/guest.d
	@echo "  GUEST   $<"
	@$(GUEST_CC) $(GUEST_CFLAGS) -MMD -MP -MF $(O)/guest.d/$*.d -o $@ $<

$(O)/guest/%: bench/%.c
	@mkdir -p $(@D) $(O)/guest.d
	@echo "  GUEST   $<"
	@$(GUEST_CC) $(GUEST_CFLAGS) -MMD -MP -MF $(O)/guest.d/$*.d -o $@ $<

# Those of tests/disks work on a disk of their own, and are not tests by themselves.
DISK_PROGRAMS := $(patsubst %.c,$(O)/disks/%,$(notdir $(wildcard tests/disks/*.c)))
guest: $(DISK_PROGRAMS)

$(O)/disks/%: tests/disks/%.c
	@mkdir -p $(@D) $(O)/guest.d
	@echo "  GUEST   $<"
	@$(GUEST_CC) $(GUEST_CFLAGS) -MMD -MP -MF $(O)/guest.d/$*.d -o $@ $<

# Random sequences of calls, of which Quire's and Linux's answers are compared.
DIFFER_SOURCES := $(wildcard tests/differ/*.c)
differ: $(O)/differ/differ

$(O)/differ/differ: $(DIFFER_SOURCES) $(wildcard tests/differ/*.h)
	@mkdir -p $(@D)
	@echo "  GUEST   $@"
	@$(GUEST_CC) $(GUEST_CFLAGS) -o $@ $(DIFFER_SOURCES)

-include $(wildcard $(O)/guest.d/*.d)

$(O)/tools/guest-run $(O)/tools/linux-init: $(O)/tools/%: tools/%.c
	@mkdir -p $(@D)
	@echo "  GUEST   $<"
	@$(GUEST_CC) $(GUEST_CFLAGS) -Os -s -o $@ $<

# --- libvm and the programs that use it ------------------------------------------------------------------------------

include libvm/libvm.mk
include apps/Makefile

# A program of tests/disks that keeps a store of apps/store, for the guest and for the host.
KEEPER_SOURCES := tests/disks/keeper.c $(filter-out %/main.c,$(wildcard apps/store/*.c))
$(O)/disks/keeper: $(KEEPER_SOURCES) $(wildcard apps/store/*.h) $(O)/libvm/libvm.a
	@mkdir -p $(@D)
	@echo "  GUEST   $<"
	@$(GUEST_CC) -std=gnu11 -O2 -g -static -pthread -Ilibvm/include -Iapps/store $(WARNINGS) -D_GNU_SOURCE -o $@ $(KEEPER_SOURCES) $(O)/libvm/libvm.a

$(O)/disks/keeper-host: $(KEEPER_SOURCES) $(wildcard apps/store/*.h) $(LIBVM_SOURCES)
	@mkdir -p $(@D)
	@echo "  HOSTCC  $<"
	@gcc -std=gnu11 -O1 -g -pthread -Ilibvm/include -Ilibvm -Iapps/store $(WARNINGS) $(APPS_SANITIZE) -D_GNU_SOURCE -o $@ $(KEEPER_SOURCES) $(LIBVM_SOURCES)

# --- The disk --------------------------------------------------------------------------------------------------------

DISK_SIZE ?= 512M
PACKAGES ?= bash coreutils

disk: $(O)/disk.img
PACKAGES_IMAGE = $(shell ROOT=.; . tools/common.sh; BUILD=$(O); packages_image $(PACKAGES))
packages: $(PACKAGES_IMAGE)

ROOT_PARTS := tools/root.sh tools/applets.sh tools/disk.sh tools/packages.sh $(O)/tools/guest-run $(shell find tools/root -type f)

$(O)/disk.img: $(ROOT_PARTS)
	@echo "  DISK    $@"
	@tools/root.sh $(O)/root $(O)/tools/guest-run
	@tools/disk.sh make $@ $(DISK_SIZE) $(O)/root

# Each list of packages has an image of its own; the four made last are kept. Maintainer scripts run in a guest.
$(PACKAGES_IMAGE): $(ROOT_PARTS) tools/configure.sh | kernel tools
	@mkdir -p $(@D)
	@echo "  DISK    $@"
	@rm -rf $(@D)/root
	@tools/root.sh $(@D)/root $(O)/tools/guest-run $(PACKAGES) || { rm -rf $(@D)/root; exit 2; }
	@tools/disk.sh make $@.new $$(($$(du -sm $(@D)/root | cut -f1) * 5 / 4 + 1024))M $(@D)/root
	@rm -rf $(@D)/root
	@echo "  GUEST   $@: maintainer scripts"
	@tools/configure.sh $@.new
	@mv $@.new $@
	@ls -t $(@D)/*.img | tail -n +5 | tr '\n' '\0' | xargs -0 rm -f

# --- The referee -----------------------------------------------------------------------------------------------------

linux: $(O)/linux/vmlinux $(O)/linux/initramfs

$(O)/linux/vmlinux $(O)/linux/initramfs &: tools/linux.sh tools/packages.sh $(O)/tools/linux-init
	@echo "  LINUX   $(O)/linux"
	@tools/linux.sh $(O)/linux $(O)/tools/linux-init

# --- Cleaning --------------------------------------------------------------------------------------------------------

clean:
	@rm -rf $(filter-out build/apt build/pkg build/bench, $(wildcard $(O)/*))

distclean:
	@rm -rf build
