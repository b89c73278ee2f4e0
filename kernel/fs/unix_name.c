/* Names of local sockets: files, which refer to a socket by their inode, and abstract ones; binding, finding (unix(7),
 * bind(2)). unix_lock guards the list of bound sockets. */
#include "fs/unix_socket.h"
#include "fs/names.h"
#include "lib/string.h"

static struct list bound = LIST_INIT(bound);

static bool is_abstract(const struct unix_name *name) { return name->path[0] == '\0'; }

/* => unix_lock */
static struct unix_socket *find_abstract(const struct unix_name *name)
{
    struct unix_socket *s;

    list_for_each(s, &bound, bound_link)
        if (s->inode == NULL && s->name.length == name->length && memcmp(s->name.path, name->path, name->length) == 0)
            return s;
    return NULL;
}

static struct unix_socket *find_inode(const struct inode *inode)
{
    struct unix_socket *s;

    list_for_each(s, &bound, bound_link)
        if (s->inode == inode)
            return s;
    return NULL;
}

static struct unix_socket *checked(struct unix_socket *s, unsigned type)
{
    if (s == NULL || s->closed)
        return ERR_PTR(-ECONNREFUSED);
    if (s->type != type)
        return ERR_PTR(-EPROTOTYPE);
    atomic_add_relaxed(&s->refs, 1);
    return s;
}

struct unix_socket *unix_find(const struct unix_name *name, unsigned type)
{
    struct unix_socket *s;
    struct path path;
    int error;

    if (is_abstract(name)) {
        mutex_lock(&unix_lock);
        s = checked(find_abstract(name), type);
        mutex_unlock(&unix_lock);
        return s;
    }
    error = path_lookup(AT_FDCWD, name->path, LOOKUP_FOLLOW, &path);
    if (error != 0)
        return ERR_PTR(error);
    error = inode_permission(path_inode(&path), current->cred, MAY_WRITE);
    if (error == 0 && !S_ISSOCK(path_inode(&path)->mode))
        error = -ECONNREFUSED;
    mutex_lock(&unix_lock);
    s = error != 0 ? ERR_PTR(error) : checked(find_inode(path_inode(&path)), type);
    mutex_unlock(&unix_lock);
    path_put(&path);
    return s;
}

/* The socket file for NAME: its inode, referenced. ERR_PTR(-EADDRINUSE...) */
static struct inode *make_socket_file(const struct unix_name *name)
{
    struct inode *inode;
    struct path path;
    int error = names_mknod(AT_FDCWD, name->path, S_IFSOCK | (0777 & ~current_umask()), 0);

    if (error != 0)
        return ERR_PTR(error == -EEXIST ? -EADDRINUSE : error);
    error = path_lookup(AT_FDCWD, name->path, 0, &path);
    if (error != 0)
        return ERR_PTR(error);
    inode = path_inode(&path);
    inode_hold(inode);
    path_put(&path);
    return inode;
}

/* A free abstract name of five hexadecimal digits (unix(7), "Autobind feature"). => unix_lock */
static void choose_name(struct unix_name *name)
{
    static u32 next;

    do {
        name->length = 6;
        name->path[0] = '\0';
        snprintf(name->path + 1, sizeof(name->path) - 1, "%05x", next++ & 0xfffff);
    } while (find_abstract(name) != NULL);
}

/* A name that exists is the first thing that Linux finds wrong. */
static int refuse_second_name(const struct unix_name *name)
{
    struct path path;

    if (is_abstract(name) || path_lookup(AT_FDCWD, name->path, 0, &path) != 0)
        return -EINVAL;
    path_put(&path);
    return -EADDRINUSE;
}

int unix_bind(struct unix_socket *s, const struct unix_name *name)
{
    struct inode *inode = NULL;
    int error = 0;

    if (s->family == AF_INET)
        return inet_bind(s, name);
    if (s->name.length != 0)
        return name->length == 0 ? 0 : refuse_second_name(name);
    if (name->length != 0 && !is_abstract(name)) {
        inode = make_socket_file(name);
        if (IS_ERR(inode))
            return (int)PTR_ERR(inode);
    }
    mutex_lock(&unix_lock);
    if (s->name.length != 0)
        error = -EINVAL;
    else if (name->length != 0 && inode == NULL && find_abstract(name) != NULL)
        error = -EADDRINUSE;
    if (error == 0) {
        s->name = *name;
        if (name->length == 0)
            choose_name(&s->name);
        s->inode = inode;
        list_add(&bound, &s->bound_link);
    }
    mutex_unlock(&unix_lock);
    if (error != 0 && inode != NULL)
        inode_put(inode);
    return error;
}
