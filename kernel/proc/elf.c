/*
 * Loading ELF programs (elf(5)): each PT_LOAD segment becomes a private mapping of the file, from which faults bring
 * pages, and anonymous memory for what is longer than the file's part. Nothing is read but the headers, and the page
 * in which a segment's file part ends, when the rest of it must be zero.
 *
 *   vaddr         vaddr+filesz      vaddr+memsz
 *     |---file pages----|0000|---anonymous---|
 */
#include "proc/elf.h"
#include "fs/vfs.h"
#include "vm/kmalloc.h"
#include "vm/space.h"
#include "vm/uaccess.h"

#define MACHINE_RISCV 243
#define CLASS_64 2
#define DATA_LITTLE 1
#define SEGMENTS_MAX (65536 / sizeof(struct elf_segment))

int elf_read(struct elf *e, struct file *file, const void *head)
{
    struct elf_header *h = &e->header;
    size_t size;
    ssize_t n;

    *e = (struct elf){.file = file, .header = *(const struct elf_header *)head};
    if (h->ident[0] != 0x7f || h->ident[1] != 'E' || h->ident[2] != 'L' || h->ident[3] != 'F')
        return -ENOEXEC;
    if (h->ident[4] != CLASS_64 || h->ident[5] != DATA_LITTLE || h->machine != MACHINE_RISCV)
        return -ENOEXEC;
    if ((h->type != ET_EXEC && h->type != ET_DYN) || h->phentsize != sizeof(struct elf_segment))
        return -ENOEXEC;
    if (h->phnum == 0 || h->phnum > SEGMENTS_MAX || file->ops->map == NULL)
        return -ENOEXEC;
    size = h->phnum * sizeof(struct elf_segment);
    e->segments = kmalloc(size);
    if (e->segments == NULL)
        return -ENOMEM;
    n = file_read(file, e->segments, size, h->phoff);
    if (n == (ssize_t)size)
        return 0;
    elf_done(e);
    return n < 0 ? (int)n : -ENOEXEC;
}

void elf_done(struct elf *e)
{
    kfree(e->segments);
    e->segments = NULL;
}

static const struct elf_segment *find_segment(const struct elf *e, u32 type)
{
    for (unsigned i = 0; i < e->header.phnum; i++)
        if (e->segments[i].type == type)
            return &e->segments[i];
    return NULL;
}

char *elf_interpreter(const struct elf *e)
{
    const struct elf_segment *s = find_segment(e, PT_INTERP);
    char *path;
    ssize_t n;

    if (s == NULL)
        return NULL;
    if (s->filesz < 2 || s->filesz > PATH_MAX)
        return ERR_PTR(-ENOEXEC);
    path = kmalloc(s->filesz);
    if (path == NULL)
        return ERR_PTR(-ENOMEM);
    n = file_read(e->file, path, s->filesz, s->offset);
    if (n == (ssize_t)s->filesz && path[n - 1] == '\0')
        return path;
    kfree(path);
    return ERR_PTR(n < 0 ? n : -ENOEXEC);
}

bool elf_wants_executable_stack(const struct elf *e)
{
    const struct elf_segment *s = find_segment(e, PT_GNU_STACK);

    return s != NULL && (s->flags & PF_X);
}

/* ---- mapping ---- */

static unsigned segment_prot(const struct elf_segment *s)
{
    return (s->flags & PF_R ? PROT_READ : 0) | (s->flags & PF_W ? PROT_WRITE : 0) | (s->flags & PF_X ? PROT_EXEC : 0);
}

/* Whether the numbers make sense, so that nothing overflows later. */
static bool is_sane(const struct elf_segment *s)
{
    u64 limit = arch_user_address_limit();

    return s->filesz <= s->memsz && s->memsz <= limit && s->vaddr <= limit - s->memsz &&
           s->offset <= INT64_MAX - s->filesz && ((s->vaddr ^ s->offset) & PAGE_MASK) == 0;
}

/* The pages from the lowest to the highest address, and the largest alignment asked for. */
static int find_extent(const struct elf *e, u64 *low, u64 *high, u64 *align)
{
    *low = UINT64_MAX;
    *high = 0;
    *align = PAGE_SIZE;
    for (unsigned i = 0; i < e->header.phnum; i++) {
        const struct elf_segment *s = &e->segments[i];

        if (s->type != PT_LOAD)
            continue;
        if (!is_sane(s))
            return -ENOEXEC;
        *low = MIN(*low, ALIGN_DOWN(s->vaddr, PAGE_SIZE));
        *high = MAX(*high, ALIGN_UP(s->vaddr + s->memsz, PAGE_SIZE));
        if (s->align > *align && (s->align & (s->align - 1)) == 0 && s->align <= GIB)
            *align = s->align;
    }
    return *high > *low ? 0 : -ENOEXEC;
}

/* Where LENGTH bytes are free, at PREFERRED if possible. */
static long find_room(struct space *space, u64 preferred, u64 length, u64 align)
{
    struct mapping m = {.max_prot = PROT_READ | PROT_WRITE | PROT_EXEC};
    u64 reserve = length + (align > PAGE_SIZE ? align : 0);
    long at = space_mmap(space, ALIGN_DOWN(preferred, align), reserve, PROT_NONE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, &m);
    int error;

    if (at < 0)
        return at;
    error = space_munmap(space, (u64)at, reserve);
    return error != 0 ? error : (long)ALIGN_UP((u64)at, align);
}

static int map_anonymous(struct space *space, u64 start, u64 end, unsigned prot)
{
    struct mapping m = {.max_prot = PROT_READ | PROT_WRITE | PROT_EXEC};
    long at;

    if (start >= end)
        return 0;
    at = space_mmap(space, start, end - start, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, &m);
    return at < 0 ? (int)at : 0;
}

/* The rest of the page in which the file part ends. A segment that cannot be written keeps the file's bytes there, as
 * on Linux. */
static int zero_tail(struct space *space, u64 from, unsigned prot)
{
    static const u8 zeros[PAGE_SIZE];
    u64 n = ALIGN_UP(from, PAGE_SIZE) - from;

    if (!(prot & PROT_WRITE) || n == 0 || space_copy_head(space, from - (PAGE_SIZE - n), PAGE_SIZE - n))
        return 0;
    return space_write(space, from, zeros, n, false) == (ssize_t)n ? 0 : -ENOMEM;
}

static int map_segment(const struct elf *e, struct space *space, const struct elf_segment *s, u64 bias)
{
    u64 start = ALIGN_DOWN(s->vaddr + bias, PAGE_SIZE), file_end = s->vaddr + bias + s->filesz,
        end = s->vaddr + bias + s->memsz;
    struct mapping m = {
        .file = e->file, .offset = ALIGN_DOWN(s->offset, PAGE_SIZE), .max_prot = PROT_READ | PROT_WRITE | PROT_EXEC};
    unsigned prot = segment_prot(s);
    long at;
    int error;

    if (s->memsz == 0)
        return 0;
    if (s->filesz == 0)
        return map_anonymous(space, start, ALIGN_UP(end, PAGE_SIZE), prot);
    m.object = e->file->ops->map(e->file, false);
    if (IS_ERR(m.object))
        return (int)PTR_ERR(m.object);
    at = space_mmap(space, start, ALIGN_UP(file_end, PAGE_SIZE) - start, prot, MAP_PRIVATE | MAP_FIXED, &m);
    if (at < 0)
        return (int)at;
    error = end != file_end ? zero_tail(space, file_end, prot) : 0;
    space_map_used(space, start, ALIGN_UP(file_end, PAGE_SIZE));
    if (end == file_end || error != 0)
        return error;
    return map_anonymous(space, ALIGN_UP(file_end, PAGE_SIZE), ALIGN_UP(end, PAGE_SIZE), prot);
}

/* What /proc/PID/stat calls code and data: the ranges of executable segments and of all others. */
static void note_segment(struct elf_placement *p, const struct elf_segment *s, u64 phoff)
{
    u64 start = s->vaddr + p->bias, file_end = start + s->filesz;

    if (s->offset <= phoff && phoff - s->offset < s->filesz && p->phdr == 0)
        p->phdr = start + (phoff - s->offset);
    if (s->flags & PF_X) {
        p->start_code = MIN(p->start_code, start);
        p->end_code = MAX(p->end_code, file_end);
    }
    if (start >= p->start_data) {
        p->start_data = start;
        p->end_data = file_end;
    }
    p->end = MAX(p->end, ALIGN_UP(start + s->memsz, PAGE_SIZE));
}

int elf_load(const struct elf *e, struct space *space, u64 preferred, struct elf_placement *p)
{
    const struct elf_segment *headers = find_segment(e, PT_PHDR);
    u64 low, high, align;
    int error = find_extent(e, &low, &high, &align);
    long room;

    if (error != 0)
        return error;
    *p = (struct elf_placement){.start_code = UINT64_MAX};
    if (e->header.type == ET_DYN) {
        room = find_room(space, preferred, high - low, align);
        if (room < 0)
            return (int)room;
        p->bias = (u64)room - low;
    }
    for (unsigned i = 0; i < e->header.phnum && error == 0; i++) {
        if (e->segments[i].type != PT_LOAD)
            continue;
        error = map_segment(e, space, &e->segments[i], p->bias);
        note_segment(p, &e->segments[i], e->header.phoff);
    }
    p->entry = e->header.entry + p->bias;
    if (headers != NULL)
        p->phdr = headers->vaddr + p->bias;
    return error;
}
