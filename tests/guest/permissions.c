/*
 * Rights: what other users may do with files and directories, sticky directories, umask, chown and chmod with their
 * effects on the set-user-ID bits, access(2), the user and group ids of processes. Needs root, to become others.
 * Source: path_resolution(7), chmod(2), chown(2), access(2), credentials(7), setresuid(2), capabilities(7).
 */
#include "tap.h"

#include <grp.h>

#define ALICE 1000
#define BOB 1001
#define STAFF 50

static mode_t mode_of(const char *name)
{
    struct stat stat;

    return lstat(name, &stat) ? 0 : stat.st_mode & 07777;
}

/* A deed as a user without extra groups: 0 or its errno is the child's exit status. */
struct deed {
    uid_t user;
    gid_t group;
    int (*function)(const char *name);
    const char *name;
};

static int as_user(void *argument)
{
    struct deed *deed = argument;

    if (setgroups(0, NULL) || setresgid(deed->group, deed->group, deed->group) ||
        setresuid(deed->user, deed->user, deed->user))
        return 250;
    return deed->function(deed->name) < 0 ? errno : 0;
}

static int result_as(uid_t user, gid_t group, int (*function)(const char *), const char *name)
{
    struct deed deed = {user, group, function, name};

    return in_child(as_user, &deed).status;
}

static int do_read(const char *name) { return open(name, O_RDONLY); }
static int do_write(const char *name) { return open(name, O_WRONLY); }
static int do_create(const char *name) { return open(name, O_WRONLY | O_CREAT | O_EXCL, 0666); }
static int do_unlink(const char *name) { return unlink(name); }
static int do_stat(const char *name)
{
    struct stat stat;
    return lstat(name, &stat);
}
static int do_mkdir(const char *name) { return mkdir(name, 0777); }
static int do_rmdir(const char *name) { return rmdir(name); }
static int do_chmod(const char *name) { return chmod(name, 0777); }
static int do_set_suid(const char *name) { return chmod(name, 06755); }
static int do_chown_away(const char *name) { return chown(name, BOB, -1); }
static int do_chgrp_foreign(const char *name) { return chown(name, -1, STAFF); }
static int do_chgrp_same(const char *name) { return chown(name, -1, getgid()); }
static int do_utimes_now(const char *name) { return utimensat(AT_FDCWD, name, NULL, 0); }
static int do_truncate(const char *name) { return truncate(name, 0); }
static int do_chdir(const char *name) { return chdir(name); }
static int do_rename(const char *name) { return rename(name, "sticky/renamed"); }
static int do_device(const char *name) { return mknod(name, S_IFCHR | 0666, 0x103); }
static int do_sethostname(const char *name) { return sethostname(name, strlen(name)); }
static int do_setuid_root(const char *name UNUSED) { return setuid(0); }
static int do_setgroups(const char *name UNUSED) { return setgroups(0, NULL); }

static int do_utimes_set(const char *name)
{
    struct timespec set[2] = {{1, 0}, {2, 0}};

    return utimensat(AT_FDCWD, name, set, 0);
}

static int do_write_then_look(const char *name)
{
    int fd = open(name, O_WRONLY);

    if (fd < 0 || write(fd, "x", 1) != 1)
        return -1;
    errno = 99;
    return mode_of(name) & 06000 ? -1 : 0;
}

static void file_of(const char *name, uid_t user, gid_t group, mode_t mode)
{
    close(make_file(name, "text", 4));
    NEED(chown(name, user, group));
    NEED(chmod(name, mode));
}

static void folder_of(const char *name, uid_t user, gid_t group, mode_t mode)
{
    NEED(mkdir(name, 0755));
    NEED(chown(name, user, group));
    NEED(chmod(name, mode));
}

static void classes(void)
{
    file_of("owner", ALICE, ALICE, 0600);
    IS(result_as(ALICE, ALICE, do_read, "owner"), 0, "0600: the owner reads");
    IS(result_as(BOB, BOB, do_read, "owner"), EACCES, "others do not");
    IS(result_as(BOB, ALICE, do_read, "owner"), EACCES, "nor the group");
    IS(result_as(0, 0, do_write, "owner"), 0, "root does everything");
    file_of("group", ALICE, STAFF, 0660);
    IS(result_as(BOB, STAFF, do_write, "group"), 0, "0660: the group writes");
    IS(result_as(BOB, BOB, do_write, "group"), EACCES, "others do not");
    file_of("odd", ALICE, STAFF, 0066);
    IS(result_as(ALICE, STAFF, do_read, "odd"), EACCES, "0066: the owner is asked as owner only");
    IS(result_as(BOB, BOB, do_read, "odd"), 0, "others read");
    file_of("odder", ALICE, STAFF, 0606);
    IS(result_as(BOB, STAFF, do_read, "odder"), EACCES, "0606: the group as group only");
    file_of("readable", 0, 0, 0644);
    IS(result_as(ALICE, ALICE, do_write, "readable"), EACCES, "writing needs w");
    IS(result_as(ALICE, ALICE, do_truncate, "readable"), EACCES, "so does truncate");
}

static void folders(void)
{
    folder_of("open", ALICE, ALICE, 0777);
    folder_of("list", ALICE, ALICE, 0744);
    folder_of("pass", ALICE, ALICE, 0711);
    file_of("open/f", 0, 0, 0600);
    file_of("list/f", 0, 0, 0666);
    file_of("pass/f", 0, 0, 0666);
    IS(result_as(BOB, BOB, do_read, "list"), 0, "a directory with r but not x can be listed");
    IS(result_as(BOB, BOB, do_stat, "list/f"), EACCES, "not passed through");
    IS(result_as(BOB, BOB, do_chdir, "list"), EACCES, "nor entered");
    IS(result_as(BOB, BOB, do_read, "pass"), EACCES, "one with x but not r cannot be listed");
    IS(result_as(BOB, BOB, do_read, "pass/f"), 0, "but passed through");
    IS(result_as(BOB, BOB, do_create, "pass/new"), EACCES, "making names needs w");
    IS(result_as(BOB, BOB, do_mkdir, "pass/new"), EACCES, "for directories too");
    IS(result_as(BOB, BOB, do_unlink, "pass/f"), EACCES, "and so does removing them");
    IS(result_as(BOB, BOB, do_create, "open/new"), 0, "with w they can be made");
    IS(result_as(BOB, BOB, do_unlink, "open/f"), 0, "and any file removed");
    IS(result_as(BOB, BOB, do_rmdir, "pass"), EACCES, "rmdir in a directory without w");
    folder_of("sticky", 0, 0, 01777);
    file_of("sticky/f", ALICE, ALICE, 0666);
    file_of("mine", ALICE, ALICE, 0666);
    IS(result_as(BOB, BOB, do_unlink, "sticky/f"), EPERM, "a sticky directory keeps others from removing");
    IS(result_as(BOB, BOB, do_rename, "sticky/f"), EPERM, "and renaming");
    IS(result_as(ALICE, ALICE, do_rename, "sticky/f"), 0, "not the owner");
    IS(result_as(ALICE, ALICE, do_unlink, "sticky/renamed"), 0, "of the file");
    folder_of("grouped", 0, STAFF, 02777);
    IS(result_as(BOB, BOB, do_create, "grouped/f"), 0, "in a set-group-ID directory");
    struct stat stat;
    NEED(lstat("grouped/f", &stat));
    CHECK(stat.st_uid == BOB && stat.st_gid == STAFF, "new files get its group");
    IS(result_as(BOB, BOB, do_mkdir, "grouped/d"), 0, "a new directory");
    NEED(lstat("grouped/d", &stat));
    CHECK(stat.st_gid == STAFF && (stat.st_mode & S_ISGID), "inherits the bit too");
}

static void changing(void)
{
    file_of("c", ALICE, ALICE, 0644);
    IS(result_as(BOB, BOB, do_chmod, "c"), EPERM, "chmod is the owner's");
    IS(result_as(ALICE, ALICE, do_chmod, "c"), 0, "who may");
    IS(mode_of("c"), 0777, "does it");
    IS(result_as(ALICE, ALICE, do_chown_away, "c"), EPERM, "a file cannot be given away");
    IS(result_as(ALICE, ALICE, do_chgrp_foreign, "c"), EPERM, "nor to a foreign group");
    IS(result_as(ALICE, ALICE, do_chgrp_same, "c"), 0, "but to one's own");
    NEED(chown("c", ALICE, STAFF));
    IS(result_as(ALICE, ALICE, do_set_suid, "c"), 0, "chmod 06755 of a file of a foreign group");
    IS(mode_of("c"), 04755, "drops the set-group-ID bit");
    NEED(chmod("c", 06777));
    NEED(chown("c", BOB, -1));
    IS(mode_of("c"), 0777, "chown drops both bits");
    NEED(chmod("c", 06777));
    IS(result_as(ALICE, ALICE, do_write_then_look, "c"), 0, "so does a write by a user");
    file_of("t", ALICE, ALICE, 0666);
    IS(result_as(BOB, BOB, do_utimes_now, "t"), 0, "who may write may set the times to now");
    IS(result_as(BOB, BOB, do_utimes_set, "t"), EPERM, "but not to something else");
    NEED(chmod("t", 0600));
    IS(result_as(BOB, BOB, do_utimes_now, "t"), EACCES, "who may not write may not even that");
    IS(result_as(ALICE, ALICE, do_device, "open/dev"), EPERM, "devices are root's to make");
    IS(result_as(ALICE, ALICE, do_sethostname, "me"), EPERM, "as is the host's name");
    IS(result_as(ALICE, ALICE, do_setuid_root, ""), EPERM, "setuid(0) is not for users");
    IS(result_as(ALICE, ALICE, do_setgroups, ""), EPERM, "nor setgroups");
    umask(077);
    close((int)NEED(open("masked", O_CREAT | O_WRONLY, 0666)));
    IS(mode_of("masked"), 0600, "umask takes bits away");
    IS(umask(022), 077, "and tells the old one");
}

static int access_with_real_ids(void *unused UNUSED)
{
    if (setresuid(ALICE, 0, 0)) /* as a set-user-ID program of root's */
        return 1;
    if (access("secret", R_OK) != -1 || errno != EACCES)
        return 2;
    if (faccessat(AT_FDCWD, "secret", R_OK, AT_EACCESS))
        return 3;
    return open("secret", O_RDONLY) < 0 ? 4 : 0;
}

static void accessing(void)
{
    file_of("secret", 0, 0, 0600);
    OKAY(access("secret", F_OK), "access: is it there");
    OKAY(access("secret", R_OK | W_OK), "access: root may");
    FAILS(access("secret", X_OK), EACCES, "access: not even root executes without an x bit");
    FAILS(access("none", F_OK), ENOENT, "access: not there");
    FAILS(access("secret", 0x10), EINVAL, "access: an unknown mode");
    EXITS(access_with_real_ids, NULL, 0, "access asks for the real user, AT_EACCESS for the effective one");
}

static int with_groups(void *unused UNUSED)
{
    gid_t groups[] = {STAFF, 70}, back[8];

    if (setgroups(2, groups) || getgroups(0, NULL) != 2 || getgroups(8, back) != 2 || back[0] != STAFF || back[1] != 70)
        return 1;
    if (getgroups(1, back) != -1 || errno != EINVAL)
        return 2;
    if (setgroups(70000, groups) != -1 || errno != EINVAL)
        return 3;
    if (setresgid(BOB, BOB, BOB) || setresuid(BOB, BOB, BOB))
        return 4;
    return open("group", O_WRONLY) < 0 ? 5 : 0;
}

static int identities(void *unused UNUSED)
{
    uid_t real, effective, saved;

    if (setresuid(ALICE, BOB, 0) || getresuid(&real, &effective, &saved) || real != ALICE || effective != BOB ||
        saved != 0)
        return 1;
    if (setresuid(-1, ALICE, -1) || geteuid() != ALICE)
        return 2;
    if (setreuid(-1, 0) || geteuid() != 0) /* the saved id allows it */
        return 3;
    if (setuid(BOB) || getresuid(&real, &effective, &saved) || real != BOB || effective != BOB || saved != BOB)
        return 4;
    if (setresuid(0, -1, -1) != -1 || errno != EPERM)
        return 5;
    if (setreuid(-1, ALICE) != -1 || errno != EPERM)
        return 6;
    if (setgid(STAFF) != -1 || errno != EPERM)
        return 7;
    return 0;
}

/* Who owns a file may set its set-user-ID bit, and who takes it over clears that: whatever comes first, the new owner's
 * file never has it. */
static void taken_over(void)
{
    int fd = (int)NEED(open("taken", O_RDWR | O_CREAT, 0755)), with_bit = 0, status;
    struct stat stat;
    pid_t pid = (pid_t)NEED(fork());

    if (pid == 0) {
        if (setresuid(ALICE, ALICE, ALICE))
            _exit(1);
        for (;;)
            fchmod(fd, 04755);
    }
    for (int i = 0; i < 4000; i++) {
        NEED(fchown(fd, ALICE, -1));
        for (volatile int wait = i % 300; wait > 0; wait--)
            ;
        NEED(fchown(fd, 0, -1));
        for (int look = 0; look < 3; look++) {
            NEED(fstat(fd, &stat));
            with_bit += stat.st_uid == 0 && (stat.st_mode & S_ISUID);
        }
    }
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    IS(with_bit, 0, "chown takes the set-user-ID bit away, while the old owner sets it");
    close(fd);
    NEED(unlink("taken"));
}

static void body(void)
{
    if (geteuid() != 0) {
        skip("permissions", "needs root");
        return;
    }
    NEED(chmod(".", 0755));
    classes();
    folders();
    changing();
    accessing();
    taken_over();
    EXITS(with_groups, NULL, 0, "supplementary groups count");
    EXITS(identities, NULL, 0, "real, effective and saved user ids change as they may");
}

int main(int argc, char **argv) { return tap_main(argc, argv, body); }
