/* SPDX-License-Identifier: MIT
 *
 * Actors, pools and supervisors for C++17; included by haft.hpp. Ends are the same types as in C, such as HAFT_ACTOR(S);
 * states and frames are trivially copyable. A body is a template argument, int body(S *, M *) or int body(S *), and an
 * exception that leaves it is a panic of its message:
 *
 *     int rc = haft::call<do_count>(&actor, &message);
 *
 * What names no type is called as it is: haft_actor_drop(&actor), haft_client_drop(&client), haft_pool_drop(&pool). */
#ifndef HAFT_ACTOR_HPP
#define HAFT_ACTOR_HPP

#include <haft/haft.hpp>

#define HAFT_ACTOR_OPTIONS (haft::actor_options(HAFT_HERE_))
#define HAFT_POOL_OPTIONS (haft::pool_options(HAFT_HERE_))
#define HAFT_MESSAGE_OPTIONS (haft::message_options(HAFT_HERE_))
#define HAFT_SUPERVISOR_OPTIONS (haft::supervisor_options(HAFT_HERE_))
#define HAFT_CHILD_OPTIONS (haft::child_options(HAFT_HERE_))
#define HAFT_SUPERVISED_ACTOR_OPTIONS (haft::supervised_actor_options(HAFT_HERE_))

namespace haft
{

namespace detail
{
/* The setters that actors and pools share. */
template <class Options, class Self> struct server_options : Options {
    explicit server_options(const char *place) noexcept : Options()
    {
        this->size_ = sizeof(Options);
        this->place_ = place;
    }
    Self &set_kind(haft_kind value) noexcept
    {
        this->kind = value;
        return self();
    }
    Self &set_name(const char *value) noexcept
    {
        this->name = value;
        return self();
    }
    Self &set_stack_size(std::size_t value) noexcept
    {
        this->stack_size = value;
        return self();
    }
    Self &set_drop(haft_drop_fn *value) noexcept
    {
        this->drop = value;
        return self();
    }
    Self &set_pinned(bool value = true) noexcept
    {
        this->pinned = value;
        return self();
    }
    Self &set_runtime(haft_runtime *value) noexcept
    {
        this->runtime = value;
        return self();
    }
    Self &set_capacity(std::size_t value) noexcept
    {
        this->capacity = value;
        return self();
    }
    Self &set_on_panic(haft_on_message_panic value) noexcept
    {
        this->on_panic = value;
        return self();
    }
    Self &set_measure(bool value = true) noexcept
    {
        this->measure = value;
        return self();
    }

private:
    Self &self() noexcept
    {
        return static_cast<Self &>(*this);
    }
};
}   // namespace detail

struct actor_options : detail::server_options<haft_actor_options, actor_options> {
    explicit actor_options(const char *place = nullptr) noexcept : server_options(place)
    {
    }
};
struct pool_options : detail::server_options<haft_pool_options, pool_options> {
    explicit pool_options(const char *place = nullptr) noexcept : server_options(place)
    {
    }
    pool_options &set_workers(unsigned value) noexcept
    {
        workers = value;
        return *this;
    }
};
struct supervised_actor_options : detail::server_options<haft_supervised_actor_options, supervised_actor_options> {
    explicit supervised_actor_options(const char *place = nullptr) noexcept : server_options(place)
    {
    }
    supervised_actor_options &set_grace(std::int64_t nanoseconds) noexcept
    {
        grace = nanoseconds;
        return *this;
    }
};
struct message_options : haft_message_options {
    explicit message_options(const char *place = nullptr) noexcept : haft_message_options()
    {
        size_ = sizeof(haft_message_options);
        place_ = place;
    }
    message_options &set_drop(haft_drop_fn *value) noexcept
    {
        drop = value;
        return *this;
    }
    message_options &set_urgent(bool value = true) noexcept
    {
        urgent = value;
        return *this;
    }
};

struct child_options : haft_child_options {
    explicit child_options(const char *place = nullptr) noexcept : haft_child_options()
    {
        size_ = sizeof(haft_child_options);
        place_ = place;
    }
    child_options &set_name(const char *value) noexcept
    {
        name = value;
        return *this;
    }
    child_options &set_kind(haft_kind value) noexcept
    {
        kind = value;
        return *this;
    }
    child_options &set_restart(haft_restart value) noexcept
    {
        restart = value;
        return *this;
    }
    child_options &set_drop(haft_drop_fn *value) noexcept
    {
        drop = value;
        return *this;
    }
    /* How it is asked to stop, and how long it is given then. */
    child_options &set_stop(haft_drop_fn *value, std::int64_t nanoseconds) noexcept
    {
        stop = value;
        grace = nanoseconds;
        return *this;
    }
    child_options &set_stack_size(std::size_t value) noexcept
    {
        stack_size = value;
        return *this;
    }
    child_options &set_pinned(bool value = true) noexcept
    {
        pinned = value;
        return *this;
    }
    child_options &set_runtime(haft_runtime *value) noexcept
    {
        runtime = value;
        return *this;
    }
};

struct supervisor_options : haft_supervisor_options {
    explicit supervisor_options(const char *place = nullptr) noexcept : haft_supervisor_options()
    {
        size_ = sizeof(haft_supervisor_options);
        place_ = place;
    }
    supervisor_options &set_strategy(haft_strategy value) noexcept
    {
        strategy = value;
        return *this;
    }
    /* At most so many within that time. */
    supervisor_options &set_restarts(unsigned value, std::int64_t nanoseconds) noexcept
    {
        restarts = value;
        within = nanoseconds;
        return *this;
    }
    supervisor_options &set_backoff(std::int64_t first, std::int64_t most = 0) noexcept
    {
        backoff = first;
        backoff_max = most;
        return *this;
    }
    supervisor_options &set_name(const char *value) noexcept
    {
        name = value;
        return *this;
    }
    supervisor_options &set_runtime(haft_runtime *value) noexcept
    {
        runtime = value;
        return *this;
    }
};

namespace detail
{
template <class End> using state_of = std::remove_pointer_t<decltype(End::state_)>;

template <class End, class State> constexpr bool check_state()
{
    static_assert(std::is_same_v<state_of<End>, std::remove_const_t<State>>,
                  "haft: the state is of another type than HAFT_ACTOR(T) says");
    static_assert(std::is_trivially_copyable_v<State>, "haft: a state moves as bytes and must be trivially copyable");
    return true;
}
template <class A, class B> constexpr bool check_states_match()
{
    static_assert(std::is_same_v<state_of<A>, state_of<B>>, "haft: ends of actors with different states");
    return true;
}

/* What the body of a message takes: S and M, or no_parameter for a message without a frame. */
template <class Body> struct served {
    static constexpr bool is_body = false;
    using state = no_parameter;
    using frame = no_parameter;
};
template <class S, class M> struct served<int (*)(S *, M *)> {
    static constexpr bool is_body = true;
    using state = S;
    using frame = M;
};
template <class S> struct served<int (*)(S *)> {
    static constexpr bool is_body = true;
    using state = S;
    using frame = no_parameter;
};
template <class S, class M> struct served<int (*)(S *, M *) noexcept> : served<int (*)(S *, M *)> {
};
template <class S> struct served<int (*)(S *) noexcept> : served<int (*)(S *)> {
};

template <class Body, class End, class Pointer> constexpr std::size_t message_size()
{
    using object = std::remove_cv_t<std::remove_pointer_t<std::remove_reference_t<Pointer>>>;
    using taken = std::remove_cv_t<typename served<Body>::frame>;
    constexpr std::size_t size = frame_size<Pointer>();
    static_assert(served<Body>::is_body &&
                      std::is_same_v<std::remove_cv_t<typename served<Body>::state>, state_of<End>> &&
                      (std::is_same_v<object, haft_no_frame> ? std::is_same_v<taken, no_parameter>
                                                             : std::is_same_v<taken, object> || std::is_void_v<taken>),
                  "haft: the body must be int body(S *, M *) for an actor of S and a frame M *, or int body(S *) for "
                  "none");
    return size;
}

/* A message's body behind the wall. */
template <auto Body> int served_by(void *state, void *frame)
{
    using body = served<decltype(Body)>;
    auto *s = static_cast<typename body::state *>(state);
    if constexpr (std::is_same_v<typename body::frame, no_parameter>)
        return guard([s] { return Body(s); });
    else
        return guard([s, frame] { return Body(s, static_cast<typename body::frame *>(frame)); });
}
}   // namespace detail

/* --- the owner ---------------------------------------------------------------------------------------------------- */

template <class Actor, class State>
int actor_start(Actor *actor, const State *state, const haft_actor_options &o = actor_options())
{
    static_assert(detail::check_state<Actor, State>());
    return haft_actor_start_raw(&actor->owner_, state, sizeof(State), alignof(State), &o);
}
template <class Actor, class State> int actor_join(Actor *actor, State *state)
{
    static_assert(detail::check_state<Actor, State>() && !std::is_const_v<State>);
    return haft_actor_join_raw(&actor->owner_, state, sizeof(State));
}
template <class Actor> int actor_join(Actor *actor)
{
    return haft_actor_join_raw(&actor->owner_, nullptr, 0);
}
template <class Actor, class State> int actor_join_outcome(Actor *actor, State *state, haft_outcome *out)
{
    static_assert(detail::check_state<Actor, State>() && !std::is_const_v<State>);
    return haft_actor_join_outcome_raw(&actor->owner_, state, sizeof(State), out);
}
template <class Actor> int actor_stop(const Actor *actor)
{
    return haft_actor_stop_raw(&actor->owner_);
}
template <class Actor> int actor_abort(const Actor *actor)
{
    return haft_actor_abort_raw(&actor->owner_);
}
template <class Actor> int actor_detach(Actor *actor)
{
    return haft_actor_detach_raw(&actor->owner_);
}

template <class Pool, class State>
int pool_start(Pool *pool, const State *state, const haft_pool_options &o = pool_options())
{
    static_assert(detail::check_state<Pool, State>());
    return haft_pool_start_raw(&pool->pool_, state, sizeof(State), alignof(State), &o);
}
template <class Pool> int pool_resize(const Pool *pool, unsigned workers)
{
    return haft_pool_resize_raw(&pool->pool_, workers);
}
template <class Pool, class State> int pool_join(Pool *pool, State *state)
{
    static_assert(detail::check_state<Pool, State>() && !std::is_const_v<State>);
    return haft_pool_join_raw(&pool->pool_, state, sizeof(State));
}
template <class Pool> int pool_join(Pool *pool)
{
    return haft_pool_join_raw(&pool->pool_, nullptr, 0);
}
template <class Pool, class State> int pool_join_outcome(Pool *pool, State *state, haft_outcome *out)
{
    static_assert(detail::check_state<Pool, State>() && !std::is_const_v<State>);
    return haft_pool_join_outcome_raw(&pool->pool_, state, sizeof(State), out);
}
template <class Pool> int pool_stop(const Pool *pool)
{
    return haft_pool_stop_raw(&pool->pool_);
}
template <class Pool> int pool_abort(const Pool *pool)
{
    return haft_pool_abort_raw(&pool->pool_);
}
template <class Pool> int pool_detach(Pool *pool)
{
    return haft_pool_detach_raw(&pool->pool_);
}

/* --- messages, by any end, of a pool as of an actor --------------------------------------------------------------- */

#define HAFT_MESSAGE_OF_                                                                                               \
    detail::served_by<Body>, detail::lent(frame), detail::message_size<decltype(Body), End, Frame>(),                  \
        detail::frame_alignment<Frame>()

template <auto Body, class End, class Frame>
int cast(const End *end, Frame &&frame, const haft_message_options &o = message_options())
{
    return haft_cast_raw(&end->end_, HAFT_MESSAGE_OF_, &o);
}
template <auto Body, class End> int cast(const End *end)
{
    return cast<Body>(end, HAFT_NO_FRAME);
}
template <auto Body, class End, class Frame>
int try_cast(const End *end, Frame &&frame, const haft_message_options &o = message_options())
{
    return haft_try_cast_raw(&end->end_, HAFT_MESSAGE_OF_, &o);
}
template <auto Body, class End, class Frame>
int call(const End *end, Frame &&frame, const haft_message_options &o = message_options())
{
    return haft_call_raw(&end->end_, HAFT_MESSAGE_OF_, &o);
}
template <auto Body, class End> int call(const End *end)
{
    return call<Body>(end, HAFT_NO_FRAME);
}
template <auto Body, class End, class Frame>
int call_outcome(const End *end, Frame &&frame, haft_outcome *out, const haft_message_options &o = message_options())
{
    return haft_call_outcome_raw(&end->end_, HAFT_MESSAGE_OF_, out, &o);
}
template <auto Body, class End, class Frame>
int actor_after(const End *end, std::int64_t nanoseconds, Frame &&frame,
                const haft_message_options &o = message_options())
{
    return haft_actor_after_raw(&end->end_, nanoseconds, HAFT_MESSAGE_OF_, &o);
}
template <auto Body, class End, class Frame>
int actor_every(const End *end, std::int64_t nanoseconds, Frame &&frame,
                const haft_message_options &o = message_options())
{
    return haft_actor_every_raw(&end->end_, nanoseconds, HAFT_MESSAGE_OF_, &o);
}

/* With a key: messages of one key are served one after the other. */
template <auto Body, class End, class Frame>
int pool_cast_keyed(const End *end, std::uint64_t key, Frame &&frame, const haft_message_options &o = message_options())
{
    return haft_pool_cast_keyed_raw(&end->end_, key, HAFT_MESSAGE_OF_, &o);
}
template <auto Body, class End, class Frame>
int pool_try_cast_keyed(const End *end, std::uint64_t key, Frame &&frame,
                        const haft_message_options &o = message_options())
{
    return haft_pool_try_cast_keyed_raw(&end->end_, key, HAFT_MESSAGE_OF_, &o);
}
template <auto Body, class End, class Frame>
int pool_call_keyed(const End *end, std::uint64_t key, Frame &&frame, const haft_message_options &o = message_options())
{
    return haft_pool_call_keyed_raw(&end->end_, key, HAFT_MESSAGE_OF_, &o);
}
template <auto Body, class End, class Frame>
int pool_call_keyed_outcome(const End *end, std::uint64_t key, Frame &&frame, haft_outcome *out,
                            const haft_message_options &o = message_options())
{
    return haft_pool_call_keyed_outcome_raw(&end->end_, key, HAFT_MESSAGE_OF_, out, &o);
}

#undef HAFT_MESSAGE_OF_

template <class End> bool actor_is_alive(const End *end)
{
    return haft_actor_is_alive_raw(&end->end_);
}
template <class End> std::size_t actor_len(const End *end)
{
    return haft_actor_len_raw(&end->end_);
}
template <class End> int actor_stats(const End *end, haft_actor_statistics *out)
{
    return haft_actor_stats_raw(&end->end_, out, sizeof *out);
}

/* --- clients ------------------------------------------------------------------------------------------------------ */

template <class Actor, class Client> int client_of(const Actor *actor, Client *client)
{
    static_assert(detail::check_states_match<Actor, Client>());
    return haft_client_of_raw(&actor->owner_, &client->client_);
}
template <class Pool, class Client> int pool_client_of(const Pool *pool, Client *client)
{
    static_assert(detail::check_states_match<Pool, Client>());
    return haft_pool_client_of_raw(&pool->pool_, &client->client_);
}
template <class From, class To> int client_clone(const From *from, To *to)
{
    static_assert(detail::check_states_match<From, To>());
    return haft_client_of_raw(&from->client_, &to->client_);
}
template <class Client, class Weak> int client_downgrade(const Client *client, Weak *weak)
{
    static_assert(detail::check_states_match<Client, Weak>());
    return haft_client_downgrade_raw(&client->client_, &weak->weak_);
}
template <class Weak, class Client> int client_upgrade(const Weak *weak, Client *client)
{
    static_assert(detail::check_states_match<Weak, Client>());
    return haft_client_upgrade_raw(&weak->weak_, &client->client_);
}

/* --- supervisors -------------------------------------------------------------------------------------------------- */

[[nodiscard]] inline haft_supervisor *supervisor_new(const haft_supervisor_options &o = supervisor_options())
{
    return haft_supervisor_new_raw(&o);
}

/* haft::supervise<body>(sup, &frame, options): as haft_supervise; a run that ends by an exception has panicked. */
template <auto Body, class Frame>
int supervise(haft_supervisor *sup, Frame &&frame, const haft_child_options &o = child_options())
{
    return haft_supervise_raw(sup, detail::guarded<Body>, detail::lent(frame),
                              detail::body_frame_size<decltype(Body), Frame>(), detail::frame_alignment<Frame>(), &o);
}
template <auto Body> int supervise(haft_supervisor *sup)
{
    return supervise<Body>(sup, HAFT_NO_FRAME);
}

template <class Actor, class State>
int supervise_actor(haft_supervisor *sup, Actor *actor, const State *state,
                    const haft_supervised_actor_options &o = supervised_actor_options())
{
    static_assert(detail::check_state<Actor, State>());
    return haft_supervise_actor_raw(sup, &actor->owner_, state, sizeof(State), alignof(State), &o);
}

}   // namespace haft

#endif
