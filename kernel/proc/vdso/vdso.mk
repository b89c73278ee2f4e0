# The vDSO: user code, linked as a shared object of its own, stripped, and put into the kernel image as it is.

VDSO_OUT := $(KERNEL_OUT)/proc/vdso
VDSO_CFLAGS := -march=rv64imac_zicsr_zifencei -mabi=lp64 -mcmodel=medany -mno-relax -std=gnu11 -O2 -fPIC -ffreestanding -fno-stack-protector \
    -fno-asynchronous-unwind-tables -fno-builtin -nostdinc -isystem $(KERNEL_GCC_INCLUDE) -Ikernel -DVDSO_USER -MMD -MP
VDSO_LDFLAGS := -march=rv64imac_zicsr_zifencei -mabi=lp64 -nostdlib -shared -Wl,--no-relax -Wl,-soname=linux-vdso.so.1 -Wl,--hash-style=both -Wl,--build-id=none \
    -Wl,-z,max-page-size=4096 -Wl,-z,norelro -Wl,-z,noexecstack -Wl,--no-undefined -Wl,-T,kernel/proc/vdso/vdso.ld
VDSO_OBJECTS := $(VDSO_OUT)/time.o $(VDSO_OUT)/calls.o

KERNEL_EXTRA_OBJECTS += $(VDSO_OUT)/image.o

$(VDSO_OUT)/time.o: kernel/proc/vdso/time.c kernel/proc/vdso/vdso.mk
	@mkdir -p $(@D)
	@echo "  CC      $< (vDSO)"
	@$(KERNEL_CC) $(VDSO_CFLAGS) $(KERNEL_WARNINGS) -c -o $@ $<

$(VDSO_OUT)/calls.o: kernel/proc/vdso/calls.S kernel/proc/vdso/vdso.mk
	@mkdir -p $(@D)
	@echo "  AS      $< (vDSO)"
	@$(KERNEL_CC) $(VDSO_CFLAGS) -c -o $@ $<

$(VDSO_OUT)/vdso.so: $(VDSO_OBJECTS) kernel/proc/vdso/vdso.ld
	@echo "  LINK    $@"
	@$(KERNEL_CC) $(VDSO_LDFLAGS) -o $@.full $(VDSO_OBJECTS)
	@$(CROSS)objcopy --strip-debug --strip-unneeded -R .comment -R .riscv.attributes $@.full $@

$(VDSO_OUT)/image.o: kernel/proc/vdso/image.S $(VDSO_OUT)/vdso.so
	@echo "  AS      $<"
	@$(KERNEL_CC) $(KERNEL_CFLAGS) -I$(VDSO_OUT) -c -o $@ $<

-include $(VDSO_OBJECTS:.o=.d)
