/*
 * A plugin of QEMU that counts the guest's instructions between marks: `-plugin counter.so,log=FILE`.
 *
 * A mark is an instruction that does nothing, from the space that RISC-V keeps for such uses: "slti zero, zero, N" (the
 * marks of bench/measure.h). FILE gets a line for each one that is executed: N and how many instructions of all
 * privilege levels, on all harts together, came before it. A hart that waits for an interrupt executes none, so what a
 * disk takes is not in it.
 *
 * Counts are one hart's truth: several harts that run at the same time would race in them (icount runs them in turn).
 *
 * QEMU's header for plugins is packaged nowhere, so what is used of it is declared here, in two versions: QEMU up to
 * 8.2 takes plugins of version 1, QEMU from 9.1 on those of version 3 (compile with -DVERSION=3).
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef VERSION
#define VERSION 1
#endif

#define EXPORT __attribute__((visibility("default")))

struct qemu_plugin_tb;
struct qemu_plugin_insn;
struct qemu_info_t;

typedef void (*translation_callback)(uint64_t id, struct qemu_plugin_tb *tb);
typedef void (*execution_callback)(unsigned vcpu, void *argument);
typedef void (*exit_callback)(uint64_t id, void *argument);

extern EXPORT int qemu_plugin_version;
EXPORT int qemu_plugin_install(uint64_t id, const struct qemu_info_t *info, int argc, char **argv);

void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t id, translation_callback callback);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *insn, execution_callback callback, int flags,
                                            void *argument);
void qemu_plugin_register_atexit_cb(uint64_t id, exit_callback callback, void *argument);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t index);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *insn);

#define NO_REGISTERS 0
#define ADD_U64 0

#define MARK_BITS 0x00002013u /* slti zero, zero, N */
#define MARK_MASK 0x000fffffu

int qemu_plugin_version = VERSION;

static FILE *marks;

#if VERSION == 1

const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *insn);
void qemu_plugin_register_vcpu_insn_exec_inline(struct qemu_plugin_insn *insn, int operation, void *at, uint64_t add);

static uint64_t executed;

static uint64_t count_so_far(void) { return executed; }

static int prepare_count(void) { return 0; }

static void count_insn(struct qemu_plugin_insn *insn)
{
    qemu_plugin_register_vcpu_insn_exec_inline(insn, ADD_U64, &executed, 1);
}

static uint32_t word_of(const struct qemu_plugin_insn *insn)
{
    uint32_t word = 0;

    memcpy(&word, qemu_plugin_insn_data(insn), sizeof(word));
    return word;
}

#else

struct qemu_plugin_scoreboard;

struct qemu_plugin_u64_entry {
    struct qemu_plugin_scoreboard *score;
    size_t offset;
};

struct qemu_plugin_scoreboard *qemu_plugin_scoreboard_new(size_t size);
void qemu_plugin_register_vcpu_insn_exec_inline_per_vcpu(struct qemu_plugin_insn *insn, int operation,
                                                         struct qemu_plugin_u64_entry entry, uint64_t add);
uint64_t qemu_plugin_u64_sum(struct qemu_plugin_u64_entry entry);
size_t qemu_plugin_insn_data(const struct qemu_plugin_insn *insn, void *to, size_t length);

static struct qemu_plugin_u64_entry executed;

static uint64_t count_so_far(void) { return qemu_plugin_u64_sum(executed); }

static int prepare_count(void)
{
    executed.score = qemu_plugin_scoreboard_new(sizeof(uint64_t));
    return executed.score ? 0 : -1;
}

static void count_insn(struct qemu_plugin_insn *insn)
{
    qemu_plugin_register_vcpu_insn_exec_inline_per_vcpu(insn, ADD_U64, executed, 1);
}

static uint32_t word_of(const struct qemu_plugin_insn *insn)
{
    uint32_t word = 0;

    qemu_plugin_insn_data(insn, &word, sizeof(word));
    return word;
}

#endif

static int is_mark(const struct qemu_plugin_insn *insn)
{
    return qemu_plugin_insn_size(insn) == 4 && (word_of(insn) & MARK_MASK) == MARK_BITS;
}

static void on_mark(unsigned vcpu, void *number)
{
    (void)vcpu;
    fprintf(marks, "%u %" PRIu64 "\n", (unsigned)(uintptr_t)number, count_so_far());
}

static void on_translation(uint64_t id, struct qemu_plugin_tb *tb)
{
    (void)id;
    for (size_t i = 0; i < qemu_plugin_tb_n_insns(tb); i++) {
        struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);

        if (is_mark(insn)) /* not counted itself */
            qemu_plugin_register_vcpu_insn_exec_cb(insn, on_mark, NO_REGISTERS,
                                                   (void *)(uintptr_t)(word_of(insn) >> 20));
        else
            count_insn(insn);
    }
}

static void on_exit_of_machine(uint64_t id, void *unused)
{
    (void)id, (void)unused;
    fclose(marks);
}

int qemu_plugin_install(uint64_t id, const struct qemu_info_t *info, int argc, char **argv)
{
    (void)info;
    if (argc != 1 || strncmp(argv[0], "log=", 4) != 0 || prepare_count() < 0)
        return -1;
    marks = fopen(argv[0] + 4, "w");
    if (marks == NULL)
        return -1;
    setvbuf(marks, NULL, _IOLBF, 0); /* the machine may be killed */
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
    qemu_plugin_register_atexit_cb(id, on_exit_of_machine, NULL);
    return 0;
}
