/* SPDX-License-Identifier: MIT
 *
 * Tokens and shared values, used by plain threads. */
#include "world.h"

static int plain, called, dropped;

/* --- tokens -------------------------------------------------------------------------------------------------------------- */

static haft_token token = HAFT_TOKEN_INIT, child;

static void cancel_after_writing(void *argument)
{
    (void)argument;
    plain = 42;
    haft_token_cancel(&token);
}

MODEL("token: whoever sees it cancelled sees what was done before")
{
    int other = model_start(cancel_after_writing, NULL);
    if (haft_token_is_cancelled(&token))
        model_check(plain == 42);
    model_join(other);
    haft_token_drop(&token);
}

MODEL("token: whoever sees a child cancelled sees what was done before")
{
    model_check(haft_token_child(&token, &child) == 0);
    int other = model_start(cancel_after_writing, NULL);
    if (haft_token_is_cancelled(&child))
        model_check(plain == 42);
    model_join(other);
    haft_token_drop(&child);
    haft_token_drop(&token);
}

MODEL("token: whoever waits for it goes on, and may drop it at once")
{
    int other = model_start(cancel_after_writing, NULL);
    model_check(haft_token_wait(&token) == 0 && plain == 42);
    haft_token_drop(&token);
    token = (haft_token)HAFT_TOKEN_INIT;
    model_join(other);
}

MODEL("token: a child is made and waited for while its parent is cancelled")
{
    int other = model_start(cancel_after_writing, NULL);
    model_check(haft_token_child(&token, &child) == 0);
    model_check(haft_token_wait(&child) == 0 && plain == 42);
    haft_token_drop(&child);
    model_join(other);
    haft_token_drop(&token);
}

static void count_call(void *argument)
{
    (void)argument;
    model_check(plain == 42);
    called++;
}

static haft_token_callback callback;

MODEL("token: a callback is called once, or was dropped before")
{
    model_check(haft_token_on_cancel(&token, &callback, count_call, NULL) == 0);
    int other = model_start(cancel_after_writing, NULL);
    haft_token_callback_drop(&callback);
    callback = (haft_token_callback){ 0 };
    model_check(called <= 1);
    model_join(other);
    haft_token_drop(&token);
}

static void cancel_token(void *argument)
{
    (void)argument;
    haft_token_cancel(&token);
}

MODEL("token: two cancel it, and its callback is called once", .is_large = true)
{
    plain = 42;
    model_check(haft_token_on_cancel(&token, &callback, count_call, NULL) == 0);
    int other = model_start(cancel_token, NULL);
    haft_token_cancel(&token);
    model_join(other);
    model_check(called == 1);
    haft_token_callback_drop(&callback);
    haft_token_drop(&token);
}

/* --- shared values --------------------------------------------------------------------------------------------------------- */

static haft_shared owners[2];
static haft_shared_weak weak;

static void count_drop(void *value)
{
    int *n = value;
    dropped += *n;
}

static void make_shared(void)
{
    int one = 1;
    model_check(haft_shared_new(&owners[0], &one, .drop = count_drop) == 0);
}

static void read_and_drop(void *argument)
{
    haft_shared *owner = argument;
    int *value = haft_shared_get(owner);
    model_check(*value == 1);
    haft_shared_drop(owner);
}

MODEL("shared: the last owner disposes of the value, after all that the others did with it")
{
    make_shared();
    model_check(haft_shared_clone(&owners[0], &owners[1]) == 0);
    int other = model_start(read_and_drop, &owners[1]);
    haft_shared_drop(&owners[0]);
    model_join(other);
    model_check(dropped == 1);
}

static void upgrade_and_drop(void *argument)
{
    haft_shared mine;
    (void)argument;
    int rc = haft_shared_upgrade(&weak, &mine);
    model_check(rc == 0 || rc == HAFT_ECLOSED);
    if (rc == 0) {
        model_check(*(int *)haft_shared_get(&mine) == 1 && dropped == 0);
        haft_shared_drop(&mine);
    }
    haft_shared_weak_drop(&weak);
}

MODEL("shared: a weak reference is upgraded while the last owner goes, and the memory goes with the last of all")
{
    make_shared();
    model_check(haft_shared_downgrade(&owners[0], &weak) == 0);
    int other = model_start(upgrade_and_drop, NULL);
    haft_shared_drop(&owners[0]);
    model_join(other);
    model_check(dropped == 1);
}
