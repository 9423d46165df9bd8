#include "server/state/digest.h"

#include <cstring>

#include "protocol/base/bytes.h"

namespace lockd::state {

Hasher& Hasher::Bytes(absl::string_view bytes) {
  Word(uint64_t{bytes.size()});
  while (bytes.size() >= sizeof(uint64_t)) {
    Word(LoadLittle<uint64_t>(bytes.data()));
    bytes.remove_prefix(sizeof(uint64_t));
  }
  if (!bytes.empty()) {
    uint64_t tail = 0;
    std::memcpy(&tail, bytes.data(), bytes.size());
    Word(tail);
  }
  return *this;
}

Digest Hasher::Finish() {
  v2_ ^= 0xee;
  Round();
  Round();
  Round();
  Digest digest;
  digest.low = v0_ ^ v1_ ^ v2_ ^ v3_;
  v1_ ^= 0xdd;
  Round();
  Round();
  Round();
  digest.high = v0_ ^ v1_ ^ v2_ ^ v3_;
  return digest;
}

}  // namespace lockd::state
