/* SPDX-License-Identifier: MIT
 *
 * Stack overflows: a fault in a guard is recognised by its address, the task named with its size and its place of
 * spawn, and the process ended. Runs on the faulting thread's alternate stack, and uses nothing that allocates or
 * locks. Any other fault goes to the handler that was there before, and so does every fault while that is switched off.
 * Where a canary stands for a guard, the scheduler notices at the next switch, and the same is said. */
#include "job/job.h"

#include <string.h>

struct text {
    char bytes[512];
    size_t length;
};

static void add(struct text *text, const char *part)
{
    size_t n = strlen(part), room = sizeof text->bytes - text->length;
    if (n > room)
        n = room;
    memcpy(text->bytes + text->length, part, n);
    text->length += n;
}

static void add_number(struct text *text, uint64_t number)
{
    char digits[21];
    size_t i = sizeof digits - 1;
    digits[i] = 0;
    do
        digits[--i] = (char)('0' + number % 10);
    while ((number /= 10) != 0);
    add(text, digits + i);
}

static void add_job(struct text *text, haft__job *job)
{
    if (haft__load_relaxed(&job->name) != NULL) {
        add(text, "\"");
        add(text, haft__load_relaxed(&job->name));
        add(text, "\"");
    } else {
        uint64_t generation = haft__generation(haft__load_relaxed(&job->record.state));
        add_number(text, generation << 24 | haft__record_index(&job->record));
    }
    if (job->place != NULL) {
        add(text, ", spawned at ");
        add(text, job->place);
        add(text, ",");
    }
}

static const char *guard_name(const haft__stack *stack)
{
    switch (stack->guard) {
    case HAFT__GUARD_ADVISED:
        return "guard page";
    case HAFT__GUARD_PROTECTED:
        return "protected page";
    default:
        return "canary";
    }
}

static void add_stack(struct text *text, const haft__stack *stack)
{
    add_number(text, haft__stack_size(stack));
    add(text, " bytes (");
    add(text, guard_name(stack));
    add(text, ")");
}

static _Noreturn void tell_and_end(const struct text *text)
{
    haft__os->write_error(text->bytes, text->length);
    haft__os->abort();
    __builtin_trap();
}

static _Noreturn void report_task(haft__job *job, const haft__stack *stack, bool is_above)
{
    struct text text = { .length = 0 };
    add(&text, is_above ? "haft: stack underflow: task " : "haft: stack overflow: task ");
    add_job(&text, job);
    add(&text, is_above ? " reached beyond the upper end of its " : " used more than its ");
    add_stack(&text, stack);
    add(&text, is_above ? "\n" : "; ask for more with .stack_size\n");
    tell_and_end(&text);
}

static _Noreturn void report_thread(haft__job *job)
{
    struct text text = { .length = 0 };
    unsigned class = job->record.stack_class; /* see thread_class in make.c */
    add(&text, "haft: stack overflow: thread ");
    add_job(&text, job);
    add(&text, " used more than its ");
    if (class != 0) {
        add_number(&text, (uint64_t)HAFT__STACK_SIZE << (class - 1));
        add(&text, " bytes (the system's guard)");
    } else {
        add(&text, "stack of the system's default size (the system's guard)");
    }
    add(&text, "; ask for more with .stack_size\n");
    tell_and_end(&text);
}

/* Relaxed: it guards nothing, and whoever is to see a change has synchronised with who made it. */
static haft__atomic(bool) is_off;

static bool report_fault(const haft__os_fault *fault)
{
    if (haft__load_relaxed(&is_off))
        return false;
    haft__thread *here = haft__here_or_null();
    haft__root *root = here != NULL ? here->root : NULL;
    haft__job *job = root != NULL ? haft__job_here(root) : NULL;
    if (job == NULL)
        return false;
    const haft__stack *stack = root->stack;
    if (stack != NULL) {
        if (!haft__stack_is_guard(fault->address))
            return false;
        report_task(job, stack, (const char *)fault->address >= stack->top);
    }
    /* A thread's own stack: a fault within a few pages of the stack pointer is nothing else. */
    uintptr_t at = (uintptr_t)fault->address, sp = (uintptr_t)fault->stack_pointer;
    if (at > sp + 65536 || at + 65536 < sp)
        return false;
    report_thread(job);
}

/* What the scheduler found at a switch. A root that was overwritten, or whose job has ended, names nobody. */
static void report_broken(const haft__root *root, const haft__stack *stack)
{
    if (root->mark == HAFT__ROOT_MARK && root->record != NULL)
        report_task(haft__job_of(root->record), stack, false);
    struct text text = { .length = 0 };
    add(&text, "haft: a task's stack was overwritten: ");
    add_stack(&text, stack);
    add(&text, "\n");
    tell_and_end(&text);
}

void haft__overflow_setup(void)
{
    haft__store_relaxed(&haft__stack_report, report_broken);
    if (!haft__load_relaxed(&is_off))
        haft__os->fault_handler_install(report_fault);
}

int haft_overflow_handler(bool on)
{
    if (haft__is_forked())
        return HAFT_EFORKED;
    haft__store_relaxed(&is_off, !on);
    return on ? haft__os->fault_handler_install(report_fault) : 0;
}
