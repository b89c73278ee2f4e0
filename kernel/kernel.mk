# How the kernel is built. Included by the top Makefile; variables that may be given:
#   O      the folder of build output (build)
#   DEBUG  1 or debug: assertions, poisoned frees; races: also a watch for data races (sched/race.c). Each has its own folder
# Result: $(KERNEL_OUT)/quire.elf, with symbols, and $(KERNEL_OUT)/Image, what boots.

O ?= build
KERNEL_OUT := $(O)/$(addsuffix -,$(subst 1,debug,$(DEBUG)))kernel

CROSS ?= riscv64-linux-gnu-
KERNEL_CC := $(CROSS)gcc
KERNEL_GCC_INCLUDE := $(shell $(KERNEL_CC) -print-file-name=include)

# No floating point in the kernel: its registers hold the user's state. gp is the user's, too: kernel.ld gives it no value,
# so that the linker shortens calls but addresses nothing by it.
KERNEL_ARCH := -march=rv64imac_zicsr_zifencei -mabi=lp64 -mcmodel=medany
KERNEL_CFLAGS := $(KERNEL_ARCH) -std=gnu11 -O2 -g -ffreestanding -fno-pic -fno-pie -fno-strict-aliasing -fno-common \
    -fno-stack-protector -fno-asynchronous-unwind-tables -fno-tree-loop-distribute-patterns -fno-reorder-blocks-and-partition \
    -ffunction-sections -fdata-sections -nostdinc -isystem $(KERNEL_GCC_INCLUDE) -Ikernel -Ilibvm/include -MMD -MP \
    $(if $(DEBUG),-DDEBUG)
KERNEL_WARNINGS := -Wall -Wextra -Wshadow -Wvla -Wmissing-prototypes -Werror -Wno-unused-parameter
KERNEL_LDFLAGS := $(KERNEL_ARCH) -nostdlib -static -Wl,--build-id=none -Wl,--gc-sections -Wl,-z,norelro \
    -Wl,--no-warn-rwx-segments -T kernel/kernel.ld

# proc/vdso/ is user code with rules of its own; it adds its image to KERNEL_EXTRA_OBJECTS.
KERNEL_SOURCES ?= $(filter-out kernel/proc/vdso/%, $(wildcard kernel/*.c kernel/*/*.[cS] kernel/*/*/*.[cS]))
KERNEL_OBJECTS = $(addprefix $(KERNEL_OUT)/, $(addsuffix .o, $(basename $(KERNEL_SOURCES:kernel/%=%))))

-include kernel/proc/vdso/vdso.mk

.PHONY: kernel
kernel: $(KERNEL_OUT)/Image

$(KERNEL_OUT)/%.o: kernel/%.c
	@mkdir -p $(@D)
	@echo "  CC      $<"
	@$(KERNEL_CC) $(KERNEL_CFLAGS) $(KERNEL_WARNINGS) -c -o $@ $<

# Not watched: the watch itself, what runs before it can, what copies bytes that user programs change meanwhile, and a
# scan for what the hardware changes.
ifeq ($(DEBUG),races)
KERNEL_CFLAGS += -DRACES -Wno-tsan -fsanitize=thread --param tsan-distinguish-volatile=1 --param tsan-instrument-func-entry-exit=0
UNWATCHED := $(patsubst kernel/%.c,$(KERNEL_OUT)/%.o,kernel/sched/race.c kernel/sched/order.c kernel/vm/vmtrap_dirty.c $(wildcard kernel/arch/riscv/*.c \
    kernel/lib/string.c kernel/lib/lz4.c kernel/lib/compiler.c kernel/lib/atomic.c))
$(UNWATCHED): KERNEL_CFLAGS += -fno-sanitize=thread
endif

# lib/lz4.c includes the library's own source, which is not ours to warn about.
LZ4_SOURCE := build/src/lz4/lib/lz4.c

$(LZ4_SOURCE): tools/packages.sh
	@tools/packages.sh source build/src/lz4 lz4
	@touch $@

$(KERNEL_OUT)/lib/lz4.o: KERNEL_WARNINGS := -w
$(KERNEL_OUT)/lib/lz4.o: KERNEL_CFLAGS += -isystem $(dir $(LZ4_SOURCE)) -mno-strict-align -mtune=thead-c906
$(KERNEL_OUT)/lib/lz4.o: $(LZ4_SOURCE)

$(KERNEL_OUT)/%.o: kernel/%.S
	@mkdir -p $(@D)
	@echo "  AS      $<"
	@$(KERNEL_CC) $(KERNEL_CFLAGS) -c -o $@ $<

# Linked twice: a panic names functions by a table in the image itself, made from the first link's symbols.
KERNEL_LINK = $(KERNEL_CC) $(KERNEL_LDFLAGS) $(KERNEL_OBJECTS) $(KERNEL_EXTRA_OBJECTS)

$(KERNEL_OUT)/symbols-none.o: kernel/symbols.awk
	@mkdir -p $(@D)
	@awk -f kernel/symbols.awk </dev/null >$(KERNEL_OUT)/symbols-none.s
	@$(KERNEL_CC) $(KERNEL_ARCH) -c -o $@ $(KERNEL_OUT)/symbols-none.s

$(KERNEL_OUT)/quire.elf: $(KERNEL_OBJECTS) $(KERNEL_EXTRA_OBJECTS) $(KERNEL_OUT)/symbols-none.o kernel/kernel.ld
	@echo "  LINK    $@"
	@$(KERNEL_LINK) $(KERNEL_OUT)/symbols-none.o -o $(KERNEL_OUT)/first-link.elf
	@$(CROSS)nm -n $(KERNEL_OUT)/first-link.elf | awk -f kernel/symbols.awk >$(KERNEL_OUT)/symbols.s
	@$(KERNEL_CC) $(KERNEL_ARCH) -c -o $(KERNEL_OUT)/symbols.o $(KERNEL_OUT)/symbols.s
	@$(KERNEL_LINK) $(KERNEL_OUT)/symbols.o -o $@
	@rm -f $(KERNEL_OUT)/first-link.elf

$(KERNEL_OUT)/Image: $(KERNEL_OUT)/quire.elf
	@$(CROSS)objcopy -O binary $< $@

-include $(KERNEL_OBJECTS:.o=.d)
