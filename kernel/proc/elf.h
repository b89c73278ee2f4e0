/* ELF executables: the parts of the format that matter here, and how one is brought into a space. */
#ifndef PROC_ELF_H
#define PROC_ELF_H

#include "lib/types.h"

struct space;
struct file;

struct elf_header {
    u8 ident[16];
    u16 type, machine;
    u32 version;
    u64 entry, phoff, shoff;
    u32 flags;
    u16 ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};
static_assert(sizeof(struct elf_header) == 64, "Elf64_Ehdr");

struct elf_segment {
    u32 type, flags;
    u64 offset, vaddr, paddr, filesz, memsz, align;
};
static_assert(sizeof(struct elf_segment) == 56, "Elf64_Phdr");

#define ET_EXEC 2
#define ET_DYN 3
#define PT_LOAD 1
#define PT_INTERP 3
#define PT_PHDR 6
#define PT_GNU_STACK 0x6474e551
#define PF_X 1
#define PF_W 2
#define PF_R 4

/* A program's headers as read from its file. */
struct elf {
    struct file *file;
    struct elf_header header;
    struct elf_segment *segments; /* kmalloc'ed */
};

/* Where it was put. */
struct elf_placement {
    u64 bias, entry, phdr;
    u64 start_code, end_code, start_data, end_data, end; /* end: of everything, page aligned */
};

/* HEAD is the file's first bytes (at least sizeof(struct elf_header) are there). -ENOEXEC, -EIO, -ENOMEM. elf_done
 * frees. */
int elf_read(struct elf *elf, struct file *file, const void *head);
void elf_done(struct elf *elf);
/* The interpreter's path, kmalloc'ed; NULL: there is none. ERR_PTR(-ENOEXEC), ... */
char *elf_interpreter(const struct elf *elf);
bool elf_wants_executable_stack(const struct elf *elf);
/* Maps the segments; a position-independent one at about PREFERRED (0: anywhere). */
int elf_load(const struct elf *elf, struct space *space, u64 preferred, struct elf_placement *placement);

#endif
