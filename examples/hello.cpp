// SPDX-License-Identifier: MIT
//
// C++17: haft.hpp has the same calls as templates that check body and frame. A frame is copied bytewise, so it must be
// trivially copyable; an object that is not travels by a pointer in it. An exception that leaves the body is the joiner's
// HAFT_EPANIC.
#include <haft/haft.hpp>

#include <cstdio>
#include <memory>
#include <stdexcept>
#include <string>

struct greeting {
    std::string *text;
    int length;
};

static int greet(greeting *g)
{
    if (g->text == nullptr)
        throw std::invalid_argument("no text");
    *g->text += ", world";
    g->length = static_cast<int>(g->text->size());
    return 0;
}

int main()
{
    auto text = std::make_unique<std::string>("hello");
    greeting g{ text.get(), 0 };

    haft_handle h = haft::spawn<greet>(&g, HAFT_OPTIONS.set_name("greeter"));
    int rc = haft::join(&h, &g);
    std::printf("%s: %s, %d characters\n", haft_errname(rc), text->c_str(), g.length);

    haft_on_panic([](const haft_panic_info *panic) { std::printf("panic: %s\n", panic->message); });
    text = nullptr;
    g.text = nullptr;
    h = haft::spawn<greet>(&g);
    rc = haft::join(&h, &g);
    std::printf("without a text: %s\n", haft_errname(rc));
    return 0;
}
