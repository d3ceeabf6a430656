/* guard.h - calls into ggml that may end in a C++ exception (Vulkan) or in ggml's abort (CUDA): here they end in a message.
 *
 * After `false` the device is not to be used again, but the process is: what is left is freed as far as that goes. */
#ifndef BACKEND_GGML_GUARD_H
#define BACKEND_GGML_GUARD_H
#include <ggml-backend.h>
#include <stdbool.h>
#include <stddef.h>
#ifdef __cplusplus
extern "C" {
#endif
enum { GUARD_TEXT = 256 };

/* fn(user); false: it threw or aborted, and `why` says what ggml said. */
bool guarded(void (*fn)(void *user), void *user, char why[GUARD_TEXT]);

/* Tests only: the nth graph from now is not computed, as if the device had been lost (1) or had no memory (2). */
void guard_fault(int nth, int kind);
int  guard_fault_now(void); /* the kind whose turn it is, or 0 */
#ifdef __cplusplus
}
#endif
#endif
