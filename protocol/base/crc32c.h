// CRC32C (Castagnoli), by ISA-L.
//
// Threading: pure value.
#ifndef LOCKD_PROTOCOL_BASE_CRC32C_H_
#define LOCKD_PROTOCOL_BASE_CRC32C_H_

#include <cstdint>

#include "absl/strings/string_view.h"

namespace lockd {

// The checksum of `bytes`; `ExtendCrc32c(Crc32c(a), b)` is the checksum of a followed by b.
[[nodiscard]] uint32_t Crc32c(absl::string_view bytes);
[[nodiscard]] uint32_t ExtendCrc32c(uint32_t crc, absl::string_view bytes);

}  // namespace lockd

#endif  // LOCKD_PROTOCOL_BASE_CRC32C_H_
