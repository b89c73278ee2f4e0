/* mount(2), umount2(2), and calls on file systems that this kernel refuses: quotactl(2)... */
#include "fs/mount.h"
#include "fs/path.h"
#include "lib/string.h"
#include "sys/syscall.h"
#include "vm/kmalloc.h"
#include "vm/uaccess.h"

/* mount's data: a string of up to a page. "" for none. ERR_PTR. */
static char *copy_options(u64 user)
{
    char *text = kzalloc(PAGE_SIZE);
    ssize_t n;

    if (text == NULL)
        return ERR_PTR(-ENOMEM);
    if (user == 0)
        return text;
    n = strncpy_from_user(text, (const char *)user, PAGE_SIZE);
    if (n >= 0)
        return text;
    kfree(text);
    return ERR_PTR(n == -ENAMETOOLONG ? -EINVAL : n);
}

DEFINE_SYSCALL(sys_mount)
{
    char type[64] = "";
    struct user_path source = {.s = ""}, target;
    char *options;
    long error;

    if (a2 != 0) {
        error = strncpy_from_user(type, (const char *)a2, sizeof(type));
        if (error < 0)
            return error == -ENAMETOOLONG ? -EINVAL : error;
    }
    options = copy_options(a4);
    if (IS_ERR(options))
        return PTR_ERR(options);
    error = a0 != 0 ? user_path_get(&source, (const char *)a0) : 0;
    if (error == 0) {
        error = user_path_get(&target, (const char *)a1);
        if (error == 0) {
            error = vfs_mount(source.s, target.s, type, a3, options);
            user_path_put(&target);
        }
        user_path_put(&source);
    }
    kfree(options);
    return error;
}

DEFINE_SYSCALL(sys_umount2)
{
    struct user_path target;
    long error = user_path_get(&target, (const char *)a0);

    if (error != 0)
        return error;
    error = vfs_unmount(target.s, (unsigned)a1);
    user_path_put(&target);
    return error;
}
