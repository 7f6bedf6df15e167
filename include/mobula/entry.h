// The C entry through which another runtime runs C++ functions: a Ray worker, or any process that loads a
// library with MOBULA_REMOTE functions. Plain C, stable: fields are only ever added at the end, and `size`
// says how many there are.
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// Bytes of someone else's, valid during the call.
typedef struct mobula_bytes {
  const void* data;
  size_t size;
} mobula_bytes;

/// One task, creation of an actor, or call of a method.
typedef struct mobula_call {
  size_t size;  ///< sizeof(mobula_call)
  mobula_bytes
      definition;     ///< the registered name; "\n" and the library's path may follow it. Unused for methods
  mobula_bytes name;  ///< what users see in messages
  mobula_bytes method;         ///< of calls to an actor
  mobula_bytes arguments;      ///< an argument list: see wire/envelope.h
  const mobula_bytes* values;  ///< the envelopes that stand for its references, in order
  size_t value_count;
  uint64_t actor;           ///< 0 for a task
  uint8_t creates_actor;    ///< this call makes the actor
  uint8_t actor_restarted;  ///< it has lived before
} mobula_call;

/// What a call gave.
enum { MOBULA_VALUE = 0, MOBULA_TASK_ERROR = 1, MOBULA_ACTOR_EXIT = 2 };
typedef struct mobula_result {
  size_t size;  ///< sizeof(mobula_result), set by the caller
  int32_t kind;
  mobula_bytes envelope;  ///< the value, or the error (a plain map: type, message, function, ...)
  void* memory;           ///< given back by mobula_free_result
} mobula_result;

/// Where the actors of one process live.
typedef struct mobula_host mobula_host;

/// Never null.
mobula_host* mobula_open_host(void);
/// Destroys its actors.
void mobula_close_host(mobula_host* host);
/// Loads a library; null, or why it cannot be loaded (valid until the thread's next call).
const char* mobula_load_library(mobula_host* host, const char* path);
/// Runs a call on this thread; what it throws is its result. 0, or -1 for arguments that make no sense.
int mobula_run_cpp(mobula_host* host, const mobula_call* call, mobula_result* result);
void mobula_free_result(mobula_result* result);

#ifdef __cplusplus
}
#endif
