// Checks of our own invariants. CHECK stays on in release builds; DCHECK only where a check costs more than
// O(1). Bytes, files and arguments from outside never meet a CHECK: they get a Status.
#pragma once

namespace mobula {

/// Prints the place and the broken promise to stderr, then aborts.
[[noreturn]] void check_failed(const char* file, int line, const char* what);

}  // namespace mobula

#define CHECK(condition)                                                      \
  do {                                                                        \
    if (!(condition)) ::mobula::check_failed(__FILE__, __LINE__, #condition); \
  } while (false)

#ifdef NDEBUG
#define DCHECK(condition) \
  do {                    \
  } while (false)
#else
#define DCHECK(condition) CHECK(condition)
#endif
