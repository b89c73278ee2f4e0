/* Inside path walking (fs/path.h): what walk.c, which walks with references, does for path.c. */
#ifndef FS_WALK_H
#define FS_WALK_H

#include "fs/path.h"

/* A walk that is not in a reading, and has nothing to end yet. */
static inline void hold_nothing(struct walk *w)
{
    w->reading = false;
    w->path.dentry = w->root.dentry = NULL;
    w->frames = w->used = NULL;
    w->links = 0;
}

/* Begins with references. */
int walk_start(struct walk *w, int dirfd, const char *name);
/* From where W is to the end of what is left; W is not in a reading. */
int walk_on_to_end(struct walk *w, unsigned lookup);

static inline const char *skip_slashes(const char *s)
{
    while (*s == '/')
        s++;
    return s;
}

#endif
