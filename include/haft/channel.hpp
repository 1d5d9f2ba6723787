/* SPDX-License-Identifier: MIT
 *
 * Channels and select for C++17; included by haft.hpp. Ends are the same types as in C, such as HAFT_SENDER(int); what
 * they carry is trivially copyable. Each template is its C namesake with the same checks; haft_..._raw has none. */
#ifndef HAFT_CHANNEL_HPP
#define HAFT_CHANNEL_HPP

#include <haft/haft.hpp>

namespace haft
{

namespace detail
{
template <class End> using sent = std::remove_pointer_t<decltype(End::haft_sender_of_)>;
template <class End> using received = std::remove_pointer_t<decltype(End::haft_receiver_of_)>;
template <class End> using sent_weakly = std::remove_pointer_t<decltype(End::haft_weak_sender_of_)>;
template <class End> using slotted = std::remove_pointer_t<decltype(End::haft_slot_of_)>;
template <class End> using broadcast_sent = std::remove_pointer_t<decltype(End::haft_broadcast_sender_of_)>;
template <class End> using broadcast_received = std::remove_pointer_t<decltype(End::haft_broadcast_receiver_of_)>;
template <class End> using watch_sent = std::remove_pointer_t<decltype(End::haft_watch_sender_of_)>;
template <class End> using watch_received = std::remove_pointer_t<decltype(End::haft_watch_receiver_of_)>;

template <class A, class B> constexpr bool check_ends()
{
    static_assert(std::is_same_v<A, B>, "haft: the two ends are of channels that carry different types");
    static_assert(std::is_trivially_copyable_v<A>, "haft: what a channel carries is moved as bytes");
    return true;
}
template <class Element, class Value> constexpr bool check_value()
{
    static_assert(std::is_same_v<Element, std::remove_const_t<Value>>, "haft: the channel carries another type");
    return true;
}
inline haft_channel_options channel_options(haft_drop_fn *drop)
{
    haft_channel_options o = haft_channel_options();
    o.size_ = sizeof o;
    o.drop = drop;
    return o;
}
}   // namespace detail

/* --- making and giving up ends ------------------------------------------------------------------------------------ */

template <class Tx, class Rx> int channel(Tx *tx, Rx *rx, std::size_t capacity, haft_drop_fn *drop = nullptr)
{
    using element = detail::sent<Tx>;
    static_assert(detail::check_ends<element, detail::received<Rx>>());
    const haft_channel_options o = detail::channel_options(drop);
    return haft_channel_raw(tx, rx, capacity, sizeof(element), alignof(element), &o);
}
template <class Tx, class Rx> int channel_unbounded(Tx *tx, Rx *rx, haft_drop_fn *drop = nullptr)
{
    using element = detail::sent<Tx>;
    static_assert(detail::check_ends<element, detail::received<Rx>>());
    const haft_channel_options o = detail::channel_options(drop);
    return haft_channel_unbounded_raw(tx, rx, sizeof(element), alignof(element), &o);
}
template <class Tx, class Rx> int oneshot(Tx *tx, Rx *rx, haft_drop_fn *drop = nullptr)
{
    using element = detail::sent<Tx>;
    static_assert(detail::check_ends<element, detail::received<Rx>>());
    const haft_channel_options o = detail::channel_options(drop);
    return haft_oneshot_raw(tx, rx, sizeof(element), alignof(element), &o);
}

template <class From, class To> int sender_clone(const From *from, To *to)
{
    static_assert(detail::check_ends<detail::sent<From>, detail::sent<To>>());
    return haft_sender_clone_raw(from, to);
}
template <class From, class To> int receiver_clone(const From *from, To *to)
{
    static_assert(detail::check_ends<detail::received<From>, detail::received<To>>());
    return haft_receiver_clone_raw(from, to);
}
template <class Tx, class Weak> int sender_downgrade(const Tx *tx, Weak *weak)
{
    static_assert(detail::check_ends<detail::sent<Tx>, detail::sent_weakly<Weak>>());
    return haft_sender_downgrade_raw(tx, weak);
}
template <class Weak, class Tx> int sender_upgrade(const Weak *weak, Tx *tx)
{
    static_assert(detail::check_ends<detail::sent<Tx>, detail::sent_weakly<Weak>>());
    return haft_sender_upgrade_raw(weak, tx);
}
template <class Tx> auto sender_drop(Tx *tx) -> std::void_t<detail::sent<Tx>>
{
    haft_sender_drop(tx);
}
template <class Rx> auto receiver_drop(Rx *rx) -> std::void_t<detail::received<Rx>>
{
    haft_receiver_drop(rx);
}
template <class Weak> auto weak_sender_drop(Weak *weak) -> std::void_t<detail::sent_weakly<Weak>>
{
    haft_weak_sender_drop(weak);
}

/* Of a sender or a receiver. */
template <class End> void channel_close(const End *end)
{
    haft_channel_close_raw(&end->channel_);
}
template <class End> bool channel_is_closed(const End *end)
{
    return haft_channel_is_closed_raw(&end->channel_);
}
template <class End> std::size_t channel_len(const End *end)
{
    return haft_channel_len_raw(&end->channel_);
}
template <class End> std::size_t channel_capacity(const End *end)
{
    return haft_channel_capacity_raw(&end->channel_);
}

/* --- values ------------------------------------------------------------------------------------------------------- */

template <class Tx, class Value> int send(Tx *tx, const Value *value)
{
    static_assert(detail::check_value<detail::sent<Tx>, Value>());
    return haft_send_raw(tx, value, false);
}
template <class Tx, class Value> int try_send(Tx *tx, const Value *value)
{
    static_assert(detail::check_value<detail::sent<Tx>, Value>());
    return haft_try_send_raw(tx, value, false);
}
/* As with HAFT_MOVE: what was sent is zeros afterwards. */
template <class Tx, class Value> int send_moved(Tx *tx, Value *value)
{
    static_assert(detail::check_value<detail::sent<Tx>, Value>() && !std::is_const_v<Value>);
    return haft_send_raw(tx, value, true);
}
template <class Tx, class Value> int try_send_moved(Tx *tx, Value *value)
{
    static_assert(detail::check_value<detail::sent<Tx>, Value>() && !std::is_const_v<Value>);
    return haft_try_send_raw(tx, value, true);
}
template <class Rx, class Value> int recv(Rx *rx, Value *value)
{
    static_assert(detail::check_value<detail::received<Rx>, Value>() && !std::is_const_v<Value>);
    return haft_recv_raw(rx, value);
}
template <class Rx, class Value> int try_recv(Rx *rx, Value *value)
{
    static_assert(detail::check_value<detail::received<Rx>, Value>() && !std::is_const_v<Value>);
    return haft_try_recv_raw(rx, value);
}
template <class Rx, class Value> int recv_many(Rx *rx, Value *array, std::size_t max, std::size_t *n)
{
    static_assert(detail::check_value<detail::received<Rx>, Value>() && !std::is_const_v<Value>);
    return haft_recv_many_raw(rx, array, max, n);
}

template <class Tx, class Slot> int reserve(const Tx *tx, Slot *slot)
{
    static_assert(detail::check_ends<detail::sent<Tx>, detail::slotted<Slot>>());
    return haft_reserve_raw(tx, slot);
}
template <class Tx, class Slot> int try_reserve(const Tx *tx, Slot *slot)
{
    static_assert(detail::check_ends<detail::sent<Tx>, detail::slotted<Slot>>());
    return haft_try_reserve_raw(tx, slot);
}
template <class Slot, class Value> int slot_send(Slot *slot, const Value *value)
{
    static_assert(detail::check_value<detail::slotted<Slot>, Value>());
    return haft_slot_send_raw(slot, value, false);
}
template <class Slot, class Value> int slot_send_moved(Slot *slot, Value *value)
{
    static_assert(detail::check_value<detail::slotted<Slot>, Value>() && !std::is_const_v<Value>);
    return haft_slot_send_raw(slot, value, true);
}
template <class Slot> auto slot_drop(Slot *slot) -> std::void_t<detail::slotted<Slot>>
{
    haft_slot_drop(slot);
}

/* --- broadcast and watch ------------------------------------------------------------------------------------------ */

template <class Tx, class Rx> int broadcast(Tx *tx, Rx *rx, std::size_t capacity)
{
    using element = detail::broadcast_sent<Tx>;
    static_assert(detail::check_ends<element, detail::broadcast_received<Rx>>());
    return haft_broadcast_raw(tx, rx, capacity, sizeof(element), alignof(element));
}
template <class Tx, class Rx> int broadcast_subscribe(const Tx *tx, Rx *rx)
{
    static_assert(detail::check_ends<detail::broadcast_sent<Tx>, detail::broadcast_received<Rx>>());
    return haft_broadcast_subscribe_raw(tx, rx);
}
template <class From, class To> int broadcast_sender_clone(const From *from, To *to)
{
    static_assert(detail::check_ends<detail::broadcast_sent<From>, detail::broadcast_sent<To>>());
    return haft_broadcast_sender_clone_raw(from, to);
}
template <class Tx, class Value> int broadcast_send(const Tx *tx, const Value *value)
{
    static_assert(detail::check_value<detail::broadcast_sent<Tx>, Value>());
    return haft_broadcast_send_raw(tx, value);
}
template <class Rx, class Value> int broadcast_recv(Rx *rx, Value *value, std::uint64_t *missed)
{
    static_assert(detail::check_value<detail::broadcast_received<Rx>, Value>() && !std::is_const_v<Value>);
    return haft_broadcast_recv_raw(rx, value, missed);
}
template <class Rx, class Value> int broadcast_try_recv(Rx *rx, Value *value, std::uint64_t *missed)
{
    static_assert(detail::check_value<detail::broadcast_received<Rx>, Value>() && !std::is_const_v<Value>);
    return haft_broadcast_try_recv_raw(rx, value, missed);
}
template <class Tx> auto broadcast_sender_drop(Tx *tx) -> std::void_t<detail::broadcast_sent<Tx>>
{
    haft_broadcast_sender_drop(tx);
}
template <class Rx> auto broadcast_receiver_drop(Rx *rx) -> std::void_t<detail::broadcast_received<Rx>>
{
    haft_broadcast_receiver_drop(rx);
}

template <class Tx, class Rx, class Value> int watch(Tx *tx, Rx *rx, const Value *first)
{
    using element = detail::watch_sent<Tx>;
    static_assert(detail::check_ends<element, detail::watch_received<Rx>>() && detail::check_value<element, Value>());
    return haft_watch_raw(tx, rx, first, sizeof(element), alignof(element));
}
template <class Tx, class Rx> int watch_subscribe(const Tx *tx, Rx *rx)
{
    static_assert(detail::check_ends<detail::watch_sent<Tx>, detail::watch_received<Rx>>());
    return haft_watch_subscribe_raw(tx, rx);
}
template <class Tx, class Value> int watch_set(const Tx *tx, const Value *value)
{
    static_assert(detail::check_value<detail::watch_sent<Tx>, Value>());
    return haft_watch_set_raw(tx, value);
}
template <class Rx, class = detail::watch_received<Rx>> int watch_changed(const Rx *rx)
{
    return haft_watch_changed_raw(rx);
}
template <class Rx, class Value> int watch_get(Rx *rx, Value *value)
{
    static_assert(detail::check_value<detail::watch_received<Rx>, Value>() && !std::is_const_v<Value>);
    return haft_watch_get_raw(rx, value);
}
template <class Tx> auto watch_sender_drop(Tx *tx) -> std::void_t<detail::watch_sent<Tx>>
{
    haft_watch_sender_drop(tx);
}
template <class Rx> auto watch_receiver_drop(Rx *rx) -> std::void_t<detail::watch_received<Rx>>
{
    haft_watch_receiver_drop(rx);
}

/* --- select ------------------------------------------------------------------------------------------------------- */

namespace detail
{
inline haft_arm arm_of(haft_arm_kind kind, void *object, void *value, std::int64_t amount, int *rc)
{
    haft_arm arm = haft_arm();
    arm.kind_ = kind;
    arm.object_ = object;
    arm.value_ = value;
    arm.amount_ = amount;
    arm.rc = rc;
    return arm;
}
}   // namespace detail

/* The arms, HAFT_ON_RECV and the others; rc is where the arm's own result goes, or null. */
template <class Rx, class Value> haft_arm on_recv(Rx *rx, Value *value, int *rc = nullptr)
{
    static_assert(detail::check_value<detail::received<Rx>, Value>() && !std::is_const_v<Value>);
    return detail::arm_of(HAFT_ARM_RECV, rx, value, 0, rc);
}
template <class Tx, class Value> haft_arm on_send(Tx *tx, const Value *value, int *rc = nullptr)
{
    static_assert(detail::check_value<detail::sent<Tx>, Value>());
    return detail::arm_of(HAFT_ARM_SEND, tx, const_cast<Value *>(value), 0, rc);
}
template <class Frame> haft_arm on_join(haft_handle *h, Frame &&frame, int *rc = nullptr)
{
    return detail::arm_of(HAFT_ARM_JOIN, h, frame, static_cast<std::int64_t>(detail::frame_size<Frame>()), rc);
}
inline haft_arm on_join(haft_handle *h)
{
    return on_join(h, HAFT_NO_FRAME);
}
template <class Frame> haft_arm on_set(haft_set *set, Frame &&frame, int *code, int *rc = nullptr)
{
    haft_arm arm = detail::arm_of(HAFT_ARM_SET, set, frame, static_cast<std::int64_t>(detail::frame_size<Frame>()), rc);
    arm.code_ = code;
    return arm;
}
inline haft_arm on_sem(haft_sem *sem, std::size_t n, int *rc = nullptr)
{
    return detail::arm_of(HAFT_ARM_SEM, sem, nullptr, static_cast<std::int64_t>(n), rc);
}
inline haft_arm on_notify(haft_notify *notify, int *rc = nullptr)
{
    return detail::arm_of(HAFT_ARM_NOTIFY, notify, nullptr, 0, rc);
}
inline haft_arm on_event(haft_event *event, int *rc = nullptr)
{
    return detail::arm_of(HAFT_ARM_EVENT, event, nullptr, 0, rc);
}
inline haft_arm on_token(haft_token *token, int *rc = nullptr)
{
    return detail::arm_of(HAFT_ARM_TOKEN, token, nullptr, 0, rc);
}
inline haft_arm on_tick(haft_ticker *ticker, int *rc = nullptr)
{
    return detail::arm_of(HAFT_ARM_TICK, ticker, nullptr, 0, rc);
}
inline haft_arm on_timeout(std::int64_t nanoseconds, int *rc = nullptr)
{
    return detail::arm_of(HAFT_ARM_TIMEOUT, nullptr, nullptr, nanoseconds, rc);
}

template <class... Arms> int select(const Arms &...arms)
{
    const haft_arm all[] = { arms... };
    return haft_select_raw(all, sizeof...(arms), HAFT_SELECT_FAIR);
}
template <class... Arms> int select_biased(const Arms &...arms)
{
    const haft_arm all[] = { arms... };
    return haft_select_raw(all, sizeof...(arms), HAFT_SELECT_BIASED);
}
template <class... Arms> int try_select(const Arms &...arms)
{
    const haft_arm all[] = { arms... };
    return haft_select_raw(all, sizeof...(arms), HAFT_SELECT_TRY);
}
inline int select_array(const haft_arm *arms, std::size_t n)
{
    return haft_select_raw(arms, n, HAFT_SELECT_FAIR);
}
inline int select_biased_array(const haft_arm *arms, std::size_t n)
{
    return haft_select_raw(arms, n, HAFT_SELECT_BIASED);
}
inline int try_select_array(const haft_arm *arms, std::size_t n)
{
    return haft_select_raw(arms, n, HAFT_SELECT_TRY);
}

}   // namespace haft

#endif
