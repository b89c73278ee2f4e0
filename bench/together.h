/*
 * What a journal is for: many who want their files durable at once share its commits, a tree of ten thousand files is
 * written and removed without a commit for each. Beside the instructions, what they ask of the disk: commits and
 * flushes of 100 operations, KiB written by each, from /proc/fs/jbd and /proc/diskstats.
 */
#ifndef BENCH_TOGETHER_H
#define BENCH_TOGETHER_H

#include "calls.h"
#include "measure.h"
#include "memory.h"

/* ---- What the disk was asked ---- */

struct asked {
    double commits, flushes, kib; /* up to now */
};

/* The name of the disk that holds the folder in which we are: "vdb". */
static void find_disk(char *name, size_t room)
{
    char line[1024], device[256], where[256], here[256];
    FILE *mounts = fopen("/proc/mounts", "re");

    must(mounts != NULL && getcwd(here, sizeof(here)) != NULL, "/proc/mounts");
    snprintf(name, room, "?");
    while (fgets(line, sizeof(line), mounts) != NULL)
        if (sscanf(line, "%255s %255s", device, where) == 2 && strcmp(where, here) == 0)
            snprintf(name, room, "%s", strrchr(device, '/') != NULL ? strrchr(device, '/') + 1 : device);
    fclose(mounts);
}

/* /proc/fs/jbd/vdb here, /proc/fs/jbd2/vdb-8/info on Linux: the first number. */
static double commits_of(const char *disk)
{
    char path[300];
    unsigned long commits;
    FILE *info;
    int found;

    snprintf(path, sizeof(path), "/proc/fs/jbd/%s", disk);
    info = fopen(path, "re");
    if (info == NULL) {
        snprintf(path, sizeof(path), "/proc/fs/jbd2/%s-8/info", disk);
        info = fopen(path, "re");
    }
    if (info == NULL)
        return NONE;
    found = fscanf(info, "%lu", &commits);
    fclose(info);
    return found == 1 ? (double)commits : NONE;
}

/* The 10th number behind the name are sectors written, the 16th flushes. */
static struct asked asked_up_to_now(void)
{
    char line[512], disk[256], name[256];
    struct asked asked = {NONE, NONE, NONE};
    unsigned long sectors, flushes;
    FILE *stats = fopen("/proc/diskstats", "re");

    must(stats != NULL, "/proc/diskstats");
    find_disk(disk, sizeof(disk));
    while (fgets(line, sizeof(line), stats) != NULL)
        if (sscanf(line, "%*d %*d %255s %*u %*u %*u %*u %*u %*u %lu %*u %*u %*u %*u %*u %*u %*u %*u %lu", name,
                   &sectors, &flushes) == 3 &&
            strcmp(name, disk) == 0)
            asked = (struct asked){commits_of(disk), (double)flushes, (double)sectors / 2};
    fclose(stats);
    return asked;
}

/* What each of UNITS asked since BEFORE; commits and flushes of 100. */
static struct asked asked_since(struct asked before, double units)
{
    struct asked after = asked_up_to_now();

    return (struct asked){100 * (after.commits - before.commits) / units,
                          100 * (after.flushes - before.flushes) / units, (after.kib - before.kib) / units};
}

/* ---- One process ---- */

static struct asked asked_by_syncs(int append)
{
    int fd = warm_file("vmbench.file", 64);
    struct asked before;

    must(lseek(fd, 0, append ? SEEK_END : SEEK_SET) >= 0, "lseek");
    fsync(fd);
    before = asked_up_to_now();
    for (int i = 0; i < 50; i++)
        must(write(fd, block_64k, 4096) == 4096 && fsync(fd) == 0, "write");
    before = asked_since(before, 50);
    close(fd);
    unlink("vmbench.file");
    return before;
}

MEASURE(overwrite_4k_fsync_flushes, "100 op", "flushes of overwrite_4k_fsync") { return asked_by_syncs(0).flushes; }

MEASURE(overwrite_4k_fsync_kib, "op", "KiB that it writes to the disk") { return asked_by_syncs(0).kib; }

MEASURE(append_4k_fsync_flushes, "100 op", "flushes of append_4k_fsync") { return asked_by_syncs(1).flushes; }

MEASURE(append_4k_fsync_kib, "op", "KiB that it writes to the disk") { return asked_by_syncs(1).kib; }

/* ---- Eight that sync together ---- */

#define SYNCERS 8
#define FILES_EACH 20

struct syncers {
    pid_t pid[SYNCERS];
    int go[2], over[2];
};

static void name_of(char *name, size_t room, int who, int number) { snprintf(name, room, "sync-%d-%d", who, number); }

static void sync_small_files(int who)
{
    for (int i = 0; i < FILES_EACH; i++) {
        char name[40];
        int fd;

        name_of(name, sizeof(name), who, i);
        fd = open(name, O_WRONLY | O_CREAT | O_EXCL, 0644);
        must(fd >= 0 && write(fd, block_64k, 1024) == 1024 && fsync(fd) == 0, name);
        close(fd);
    }
}

/* They wait until GO is closed, tell OVER that they are done, and stay until they are killed. */
static void start_syncers(struct syncers *s)
{
    must(pipe(s->go) == 0 && pipe(s->over) == 0, "pipe");
    for (int who = 0; who < SYNCERS; who++) {
        s->pid[who] = fork();
        must(s->pid[who] >= 0, "fork");
        if (s->pid[who] == 0) {
            char byte = 0;

            close(s->go[1]);
            must(read(s->go[0], &byte, 1) == 0, "go");
            sync_small_files(who);
            must(write(s->over[1], &byte, 1) == 1, "over");
            pause();
            _exit(0);
        }
    }
    sched_yield();
}

static void run_syncers(struct syncers *s)
{
    close(s->go[1]);
    for (int who = 0; who < SYNCERS; who++) {
        char byte;

        must(read(s->over[0], &byte, 1) == 1, "over");
    }
}

static void end_syncers(struct syncers *s)
{
    for (int who = 0; who < SYNCERS; who++) {
        int status;

        kill(s->pid[who], SIGKILL);
        waitpid(s->pid[who], &status, 0);
        for (int i = 0; i < FILES_EACH; i++) {
            char name[40];

            name_of(name, sizeof(name), who, i);
            unlink(name);
        }
    }
    close(s->go[0]);
    close(s->over[0]);
    close(s->over[1]);
    sync();
}

MEASURE(fsync_8, "file", "8 processes: each create + write 1 KiB + fsync + close of 20 small files, per file")
{
    struct syncers s;

    return REPEAT(5, SYNCERS * FILES_EACH, start_syncers(&s), run_syncers(&s), end_syncers(&s));
}

static struct asked asked_by_syncers(void)
{
    struct syncers s;
    struct asked before;

    start_syncers(&s);
    before = asked_up_to_now();
    run_syncers(&s);
    before = asked_since(before, SYNCERS * FILES_EACH);
    end_syncers(&s);
    return before;
}

MEASURE(fsync_8_commits, "100 files", "commits of the journal that they share") { return asked_by_syncers().commits; }

MEASURE(fsync_8_flushes, "100 files", "flushes of the disk that they share") { return asked_by_syncers().flushes; }

/* ---- A tree of ten thousand files ---- */

#define TREE_FILES 10000
#define TREE_FOLDER 40 /* files in each */

/* Sizes as in a tree of sources: a few are empty, most are small, some have tens of KiB. 4 KiB on the average. */
static size_t size_in_tree(int number)
{
    unsigned random = (unsigned)number * 2654435761u >> 8;

    return number % 16 == 0 ? random % 40000 : number % 16 == 1 ? 0 : random % 4000;
}

/* ---- An archive of it, as tar writes them (POSIX, ustar) ---- */

struct tar_header {
    char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type, link[100], magic[6], version[2],
        user[32], group[32], major[8], minor[8], prefix[155], pad[12];
};

static void add_to_archive(FILE *archive, const char *name, char type, size_t size)
{
    struct tar_header h = {.type = type, .magic = "ustar", .version = "00", .uid = "0", .gid = "0"};
    const unsigned char *bytes = (const unsigned char *)&h;
    unsigned sum = 0;

    snprintf(h.name, sizeof(h.name), "%s", name);
    snprintf(h.mode, sizeof(h.mode), "%07o", type == '5' ? 0755u : 0644u);
    snprintf(h.size, sizeof(h.size), "%011zo", size);
    snprintf(h.mtime, sizeof(h.mtime), "%011o", 1700000000u);
    memset(h.checksum, ' ', sizeof(h.checksum));
    for (size_t i = 0; i < sizeof(h); i++)
        sum += bytes[i];
    snprintf(h.checksum, sizeof(h.checksum), "%06o", sum);
    must(fwrite(&h, sizeof(h), 1, archive) == 1, name);
    size = (size + 511) / 512 * 512;
    must(fwrite(block_64k, 1, size, archive) == size, name);
}

static void make_archive(const char *path, int files)
{
    FILE *archive = fopen(path, "we");
    char name[100];

    must(archive != NULL, path);
    add_to_archive(archive, "tree/", '5', 0);
    for (int i = 0; i < files; i++) {
        int folder = i / TREE_FOLDER, part = folder / 10;

        if (i % (TREE_FOLDER * 10) == 0) {
            snprintf(name, sizeof(name), "tree/part-%d/", part);
            add_to_archive(archive, name, '5', 0);
        }
        if (i % TREE_FOLDER == 0) {
            snprintf(name, sizeof(name), "tree/part-%d/folder-%d/", part, folder);
            add_to_archive(archive, name, '5', 0);
        }
        snprintf(name, sizeof(name), "tree/part-%d/folder-%d/source-file-%d.c", part, folder, i);
        add_to_archive(archive, name, '0', size_in_tree(i));
    }
    must(fwrite(block_64k, 1024, 1, archive) == 1 && fclose(archive) == 0, path);
}

static void make_archives(void)
{
    memset(block_64k, 0, sizeof(block_64k));
    make_archive("few.tar", 400); /* to warm up */
    make_archive("many.tar", TREE_FILES);
    sync();
}

static void drop_archives(void)
{
    unlink("few.tar");
    unlink("many.tar");
}

static void shell(const char *command) { must(system(command) == 0, command); }

static void unpack(int round) { shell(round == 0 ? "tar xf few.tar && sync" : "tar xf many.tar && sync"); }

MEASURE(untar_10k, "file", "tar x of 10,000 files in 276 folders, 4 KiB each on the average, then sync, per file")
{
    double result;

    make_archives();
    result = REPEAT(1, TREE_FILES, {}, unpack(round), shell("rm -r tree && sync"));
    drop_archives();
    return result;
}

MEASURE(rm_10k, "file", "rm -r of it, per file")
{
    double result;

    make_archives();
    result = REPEAT(1, TREE_FILES, unpack(round), shell("rm -r tree"), sync());
    drop_archives();
    return result;
}

#endif
