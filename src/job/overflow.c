/* SPDX-License-Identifier: MIT
 *
 * Stack overflows: a fault in a guard is recognised by its address, the task named with its size and its place of
 * spawn, and the process ended. Runs on the faulting thread's alternate stack, and uses nothing that allocates or
 * locks. Any other fault goes to the handler that was there before. */
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

static bool report_fault(const haft__os_fault *fault)
{
    haft__thread *here = haft__here_or_null();
    haft__root *root = here != NULL ? here->root : NULL;
    haft__job *job = root != NULL ? haft__job_here(root) : NULL;
    struct text text = { .length = 0 };
    if (job != NULL && root->stack != NULL && haft__stack_is_guard(fault->address)) {
        add(&text, "haft: stack overflow: task ");
        add_job(&text, job);
        add(&text, " used more than its ");
        add_number(&text, haft__stack_size(root->stack));
        add(&text, " bytes (");
        add(&text, guard_name(root->stack));
        add(&text, "); ask for more with .stack_size\n");
    } else if (job != NULL && root->stack == NULL) {
        /* A thread's own stack: a fault within a few pages of the stack pointer is nothing else. */
        uintptr_t at = (uintptr_t)fault->address, sp = (uintptr_t)fault->stack_pointer;
        if (at > sp + 65536 || at + 65536 < sp)
            return false;
        add(&text, "haft: stack overflow: thread ");
        add_job(&text, job);
        add(&text, " used more than its stack; ask for more with .stack_size\n");
    } else {
        return false;
    }
    haft__os->write_error(text.bytes, text.length);
    haft__os->abort();
    return true;
}

void haft__overflow_setup(void)
{
    haft__os->fault_handler_install(report_fault);
}
