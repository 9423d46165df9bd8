#include "server/draw_id.h"

#include <sys/random.h>

#include "protocol/base/check.h"

namespace lockd {

uint64_t DrawId() {
  uint64_t id = 0;
  while (id == 0) {
    LOCKD_CHECK(getrandom(&id, sizeof(id), 0) == sizeof(id), "no randomness from the kernel");
    id >>= 1;
  }
  return id;
}

}  // namespace lockd
