/*
 * What execve(2) runs: opening the file, "#!" lines, and loading the ELF program and its interpreter.
 *
 * A script S with the line "#!I ARG" run as S A B becomes I ARG S A B; I may be a script again. x->prefix collects the
 * words in front of A B in reverse.
 */
#include "fs/fdtable.h"
#include "fs/mount.h"
#include "fs/path.h"
#include "fs/vfs.h"
#include "lib/string.h"
#include "proc/exec.h"
#include "proc/internal.h"
#include "vm/kmalloc.h"

#define BLANKS(c) ((c) == ' ' || (c) == '\t')

static int push_prefix(struct exec *x, const char *word, size_t length)
{
    char *copy = kstrndup(word, length);

    if (copy == NULL)
        return -ENOMEM;
    x->prefix[x->n_prefix++] = copy;
    return 0;
}

static int read_head(struct exec *x)
{
    ssize_t n = file_read(x->file, x->head, EXEC_HEAD_SIZE, 0);

    if (n < 0)
        return (int)n;
    memset(x->head + n, 0, EXEC_HEAD_SIZE - (size_t)n);
    return 0;
}

static bool is_script(const struct exec *x) { return x->head[0] == '#' && x->head[1] == '!'; }

/* The interpreter and its argument in the "#!" line, not NUL-terminated; ARG's length is 0 when there is none.
 * -ENOEXEC: no line. */
static int parse_line(const struct exec *x, struct name *interpreter, struct name *arg)
{
    const char *p = (const char *)x->head + 2, *limit = (const char *)x->head + EXEC_HEAD_SIZE - 1;
    const char *end = memchr(p, '\n', (size_t)(limit - p));
    const char *word_end;
    bool is_cut = end == NULL && memchr(p, '\0', (size_t)(limit - p)) == NULL;

    if (end == NULL)
        end = p + strnlen(p, (size_t)(limit - p));
    while (end > p && BLANKS(end[-1]))
        end--;
    while (p < end && BLANKS(*p))
        p++;
    for (word_end = p; word_end < end && !BLANKS(*word_end) && *word_end != '\0'; word_end++)
        ;
    if (word_end == p || (is_cut && word_end == end))
        return -ENOEXEC; /* no name, or one that may go on behind what was read */
    *interpreter = (struct name){p, (unsigned)(word_end - p)};
    while (word_end < end && BLANKS(*word_end))
        word_end++;
    *arg = (struct name){word_end, (unsigned)(end - word_end)};
    return 0;
}

/* X holds a script that was found as NAME: its interpreter takes its place. -ENOENT: it could not open the script,
 * whose only name is a descriptor that exec closes. */
static int enter_interpreter(struct exec *x, const char *name)
{
    struct name interpreter, arg;
    struct file *file;
    int error = parse_line(x, &interpreter, &arg);

    if (error == 0 && x->n_prefix == 0 && x->name_is_closed)
        error = -ENOENT;
    if (error == 0)
        error = push_prefix(x, name, strlen(name));
    if (error == 0 && arg.length > 0)
        error = push_prefix(x, arg.s, arg.length);
    if (error == 0)
        error = push_prefix(x, interpreter.s, interpreter.length);
    if (error != 0)
        return error;
    file = file_open_exec(AT_FDCWD, x->prefix[x->n_prefix - 1], 0);
    if (IS_ERR(file))
        return (int)PTR_ERR(file);
    file_put_exec(x->file);
    x->file = file;
    return read_head(x);
}

/* What a script's interpreter shall open when the file was named by a descriptor (execveat(2)). */
static char *make_name(int dirfd, const char *name)
{
    char buf[32];
    size_t length = strlen(name);
    char *joined;
    int n;

    if (dirfd == AT_FDCWD || name[0] == '/')
        return kstrndup(name, length);
    n = snprintf(buf, sizeof(buf), "/dev/fd/%d%s", dirfd, length > 0 ? "/" : "");
    joined = kmalloc((size_t)n + length + 1);
    if (joined == NULL)
        return NULL;
    memcpy(joined, buf, (size_t)n);
    memcpy(joined + n, name, length + 1);
    return joined;
}

/* Of one moment: who takes a file over takes its bits away, too. */
static void note_mode_bits(struct exec *x)
{
    struct inode *inode = x->file->inode;
    const struct mount *mount = x->file->path.mount;

    if ((mount != NULL && (mount->flags & MS_NOSUID)) || likely(!(load_relaxed(&inode->mode) & (S_ISUID | S_ISGID))))
        return;
    read_lock(&inode->lock);
    x->set_uid = (inode->mode & S_ISUID) != 0;
    x->set_gid = (inode->mode & (S_ISGID | 0010)) == (S_ISGID | 0010);
    x->file_uid = inode->uid;
    x->file_gid = inode->gid;
    read_unlock(&inode->lock);
}

int exec_open(struct exec *x, int dirfd, const char *name, int at_flags)
{
    struct file *file = file_open_exec(dirfd, name, at_flags);
    int error;

    if (IS_ERR(file))
        return (int)PTR_ERR(file);
    x->file = file;
    x->name = make_name(dirfd, name);
    if (x->name == NULL)
        return -ENOMEM;
    x->name_is_closed = dirfd != AT_FDCWD && name[0] != '/' && fd_get_cloexec(dirfd) > 0;
    error = read_head(x);
    for (unsigned level = 0; error == 0 && is_script(x); level++) {
        const char *found_as = level == 0 ? x->name : x->prefix[x->n_prefix - 1];

        if (level == SCRIPT_LEVELS)
            return -ELOOP;
        if (level > 0) { /* the interpreter's own name is what its script is called */
            char *own = x->prefix[--x->n_prefix];

            error = enter_interpreter(x, own);
            kfree(own);
        } else {
            error = enter_interpreter(x, found_as);
        }
    }
    note_mode_bits(x);
    return error;
}

static int load_interpreter(struct exec *x, const char *path)
{
    struct file *file = file_open_exec(AT_FDCWD, path, 0);
    struct elf_placement placement;
    struct elf_header head;
    struct elf elf;
    ssize_t n;
    int error;

    if (IS_ERR(file))
        return (int)PTR_ERR(file);
    n = file_read(file, &head, sizeof(head), 0);
    error = n == (ssize_t)sizeof(head) ? elf_read(&elf, file, &head) : n < 0 ? (int)n : -ELIBBAD;
    if (error == -ENOEXEC)
        error = -ELIBBAD;
    if (error == 0) {
        error = elf_load(&elf, x->space, 0, &placement);
        elf_done(&elf);
    }
    file_put_exec(file);
    if (error != 0)
        return error;
    x->interpreter_base = placement.bias;
    x->entry = placement.entry;
    return 0;
}

int exec_load(struct exec *x)
{
    const struct elf *elf = &x->elf;
    char *interpreter;
    int error;

    if (x->elf_error != 0)
        return x->elf_error;
    interpreter = elf_interpreter(elf);
    if (IS_ERR(interpreter))
        return (int)PTR_ERR(interpreter);
    error = elf_load(elf, x->space, x->random.pie_base, &x->program);
    x->entry = x->program.entry;
    x->phnum = elf->header.phnum;
    if (error == 0) {
        space_set_brk_start(x->space, x->program.end + x->random.brk_gap);
        error = interpreter != NULL ? load_interpreter(x, interpreter) : 0;
    }
    kfree(interpreter);
    return error != 0 ? error : space_map_vdso(x->space, &x->vdso_base);
}
