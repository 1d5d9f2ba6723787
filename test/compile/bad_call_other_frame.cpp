/* SPDX-License-Identifier: MIT
 *
 * A message of another type than its body serves.
 * expect: haft: the body must be int body(S *, M *)
 */
#include <haft/haft.hpp>

struct account {
    long balance;
};
typedef HAFT_ACTOR(account) account_actor;

static int pay(account *a, long *amount)
{
    a->balance += *amount;
    return 0;
}

int pay_to(account_actor *actor, int amount);
int pay_to(account_actor *actor, int amount)
{
    return haft::call<pay>(actor, &amount);
}
