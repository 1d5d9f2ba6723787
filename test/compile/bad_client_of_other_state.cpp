/* SPDX-License-Identifier: MIT
 *
 * A client for another state than the actor's.
 * expect: haft: ends of actors with different states
 */
#include <haft/haft.hpp>

typedef HAFT_ACTOR(int) int_actor;
typedef HAFT_CLIENT(long) long_client;

int connect(int_actor *actor, long_client *client);
int connect(int_actor *actor, long_client *client)
{
    return haft::client_of(actor, client);
}
