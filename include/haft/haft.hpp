/* SPDX-License-Identifier: MIT
 *
 * haft for C++17: the checks and options that haft.h makes by macros in C, as templates. Everything that needs neither,
 * such as haft_drop, haft_wait or haft_park, is called as it is.
 *
 *     haft_handle h = haft::spawn<sum_to>(&sum, HAFT_OPTIONS.set_name("sum"));
 *     int rc = haft::join(&h, &sum);
 *
 * A frame is trivially copyable, because it moves as bytes. A body is int body(T *), int body(void *), or int body()
 * for no frame.
 *
 * Exceptions. A body is best given as a template argument: an exception that leaves it, destructors having run, becomes
 * a panic of the job at its root, with the exception's type and text for a message. haft::panic throws one that becomes
 * a panic with its own place. A body given as a value, haft::spawn(sum_to, &sum), is called directly: an exception that
 * leaves it ends the process, as one that leaves a std::thread does; a noexcept body loses nothing. A haft_panic, in
 * turn, does not run destructors. Do not wait inside a catch block, nor in a destructor that an exception runs: the
 * task may go on on another thread, and the C++ runtime remembers by thread what is being caught. */
#ifndef HAFT_HAFT_HPP
#define HAFT_HAFT_HPP

#if !defined(__cplusplus) || __cplusplus < 201703L
#error "haft.hpp needs C++17; C includes haft.h"
#endif

#include <haft/haft.h>

#include <cstdarg>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <type_traits>
#include <typeinfo>

#include <cxxabi.h>

/* Options that know where they stand, so that reports can name the place of a spawn. */
#define HAFT_OPTIONS (haft::options(HAFT_HERE_))
#define HAFT_RUN_OPTIONS (haft::run_options(HAFT_HERE_))
#define HAFT_SET_OPTIONS (haft::set_options(HAFT_HERE_))

namespace haft
{

/* --- options ------------------------------------------------------------------------------------------------------ */

struct options : haft_spawn_options {
    explicit options(const char *place = nullptr) noexcept : haft_spawn_options()
    {
        size_ = sizeof(haft_spawn_options);
        place_ = place;
    }
    options &set_kind(haft_kind value) noexcept
    {
        kind = value;
        return *this;
    }
    options &set_name(const char *value) noexcept
    {
        name = value;
        return *this;
    }
    options &set_stack_size(std::size_t value) noexcept
    {
        stack_size = value;
        return *this;
    }
    options &set_drop(haft_drop_fn *value) noexcept
    {
        drop = value;
        return *this;
    }
    options &set_pinned(bool value = true) noexcept
    {
        pinned = value;
        return *this;
    }
    options &set_runtime(haft_runtime *value) noexcept
    {
        runtime = value;
        return *this;
    }
};

struct run_options : haft_runtime_options {
    explicit run_options(const char *place = nullptr) noexcept : haft_runtime_options()
    {
        size_ = sizeof(haft_runtime_options);
        place_ = place;
    }
    run_options &set_workers(unsigned value) noexcept
    {
        workers = value;
        return *this;
    }
    run_options &set_grace(std::int64_t value) noexcept
    {
        grace = value;
        return *this;
    }
    run_options &set_on_stuck(haft_stuck_hook *value) noexcept
    {
        on_stuck = value;
        return *this;
    }
    run_options &set_stack_size(std::size_t value) noexcept
    {
        stack_size = value;
        return *this;
    }
};

struct set_options : haft_set_options {
    explicit set_options(const char *place = nullptr) noexcept : haft_set_options()
    {
        size_ = sizeof(haft_set_options);
        place_ = place;
    }
    set_options &set_limit(std::size_t value) noexcept
    {
        limit = value;
        return *this;
    }
    set_options &set_queue(std::size_t value) noexcept
    {
        queue = value;
        return *this;
    }
};

/* --- panics that are thrown --------------------------------------------------------------------------------------- */

/* What haft::panic throws. Catch it like any other exception; at the root of a job it is the job's panic. */
class panic_error : public std::exception
{
public:
    panic_error(const char *file, int line) noexcept : file_(file), line_(line)
    {
    }
    const char *what() const noexcept override
    {
        return message;
    }
    const char *file() const noexcept
    {
        return file_;
    }
    int line() const noexcept
    {
        return line_;
    }

    char message[sizeof(haft_panic_info::message)] = "";

private:
    const char *file_;
    int line_;
};

/* haft::panic(message): ends the running job by an exception, so that destructors run. */
[[noreturn]] inline void panic(const char *message, const char *file = __builtin_FILE(), int line = __builtin_LINE())
{
    panic_error error(file, line);
    std::snprintf(error.message, sizeof error.message, "%s", message);
    throw error;
}

namespace detail
{

/* "std::runtime_error: no such port", as far as it fits. */
inline void describe(char *out, std::size_t size, const std::type_info &type, const char *what) noexcept
{
    int status = 0;
    char *name = abi::__cxa_demangle(type.name(), nullptr, nullptr, &status);
    std::snprintf(out, size, "%s: %s", name != nullptr ? name : type.name(), what);
    std::free(name);
}

/* Calls a body behind the wall that turns exceptions into panics. The panic is raised behind the handlers, because it
 * does not return and the exception has to be released first. */
template <class Call> int guard(Call call)
{
    char message[sizeof(haft_panic_info::message)];
    const char *file = "C++ exception";
    int line = 0;
    try {
        return call();
    } catch (const panic_error &error) {
        std::snprintf(message, sizeof message, "%s", error.message);
        file = error.file();
        line = error.line();
    } catch (const std::exception &error) {
        describe(message, sizeof message, typeid(error), error.what());
    } catch (const abi::__forced_unwind &) {
        throw; /* a thread that is being cancelled or has called pthread_exit */
    } catch (...) {
        const std::type_info *type = abi::__cxa_current_exception_type();
        if (type != nullptr)
            describe(message, sizeof message, *type, "thrown");
        else
            std::snprintf(message, sizeof message, "a foreign exception was thrown");
    }
    haft_panic_raw(file, line, "%s", message);
}

/* What a body takes: T for int body(T *), no_parameter for int body(). */
struct no_parameter;
template <class Body> struct parameter_of {
    static constexpr bool is_body = false;
    using type = no_parameter;
};
template <class T> struct parameter_of<int (*)(T *)> {
    static constexpr bool is_body = true;
    using type = T;
};
template <class T> struct parameter_of<int (*)(T *) noexcept> : parameter_of<int (*)(T *)> {
};
template <> struct parameter_of<int (*)()> {
    static constexpr bool is_body = true;
    using type = no_parameter;
};
template <> struct parameter_of<int (*)() noexcept> : parameter_of<int (*)()> {
};

template <class Pointer> constexpr bool check_frame()
{
    using plain = std::remove_reference_t<Pointer>;
    static_assert(!std::is_array_v<plain>, "haft: the frame is an array and would decay: pass &array");
    static_assert(std::is_array_v<plain> || std::is_pointer_v<plain>, "haft: a frame is given as &object");
    using object = std::remove_cv_t<std::remove_pointer_t<plain>>;
    static_assert(!std::is_void_v<object>, "haft: a void * has no size: pass &object");
    static_assert(!std::is_same_v<object, char> && !std::is_same_v<object, signed char> &&
                      !std::is_same_v<object, unsigned char>,
                  "haft: a string is not a frame: put it into a struct");
    static_assert(std::is_void_v<object> || std::is_trivially_copyable_v<object>,
                  "haft: a frame moves as bytes and must be trivially copyable");
    return true;
}

template <class Pointer> constexpr std::size_t frame_size()
{
    static_assert(check_frame<Pointer>());
    using object = std::remove_cv_t<std::remove_pointer_t<std::remove_reference_t<Pointer>>>;
    return std::is_same_v<object, haft_no_frame> ? 0 : sizeof(object);
}

template <class Pointer> constexpr std::size_t frame_alignment()
{
    return alignof(std::remove_pointer_t<std::remove_reference_t<Pointer>>);
}

template <class Body, class Pointer> constexpr std::size_t body_frame_size()
{
    constexpr std::size_t size = frame_size<Pointer>();
    using object = std::remove_cv_t<std::remove_pointer_t<std::remove_reference_t<Pointer>>>;
    using taken = std::remove_cv_t<typename parameter_of<Body>::type>;
    constexpr bool bare = std::is_same_v<object, haft_no_frame>;
    static_assert(parameter_of<Body>::is_body && (bare ? std::is_same_v<taken, no_parameter>
                                                       : std::is_same_v<taken, object> || std::is_void_v<taken>),
                  "haft: the body must be int body(T *) or int body(void *) for a frame T *, or int body() for none");
    return size;
}

/* A body by value, called directly. */
template <class Body> haft_fn *direct(Body body) noexcept
{
    return reinterpret_cast<haft_fn *>(reinterpret_cast<void (*)()>(body));
}

/* A body known at compile time, behind the wall. */
template <auto Body> int guarded(void *frame)
{
    using taken = typename parameter_of<decltype(Body)>::type;
    if constexpr (std::is_same_v<taken, no_parameter>)
        return guard([] { return Body(); });
    else
        return guard([frame] { return Body(static_cast<taken *>(frame)); });
}

template <class Pointer> void *lent(Pointer frame) noexcept
{
    return const_cast<void *>(static_cast<const volatile void *>(frame));
}

}   // namespace detail

/* --- spawn -------------------------------------------------------------------------------------------------------- */

/* haft::spawn<body>(&frame, options): as haft_spawn. */
template <auto Body, class Frame>
[[nodiscard]] haft_handle spawn(Frame &&frame, const haft_spawn_options &o = options())
{
    return haft_spawn_raw(detail::guarded<Body>, detail::lent(frame), detail::body_frame_size<decltype(Body), Frame>(),
                          detail::frame_alignment<Frame>(), &o);
}
template <auto Body> [[nodiscard]] haft_handle spawn()
{
    return spawn<Body>(HAFT_NO_FRAME);
}

/* haft::spawn(body, &frame, options): the same for a body that is known at run time only. */
template <class Parameter, class Frame>
[[nodiscard]] haft_handle spawn(int (*body)(Parameter *), Frame &&frame, const haft_spawn_options &o = options())
{
    return haft_spawn_raw(detail::direct(body), detail::lent(frame),
                          detail::body_frame_size<int (*)(Parameter *), Frame>(), detail::frame_alignment<Frame>(), &o);
}
[[nodiscard]] inline haft_handle spawn(int (*body)(), haft_no_frame * = HAFT_NO_FRAME,
                                       const haft_spawn_options &o = options())
{
    return haft_spawn_raw(detail::direct(body), nullptr, 0, 1, &o);
}

template <auto Body, class Frame>
[[nodiscard]] haft_handle spawn_blocking(Frame &&frame, const haft_spawn_options &o = options())
{
    return haft_spawn_blocking_raw(detail::guarded<Body>, detail::lent(frame),
                                   detail::body_frame_size<decltype(Body), Frame>(), detail::frame_alignment<Frame>(),
                                   &o);
}
template <auto Body> [[nodiscard]] haft_handle spawn_blocking()
{
    return spawn_blocking<Body>(HAFT_NO_FRAME);
}

/* haft::tracker_spawn<body>(&tracker, &frame, options): as haft_tracker_spawn. */
template <auto Body, class Frame>
int tracker_spawn(haft_tracker *tracker, Frame &&frame, const haft_spawn_options &o = options())
{
    return haft_tracker_spawn_raw(tracker, detail::guarded<Body>, detail::lent(frame),
                                  detail::body_frame_size<decltype(Body), Frame>(), detail::frame_alignment<Frame>(),
                                  &o);
}
template <auto Body> int tracker_spawn(haft_tracker *tracker)
{
    return tracker_spawn<Body>(tracker, HAFT_NO_FRAME);
}

/* haft::blocking<body>(&frame): as haft_blocking; the frame is lent. */
template <auto Body, class Frame> int blocking(Frame &&frame, const char *place = nullptr)
{
    return haft_blocking_raw(detail::guarded<Body>, detail::lent(frame),
                             detail::body_frame_size<decltype(Body), Frame>(), place);
}
template <auto Body> int blocking()
{
    return blocking<Body>(HAFT_NO_FRAME);
}

/* haft::run<body>(&frame, options): as haft_run. */
template <auto Body, class Frame> int run(Frame &&frame, const haft_runtime_options &o = run_options())
{
    return haft_run_raw(detail::guarded<Body>, detail::lent(frame), detail::body_frame_size<decltype(Body), Frame>(),
                        detail::frame_alignment<Frame>(), &o);
}
template <auto Body> int run()
{
    return run<Body>(HAFT_NO_FRAME);
}

/* haft::attempt<body>(&loan, &panic): as haft_catch, and exceptions are caught as well. */
template <auto Body, class Loan> int attempt(Loan &&loan, haft_panic_info *panic)
{
    return haft_catch_raw(detail::guarded<Body>, detail::lent(loan), detail::body_frame_size<decltype(Body), Loan>(),
                          panic);
}

/* haft::once_call<body>(&once, &loan): as haft_once_call; an exception is a panic, after which the next one tries. */
template <auto Body, class Loan> int once_call(haft_once *once, Loan &&loan)
{
    return haft_once_call_raw(once, detail::guarded<Body>, detail::lent(loan),
                              detail::body_frame_size<decltype(Body), Loan>());
}
template <auto Body> int once_call(haft_once *once)
{
    return once_call<Body>(once, HAFT_NO_FRAME);
}

/* --- join --------------------------------------------------------------------------------------------------------- */

template <class Frame> int join(haft_handle *h, Frame &&frame)
{
    return haft_join_raw(h, frame, detail::frame_size<Frame>());
}
inline int join(haft_handle *h)
{
    return haft_join_raw(h, nullptr, 0);
}

template <class Frame> int try_join(haft_handle *h, Frame &&frame)
{
    return haft_try_join_raw(h, frame, detail::frame_size<Frame>());
}
inline int try_join(haft_handle *h)
{
    return haft_try_join_raw(h, nullptr, 0);
}

template <class Frame> int join_outcome(haft_handle *h, Frame &&frame, haft_outcome *out)
{
    return haft_join_outcome_raw(h, frame, detail::frame_size<Frame>(), out);
}

/* --- sets --------------------------------------------------------------------------------------------------------- */

[[nodiscard]] inline haft_set *set_new(const haft_set_options &o = set_options())
{
    return haft_set_new_raw(&o);
}

template <auto Body, class Frame> int set_spawn(haft_set *set, Frame &&frame, const haft_spawn_options &o = options())
{
    return haft_set_spawn_raw(set, detail::guarded<Body>, detail::lent(frame),
                              detail::body_frame_size<decltype(Body), Frame>(), detail::frame_alignment<Frame>(), &o);
}
template <auto Body> int set_spawn(haft_set *set)
{
    return set_spawn<Body>(set, HAFT_NO_FRAME);
}

template <class Frame> int set_next(haft_set *set, Frame &&frame, int *code)
{
    return haft_set_next_raw(set, frame, detail::frame_size<Frame>(), code);
}
template <class Frame> int set_try_next(haft_set *set, Frame &&frame, int *code)
{
    return haft_set_try_next_raw(set, frame, detail::frame_size<Frame>(), code);
}
template <class Frame> int set_next_outcome(haft_set *set, Frame &&frame, haft_outcome *out)
{
    return haft_set_next_outcome_raw(set, frame, detail::frame_size<Frame>(), out);
}

/* --- several at once ---------------------------------------------------------------------------------------------- */

/* haft::all(rcs, haft::arm<f>(&a), haft::arm<g>(&b, options), haft::arm<h>()): as haft_all. */
template <auto Body, class Loan> haft_all_arm arm(Loan &&loan, const haft_spawn_options &o = options())
{
    return { detail::guarded<Body>, detail::lent(loan), detail::body_frame_size<decltype(Body), Loan>(), &o };
}
template <auto Body> haft_all_arm arm(const haft_spawn_options &o = options())
{
    return { detail::guarded<Body>, nullptr, 0, &o };
}

template <class... Arms> int all(int *rcs, const Arms &...arms)
{
    const haft_all_arm array[] = { arms... };
    return haft_all_raw(rcs, array, sizeof...(arms));
}
template <class... Arms> int all_or_abort(int *rcs, const Arms &...arms)
{
    const haft_all_arm array[] = { arms... };
    return haft_all_or_abort_raw(rcs, array, sizeof...(arms));
}

/* haft::both<f, g>(&a, &b) and haft::for_each<f>(items, n): as haft_both and haft_for_each. */
template <auto First, auto Second, class A, class B> int both(A &&a, B &&b, const char *file = __builtin_FILE())
{
    return haft_both_raw(detail::guarded<First>, detail::lent(a), detail::body_frame_size<decltype(First), A>(),
                         detail::guarded<Second>, detail::lent(b), detail::body_frame_size<decltype(Second), B>(),
                         file);
}
template <auto Body, class Item> int for_each(Item *items, std::size_t n, const char *file = __builtin_FILE())
{
    using taken = std::remove_cv_t<typename detail::parameter_of<decltype(Body)>::type>;
    static_assert(std::is_same_v<taken, std::remove_cv_t<Item>>,
                  "haft: the body must be int body(T *) for items of type T");
    return haft_for_each_raw(detail::guarded<Body>, detail::lent(items), sizeof(Item), n, file);
}

/* haft::ticker_start(&t, period, HAFT_TICK_SKIP): as haft_ticker_start. */
inline int ticker_start(haft_ticker *t, std::int64_t period, haft_missed_ticks missed = HAFT_TICK_BURST)
{
    const haft_ticker_options o = { sizeof o, missed };
    return haft_ticker_start_raw(t, period, &o);
}

/* --- to the end of the block -------------------------------------------------------------------------------------- */

/* haft::timeout t(50 * HAFT_MS): HAFT_TIMEOUT as an object of the block. */
class timeout
{
public:
    explicit timeout(std::int64_t nanoseconds) : block_(haft_timeout_raw(&block_, nanoseconds))
    {
    }
    ~timeout()
    {
        haft_block_end_(&block_);
    }
    timeout(const timeout &) = delete;
    timeout &operator=(const timeout &) = delete;

private:
    haft_block block_;
};

/* haft::shield s: HAFT_SHIELD as an object of the block. */
class shield
{
public:
    shield() : block_(haft_shield_raw(&block_))
    {
    }
    ~shield()
    {
        haft_block_end_(&block_);
    }
    shield(const shield &) = delete;
    shield &operator=(const shield &) = delete;

private:
    haft_block block_;
};

}   // namespace haft

#include <haft/actor.hpp>
#include <haft/channel.hpp>

#endif
