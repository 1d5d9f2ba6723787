/* SPDX-License-Identifier: MIT
 *
 * Every template, which both compilers take without a word. */
#include <haft/haft.hpp>

struct sum {
    std::uint64_t n, total;
};

static int sum_to(sum *s)
{
    return static_cast<int>(s->n);
}

static int reads(const sum *s) noexcept
{
    return static_cast<int>(s->n);
}

static int raw(void *p)
{
    return p == nullptr;
}

static int nothing()
{
    return 0;
}

static constexpr auto from_lambda = +[](sum *s) { return static_cast<int>(s->total); };

int all(sum *p);
int all(sum *p)
{
    sum s = { 1, 2 };
    const sum constant = { 3, 4 };
    haft_handle hs[] = {
        haft::spawn<sum_to>(&s),
        haft::spawn<sum_to>(p),
        haft::spawn<reads>(&s),
        haft::spawn<reads>(&constant),
        haft::spawn<raw>(&s),
        haft::spawn<from_lambda>(&s),
        haft::spawn<nothing>(),
        haft::spawn<nothing>(HAFT_NO_FRAME, HAFT_OPTIONS.set_name("nothing")),
        haft::spawn(sum_to, &s),
        haft::spawn(reads, p),
        haft::spawn(raw, &constant),
        haft::spawn(nothing),
        haft::spawn(nothing, HAFT_NO_FRAME, haft::options().set_kind(HAFT_THREAD)),
        haft::spawn_blocking<sum_to>(&s),
        haft::spawn_blocking<nothing>(),
    };
    haft_outcome out;
    int rc = haft::join(&hs[0], &s) | haft::join(&hs[1]) | haft::join(&hs[2], HAFT_NO_FRAME);
    rc |= haft::try_join(&hs[3]) | haft::try_join(&hs[4], p) | haft::join_outcome(&hs[5], &s, &out);
    rc |= haft::blocking<sum_to>(&s) | haft::blocking<nothing>();
    rc |= haft::run<sum_to>(&s, HAFT_RUN_OPTIONS.set_workers(2)) | haft::run<nothing>();
    rc |= haft::attempt<sum_to>(&s, &out.panic);
    haft_set *set = haft::set_new(HAFT_SET_OPTIONS.set_limit(3).set_queue(9));
    rc |= haft::set_spawn<sum_to>(set, &s) | haft::set_spawn<nothing>(set);
    rc |= haft::set_next(set, &s, nullptr) | haft::set_try_next(set, HAFT_NO_FRAME, nullptr);
    rc |= haft::set_next_outcome(set, &s, &out);
    haft_set_drop(&set);
    int rcs[2];
    rc |=
        haft::all(rcs, haft::arm<sum_to>(&s), haft::arm<nothing>()) | haft::all_or_abort(nullptr, haft::arm<nothing>());
    rc |= haft::both<sum_to, nothing>(&s, HAFT_NO_FRAME) | haft::for_each<sum_to>(&s, 1);
    haft_ticker ticker;
    rc |= haft::ticker_start(&ticker, HAFT_MS) | haft::ticker_start(&ticker, HAFT_MS, HAFT_TICK_SKIP);
    static haft_once once = HAFT_ONCE_INIT;
    static haft_mutex mutex = HAFT_MUTEX_INIT;
    static haft_rwlock rwlock = HAFT_RWLOCK_INIT;
    static haft_cond cond = HAFT_COND_INIT;
    static haft_sem sem = HAFT_SEM_INIT(3);
    static haft_barrier barrier = HAFT_BARRIER_INIT(1);
    static haft_notify notify = HAFT_NOTIFY_INIT;
    static haft_event event = HAFT_EVENT_INIT;
    static haft_waitgroup group = HAFT_WAITGROUP_INIT;
    rc |= haft::once_call<nothing>(&once) | haft::once_call<sum_to>(&once, &s);
    rc |= haft_mutex_lock(&mutex) | haft_cond_wait(&cond, &mutex) | haft_rwlock_read(&rwlock) | haft_sem_acquire(&sem);
    rc |= haft_barrier_wait(&barrier, nullptr) | haft_notify_wait(&notify) | haft_event_wait(&event);
    rc |= haft_waitgroup_wait(&group);
    haft::timeout t(HAFT_MS);
    haft::shield masked;
    return rc;
}

typedef HAFT_SENDER(sum) sum_sender;
typedef HAFT_RECEIVER(sum) sum_receiver;

int channels(haft_handle *h);
int channels(haft_handle *h)
{
    sum_sender tx = { nullptr }, other = { nullptr };
    sum_receiver rx = { nullptr };
    sum s = { 1, 2 };
    int rc = haft::channel(&tx, &rx, 4) | haft::channel_unbounded(&tx, &rx) | haft::oneshot(&tx, &rx);
    rc |= haft::send(&tx, &s) | haft::try_send(&tx, &s) | haft::recv(&rx, &s) | haft::try_recv(&rx, &s);
    rc |= haft::sender_clone(&tx, &other);
    rc |= haft::select(haft::on_recv(&rx, &s), haft::on_send(&tx, &s, &rc), haft::on_join(h, &s),
                       haft::on_timeout(HAFT_MS));
    rc |= haft::try_select(haft::on_recv(&rx, &s));
    haft_sender_drop(&tx);
    haft_sender_drop(&other);
    haft_receiver_drop(&rx);
    return rc;
}
