/*
 * Random mmap, munmap, mprotect, madvise, mremap, ftruncate, fork, load and store over a small range, each checked
 * against a plain model: what is mapped, how it is protected, and every page's contents. The seed is printed; a run
 * with the same seed does the same. mmap_model [DIR] [STEPS [SEED]]
 */
#include "tap.h"

#include <setjmp.h>

#ifndef MADV_PAGEOUT
#define MADV_COLD 20
#define MADV_PAGEOUT 21
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

#define PAGES 64
#define FILE_PAGES 16

enum kind { GONE, ANONYMOUS, PRIVATE_FILE, SHARED_FILE };

/* What a page of the range should be. VALUE is the number in its first word; of file pages not copied it is the file's.
 */
struct page {
    enum kind kind;
    int protection, copied;
    unsigned value, file_page;
};

static struct page model[PAGES];
static unsigned file_values[FILE_PAGES], file_pages; /* its length */
static char *range;
static int file_fd;
static uint64_t state;
static long step;

static unsigned pick(unsigned below)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(state >> 33) % below;
}

static sigjmp_buf escape;
static volatile int fault_code;
static void *volatile fault_address;

static void on_fault(int signo, siginfo_t *info, void *context UNUSED)
{
    fault_code = signo == SIGBUS ? -info->si_code : info->si_code;
    fault_address = info->si_addr;
    siglongjmp(escape, 1);
}

static unsigned *word_of(unsigned page) { return (unsigned *)(range + page * PAGE + page % 7 * 512); }

/* 0, or the si_code of the fault; of SIGBUS, less than 0. */
static int try_load(unsigned page, unsigned *value)
{
    fault_code = 0;
    if (sigsetjmp(escape, 1) == 0)
        *value = *(volatile unsigned *)word_of(page);
    return fault_code;
}

static int try_store(unsigned page, unsigned value)
{
    fault_code = 0;
    if (sigsetjmp(escape, 1) == 0)
        *(volatile unsigned *)word_of(page) = value;
    return fault_code;
}

static unsigned expected(const struct page *page)
{
    return page->kind == ANONYMOUS || page->copied ? page->value : file_values[page->file_page];
}

static int wrong(const char *what, unsigned page, long got, long want)
{
    diag("step %ld: %s of page %u: %ld, not %ld", step, what, page, got, want);
    return -1;
}

/* How an access to a page fails that needs one of NEEDED; 0: it does not. */
static int refusal(const struct page *is, int needed)
{
    if (is->kind == GONE)
        return SEGV_MAPERR;
    if (!(is->protection & needed))
        return SEGV_ACCERR;
    return is->kind != ANONYMOUS && !is->copied && is->file_page >= file_pages ? -BUS_ADRERR : 0;
}

static int check_page(unsigned page)
{
    unsigned value = 0;
    const struct page *is = &model[page];
    int want = refusal(is, PROT_READ | PROT_WRITE);
    int got = try_load(page, &value);

    if (got != want || (got && fault_address != word_of(page)))
        return wrong("load's fault", page, got, want);
    if (!got && value != expected(is))
        return wrong("value", page, value, expected(is));
    return 0;
}

static int store(unsigned page)
{
    struct page *is = &model[page];
    unsigned value = pick(1u << 30) + 1;
    int want = refusal(is, PROT_WRITE);
    int got = try_store(page, value);

    if (got != want)
        return wrong("store's fault", page, got, want);
    if (got)
        return 0;
    if (is->kind == SHARED_FILE) {
        file_values[is->file_page] = value;
    } else {
        is->value = value;
        is->copied = 1;
    }
    return check_page(page);
}

static const int protections[] = {PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE, PROT_READ | PROT_WRITE,
                                  PROT_READ | PROT_EXEC};

/* Where the word of a page lies depends on its number modulo 7; so a page of the file may lie only where its own number
 * agrees. */
static int map(unsigned from, unsigned count)
{
    enum kind kind = ANONYMOUS + pick(3);
    int protection = protections[pick(5)];
    unsigned offset = from % 7;
    int flags = MAP_FIXED | (kind == SHARED_FILE ? MAP_SHARED : MAP_PRIVATE) | (kind == ANONYMOUS ? MAP_ANONYMOUS : 0);

    if (kind != ANONYMOUS) {
        if (offset + 7 < FILE_PAGES && pick(2))
            offset += 7;
        if (count > FILE_PAGES - offset)
            count = FILE_PAGES - offset;
    }
    if (pick(8) == 0 && kind != PRIVATE_FILE) /* which may or may not be copied by that */
        flags |= MAP_POPULATE;
    if (mmap(range + from * PAGE, count * PAGE, protection, flags, kind == ANONYMOUS ? -1 : file_fd,
             kind == ANONYMOUS ? 0 : offset * PAGE) != range + from * PAGE)
        return wrong("mmap", from, errno, 0);
    for (unsigned i = 0; i < count; i++)
        model[from + i] = (struct page){kind, protection, 0, 0, offset + i};
    return 0;
}

static int unmap(unsigned from, unsigned count)
{
    if (munmap(range + from * PAGE, count * PAGE))
        return wrong("munmap", from, errno, 0);
    for (unsigned i = 0; i < count; i++)
        model[from + i] = (struct page){.kind = GONE};
    return 0;
}

/* Stops at a gap, with ENOMEM; what lies before it has changed. */
static int protect(unsigned from, unsigned count)
{
    int protection = protections[pick(5)], want = 0, got;

    got = mprotect(range + from * PAGE, count * PAGE, protection) ? errno : 0;
    for (unsigned i = 0; i < count && !want; i++)
        if (model[from + i].kind == GONE)
            want = ENOMEM;
        else
            model[from + i].protection = protection;
    return got == want ? 0 : wrong("mprotect", from, got, want);
}

static int forget(unsigned from, unsigned count)
{
    int want = 0, got = madvise(range + from * PAGE, count * PAGE, MADV_DONTNEED) ? errno : 0;

    for (unsigned i = 0; i < count; i++)
        if (model[from + i].kind == GONE)
            want = ENOMEM;
        else
            model[from + i].copied = 0, model[from + i].value = 0;
    return got == want ? 0 : wrong("madvise", from, got, want);
}

/* Through read() and write(): another way to the same pages. */
static int through_kernel(unsigned page)
{
    unsigned value = pick(1u << 30) + 1, got = 0;
    struct page *is = &model[page];
    int fds[2], result, want;

    if (pipe(fds))
        return wrong("pipe", page, errno, 0);
    result = write(fds[1], word_of(page), 4) == 4 ? 0 : errno;
    want = refusal(is, PROT_READ | PROT_WRITE) ? EFAULT : 0;
    if (result == want && !want && (read(fds[0], &got, 4) != 4 || got != expected(is)))
        result = wrong("write()'s value", page, got, expected(is));
    else if (result != want)
        result = wrong("write()", page, result, want);
    else
        result = 0;
    if (result == 0 && write(fds[1], &value, 4) == 4) {
        want = refusal(is, PROT_WRITE) ? EFAULT : 0;
        result = read(fds[0], word_of(page), 4) == 4 ? 0 : errno;
        result = result == want ? 0 : wrong("read()", page, result, want);
        if (!want && is->kind == SHARED_FILE)
            file_values[is->file_page] = value;
        else if (!want)
            is->value = value, is->copied = 1;
    }
    close(fds[0]);
    close(fds[1]);
    return result ? result : check_page(page);
}

static int file_write(unsigned file_page)
{
    unsigned value = pick(1u << 30) + 1;

    file_values[file_page] = value;
    if (file_pages <= file_page)
        file_pages = file_page + 1;
    return pwrite(file_fd, &value, 4, file_page * PAGE + file_page % 7 * 512) == 4
               ? 0
               : wrong("pwrite", file_page, errno, 0);
}

/* Pages past the end go from all mappings, copies, too; who makes it longer finds zeros. */
static int cut_file(unsigned pages)
{
    if (ftruncate(file_fd, pages * PAGE))
        return wrong("ftruncate", pages, errno, 0);
    for (unsigned i = pages; i < FILE_PAGES; i++)
        file_values[i] = 0;
    for (unsigned i = 0; i < PAGES; i++)
        if ((model[i].kind == PRIVATE_FILE || model[i].kind == SHARED_FILE) && model[i].file_page >= pages)
            model[i].copied = 0;
    file_pages = pages;
    return 0;
}

/* To where nothing is, or one page over another. Of several pages it may be refused: they may be several mappings. */
static int move(unsigned from, unsigned count)
{
    unsigned to = (from + 7 * (1 + pick(PAGES / 7 - 1))) % (PAGES - PAGES % 7), i = 0, all_there = 1;

    count = count > 5 || count > PAGES - to ? 1 : count;
    while (i < count && (model[to + i].kind == GONE || count == 1) &&
           model[from + i].protection == model[from].protection)
        i++;
    if (i < count || from >= PAGES - PAGES % 7)
        return 0;
    for (i = 0; i < count; i++)
        all_there &= model[from + i].kind != GONE;
    if (mremap(range + from * PAGE, count * PAGE, count * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, range + to * PAGE) ==
        MAP_FAILED) {
        if (count == 1 && !all_there) /* there is nothing to move: whether the place is cleared is nobody's business */
            return unmap(to, 1);
        return errno == EFAULT && (count > 1 || !all_there) ? 0 : wrong("mremap", from, errno, 0);
    }
    if (!all_there)
        return wrong("mremap of a hole", from, 0, EFAULT);
    for (i = 0; i < count; i++) {
        model[to + i] = model[from + i];
        model[from + i] = (struct page){.kind = GONE};
    }
    return 0;
}

/* Nobody sees a difference. */
static int settle(unsigned from, unsigned count)
{
    static const int advice[] = {MADV_PAGEOUT, MADV_COLD, MADV_WILLNEED, MADV_COLLAPSE, MADV_HUGEPAGE, MADV_NOHUGEPAGE};

    madvise(range + from * PAGE, count * PAGE, advice[pick(6)]);
    if (pick(4) == 0)
        msync(range + from * PAGE, count * PAGE, pick(2) ? MS_SYNC : MS_ASYNC);
    return 0;
}

static int check_all(void)
{
    for (unsigned i = 0; i < PAGES; i++)
        if (check_page(i))
            return -1;
    for (unsigned i = 0; i < file_pages; i++) {
        unsigned value = 0;

        if (pread(file_fd, &value, 4, i * PAGE + i % 7 * 512) != 4 || value != file_values[i])
            return wrong("the file's value", i, value, file_values[i]);
    }
    return 0;
}

/* A child goes its own way for a while; what it does to private pages must not be seen here. It leaves the file alone.
 */
static int in_a_child(void)
{
    int status, bad = 0;
    pid_t pid = fork();

    if (pid < 0)
        return wrong("fork", 0, errno, 0);
    if (pid == 0) {
        for (unsigned i = 0; i < PAGES && !bad; i++)
            if (model[i].kind != SHARED_FILE)
                bad = check_page(i) || store(i);
        for (unsigned i = 0; i < PAGES && !bad; i++)
            bad = check_page(i);
        _exit(bad ? 1 : 0);
    }
    for (unsigned i = 0; i < PAGES && !bad; i += 3) /* while the child runs */
        if (model[i].kind != SHARED_FILE)
            bad = store(i);
    waitpid(pid, &status, 0);
    return bad || status ? wrong("fork's child", 0, status, 0) : 0;
}

static int do_step(void)
{
    unsigned from = pick(PAGES), count = 1 + pick(pick(4) ? 6 : PAGES);

    if (count > PAGES - from)
        count = PAGES - from;
    switch (pick(23)) {
    case 0:
    case 1:
    case 2:
        return map(from, count);
    case 3:
        return unmap(from, count);
    case 4:
    case 5:
    case 6:
        return protect(from, count);
    case 7:
        return forget(from, count);
    case 8:
        return through_kernel(from);
    case 9:
        return file_write(pick(FILE_PAGES));
    case 10:
        return step % 5 ? 0 : in_a_child();
    case 11:
        return step % 3 ? 0 : check_all();
    case 12:
        return move(from, count);
    case 13:
        return step % 4 ? settle(from, count) : cut_file(pick(FILE_PAGES + 1));
    case 14:
    case 15:
    case 16:
        return check_page(from);
    default:
        return store(from);
    }
}

static void body(void)
{
    long steps = tap_arguments[0] ? atol(tap_arguments[0]) : 6000;
    uint64_t seed = tap_arguments[0] && tap_arguments[1] ? strtoul(tap_arguments[1], NULL, 0) : 1;
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    int bad = 0;

    diag("%ld steps, seed %lu", steps, (unsigned long)seed);
    state = seed;
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
    range = anon(PAGES * PAGE, PROT_NONE);
    NEED(munmap(range, PAGES * PAGE));
    file_fd = make_file("file", "", 0);
    NEED(ftruncate(file_fd, FILE_PAGES * PAGE));
    file_pages = FILE_PAGES;
    for (step = 0; step < steps && !bad; step++)
        bad = do_step();
    IS(step, steps, "%ld random steps agree with the model", steps);
    IS(check_all(), 0, "and so does everything at the end");
    NEED(munmap(range, PAGES * PAGE));
    close(file_fd);
}

int main(int argc, char **argv) { return tap_main(argc, argv, body); }
