/* The vDSO's ELF image, page by page as programs see it, in the kernel's read-only data. */
.section .rodata.vdso, "a"
.balign 4096
.globl vdso_start
vdso_start:
    .incbin "vdso.so"
    .balign 4096
.globl vdso_end
vdso_end:
