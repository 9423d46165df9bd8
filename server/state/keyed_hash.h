// KeyedHash: the hash of bytes that come from outside, under a key that outsiders do not know.
//
// Names are chosen by clients. Under absl::Hash anybody can choose names that all collide, whatever
// its seed is (a certain eight bytes make a multiplication by zero of it, after which the rest of
// the name does not matter), and ten thousands of them turn each look-up into a walk over all. So
// the index of names hashes with SipHash-1-3 (Aumasson and Bernstein) under a key of the node's
// own. The key decides nothing: nobody can see the order of an index.
//
// Threading: pure value.
#ifndef LOCKD_SERVER_STATE_KEYED_HASH_H_
#define LOCKD_SERVER_STATE_KEYED_HASH_H_

#include <cstdint>

#include "absl/strings/string_view.h"

namespace lockd::state {

struct HashKey {
  uint64_t low = 0;
  uint64_t high = 0;
  // 128 bits made from a node's seed.
  [[nodiscard]] static HashKey FromSeed(uint64_t seed);
};

[[nodiscard]] uint64_t KeyedHash(const HashKey& key, absl::string_view bytes);

}  // namespace lockd::state

#endif  // LOCKD_SERVER_STATE_KEYED_HASH_H_
