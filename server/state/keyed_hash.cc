#include "server/state/keyed_hash.h"

#include <bit>
#include <cstring>

#include "protocol/base/bytes.h"
#include "protocol/base/random.h"

namespace lockd::state {
namespace {

struct SipState {
  uint64_t v0, v1, v2, v3;

  void Round() {
    v0 += v1;
    v1 = std::rotl(v1, 13) ^ v0;
    v0 = std::rotl(v0, 32);
    v2 += v3;
    v3 = std::rotl(v3, 16) ^ v2;
    v0 += v3;
    v3 = std::rotl(v3, 21) ^ v0;
    v2 += v1;
    v1 = std::rotl(v1, 17) ^ v2;
    v2 = std::rotl(v2, 32);
  }
  void Word(uint64_t word) {
    v3 ^= word;
    Round();
    v0 ^= word;
  }
};

}  // namespace

HashKey HashKey::FromSeed(uint64_t seed) {
  Random random(seed);
  const uint64_t low = random.Next();
  return {low, random.Next()};
}

uint64_t KeyedHash(const HashKey& key, absl::string_view bytes) {
  SipState state{0x736f6d65'70736575u ^ key.low, 0x646f7261'6e646f6du ^ key.high,
                 0x6c796765'6e657261u ^ key.low, 0x74656462'79746573u ^ key.high};
  const uint64_t length = uint64_t{bytes.size()} << 56;
  for (; bytes.size() >= sizeof(uint64_t); bytes.remove_prefix(sizeof(uint64_t))) {
    state.Word(LoadLittle<uint64_t>(bytes.data()));
  }
  uint64_t tail = 0;
  std::memcpy(&tail, bytes.data(), bytes.size());
  state.Word(length | tail);
  state.v2 ^= 0xff;
  for (int i = 0; i < 3; ++i) state.Round();
  return state.v0 ^ state.v1 ^ state.v2 ^ state.v3;
}

}  // namespace lockd::state
