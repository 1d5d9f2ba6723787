/* SPDX-License-Identifier: MIT
 *
 * Every public macro of channels and select, used as it is meant to be. */
#include <haft/haft.h>

struct sum {
    uint64_t n, total;
};

typedef HAFT_SENDER(struct sum) sum_sender;
typedef HAFT_RECEIVER(struct sum) sum_receiver;

int channels(haft_set *set);
int channels(haft_set *set)
{
    HAFT_SENDER(char *) lines_in;
    HAFT_RECEIVER(char *) lines_out;
    HAFT_SENDER(int[4]) arrays_in;
    HAFT_RECEIVER(int[4]) arrays_out;
    HAFT_SLOT(char *) slot;
    HAFT_WEAK_SENDER(char *) weak;
    HAFT_SENDER(char *) other_in; /* another type, of the same element */
    sum_sender sums_in;
    sum_receiver sums_out, other_out;
    int rc = haft_channel(&lines_in, &lines_out, 32, .drop = haft_drop_free);
    rc |= haft_channel(&sums_in, &sums_out, 0);
    rc |= haft_channel_unbounded(&arrays_in, &arrays_out);
    rc |= haft_oneshot(&lines_in, &lines_out, .drop = haft_drop_free);
    rc |= haft_sender_clone(&lines_in, &other_in) | haft_receiver_clone(&sums_out, &other_out);
    char *line = NULL, *lines[4];
    const struct sum constant = { 0, 0 };
    struct sum sum = constant;
    int array[4] = { 0 };
    size_t n;
    rc |= haft_send(&lines_in, &line) | haft_send(&lines_in, HAFT_MOVE(&line)) | haft_try_send(&arrays_in, &array);
    rc |= haft_send(&sums_in, &constant) | haft_send(&sums_in, (&(struct sum){ .n = 1, .total = 2 }));
    rc |= haft_recv(&lines_out, &line) | haft_try_recv(&arrays_out, &array) | haft_recv_many(&lines_out, lines, 4, &n);
    rc |= haft_reserve(&lines_in, &slot) | haft_try_reserve(&lines_in, &slot);
    rc |= haft_slot_send(&slot, &line) | haft_slot_send(&slot, HAFT_MOVE(&line));
    rc |= haft_sender_downgrade(&lines_in, &weak) | haft_sender_upgrade(&weak, &other_in);
    haft_handle h = HAFT_NULL_HANDLE;
    int code;
    switch (haft_select(HAFT_ON_RECV(&lines_out, &line, .rc = &rc), HAFT_ON_SEND(&lines_in, &line),
                        HAFT_ON_SEND(&lines_in, HAFT_MOVE(&line), .rc = &rc), HAFT_ON_JOIN(&h, &sum), HAFT_ON_JOIN(&h),
                        HAFT_ON_JOIN(&h, HAFT_NO_FRAME, .rc = &rc), HAFT_ON_SET(set, &sum, &code),
                        HAFT_ON_SET(set, HAFT_NO_FRAME, NULL, .rc = &rc), HAFT_ON_TIMEOUT(100 * HAFT_MS))) {
    case 0:
        rc = 1;
        break;
    default:
        break;
    }
    haft_arm arms[2] = { HAFT_ON_RECV(&sums_out, &sum) };
    arms[1] = HAFT_ON_TIMEOUT(HAFT_S, .rc = &rc);
    rc |= haft_select_array(arms, 2) | haft_select_biased_array(arms, 2) | haft_try_select_array(arms, 2);
    rc |= haft_select_biased(HAFT_ON_RECV(&sums_out, &sum)) | haft_try_select(HAFT_ON_RECV(&sums_out, &sum));
    HAFT_DEFER(haft_sender_drop, &lines_in);
    HAFT_DEFER(haft_receiver_drop, &lines_out);
    haft_channel_close(&sums_in);
    haft_channel_close(&sums_out);
    n = haft_channel_len(&sums_in) + haft_channel_capacity(&sums_out) + haft_channel_is_closed(&sums_in);
    haft_slot_drop(&slot);
    haft_weak_sender_drop(&weak);
    haft_sender_drop(&sums_in);
    haft_receiver_drop(&sums_out);
    return rc | (n != 0);
}

int copies(int value);
int copies(int value)
{
    HAFT_BROADCAST_SENDER(int) news, more;
    HAFT_BROADCAST_RECEIVER(int) listener, late;
    HAFT_WATCH_SENDER(int) setting;
    HAFT_WATCH_RECEIVER(int) observer, second;
    uint64_t missed;
    int rc = haft_broadcast(&news, &listener, 16) | haft_broadcast_subscribe(&news, &late);
    rc |= haft_broadcast_sender_clone(&news, &more) | haft_broadcast_send(&news, &value);
    rc |= haft_broadcast_recv(&listener, &value, &missed) | haft_broadcast_try_recv(&late, &value, NULL);
    haft_broadcast_sender_drop(&news);
    haft_broadcast_receiver_drop(&listener);
    rc |= haft_watch(&setting, &observer, &value) | haft_watch_subscribe(&setting, &second);
    rc |= haft_watch_set(&setting, &value) | haft_watch_changed(&observer) | haft_watch_get(&observer, &value);
    haft_watch_sender_drop(&setting);
    haft_watch_receiver_drop(&observer);
    return rc;
}
