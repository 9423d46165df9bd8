// DrawId: random ids and seeds of a process.
//
// Threading: any.
#ifndef LOCKD_SERVER_DRAW_ID_H_
#define LOCKD_SERVER_DRAW_ID_H_

#include <cstdint>

namespace lockd {

// 63 random bits from the operating system, never zero.
[[nodiscard]] uint64_t DrawId();

}  // namespace lockd

#endif  // LOCKD_SERVER_DRAW_ID_H_
