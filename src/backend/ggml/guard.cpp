/* guard.cpp - exceptions and aborts of ggml become a message.  C++ because only that can catch. */
#include "backend/ggml/guard.h"

#include <cstdio>
#include <cstring>
#include <exception>

#include <ggml.h>

namespace {

thread_local int depth;  /* guarded calls of this thread */
int fault_at, fault_kind;

struct aborted {
    char text[GUARD_TEXT];
};

/* ggml calls this on its way to abort().  Under a guard on this thread it does not get there; its own workers' aborts cannot be caught. */
void on_abort(const char *message)
{
    if (depth) {
        aborted a;
        std::snprintf(a.text, sizeof a.text, "%s", message);
        throw a;
    }
}

}

extern "C" bool guarded(void (*fn)(void *user), void *user, char why[GUARD_TEXT])
{
    bool well = false;
    auto before = ggml_set_abort_callback(on_abort);
    depth++;
    try {
        fn(user);
        well = true;
    } catch (const aborted &a) {
        std::snprintf(why, GUARD_TEXT, "%s", a.text);
    } catch (const std::exception &e) {
        std::snprintf(why, GUARD_TEXT, "%s", e.what());
    } catch (...) {
        std::snprintf(why, GUARD_TEXT, "an unknown exception");
    }
    depth--;
    if (!depth) ggml_set_abort_callback(before);
    return well;
}

extern "C" void guard_fault(int nth, int kind)
{
    fault_at = nth;
    fault_kind = kind;
}

extern "C" int guard_fault_now(void) { return fault_at > 0 && --fault_at == 0 ? fault_kind : 0; }
