/*
 * Names on the host: the path walk, the name and inode caches, mounts, making, removing and renaming, on the real tmpfs
 * whose files have no pages here. First the rules one by one, then random operations against a plain model of the tree.
 * At the end nothing may be left.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dev/block.h"
#include "fs/fdtable.h"
#include "fs/file.h"
#include "fs/mount.h"
#include "fs/names.h"
#include "fs/notify.h"
#include "fs/path.h"
#include "fs/super.h"
#include "fs/tmpfs/tmpfs.h"
#include "lib/rlimit.h"
#include "proc/task.h"
#include "tests/unit/tap.h"
#include "vm/swapdev.h"
#include "vm/kmalloc.h"
#include "vm/reclaim.h"
#include "vm/uaccess.h"

/* ---- what the rest of the kernel would provide ---- */

#include "tests/unit/host/locks.h"

char *host_memory;

static struct cred root_cred = {.refs = 1, .cap_effective = UINT64_MAX},
                   user_cred = {.refs = 1, .uid = 7, .euid = 7, .fsuid = 7, .gid = 7, .fsgid = 7};
static struct rlimits limits;
static struct thread thread = {.cred = &root_cred, .limits = &limits, .hart = &harts[0]};
struct thread *current = &thread;
static struct shrinker *shrinkers[4];
static unsigned n_shrinkers;

enum huge_shared_policy huge_shared_policy = HUGE_SHARED_NEVER;
const char *const huge_shared_policy_names[6];
void panic(const char *fmt, ...)
{
    printf("Bail out! panic: %s\n", fmt);
    abort();
}
void kprintf(const char *fmt, ...) {}
char *kstrndup(const char *s, size_t n) { return strndup(s, n); }
size_t copy_string(char *dst, const char *src, size_t size)
{
    snprintf(dst, size, "%s", src);
    return strlen(src);
}
struct machine machine;
u64 time_ns(void)
{
    static u64 now;
    return now += 1000;
}
u64 time_realtime_offset(void) { return 1000000000000000000ull; }
bool cred_in_group(const struct cred *cred, u32 gid) { return cred->fsgid == gid; }
int signal_send_current(int sig) { return 0; }
struct spinlock task_lock;
int task_pid(const struct task *task) { return 1; }
struct block_device *block_by_dev(u32 dev) { return NULL; }
int block_files_sync(bool wait) { return 0; }
void memory_stats(struct memory_stats *stats) { *stats = (struct memory_stats){.total = 100000}; }
u64 page_total_count(void) { return 1000; }
struct page *page_alloc_order(unsigned order, unsigned alloc_flags) { return NULL; }
void page_free(struct page *page) {}
struct page *page_array;
u64 page_to_address, address_to_page;
u64 first_pfn;
void shrinker_register(struct shrinker *s) { shrinkers[n_shrinkers++] = s; }

void sched_yield(void) {}

void object_init(struct object *o, const struct object_ops *ops)
{
    memset(o, 0, sizeof(*o));
    o->ops = ops;
}
void object_destroy(struct object *o) {}
int object_set_size(struct object *o, u64 size)
{
    o->size = size;
    return 0;
}
int object_punch(struct object *o, u64 from, u64 to) { return 0; }
int object_writeback(struct object *o, u64 from, u64 to, bool wait) { return 0; }
ssize_t object_read(struct object *o, struct uio *u, u64 *pos, struct readahead *ra) { return 0; }
ssize_t object_write(struct object *o, struct uio *u, u64 *pos) { return 0; }
bool object_has_page(struct object *o, u64 index) { return false; }
void page_note_untouched(struct page *page) {}
bool object_has_writable_mapping(struct object *o) { return false; }
bool swapdev_is(const struct block_device *disk) { return false; }
struct page *object_get_page(struct object *o, u64 index, struct readahead *ra) { return ERR_PTR(-ENOMEM); }
int fifo_open(struct inode *inode, struct file *file) { return -ENXIO; }
void epoll_forget_file(struct file *file) {}
void async_release(struct file *file);
void async_release(struct file *file) {}

/* Nobody watches (fs/notify.h). */
u32 notify_watches;
void notify_watchers(struct inode *inode, struct dentry *d, u32 mask) {}
void notify_watchers_of_name(struct inode *dir, struct name name, u32 mask, u32 cookie) {}
void notify_watchers_of_move(struct inode *from, struct name old_name, struct inode *to, struct name new_name,
                             struct inode *inode, struct inode *replaced)
{
}
void notify_watchers_of_end(struct inode *inode, u32 mask) {}
void notify_unmount(struct super *super) {}
ssize_t strncpy_from_user(char *dst, const char *src, size_t size)
{
    size_t n = strnlen(src, size);

    if (n == size)
        return -ENAMETOOLONG;
    memcpy(dst, src, n + 1);
    return (ssize_t)n;
}

/* ---- shorthands ---- */

static int exists(const char *name)
{
    struct path path;
    int error = path_lookup(AT_FDCWD, name, 0, &path);

    if (error == 0)
        path_put(&path);
    return error;
}

static int is_directory(const char *name)
{
    struct path path;
    int result = path_lookup(AT_FDCWD, name, LOOKUP_FOLLOW, &path);

    if (result != 0)
        return result;
    result = S_ISDIR(path_inode(&path)->mode);
    path_put(&path);
    return result;
}

static int create(const char *name) { return names_mknod(AT_FDCWD, name, S_IFREG | 0644, 0); }
static int mkdir(const char *name) { return names_mkdir(AT_FDCWD, name, 0755); }
static int unlink_name(const char *name) { return names_unlink(AT_FDCWD, name); }
static int rmdir_name(const char *name) { return names_rmdir(AT_FDCWD, name); }
static int symlink_name(const char *target, const char *name) { return names_symlink(target, AT_FDCWD, name); }
static int rename_flags(const char *from, const char *to, unsigned flags)
{
    return names_rename(AT_FDCWD, from, AT_FDCWD, to, flags);
}
static int rename_name(const char *from, const char *to) { return rename_flags(from, to, 0); }

static int link_name(const char *old, const char *name)
{
    struct path path;
    int error = path_lookup(AT_FDCWD, old, 0, &path);

    if (error != 0)
        return error;
    error = names_link(&path, AT_FDCWD, name);
    path_put(&path);
    return error;
}

static int open_name(const char *name, u32 flags)
{
    struct file *file = file_open(name, flags, 0644);

    if (IS_ERR(file))
        return (int)PTR_ERR(file);
    file_put(file);
    return 0;
}

static int change_directory(const char *name)
{
    struct path path;
    int error = path_lookup(AT_FDCWD, name, LOOKUP_FOLLOW | LOOKUP_DIRECTORY, &path);

    if (error != 0)
        return error;
    fs_context_set(&current->fs->cwd, &path);
    path_put(&path);
    return 0;
}

static const char *name_of(const char *name)
{
    static char buffer[PATH_MAX];
    struct path path;
    char *text;

    if (path_lookup(AT_FDCWD, name, LOOKUP_FOLLOW, &path) != 0)
        return "(none)";
    text = path_name(&path, buffer, sizeof(buffer));
    path_put(&path);
    return IS_ERR(text) ? "(error)" : text;
}

#define IS(call, wanted, name) CHECK((call) == (wanted), name)
#define IS_TEXT(text, wanted, name) CHECK(strcmp(text, wanted) == 0, name)

/* ---- the rules ---- */

static void test_walking(void)
{
    IS(mkdir("/a"), 0, "mkdir");
    IS(mkdir("/a/b/"), 0, "mkdir with a trailing slash");
    IS(create("/a/b/f"), 0, "a file");
    IS(create("/a/b/g/"), -ENOENT, "a file with a trailing slash is refused");
    IS(create("/a/b/f"), -EEXIST, "what is there is not made again");
    IS(exists("/a/b/f"), 0, "found");
    IS(exists("//a///b//./f"), 0, "slashes and dots");
    IS(exists("/a/b/../b/f"), 0, "dot dot");
    IS(exists("/../../a"), 0, "dot dot at the root stays there");
    IS(exists("/a/b/f/"), -ENOTDIR, "a file with a slash behind");
    IS(exists("/a/b/f/x"), -ENOTDIR, "a file as directory");
    IS(exists("/a/b/f/.."), -ENOTDIR, "dot dot of a file");
    IS(exists("/a/x/f"), -ENOENT, "no such directory");
    IS(exists(""), -ENOENT, "the empty path");
    IS(change_directory("/a"), 0, "chdir");
    IS(exists("b/f"), 0, "a relative path");
    IS(exists("../a/b"), 0, "a relative path upwards");
    IS_TEXT(name_of("b/f"), "/a/b/f", "the path's name");
    IS_TEXT(name_of("/"), "/", "the root's name");
    IS(change_directory("/a/b/f"), -ENOTDIR, "chdir to a file");
    IS(change_directory("/"), 0, "back");
}

static void test_lengths(void)
{
    char name[300] = "/";

    memset(name + 1, 'x', 256);
    IS(exists(name), -ENAMETOOLONG, "a name of 256 bytes is too long");
    IS(create(name), -ENAMETOOLONG, "to be made as well");
    name[256] = '\0';
    IS(exists(name), -ENOENT, "255 are not");
    IS(create(name), 0, "and can be made");
    IS(unlink_name(name), 0, "and removed");
}

static void test_links(void)
{
    IS(symlink_name("b", "/a/l"), 0, "symlink");
    IS(exists("/a/l/f"), 0, "a link in the middle");
    IS_TEXT(name_of("/a/l/f"), "/a/b/f", "leads where it should");
    IS(is_directory("/a/l"), 1, "a link at the end is followed when asked");
    IS(exists("/a/l/"), 0, "and with a slash behind");
    IS(symlink_name("/a/b/f", "/abs"), 0, "an absolute one");
    IS_TEXT(name_of("/abs"), "/a/b/f", "starts at the root");
    IS(exists("/abs/"), -ENOTDIR, "to a file, with a slash behind");
    IS(symlink_name("loop2", "/loop1"), 0, "a loop");
    IS(symlink_name("loop1", "/loop2"), 0, "of two");
    IS(is_directory("/loop1"), -ELOOP, "ELOOP");
    IS(symlink_name("../a/./l/../l/f", "/a/far"), 0, "links in links");
    IS_TEXT(name_of("/a/far"), "/a/b/f", "are followed");
    IS(symlink_name("nowhere", "/dangling"), 0, "dangling");
    IS(is_directory("/dangling"), -ENOENT, "leads nowhere");
    IS(open_name("/dangling", O_CREAT | O_EXCL | O_RDWR), -EEXIST, "O_EXCL does not follow");
    IS(open_name("/dangling", O_CREAT | O_NOFOLLOW | O_RDWR), -ELOOP, "nor does O_NOFOLLOW");
    IS(open_name("/dangling", O_CREAT | O_RDWR), 0, "but plain O_CREAT does");
    IS(exists("/nowhere"), 0, "and makes the target");
    IS(unlink_name("/nowhere"), 0, "unlink the target");
    IS(unlink_name("/dangling"), 0, "unlink takes the link itself");
    IS(open_name("/abs", O_RDONLY | O_NOFOLLOW), -ELOOP, "O_NOFOLLOW");
    IS(open_name("/abs", O_PATH | O_NOFOLLOW), 0, "O_PATH opens the link");
    IS(symlink_name("", "/empty"), -ENOENT, "an empty target");
    unlink_name("/loop1");
    unlink_name("/loop2");
    unlink_name("/abs");
    unlink_name("/a/far");
    unlink_name("/a/l");
}

static void test_link_depth(void)
{
    char name[32], target[32];

    IS(create("/l0"), 0, "the end of a chain");
    for (int i = 1; i <= 41; i++) {
        snprintf(name, sizeof(name), "/l%d", i);
        snprintf(target, sizeof(target), "l%d", i - 1);
        if (symlink_name(target, name) != 0)
            CHECK(false, "link %d", i);
    }
    IS(is_directory("/l40"), 0, "40 links are followed");
    IS(is_directory("/l41"), -ELOOP, "41 are not");
    for (int i = 0; i <= 41; i++) {
        snprintf(name, sizeof(name), "/l%d", i);
        unlink_name(name);
    }
}

static void test_removing(void)
{
    IS(unlink_name("/a"), -EISDIR, "unlink of a directory");
    IS(rmdir_name("/a"), -ENOTEMPTY, "rmdir of one with entries");
    IS(rmdir_name("/a/b/f"), -ENOTDIR, "rmdir of a file");
    IS(rmdir_name("/a/."), -EINVAL, "rmdir of dot");
    IS(rmdir_name("/a/.."), -ENOTEMPTY, "of dot dot");
    IS(rmdir_name("/"), -EBUSY, "of the root");
    IS(unlink_name("/a/b/f/"), -ENOTDIR, "unlink with a slash behind");
    IS(unlink_name("/a/none"), -ENOENT, "unlink of nothing");
    IS(mkdir("/a/slash"), 0, "a directory");
    IS(rmdir_name("/a/slash//"), 0, "removed by its name with slashes behind");
    IS(mkdir("/gone"), 0, "a directory");
    IS(change_directory("/gone"), 0, "entered");
    IS(rmdir_name("/gone"), 0, "and removed");
    IS(create("x"), -ENOENT, "holds no new names");
    IS(exists("."), 0, "but is still there");
    IS(exists("../a"), 0, "and knows its parent");
    IS(change_directory("/"), 0, "back");
}

static void test_hard_links(void)
{
    IS(link_name("/a/b/f", "/h"), 0, "link");
    IS(link_name("/a/b/f", "/h"), -EEXIST, "over something");
    IS(link_name("/a", "/d"), -EPERM, "to a directory");
    IS(rename_name("/h", "/a/b/f"), 0, "rename between two names of a file does nothing");
    IS(exists("/h"), 0, "both stay");
    IS(unlink_name("/h"), 0, "unlink one");
    IS(exists("/a/b/f"), 0, "the other stays");
}

static void test_renaming(void)
{
    mkdir("/r");
    mkdir("/r/d1");
    mkdir("/r/d2");
    create("/r/d2/in");
    create("/r/f1");
    IS(rename_name("/r/f1", "/r/f2"), 0, "a file");
    IS(exists("/r/f1"), -ENOENT, "the old name is gone");
    IS(exists("/r/f2"), 0, "the new one there");
    IS(rename_name("/r/f2", "/r/d1"), -EISDIR, "a file over a directory");
    IS(rename_name("/r/d1", "/r/f2"), -ENOTDIR, "a directory over a file");
    IS(rename_name("/r/d1", "/r/d2"), -ENOTEMPTY, "over a full directory");
    IS(rename_name("/r/d2", "/r/d1"), 0, "over an empty one");
    IS(exists("/r/d1/in"), 0, "contents move along");
    IS(rename_name("/r", "/r/d1/x"), -EINVAL, "into itself");
    IS(rename_name("/r/d1/in", "/r"), -ENOTEMPTY, "over an ancestor");
    IS(rename_name("/r/f2", "/r/f3/"), -ENOTDIR, "a file to a name with a slash");
    IS(rename_name("/r/d1", "/r/d3/"), 0, "a directory to one");
    IS(rename_flags("/r/f2", "/r/d3", RENAME_NOREPLACE), -EEXIST, "NOREPLACE");
    IS(rename_flags("/r/f2", "/r/d3", RENAME_EXCHANGE), 0, "EXCHANGE");
    IS(is_directory("/r/f2"), 1, "the directory has the file's name");
    IS(is_directory("/r/d3"), 0, "and the file the directory's");
    IS(exists("/r/f2/in"), 0, "with its contents");
    IS(rename_flags("/r/f2", "/r/none", RENAME_EXCHANGE), -ENOENT, "EXCHANGE with nothing");
    IS(rename_name("/r/.", "/x"), -EBUSY, "dot cannot be renamed");
    IS(rename_name("/r/none", "/x"), -ENOENT, "nor what is not there");
    IS_TEXT(name_of("/r/f2/in"), "/r/f2/in", "names follow");
    unlink_name("/r/f2/in");
    rmdir_name("/r/f2");
    unlink_name("/r/d3");
    IS(rmdir_name("/r"), 0, "all removed");
}

static void test_permissions(void)
{
    mkdir("/p");
    create("/p/secret");
    mkdir("/sticky");
    create("/sticky/roots");
    current->fs->umask = 0;
    names_mkdir(AT_FDCWD, "/open", 0777);
    names_mkdir(AT_FDCWD, "/closed", 0700);
    create("/closed/in");
    {
        struct path path;

        path_lookup(AT_FDCWD, "/sticky", 0, &path);
        path_inode(&path)->mode = S_IFDIR | S_ISVTX | 0777;
        path_put(&path);
    }
    current->cred = &user_cred;
    IS(create("/p/x"), -EACCES, "no write permission");
    IS(unlink_name("/p/secret"), -EACCES, "to remove either");
    IS(exists("/closed/in"), -EACCES, "no search permission");
    IS(create("/open/mine"), 0, "open to all");
    IS(create("/sticky/mine"), 0, "a sticky directory takes files");
    IS(unlink_name("/sticky/roots"), -EPERM, "but keeps others'");
    IS(rename_name("/sticky/roots", "/open/x"), -EPERM, "from being moved too");
    IS(unlink_name("/sticky/mine"), 0, "not one's own");
    IS(open_name("/p/secret", O_WRONLY), -EACCES, "opening for writing");
    IS(open_name("/p/secret", O_RDONLY), 0, "for reading");
    IS(names_mknod(AT_FDCWD, "/open/dev", S_IFCHR | 0600, makedev(1, 3)), -EPERM, "no devices for users");
    current->cred = &root_cred;
    IS(exists("/closed/in"), 0, "root sees all");
    unlink_name("/p/secret");
    rmdir_name("/p");
    unlink_name("/open/mine");
    rmdir_name("/open");
    unlink_name("/closed/in");
    rmdir_name("/closed");
    unlink_name("/sticky/roots");
    rmdir_name("/sticky");
}

static void test_opening(void)
{
    IS(open_name("/a/b/n", O_RDWR), -ENOENT, "without O_CREAT");
    IS(open_name("/a/b/n", O_RDWR | O_CREAT), 0, "with");
    IS(open_name("/a/b/n", O_RDWR | O_CREAT | O_EXCL), -EEXIST, "O_EXCL");
    IS(open_name("/a/b/n", O_RDONLY | O_DIRECTORY), -ENOTDIR, "O_DIRECTORY of a file");
    IS(open_name("/a/b", O_RDONLY | O_DIRECTORY), 0, "of a directory");
    IS(open_name("/a/b", O_WRONLY), -EISDIR, "a directory for writing");
    IS(open_name("/a/b", O_RDONLY | O_CREAT), -EISDIR, "O_CREAT of a directory");
    IS(open_name("/a/b/x/", O_RDWR | O_CREAT), -EISDIR, "O_CREAT with a slash behind");
    IS(open_name("/a/b", O_RDWR | O_TMPFILE), 0, "O_TMPFILE");
    IS(open_name("/a/b", O_RDONLY | O_TMPFILE), -EINVAL, "needs to be writable");
    IS(unlink_name("/a/b/n"), 0, "removed");
}

static void test_exec_denies_writing(void)
{
    struct file *exec, *writer;

    names_mknod(AT_FDCWD, "/prog", S_IFREG | 0755, 0);
    exec = file_open_exec(AT_FDCWD, "/prog", 0);
    CHECK(!IS_ERR(exec), "opened to be run");
    IS(open_name("/prog", O_WRONLY), -ETXTBSY, "cannot be written meanwhile");
    IS(open_name("/prog", O_RDONLY), 0, "can be read");
    file_put_exec(exec);
    writer = file_open("/prog", O_WRONLY, 0);
    CHECK(!IS_ERR(writer), "can be written afterwards");
    CHECK(PTR_ERR(file_open_exec(AT_FDCWD, "/prog", 0)) == -ETXTBSY, "and not run then");
    file_put(writer);
    unlink_name("/prog");
}

static void test_descriptors(void)
{
    struct file *file = file_open("/a/b/f", O_RDONLY, 0);
    int fds[200], wrong = 0;

    for (int i = 0; i < 200; i++) {
        file_get(file);
        fds[i] = fd_install(file, false);
        wrong += fds[i] != i;
    }
    IS(wrong, 0, "lowest numbers first, as many as wanted");
    fd_close(130);
    fd_close(5);
    file_get(file);
    IS(fd_install(file, true), 5, "the lowest free one");
    file_get(file);
    IS(fd_install_from(file, 100, false), 130, "the lowest free one above a bound");
    IS(fd_close(500), -EBADF, "EBADF");
    limits.limit[RLIMIT_NOFILE].soft = 200;
    IS(fd_install(file, false), -EMFILE, "EMFILE at the limit");
    limits.limit[RLIMIT_NOFILE].soft = 1024;
    IS(fd_get_cloexec(5), 1, "close-on-exec");
    fd_table_unshare_for_exec();
    IS(fd_get_cloexec(5), -EBADF, "closed by exec");
    fd_close_range(0, 10000, false);
    IS(fd_table_next(current->files, 0), -1, "all closed");
    CHECK(file->refs == 1, "no reference is left");
    file_put(file);
}

static void test_mounts(void)
{
    static struct fs_type *type;
    char line[256];
    unsigned id = 0, n = 0;

    type = fs_type_find("tmpfs");
    mkdir("/m");
    create("/m/below");
    IS(vfs_mount("some where", "/m", "tmpfs", MS_NOSUID, "size=1m"), 0, "mount");
    IS(exists("/m/below"), -ENOENT, "covers what was there");
    IS(create("/m/above"), 0, "a file in the mount");
    IS_TEXT(name_of("/m/above"), "/m/above", "and its name");
    IS(is_directory("/m/.."), 1, "dot dot leads out");
    IS_TEXT(name_of("/m/.."), "/", "of the mount");
    IS(rmdir_name("/m"), -EBUSY, "a mount point is busy");
    IS(rename_name("/m/above", "/above"), -EXDEV, "no rename between mounts");
    IS(link_name("/m/above", "/above"), -EXDEV, "nor link");
    change_directory("/m");
    IS(vfs_unmount("/m", 0), -EBUSY, "busy while somebody is there");
    change_directory("/");
    while (mount_line(&id, false, line, sizeof(line)) > 0)
        n += strstr(line, "some\\040where /m tmpfs rw,nosuid,relatime,size=1024k 0 0\n") != NULL;
    IS(n, 1, "shown in the list of mounts");
    IS(vfs_mount("x", "/m", "tmpfs", MS_REMOUNT | MS_RDONLY, ""), 0, "remounted read-only");
    IS(create("/m/more"), -EROFS, "nothing can be made");
    IS(unlink_name("/m/above"), -EROFS, "or removed");
    IS(open_name("/m/above", O_WRONLY), -EROFS, "or written");
    IS(vfs_unmount("/m", 0), 0, "unmounted");
    IS(exists("/m/below"), 0, "and what was below is there again");
    IS(vfs_unmount("/m", 0), -EINVAL, "no mount any more");
    IS(vfs_mount("x", "/m", "none such", 0, ""), -ENODEV, "no such type");
    IS(vfs_mount("x", "/m", "tmpfs", 0, "size=lots"), -EINVAL, "a bad option");
    (void)type;
    unlink_name("/m/below");
    rmdir_name("/m");
}

/* ---- random operations against a model ---- */

#define NAMES 6
#define DEPTH 3
/* The model: every possible path of up to DEPTH components out of NAMES letters is absent, a file, or a directory. */
static char model[NAMES + 1][NAMES + 1][NAMES + 1];
enum { ABSENT, REGULAR, DIRECTORY };

static unsigned random_number(unsigned n)
{
    static u64 state = 88172645463325252ull;

    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (unsigned)(state >> 20) % n;
}

struct place {
    unsigned c[DEPTH]; /* 1..NAMES, 0: ends here */
    char text[16];
};

static void random_place(struct place *p)
{
    unsigned depth = 1 + random_number(DEPTH);
    char *s = p->text;

    for (unsigned i = 0; i < DEPTH; i++) {
        p->c[i] = i < depth ? 1 + random_number(NAMES) : 0;
        if (i < depth) {
            *s++ = '/';
            *s++ = (char)('a' + p->c[i]);
        }
    }
    *s = '\0';
}

static char *at(const struct place *p) { return &model[p->c[0]][p->c[1]][p->c[2]]; }

/* What stands in the way of reaching P: 0, -ENOENT, -ENOTDIR. */
static int reach(const struct place *p)
{
    for (unsigned depth = 1; depth < DEPTH && p->c[depth] != 0; depth++) {
        char kind = model[p->c[0]][depth > 1 ? p->c[1] : 0][0];

        if (kind != DIRECTORY)
            return kind == ABSENT ? -ENOENT : -ENOTDIR;
    }
    return 0;
}

static bool has_children(const struct place *p)
{
    for (unsigned i = 1; i <= NAMES; i++) {
        if (p->c[1] == 0 && model[p->c[0]][i][0] != ABSENT)
            return true;
        if (p->c[1] != 0 && p->c[2] == 0 && model[p->c[0]][p->c[1]][i] != ABSENT)
            return true;
    }
    return false;
}

static int model_make(const struct place *p, char kind)
{
    int error = reach(p);

    if (error != 0)
        return error;
    if (*at(p) != ABSENT)
        return -EEXIST;
    *at(p) = kind;
    return 0;
}

static int model_remove(const struct place *p, char kind)
{
    int error = reach(p);

    if (error != 0)
        return error;
    if (*at(p) == ABSENT)
        return -ENOENT;
    if (*at(p) != kind)
        return kind == DIRECTORY ? -ENOTDIR : -EISDIR;
    if (kind == DIRECTORY && has_children(p))
        return -ENOTEMPTY;
    *at(p) = ABSENT;
    return 0;
}

/* Only renames of files and of empty directories: subtrees of other depths do not fit the model. */
static bool model_rename(const struct place *from, const struct place *to, int *error)
{
    *error = reach(from);
    if (*error == 0)
        *error = reach(to);
    if (*error != 0)
        return true;
    if (*at(from) == ABSENT) {
        *error = -ENOENT;
        return true;
    }
    if (has_children(from) || has_children(to))
        return false;
    if (at(from) == at(to))
        return true;
    if (*at(to) != ABSENT && *at(to) != *at(from)) {
        *error = *at(from) == DIRECTORY ? -ENOTDIR : -EISDIR;
        return true;
    }
    *at(to) = *at(from);
    *at(from) = ABSENT;
    return true;
}

static void shrink_caches(void)
{
    for (unsigned i = 0; i < n_shrinkers; i++)
        shrinkers[i]->shrink(1 + random_number(3));
}

static void test_random(void)
{
    unsigned differences = 0;

    for (unsigned step = 0; step < 200000; step++) {
        struct place p, q;
        int got = 0, wanted = 0;

        random_place(&p);
        random_place(&q);
        switch (random_number(8)) {
        case 0:
            got = create(p.text);
            wanted = model_make(&p, REGULAR);
            break;
        case 1:
        case 2:
            got = mkdir(p.text);
            wanted = model_make(&p, DIRECTORY);
            break;
        case 3:
            got = unlink_name(p.text);
            wanted = model_remove(&p, REGULAR);
            break;
        case 4:
            got = rmdir_name(p.text);
            wanted = model_remove(&p, DIRECTORY);
            break;
        case 5:
            if (!model_rename(&p, &q, &wanted))
                continue;
            got = rename_name(p.text, q.text);
            /* Which of two errors comes first is not the model's business. */
            if (got < 0 && wanted < 0)
                got = wanted;
            break;
        case 6:
            got = exists(p.text);
            wanted = reach(&p) != 0 ? reach(&p) : *at(&p) == ABSENT ? -ENOENT : 0;
            break;
        case 7:
            if (random_number(20) == 0)
                shrink_caches();
            break;
        }
        if (got != wanted && differences++ < 5)
            printf("# step %u: %s, %s: %d instead of %d\n", step, p.text, q.text, got, wanted);
        if (locks_held != 0)
            panic("a lock is still held");
    }
    CHECK(differences == 0, "200000 random operations agree with the model");
}

int main(void)
{
    u64 cached, in_use;
    struct mount *m;
    struct fs_context *context = calloc(1, sizeof(*context));

    for (unsigned i = 0; i < RLIMIT_COUNT; i++)
        limits.limit[i] = (struct rlimit){RLIM_INFINITY, RLIM_INFINITY};
    limits.limit[RLIMIT_NOFILE].soft = 1024;
    dentry_init();
    inode_init();
    tmpfs_init();
    inode_counts(&cached, &in_use);
    m = mount_create(fs_type_find("tmpfs"), NULL, 0, "root", "mode=755");
    mount_attach(m, NULL);
    *context = (struct fs_context){.refs = 1, .umask = 022, .root = {m, m->root}, .cwd = {m, m->root}};
    path_get(&context->root);
    path_get(&context->cwd);
    current->fs = context;
    current->files = fd_table_create();

    test_walking();
    test_lengths();
    test_links();
    test_link_depth();
    test_removing();
    test_hard_links();
    test_renaming();
    test_permissions();
    test_opening();
    test_exec_denies_writing();
    test_descriptors();
    test_mounts();
    test_random();

    {
        u64 cached_before = cached;

        fd_table_put(current->files);
        vfs_shutdown();
        inode_counts(&cached, &in_use);
        CHECK(cached == cached_before, "no inode is left");
        CHECK(dentry_count() == 0, "no name is left");
        CHECK(file_count() == 0, "no file is left");
        CHECK(locks_held == 0, "no lock is held");
    }
    return tap_done();
}
