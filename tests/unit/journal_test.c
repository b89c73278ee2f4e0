/*
 * Recovery of journals that debugfs wrote: revoked blocks, escaped ones, each kind of checksums; torn and damaged ones.
 * e2fsck recovers a copy, which must be the same.
 */
#include "tests/unit/tap.h"

#include "tests/unit/ext3host/host.c"

#include "fs/journal/internal.h"

static char folder[64], image[96];
static struct super *super;

static int run(const char *fmt, ...) printf_like(1, 2);
static int run(const char *fmt, ...)
{
    char command[2000];
    va_list args;

    va_start(args, fmt);
    vsnprintf(command, sizeof(command), fmt, args);
    va_end(args);
    return system(command);
}

/* A file system and the transactions of SCRIPT (debugfs's jw requests, of a file "data", nine blocks of x, and "magic",
 * which begins like a block of the journal) in its log. */
static void make_image(unsigned block_size, const char *open, const char *script)
{
    run("cd %s && rm -f image && mke2fs -q -F -t ext3 -b %u -N 64 image %s >/dev/null 2>&1 && head -c %u /dev/zero | "
        "tr '\\0' 'x' "
        ">data && printf '\\300\\073\\071\\230' >magic && head -c %u /dev/zero | tr '\\0' 'y' >>magic && printf 'jo "
        "%s\\n%sjc\\n' >script && debugfs -w -f script image >debugfs.log 2>&1",
        folder, block_size, block_size == 4096 ? "12M" : "4M", 9 * block_size, block_size - 4, open, script);
}

static void check_recovered(const char *label, unsigned block_size)
{
    int error;

    run("cd %s && cp image theirs && e2fsck -E journal_only -y theirs >/dev/null 2>&1", folder);
    host_forget_messages();
    super = host_mount(image, false, &error);
    CHECK(super != NULL, "%s: recovered", label);
    CHECK(strstr(host_messages, "recovered") != NULL, "... and says so");
    if (super != NULL)
        host_unmount(super);
    CHECK(run("cd %s && dd if=image bs=%u skip=900 count=50 2>/dev/null >a; dd if=theirs bs=%u skip=900 count=50 "
              "2>/dev/null >b; cmp -s a b",
              folder, block_size, block_size) == 0,
          "... blocks are those of e2fsck's recovery");
    CHECK(run("cd %s && grep -q xxxx a && LC_ALL=C e2fsck -fn image >fsck.log 2>&1", folder) == 0,
          "... written, and clean");
    super = host_mount(image, false, &error);
    CHECK(super != NULL && strstr(host_messages, "recovered") == strstr(host_messages, "recovered,"),
          "... mounts again");
    if (super != NULL)
        host_unmount(super);
}

static const char plain[] = "jw -b 910,911,912 data\\n";
static const char revoking[] = "jw -b 910,911,912 data\\njw -r 911\\njw -b 913 data\\n";
static const char escaping[] = "jw -b 910,911 data\\njw -b 914 magic\\n";

/* The first byte of block N. */
static u8 byte_of(unsigned n, unsigned block_size, unsigned at)
{
    u8 byte = 0;
    int fd = disk_open(image, NULL);

    disk_read(fd, &byte, 1, (u64)n * block_size + at);
    disk_close(fd);
    return byte;
}

static void test_kinds(unsigned block_size)
{
    static const char *const kinds[] = {"", "-c", "-c -v 2", "-c -v 3"};

    for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
        char label[80];

        snprintf(label, sizeof(label), "%u bytes, jo %s", block_size, kinds[i]);
        make_image(block_size, kinds[i], plain);
        check_recovered(label, block_size);
        make_image(block_size, kinds[i], revoking);
        check_recovered("... revoked", block_size);
        if (i == 0) /* debugfs ends a log with checksums before its revoke block; e2fsck agrees */
            CHECK(byte_of(911, block_size, 0) != 'x', "... a revoked block is not replayed");
        make_image(block_size, kinds[i], escaping);
        check_recovered("... escaped", block_size);
        CHECK(byte_of(914, block_size, 0) == 0xC0 && byte_of(914, block_size, 5) == 'y', "... with its first word");
    }
}

/* Byte AT of the log changes. */
static void damage(u64 at)
{
    static u8 all[4 * MIB];
    int fd = disk_open(image, NULL);
    u8 byte;

    disk_read(fd, all, sizeof(all), 0);
    for (u64 i = 0; i < sizeof(all); i += 1024)
        if (memcmp(all + i, "\xC0\x3B\x39\x98\0\0\0\4", 8) == 0) {
            byte = (u8)~all[i + at];
            disk_write(fd, &byte, 1, i + at);
            break;
        }
    disk_close(fd);
}

static void test_damage(void)
{
    int error;

    make_image(1024, "-c -v 3", plain);
    damage(2 * 1024 + 100); /* a copy */
    super = host_mount(image, false, &error);
    CHECK(super != NULL && byte_of(910, 1024, 0) != 'x', "a transaction with a damaged copy is not replayed");
    if (super != NULL)
        host_unmount(super);
    make_image(1024, "", plain);
    damage(5 * 1024); /* the commit block */
    super = host_mount(image, false, &error);
    CHECK(super != NULL && byte_of(910, 1024, 0) != 'x', "one without a commit block neither");
    if (super != NULL)
        host_unmount(super);
    make_image(1024, "", plain);
    damage(1);
    host_forget_messages();
    super = host_mount(image, false, &error);
    CHECK(super == NULL && error == -EUCLEAN && strstr(host_messages, "e2fsck") != NULL,
          "a journal whose super block is none is refused, and the log says what to do");
    make_image(1024, "", plain);
    damage(0x28 + 2);
    super = host_mount(image, false, &error);
    CHECK(super == NULL && error == -EINVAL, "so are unknown features of the journal");
}

/* Power fails again and again while recovery writes: in the end it is done. */
static void test_interrupted(void)
{
    struct super *done = NULL;
    unsigned rounds = 0;
    int error;

    make_image(1024, "", revoking);
    for (unsigned i = 0; i < 60 && done == NULL; i++) {
        host_fail_after = i;
        done = host_mount(image, false, &error);
        host_fail_after = UINT64_MAX;
        rounds++;
    }
    CHECK(done != NULL && rounds > 5, "a recovery that fails after each of its requests succeeds at last (%u rounds)",
          rounds);
    if (done != NULL)
        host_unmount(done);
    CHECK(byte_of(910, 1024, 0) == 'x' && byte_of(911, 1024, 0) != 'x', "... with the same result");
}

/* What was not in place yet when the journal was aborted does not come back after the unmount: the disk may have been
 * repaired since. */
static void test_left_behind(void)
{
    struct buffer *b;
    int error;

    make_image(1024, "", plain);
    super = host_mount(image, false, &error);
    CHECK(super != NULL, "a file system whose journal will be aborted");
    if (super == NULL)
        return;
    b = buffer_get(super->device, 920, 1024);
    memset(b->data, 'q', 1024);
    buffer_set_uptodate(b);
    buffer_mark_dirty(b);
    buffer_put(b);
    journal_abort(((struct ext3 *)super->private)->journal, -EIO);
    host_unmount(super);
    super = host_mount(image, false, &error);
    CHECK(super != NULL, "... mounts again");
    if (super == NULL)
        return;
    b = buffer_read(super->device, 920, 1024);
    CHECK(!IS_ERR(b) && b->data[0] != 'q', "... and reads the disk, not what was left in memory");
    buffer_put(b);
    host_unmount(super);
    CHECK(byte_of(920, 1024, 0) != 'q', "... nor writes it");
}

/* Who wants a transaction to be durable that never had anything to commit, and is gone, need not wait. */
static void test_nothing_to_commit(void)
{
    struct journal *j;
    struct handle h;
    int error;
    u32 tid;

    make_image(1024, "", plain);
    super = host_mount(image, false, &error);
    CHECK(super != NULL, "a file system with a transaction that changes nothing");
    if (super == NULL)
        return;
    j = ((struct ext3 *)super->private)->journal;
    CHECK(journal_flush(j) == 0 && journal_start(&h, j, 1) == 0, "... begins one");
    journal_stop(&h);
    tid = journal_current_tid(j);
    CHECK(!journal_is_durable(j, tid) && journal_sync(j, tid, false) == 0, "... for which nobody waits");
    CHECK(journal_flush(j) == 0 && j->running == NULL, "... and ends it");
    CHECK(commit_is_idle(j, tid) && journal_sync(j, tid, false) == 0, "... nor when it is gone");
    host_unmount(super);
}

int main(void)
{
    snprintf(folder, sizeof(folder), "%s/quire-journal-XXXXXX", getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp");
    if (mkdtemp(folder) == NULL)
        panic("no folder for scratch files");
    setenv("PATH", "/usr/sbin:/sbin:/usr/bin:/bin", 1);
    snprintf(image, sizeof(image), "%s/image", folder);
    host_init();
    test_kinds(1024);
    test_kinds(4096);
    test_damage();
    test_interrupted();
    test_left_behind();
    test_nothing_to_commit();
    CHECK(host_io_errors() == 0, "no lock is held at the end");
    run("rm -rf %s", folder);
    return tap_done();
}
