/* SPDX-License-Identifier: MIT
 *
 * A part of haft.hpp may be included by itself. */
#include <haft/channel.hpp>

#include <haft/actor.hpp>

typedef HAFT_SENDER(int) int_sender;
typedef HAFT_RECEIVER(int) int_receiver;
typedef HAFT_ACTOR(int) int_actor;

static int serve(int *state)
{
    return *state;
}

int use(int_sender *tx, int_receiver *rx, int_actor *actor);
int use(int_sender *tx, int_receiver *rx, int_actor *actor)
{
    int value = 1;
    return haft::select(haft::on_send(tx, &value), haft::on_recv(rx, &value)) + haft::call<serve>(actor);
}
