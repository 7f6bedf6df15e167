// The end of a process whose own promise was broken.
#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace mobula {

void check_failed(const char* file, int line, const char* what) {
  std::fprintf(stderr, "mobula: internal error at %s:%d: %s does not hold; please report this\n", file, line,
               what);
  std::abort();
}

}  // namespace mobula
