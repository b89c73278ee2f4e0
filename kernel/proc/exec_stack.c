/*
 * The stack that a new program starts with (System V ABI, process initialisation):
 *
 *   sp -> argc | argv pointers, NULL | envp pointers, NULL | auxiliary vector | 16 random bytes
 *         | ... | argv strings | envp strings | name | 0 <- top
 *
 * It is built from the top down in one page at a time, which becomes the new space's when the next one begins.
 */
#include "fs/name.h"
#include "fs/vfs.h"
#include "lib/random.h"
#include "lib/string.h"
#include "proc/exec.h"
#include "proc/internal.h"
#include "vm/kmalloc.h"
#include "vm/uaccess.h"

#define STRING_MAX (128 * KIB)
#define ARGS_MIN (128 * KIB) /* always allowed, and at most: */
#define ARGS_MAX (6 * MIB)
#define STRINGS_MAX 0x7fffffffu
#define N_RANDOM 16

enum {
    AT_NULL,
    AT_PHDR = 3,
    AT_PHENT = 4,
    AT_PHNUM = 5,
    AT_PAGESZ = 6,
    AT_BASE = 7,
    AT_FLAGS = 8,
    AT_ENTRY = 9,
    AT_UID = 11,
    AT_EUID = 12,
    AT_GID = 13,
    AT_EGID = 14,
    AT_HWCAP = 16,
    AT_CLKTCK = 17,
    AT_SECURE = 23,
    AT_RANDOM = 25,
    AT_EXECFN = 31,
    AT_SYSINFO_EHDR = 33,
    AT_MINSIGSTKSZ = 51
};
#define HWCAP_IMAFDC 0x112d /* a bit for each letter: a c d f i m */
#define SIGNAL_STACK_MIN 2048
#define CLOCK_TICKS 100

/* ---- the page in work ---- */

/* What is done of the page in work, from FROM on, becomes the stack's: mostly the page itself. */
static int flush_page(struct exec *x, u64 from)
{
    u64 end = x->page_address + PAGE_SIZE;
    ssize_t n;

    memset(x->page, 0, from - x->page_address);
    if (likely(space_give_page(x->space, x->page_address, address_page(x->page)))) {
        x->page = NULL;
        return 0;
    }
    n = space_write(x->space, from, x->page + (from - x->page_address), end - from, false);
    return n == (ssize_t)(end - from) ? 0 : -E2BIG; /* the stack cannot grow so far */
}

static int new_page(struct exec *x)
{
    struct page *page = x->page == NULL ? page_alloc(ALLOC_USER) : address_page(x->page);

    if (page == NULL)
        return -ENOMEM;
    x->page = page_address(page);
    return 0;
}

/* Makes the page of ADDRESS the one in work; everything from x->stack_position up in the old one is done. */
static int enter_page(struct exec *x, u64 address)
{
    u64 page = ALIGN_DOWN(address, PAGE_SIZE);
    int error;

    if (page == x->page_address)
        return 0;
    error = flush_page(x, MAX(x->stack_position, x->page_address));
    x->page_address = page;
    return error != 0 ? error : new_page(x);
}

/* Puts N bytes, of kernel or user memory, right below what is there. */
static int push(struct exec *x, const void *bytes, size_t n, bool is_user)
{
    while (n > 0) {
        u64 room, chunk;
        int error = enter_page(x, x->stack_position - 1);

        if (error != 0)
            return error;
        room = x->stack_position - x->page_address;
        chunk = MIN(room, (u64)n);
        n -= chunk;
        if (!is_user)
            memcpy(x->page + room - chunk, (const char *)bytes + n, chunk);
        else if (copy_from_user(x->page + room - chunk, (const char *)bytes + n, chunk) != 0)
            return -EFAULT;
        x->stack_position -= chunk;
    }
    return 0;
}

/* N bytes below 16. */
static int push_zeros(struct exec *x, u64 n)
{
    static const u8 zeros[16];

    return push(x, zeros, n, false);
}

/* ---- strings ---- */

static int get_string(const struct exec_strings *s, u32 i, u64 *user)
{
    return get_user_u64(user, (const u64 *)(s->user + i * sizeof(u64)));
}

/* Those of a page, in place: 1 if there may be more, 0, -EFAULT. */
static int count_in_page(struct exec_strings *s)
{
    u64 at = s->user + s->count * sizeof(u64);
    u32 n = (u32)((PAGE_SIZE - (at & PAGE_MASK)) / sizeof(u64)), i = 0;
    const u64 *pointers = user_pin_read(at);

    if (pointers == NULL)
        return -EFAULT;
    while (i < n && load_relaxed(&pointers[i]) != 0)
        i++;
    user_unpin();
    s->count += i;
    return i == n;
}

static int count_one(struct exec_strings *s)
{
    u64 pointer;

    if (get_string(s, s->count, &pointer) != 0)
        return -EFAULT;
    s->count += pointer != 0;
    return pointer != 0;
}

static int count(struct exec_strings *s)
{
    int more = s->user != 0;

    s->count = 0;
    if (s->kernel != NULL) {
        while (s->kernel[s->count] != NULL)
            s->count++;
        return 0;
    }
    while (more > 0) {
        more = likely(IS_ALIGNED(s->user, sizeof(u64))) ? count_in_page(s) : count_one(s);
        if (s->count >= STRINGS_MAX / sizeof(u64))
            return -E2BIG;
        if (fatal_signal_pending())
            return -EINTR;
    }
    return more;
}

static u64 arguments_limit(const struct exec *x)
{
    return MAX(MIN(x->limits->limit[RLIMIT_STACK].soft / 4, ARGS_MAX), ARGS_MIN);
}

int exec_count_strings(struct exec *x)
{
    int error = count(&x->args);

    if (error == 0)
        error = count(&x->environment);
    if (error != 0)
        return error;
    if (((u64)x->args.count + x->environment.count) * sizeof(u64) > arguments_limit(x))
        return -E2BIG;
    return 0;
}

#define SHORT_STRING 240

/* Length of a user string with its NUL, of which the first DONE bytes are not that: -E2BIG, -EFAULT. */
static ssize_t user_length(u64 user, size_t done)
{
    char buf[SHORT_STRING];

    while (done < STRING_MAX) {
        ssize_t n = strncpy_from_user(buf, (const char *)user + done, MIN(sizeof(buf), STRING_MAX - done));

        if (n >= 0)
            return (ssize_t)done + n + 1;
        if (n != -ENAMETOOLONG)
            return n;
        done += sizeof(buf);
    }
    return -E2BIG;
}

/* Whether the strings so far and the pointers to all of them fit what exec may use. */
static bool is_within_limit(const struct exec *x)
{
    u64 pointers = ((u64)x->args.count + x->environment.count + x->n_prefix) * sizeof(u64);

    return x->random.stack_top - x->stack_position + pointers <= arguments_limit(x);
}

static int push_kernel_string(struct exec *x, const char *s) { return push(x, s, strlen(s) + 1, false); }

static noinline_fn int push_long_string(struct exec *x, u64 user)
{
    ssize_t length = user_length(user, SHORT_STRING);

    return length < 0 ? (int)length : push(x, (const void *)user, (size_t)length, true);
}

static int push_user_string(struct exec *x, u64 user)
{
    char buf[SHORT_STRING + NAME_WORD] __attribute__((aligned(NAME_WORD))), *string;
    ssize_t length;

    string = buf + user % NAME_WORD; /* aligned as its source is, it is copied by words */
    length = strncpy_from_user(string, (const char *)user, SHORT_STRING);
    if (unlikely(length < 0))
        return length == -ENAMETOOLONG ? push_long_string(x, user) : (int)length;
    return push(x, string, (size_t)length + 1, false);
}

/* Strings FIRST.. of S, the last one first, their addresses at TO[FIRST].. */
static int push_strings(struct exec *x, const struct exec_strings *s, u32 first, u64 *to)
{
    /* Where they are now is read once, to where it will say where they come to be. */
    if (s->kernel == NULL && s->count > first &&
        copy_from_user(to + first, (const u64 *)s->user + first, (s->count - first) * sizeof(u64)) != 0)
        return -EFAULT;
    for (u32 i = s->count; i > first; i--) {
        int error = s->kernel != NULL ? push_kernel_string(x, s->kernel[i - 1]) : push_user_string(x, to[i - 1]);

        if (error == 0 && !is_within_limit(x))
            error = -E2BIG;
        if (error == 0 && fatal_signal_pending())
            error = -EINTR;
        if (error != 0)
            return error;
        to[i - 1] = x->stack_position;
    }
    return 0;
}

/* What becomes the whole argument vector: the script's words instead of argv[0], or argv itself; at least one string,
 * be it empty. */
static int push_arguments(struct exec *x, u64 *to)
{
    u32 replaced = x->n_prefix > 0 && x->args.count > 0 ? 1 : 0;
    u32 shift = x->n_prefix - replaced;
    int error = push_strings(x, &x->args, replaced, to + shift);

    for (unsigned i = 0; i < x->n_prefix && error == 0; i++) {
        error = push_kernel_string(x, x->prefix[i]);
        to[x->n_prefix - 1 - i] = x->stack_position;
    }
    if (error == 0 && x->args.count == 0 && x->n_prefix == 0) {
        error = push_kernel_string(x, "");
        to[0] = x->stack_position;
    }
    return error;
}

static u32 final_argc(const struct exec *x)
{
    u32 argc = x->args.count + x->n_prefix - (x->n_prefix > 0 && x->args.count > 0 ? 1 : 0);

    return MAX(argc, 1u);
}

int exec_push_strings(struct exec *x)
{
    struct space_layout *layout = space_layout(x->space);
    u64 n = (u64)final_argc(x) + x->environment.count;
    int error;

    x->addresses = kmalloc(n * sizeof(u64));
    if (x->addresses == NULL || new_page(x) != 0)
        return -ENOMEM;
    x->stack_position = x->random.stack_top;
    x->page_address = x->stack_position - PAGE_SIZE;
    error = push_zeros(x, 8);
    if (error == 0)
        error = push_kernel_string(x, x->name);
    layout->env_end = x->stack_position;
    if (error == 0)
        error = push_strings(x, &x->environment, 0, x->addresses + final_argc(x));
    layout->env_start = layout->arg_end = x->stack_position;
    if (error == 0)
        error = push_arguments(x, x->addresses);
    layout->arg_start = x->stack_position;
    return error;
}

/* ---- the table ---- */

struct auxv {
    u64 *entry;
    unsigned n;
};

static void add(struct auxv *v, u64 type, u64 value)
{
    v->entry[v->n++] = type;
    v->entry[v->n++] = value;
}

/* Into the layout, from where /proc/PID/auxv reads it. NAME: where AT_EXECFN's string is. */
static void make_auxv(struct exec *x, u64 random_at)
{
    struct space_layout *layout = space_layout(x->space);
    const struct cred *c = x->cred;
    struct auxv v = {.entry = layout->auxv};

    add(&v, AT_SYSINFO_EHDR, x->vdso_base);
    add(&v, AT_MINSIGSTKSZ, SIGNAL_STACK_MIN);
    add(&v, AT_HWCAP, HWCAP_IMAFDC);
    add(&v, AT_PAGESZ, PAGE_SIZE);
    add(&v, AT_CLKTCK, CLOCK_TICKS);
    add(&v, AT_PHDR, x->program.phdr);
    add(&v, AT_PHENT, sizeof(struct elf_segment));
    add(&v, AT_PHNUM, x->phnum);
    add(&v, AT_BASE, x->interpreter_base);
    add(&v, AT_FLAGS, 0);
    add(&v, AT_ENTRY, x->program.entry);
    add(&v, AT_UID, c->uid);
    add(&v, AT_EUID, c->euid);
    add(&v, AT_GID, c->gid);
    add(&v, AT_EGID, c->egid);
    add(&v, AT_SECURE, c->uid != c->euid || c->gid != c->egid);
    add(&v, AT_RANDOM, random_at);
    add(&v, AT_EXECFN, layout->env_end);
    add(&v, AT_NULL, 0);
    layout->n_auxv = v.n;
}

/* Pushes the pointers of N strings and the NULL behind them. */
static int push_pointers(struct exec *x, const u64 *addresses, u64 n)
{
    u64 null = 0;
    int error = push(x, &null, sizeof(null), false);

    return error != 0 ? error : push(x, addresses, n * sizeof(u64), false);
}

int exec_push_table(struct exec *x)
{
    struct space_layout *layout = space_layout(x->space);
    u64 argc = final_argc(x), envc = x->environment.count, table;
    u8 random[N_RANDOM];
    int error;

    random_bytes(random, sizeof(random));
    error = push_zeros(x, x->stack_position % 16);
    if (error == 0)
        error = push(x, random, sizeof(random), false);
    make_auxv(x, x->stack_position);
    table = (layout->n_auxv + envc + 1 + argc + 1 + 1) * sizeof(u64);
    if (error == 0)
        error = push_zeros(x, (x->stack_position - table) % 16);
    if (error == 0)
        error = push(x, layout->auxv, layout->n_auxv * sizeof(u64), false);
    if (error == 0)
        error = push_pointers(x, x->addresses + argc, envc);
    if (error == 0)
        error = push_pointers(x, x->addresses, argc);
    if (error == 0)
        error = push(x, &argc, sizeof(argc), false);
    if (error == 0)
        error = flush_page(x, x->stack_position);
    x->sp = layout->start_stack = x->stack_position;
    return error;
}
